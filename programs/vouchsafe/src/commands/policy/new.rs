//! `vouchsafe policy new`: adds issuers, audiences and policies.

mod answers;
mod args;
mod ask;

use super::bundle::{DIR_DEFAULT, read_folder};
use super::output::{quoted, write_file};
pub use args::Args;
use args::What;
use ask::Asker;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::SuiteError;
use vouchsafe_policy_tools::lint;
use vouchsafe_policy_tools::scaffold::NewFiles;

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    let text = make(args, terminal, &mut stdin.lock(), &mut std::io::stderr())?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

impl What {
    fn dir(&self) -> &Path {
        match self {
            Self::Audience(args) => &args.dir,
            Self::Issuer(args) => &args.dir,
            Self::Rule(args) => &args.dir,
        }
    }

    fn replaces(&self) -> bool {
        matches!(self, Self::Rule(args) if args.replace)
    }

    fn next_step(&self) -> String {
        let command = |command: &str| match self.dir() {
            dir if dir == Path::new(DIR_DEFAULT) => format!("`vouchsafe policy {command}`"),
            dir => format!("`vouchsafe policy {command} {}`", quoted(dir)),
        };
        match self {
            Self::Audience(_) => {
                format!("next: add a policy that permits tokens for it, with {}\n", command("new rule NAME"))
            }
            Self::Issuer(_) => format!(
                "next: add its host to `allowed_outbound_hosts` of spin.toml, and a policy for its workloads with {}\n",
                command("new rule NAME")
            ),
            Self::Rule(_) => format!("next: add more cases, and run them with {}\n", command("test")),
        }
    }
}

/// Writes the files, and returns the output.
pub(super) fn make(
    args: &Args,
    terminal: bool,
    input: &mut dyn BufRead,
    prompts: &mut dyn Write,
) -> Result<String, Failure> {
    let dir = args.what.dir();
    let files =
        read_folder(dir)?.map_err(|invalid| Failure::refused(format!("the bundle does not load\n{invalid}")))?;
    let mut asker = Asker { terminal, input, prompts };
    let environment = args.environment.environment();
    let (made, notes): (NewFiles, String) = match &args.what {
        What::Audience(args) => (answers::audience(args, &files, &environment, &mut asker)?, String::new()),
        What::Issuer(args) => (answers::issuer(args, &files, &environment, &mut asker)?, String::new()),
        What::Rule(args) => {
            let made = answers::policy(args, &files, &environment, &mut asker)?;
            (made.files, made.wider.iter().map(wider_text).collect())
        }
    };
    let mut text = String::new();
    for (path, content) in &made {
        write(dir, path, content, args.what.replaces())?;
        text.push_str(&format!("{}\n", dir.join(path).display()));
    }
    text.push_str(&notes);
    if matches!(args.what, What::Rule(_)) {
        text.push_str(&broken_cases(args)?);
        text.push_str(&warnings(args, &made)?);
    }
    Ok(text + &args.what.next_step())
}

/// What `policy check` warns about in the files that were made.
fn warnings(args: &Args, made: &NewFiles) -> Result<String, Failure> {
    let files = read_folder(args.what.dir())?;
    let files = files.map_err(|error| Failure::refused(SuiteError::from(error).to_string()))?;
    let report = lint::check(&files, &args.environment.environment());
    let of_made = report.warnings.iter().filter(|warning| made.contains_key(&warning.file));
    Ok(of_made.map(|warning| format!("warning: {warning}\n")).collect())
}

/// Notes about existing cases that are no longer met, for example because another policy permits them too.
fn broken_cases(args: &Args) -> Result<String, Failure> {
    let environment = args.environment.environment();
    let files = read_folder(args.what.dir())?;
    let refused = |error: SuiteError| Failure::refused(error.to_string());
    let files = files.map_err(|error| refused(error.into()))?;
    let suite = vouchsafe_policy_tools::run(&files, &environment).map_err(refused)?;
    let note = |result: &vouchsafe_policy_tools::CaseResult| format!("note: {} is no longer met\n", result.case.path);
    Ok(suite.failures().map(note).collect())
}

/// A note about a denial that another policy permits.
fn wider_text((name, policies): &(String, Vec<String>)) -> String {
    format!("note: {name} is still permitted by `{}`: narrow or remove it\n", policies.join("`, `"))
}

/// Creates a file, which must not exist unless it is to be replaced.
fn write(dir: &Path, path: &str, content: &str, replace: bool) -> Result<(), Failure> {
    let target = dir.join(path);
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot write `{}`: {error}", target.display()));
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    if replace {
        return write_file(&target, content);
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&target);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(cannot)
}
