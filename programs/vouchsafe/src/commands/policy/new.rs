//! `vouchsafe policy new`: adds issuers, audiences and policies.

mod answers;
mod ask;

use super::bundle::{DIR_DEFAULT, EnvironmentArgs, read_folder};
use super::output::{quoted, write_file};
use ask::Asker;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::SuiteError;
use vouchsafe_policy_tools::scaffold::NewFiles;

/// Add an issuer, an audience or a policy (rule) with test cases to a trust bundle.
///
/// Prompts for missing values on a terminal; elsewhere they are errors. Overwrites no file unless `rule` gets
/// --replace, and never writes one that would not load.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load or already exists, 2 usage error.

Examples:
  vouchsafe policy new issuer github --provider github --url https://token.actions.githubusercontent.com
  vouchsafe policy new audience deploy policies --id https://deploy.example --scope deploy:write
  vouchsafe policy new rule release-deploys --issuer-name github --audience https://deploy.example \\
    --scope deploy:write --claim repository_id=123456 --claim ref=refs/heads/main --claim event_name=push")]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

#[derive(clap::Subcommand)]
enum What {
    Audience(AudienceArgs),
    Issuer(IssuerArgs),
    Rule(RuleArgs),
}

/// Add an audience.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load or already exists, 2 usage error.

Examples:
  vouchsafe policy new audience deploy --id https://deploy.example --scope deploy:write --single-use")]
struct AudienceArgs {
    /// The name of the file: `a-z`, `0-9` and `-`.
    name: String,
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The `aud` of issued tokens.
    #[arg(long, value_name = "URL")]
    id: Option<String>,
    /// A scope that can be requested; repeatable.
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// Refuse requests without scopes.
    #[arg(long)]
    scopes_required: bool,
    /// The longest lifetime of a token, such as `15m`.
    #[arg(long, value_name = "DURATION")]
    max_lifetime: Option<String>,
    /// Allow each subject token to be exchanged only once.
    #[arg(long)]
    single_use: bool,
}

/// Add an issuer.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load or already exists, 2 usage error.

Examples:
  vouchsafe policy new issuer gitlab --provider gitlab --url https://gitlab.example")]
struct IssuerArgs {
    /// The name of the file: `a-z`, `0-9` and `-`.
    name: String,
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The kind of issuer, such as `github` or `oidc`.
    #[arg(long, value_name = "P")]
    provider: Option<String>,
    /// The exact `iss` of the issuer's tokens.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A claim that every token must have; repeatable.
    #[arg(long, value_name = "NAME=VALUE")]
    require: Vec<String>,
    /// A text claim of an `oidc` issuer's tokens; repeatable.
    #[arg(long = "claim", value_name = "NAME")]
    claims: Vec<String>,
    /// The URL of the JWK Set, for issuers without discovery.
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// A JWK Set file to copy into the bundle, for issuers that cannot be reached.
    #[arg(long, value_name = "FILE", requires = "expires", conflicts_with = "jwks_uri")]
    pinned: Option<PathBuf>,
    /// When the pinned keys expire, such as 2027-01-01.
    #[arg(long, value_name = "DATE", requires = "pinned")]
    expires: Option<String>,
}

/// Add a policy that permits, with a case that it permits and one for each condition.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load, permits nothing or already exists, 2 usage error.

Examples:
  vouchsafe policy new rule release-deploys --issuer-name github --audience https://deploy.example \\
    --scope deploy:write --claim repository_id=123456 --claim ref=refs/heads/main --claim event_name=push
  vouchsafe policy new rule office-deploys policies --issuer-name github --audience https://deploy.example \\
    --scope deploy:write --claim repository_id=123456 --environment production --ip 192.0.2.0/24 \\
    --office-hours berlin:9-17 --replace")]
struct RuleArgs {
    /// The policy's `@id`: `a-z`, `0-9` and `-`.
    id: String,
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The issuer of the workloads: the name of its file without `.toml`.
    #[arg(long, value_name = "NAME")]
    issuer_name: Option<String>,
    /// The audience that the workloads get tokens for.
    #[arg(long, value_name = "A")]
    audience: Option<String>,
    /// A scope that the workloads may request; repeatable.
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// A claim that the workloads must have; repeatable.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// The deployment environment that jobs must run in: short for --claim environment=NAME.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// A network that requests must come from, such as 192.0.2.0/24, or an address; repeatable.
    #[arg(long = "ip", value_name = "NETWORK")]
    networks: Vec<String>,
    /// Only from Monday to Friday, in a time zone that `bundle.toml` names, such as berlin:9-17; default
    /// of the hours: 9-17.
    #[arg(long, value_name = "ZONE[:FROM-TO]")]
    office_hours: Option<String>,
    /// Replace the policy, and those of its cases that have the same names.
    #[arg(long)]
    replace: bool,
    /// The purpose of the policy in a sentence, for a comment.
    #[arg(long, value_name = "TEXT")]
    intent: Option<String>,
}

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
    }
    Ok(text + &args.what.next_step())
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
