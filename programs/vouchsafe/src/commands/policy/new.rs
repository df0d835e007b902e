//! `vouchsafe policy new`: adds issuers, audiences and policies.

mod ask;

use super::bundle::{EnvironmentArgs, read_folder};
use ask::Asker;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy::BundleFiles;
use vouchsafe_policy_tools::SuiteError;
use vouchsafe_policy_tools::scaffold::{self, NewAudience, NewFiles, NewIssuer, NewKeys, NewPolicy, ScaffoldError};

/// Add an issuer, an audience or a policy (rule) with test cases to a trust bundle.
///
/// Prompts for missing values on a terminal; elsewhere they are errors. Never overwrites a file, and
/// never writes one that would not load.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the result would not load or already exists, 2 usage error.

Examples:
  vouchsafe policy new issuer github --dir policies --provider github --url https://token.actions.githubusercontent.com
  vouchsafe policy new audience deploy --dir policies --id https://deploy.example --scope deploy:write
  vouchsafe policy new rule release-deploys --dir policies --issuer-name github --audience https://deploy.example \\
    --scope deploy:write --claim repository_id=123456 --claim ref=refs/heads/main --claim event_name=push")]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// The folder that contains `bundle.toml`.
    #[arg(long, global = true, default_value = "policies")]
    dir: PathBuf,
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
    /// The `aud` of issued tokens.
    #[arg(long, value_name = "URL")]
    id: Option<String>,
    /// A scope that can be requested; repeatable.
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
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
    --scope deploy:write --claim repository_id=123456 --claim ref=refs/heads/main --claim event_name=push")]
struct RuleArgs {
    /// The policy's `@id`: `a-z`, `0-9` and `-`.
    id: String,
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
    /// The purpose of the policy in a sentence, for a comment.
    #[arg(long, value_name = "TEXT")]
    intent: Option<String>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    let text = make(args, terminal, &mut stdin.lock())?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// Writes the files, and returns the output.
pub(super) fn make(args: &Args, terminal: bool, input: &mut dyn BufRead) -> Result<String, Failure> {
    let files =
        read_folder(&args.dir)?.map_err(|invalid| Failure::refused(format!("the bundle does not load\n{invalid}")))?;
    let mut asker = Asker { terminal, input };
    let (made, notes) = made(args, &files, &mut asker)?;
    let mut text = String::new();
    for (path, content) in &made {
        write(&args.dir, path, content)?;
        text.push_str(&format!("{}\n", args.dir.join(path).display()));
    }
    text.push_str(&notes);
    if matches!(args.what, What::Rule(_)) {
        text.push_str(&broken_cases(args)?);
    }
    Ok(text + next_step(&args.what))
}

/// Notes about existing cases that are no longer met, for example because another policy permits them too.
fn broken_cases(args: &Args) -> Result<String, Failure> {
    let environment = args.environment.environment();
    let files = read_folder(&args.dir)?;
    let refused = |error: SuiteError| Failure::refused(error.to_string());
    let files = files.map_err(|error| refused(error.into()))?;
    let suite = vouchsafe_policy_tools::run(&files, &environment).map_err(refused)?;
    let note = |result: &vouchsafe_policy_tools::CaseResult| format!("note: {} is no longer met\n", result.case.path);
    Ok(suite.failures().map(note).collect())
}

fn next_step(what: &What) -> &'static str {
    match what {
        What::Audience(_) => "next: add a policy that permits tokens for it, with `vouchsafe policy new rule`\n",
        What::Issuer(_) => {
            "next: add its host to `allowed_outbound_hosts` of spin.toml, and a policy for its workloads with \
             `vouchsafe policy new rule`\n"
        }
        What::Rule(_) => "next: add more cases, and run them with `vouchsafe policy test`\n",
    }
}

/// The new files, and notes about them.
fn made(args: &Args, files: &BundleFiles, asker: &mut Asker<'_>) -> Result<(NewFiles, String), Failure> {
    let mut notes = String::new();
    let environment = args.environment.environment();
    let made = match &args.what {
        What::Audience(args) => {
            let new = NewAudience {
                name: args.name.clone(),
                id: asker.text("the `aud` of issued tokens", "--id", args.id.as_ref())?,
                scopes: asker.list("scopes that can be requested", &args.scopes)?,
                max_lifetime: args.max_lifetime.clone(),
                single_use: args.single_use,
            };
            scaffold::audience(files, &environment, &new)
        }
        What::Issuer(args) => {
            let new = NewIssuer {
                name: args.name.clone(),
                provider: asker.text("the kind of issuer", "--provider", args.provider.as_ref())?,
                url: asker.text("the exact `iss` of its tokens", "--url", args.url.as_ref())?,
                require: pairs(&args.require)?,
                claims: args.claims.clone(),
                keys: keys(args, asker)?,
            };
            scaffold::issuer(files, &environment, &new)
        }
        What::Rule(args) => {
            let name = args.issuer_name.as_ref();
            let new = NewPolicy {
                id: args.id.clone(),
                issuer: asker.text("the issuer of the workloads", "--issuer-name", name)?,
                audience: asker.text("the audience", "--audience", args.audience.as_ref())?,
                scopes: asker.list("scopes that the workloads may request", &args.scopes)?,
                claims: pairs(&asker.some(
                    "claims that the workloads must have, as NAME=VALUE",
                    "--claim",
                    &args.claims,
                )?)?,
                intent: args.intent.clone(),
            };
            scaffold::policy(files, &environment, &new).map(|made| {
                notes = made.wider.iter().map(wider_text).collect();
                made.files
            })
        }
    };
    let made = made.map_err(|error| match error {
        ScaffoldError::ClaimUnknown { .. }
        | ScaffoldError::ClaimValue { .. }
        | ScaffoldError::ProviderUnknown { .. } => Failure::usage(error.to_string()),
        other => Failure::refused(other.to_string()),
    })?;
    Ok((made, notes))
}

/// The key source of the issuer, from flags or answers.
fn keys(args: &IssuerArgs, asker: &mut Asker<'_>) -> Result<NewKeys, Failure> {
    let pinned = |path: &Path, expires: String| {
        let document = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))?;
        Ok(NewKeys::Pinned { document, expires })
    };
    if let (Some(path), Some(expires)) = (&args.pinned, &args.expires) {
        return pinned(path, expires.clone());
    }
    if let Some(uri) = &args.jwks_uri {
        return Ok(NewKeys::JwksUri(uri.clone()));
    }
    let what = "its keys: empty for discovery, or the URL or file of a JWK Set";
    match asker.optional(what)? {
        None => Ok(NewKeys::Discovery),
        Some(url) if url.contains("://") => Ok(NewKeys::JwksUri(url)),
        Some(path) => {
            let expires = asker.text("when these keys expire, such as 2027-01-01", "--expires", None)?;
            pinned(Path::new(&path), expires)
        }
    }
}

/// A note about a denial that another policy permits.
fn wider_text((name, policies): &(String, Vec<String>)) -> String {
    format!("note: {name} is still permitted by `{}`: narrow or remove it\n", policies.join("`, `"))
}

fn pairs(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| {
            Failure::usage(format!("`{text}` is not a claim with a value"))
                .hint("write NAME=VALUE, such as ref=refs/heads/main")
        })
    };
    texts.iter().map(pair).collect()
}

/// Creates a file, which must not exist.
fn write(dir: &Path, path: &str, content: &str) -> Result<(), Failure> {
    let target = dir.join(path);
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot write `{}`: {error}", target.display()));
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&target);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes())).map_err(cannot)
}
