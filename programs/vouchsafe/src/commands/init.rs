//! `vouchsafe init`: everything that a new broker needs besides the program and its components.

mod ask;
mod check;
mod manifest;
mod providers;
mod starter;

use crate::client::base64url;
use ask::Asker;
use check::{check_audience, check_url};
use manifest::Settings;
use providers::WorkloadArgs;
use std::io::{BufRead, IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_host::Exposed;

/// Length of the signing root.
const ROOT_BYTES: usize = 32;
/// Mode of the file with the root.
const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

const MANIFEST: &str = "spin.toml";
/// `serve` and Spin read it from the current directory.
const SECRETS: &str = ".env";
const BUNDLE: &str = "policies";
const GIT_IGNORE: &str = ".gitignore";

/// Set up a new broker: manifest, signing root and a first policy
///
/// Writes spin.toml, .env with a new random root, and the bundle policies/, which trusts one issuer and
/// permits one kind of workload. Prompts for missing values on a terminal; elsewhere they are errors.
/// Never overwrites a file.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  vouchsafe init broker
  vouchsafe init broker --issuer https://broker.example --audience https://deploy.example --scope deploy:write \\
    --provider github --claim repository_id=123456
  vouchsafe init broker --issuer https://broker.example --audience https://api.example --scope read \\
    --provider kubernetes --provider-url https://oidc.cluster.example \\
    --claim namespace=build --claim service_account_name=deployer

Exit codes: 0 written, 1 a file exists already or the result would not load, 2 usage error.")]
pub struct Args {
    /// Where to write; created if missing
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The broker's own public URL: the `iss` of the tokens that it issues
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    #[command(flatten)]
    workload: WorkloadArgs,
    /// The API that takes the issued tokens: their `aud`
    #[arg(long, value_name = "URL")]
    audience: Option<String>,
    /// A scope that the workload may request; repeatable, or a list separated by spaces
    #[arg(long = "scope", value_name = "S", value_delimiter = ' ')]
    scopes: Vec<String>,
}

/// A file to write, by its path in the folder.
struct NewFile {
    path: String,
    mode: u32,
    content: String,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    let text = make(&args, terminal, &mut stdin.lock())?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// Writes the files, and returns the output.
fn make(args: &Args, terminal: bool, input: &mut dyn BufRead) -> Result<String, Failure> {
    // ORDER: before the questions, so that nobody answers them in vain.
    refuse_existing(&args.dir)?;
    refuse_exposed(&args.dir)?;
    let mut asker = Asker { terminal, input };
    let issuer = asker.value("the public URL of this broker", "--issuer", args.issuer.as_deref(), None, &check_url)?;
    let workload = providers::ask(&args.workload, &mut asker)?;
    let what = "the API that takes the issued tokens (their `aud`), such as https://deploy.example";
    let audience = asker.value(what, "--audience", args.audience.as_deref(), None, &check_audience)?;
    let scopes = ask_scopes(args, &mut asker)?;
    let bundle = starter::bundle(&issuer, &workload, &audience, &scopes)?;
    let settings = Settings { issuer: &issuer, audience: &audience, hosts: workload.hosts() };
    let mut files = vec![
        NewFile { path: MANIFEST.to_owned(), mode: PUBLIC_MODE, content: manifest::text(&settings) },
        NewFile { path: SECRETS.to_owned(), mode: SECRET_MODE, content: secrets()? },
    ];
    // A link counts too, wherever it leads: nothing is written through one.
    let has_git_ignore = args.dir.join(GIT_IGNORE).symlink_metadata().is_ok();
    if !has_git_ignore {
        let content = "/.env\n/.state\n".to_owned();
        files.push(NewFile { path: GIT_IGNORE.to_owned(), mode: PUBLIC_MODE, content });
    }
    for (path, content) in bundle {
        files.push(NewFile { path: format!("{BUNDLE}/{path}"), mode: PUBLIC_MODE, content });
    }
    write_all(&args.dir, &files)?;
    let paths = files.iter().map(|file| format!("{}\n", args.dir.join(&file.path).display()));
    let mut text: String = paths.collect();
    if has_git_ignore {
        text.push_str("note: `.gitignore` exists; add `/.env` to it: that file is a secret\n");
    }
    Ok(text + &next_steps(&args.dir))
}

fn refuse_existing(dir: &Path) -> Result<(), Failure> {
    let there = |name: &&str| dir.join(name).symlink_metadata().is_ok();
    let found: Vec<&str> = [MANIFEST, SECRETS, BUNDLE].into_iter().filter(there).collect();
    if found.is_empty() {
        return Ok(());
    }
    let shown = dir.display();
    Err(Failure::refused(format!("`{shown}` already has `{}`", found.join("`, `"))).hint(
        "`vouchsafe policy new` extends an existing bundle, and `vouchsafe doctor` checks a broker; \
         to set up another one, choose a new folder",
    ))
}

/// `serve` would refuse what is written to a folder that other users can change, and they could read or replace it.
fn refuse_exposed(dir: &Path) -> Result<(), Failure> {
    match Exposed::of_new(dir).filter(|exposed| exposed.is_refused) {
        Some(Exposed { message, fix, .. }) => Err(Failure::refused(message).hint(fix)),
        None => Ok(()),
    }
}

fn ask_scopes(args: &Args, asker: &mut Asker<'_>) -> Result<Vec<String>, Failure> {
    let scopes: Vec<String> = args.scopes.iter().filter(|scope| !scope.is_empty()).cloned().collect();
    if !scopes.is_empty() {
        return Ok(scopes);
    }
    let what = "the scopes that the workload may request, separated by spaces, such as deploy:write";
    let some = |text: &str| match text.trim().is_empty() {
        true => Err("at least one scope is needed".to_owned()),
        false => Ok(()),
    };
    let answer = asker.value(what, "--scope", None, None, &some)?;
    Ok(answer.split_whitespace().map(str::to_owned).collect())
}

fn secrets() -> Result<String, Failure> {
    let mut root = [0; ROOT_BYTES];
    getrandom::fill(&mut root).map_err(|error| Failure::refused(format!("no random bytes: {error}")))?;
    Ok(format!(
        "# The root of the signing keys. Whoever has it can sign any token: keep it secret, and keep it safe.\n\
         SPIN_VARIABLE_SIGNER_ROOT={}\n",
        base64url::encode(&root)
    ))
}

/// Creates all files or none.
fn write_all(dir: &Path, files: &[NewFile]) -> Result<(), Failure> {
    for (at, file) in files.iter().enumerate() {
        let path = dir.join(&file.path);
        if let Err(error) = write(&path, file) {
            let written = files[..at].iter().map(|file| dir.join(&file.path));
            written.for_each(|path| drop(std::fs::remove_file(path)));
            return Err(Failure::refused(format!("cannot write `{}`: {error}", path.display())));
        }
    }
    Ok(())
}

/// Creates a file, which must not exist. Whatever the umask is, only this user can write to it and its new folders.
fn write(path: &Path, file: &NewFile) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut created = options.write(true).create_new(true).mode(file.mode).open(path)?;
    created.write_all(file.content.as_bytes())
}

fn next_steps(dir: &Path) -> String {
    let enter = match dir == Path::new(".") {
        true => String::new(),
        false => format!("  cd {}\n", dir.display()),
    };
    format!(
        "\nnext:\n{enter}  vouchsafe policy test policies\n  vouchsafe doctor\n  vouchsafe serve\n\
         Put a reverse proxy with TLS in front of `vouchsafe serve`, at the broker's URL.\n"
    )
}

#[cfg(test)]
mod tests;
