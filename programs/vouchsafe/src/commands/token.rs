//! `vouchsafe token`: token exchange as one command, for jobs and functions.

use crate::client::exchange::Issued;
use crate::client::issue::IssueArgs;
use crate::client::moment;
use crate::client::proof::{ApiRequest, Prover};
use crate::client::renewal::{self, Next};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock, files};

/// Exchange the platform's token for a token from a broker.
///
/// The platform's token is found automatically, in CI jobs, functions, pods and virtual machines; if there are two
/// platforms, choose one with --from. Where possible it is requested with the broker's URL as its audience. In jobs of
/// GitHub Actions and Azure Pipelines, both tokens are masked in the log.
///
/// HTTPS_PROXY, ALL_PROXY and NO_PROXY are honored, and SSL_CERT_FILE and SSL_CERT_DIR.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 issued, 1 refused, 2 the command line is wrong, 3 the broker cannot be reached or cannot answer now,
after the retries.

Under `eval`, a failed `--format env` runs `false`, so that `bash -e` stops. `vouchsafe exec` needs no `eval`.

Examples:
  token=$(vouchsafe token --broker https://broker.example --audience https://deploy.example --scope deploy:write) || exit
  vouchsafe token --broker http://127.0.0.1:3000 --audience https://api.example --subject-token-file token.jwt
  vouchsafe token --broker https://broker.example --audience https://api.example --from google --output token.jwt
  vouchsafe token --broker https://broker.example --audience sts.amazonaws.com --watch /run/aws/token
  vouchsafe token --broker https://broker.example --audience https://api.example --subject-token-file job.jwt \\
    --actor-from kubernetes
  eval \"$(vouchsafe token --broker https://broker.example --audience https://api.example --format env)\"
  vouchsafe token --broker https://broker.example --audience https://api.example --dpop 'GET https://api.example/items' |
    curl --header @- https://api.example/items")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
    /// What to print: the token (with --dpop, headers), the broker's response, or a command for a shell.
    #[arg(long, value_enum, default_value = "token", help_heading = None::<&str>)]
    format: Format,
    /// Bind the token to a new key, and print the headers of this one request, METHOD URL, with a proof of possession
    /// (DPoP). The key ends with this command, so the token is of no use in any other request.
    #[arg(long, value_name = "REQUEST", value_parser = ApiRequest::parse, conflicts_with_all = ["token_type", "cache", "watch"], help_heading = None::<&str>)]
    dpop: Option<ApiRequest>,
    /// The variable that `--format env` exports.
    #[arg(long, value_name = "NAME", default_value = ENV_NAME, value_parser = parse_env_name, help_heading = None::<&str>)]
    env_name: String,
    /// Write to this file (mode 0600, replaced at once) and print nothing.
    #[arg(long, value_name = "FILE", help_heading = None::<&str>)]
    output: Option<PathBuf>,
    /// As --output, and then go on: replace the file with a new token before the old one expires, until stopped.
    #[arg(long, value_name = "FILE", conflicts_with = "output", help_heading = None::<&str>)]
    watch: Option<PathBuf>,
}

/// The variable that has the token by default.
pub const ENV_NAME: &str = "VOUCHSAFE_TOKEN";

/// Variables that would change what a command or a shell does.
const RESERVED: [&str; 7] = ["BASH_ENV", "ENV", "HOME", "IFS", "PATH", "PS4", "SHELLOPTS"];

/// What `--format json` prints.
#[derive(serde::Serialize)]
struct Delivered<'a> {
    #[serde(flatten)]
    issued: &'a Issued,
    /// The value of the `DPoP` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    dpop: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Env,
    Json,
    Token,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let outcome = check_output(&args).and_then(|()| match &args.watch {
        Some(path) => watch(path, &args),
        None => issue(&args),
    });
    if outcome.is_err() && args.format == Format::Env {
        // A shell that evaluates this output must neither go on nor keep the token from before.
        println!("{}", on_failure(&args.env_name));
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn issue(args: &Args) -> Result<(), Failure> {
    let Some(request) = &args.dpop else {
        return deliver(&args.issue.issue()?.response, None, args);
    };
    let prover = Prover::generate()?;
    let issued = args.issue.issue_bound(&prover)?.response;
    let proof = prover.prove(request.with(&issued.access_token))?;
    deliver(&issued, Some(&proof), args)
}

/// ORDER: before the exchange, which may use up the subject token.
fn check_output(args: &Args) -> Result<(), Failure> {
    if args.dpop.is_some() && args.format == Format::Env {
        return Err(Failure::usage("`--format env` has no place for a proof of possession")
            .hint("with --dpop, headers are printed; use `--format json` for parts of them"));
    }
    match args.output.as_ref().or(args.watch.as_ref()) {
        Some(path) => files::check_replaceable(path).map_err(|error| Failure::file(path, error)),
        None => Ok(()),
    }
}

/// What a shell evaluates if there is no token.
pub fn on_failure(env_name: &str) -> String {
    format!("unset {env_name}; false")
}

/// The variable that a command line that can't be parsed names, if it is valid.
pub fn env_name(arguments: &[String]) -> String {
    let value = |pair: &[String]| match pair {
        [option, value] if option == "--env-name" => Some(value.clone()),
        [option, ..] => option.strip_prefix("--env-name=").map(str::to_owned),
        [] => None,
    };
    let named = (0..arguments.len()).find_map(|at| value(&arguments[at..arguments.len().min(at + 2)]));
    named.and_then(|name| parse_env_name(&name).ok()).unwrap_or_else(|| ENV_NAME.to_owned())
}

/// Whether a command line that can't be parsed asked for output that a shell evaluates.
pub fn is_for_eval(arguments: &[String]) -> bool {
    let is_pair = |pair: &[String]| pair == ["--format", "env"];
    arguments.iter().any(|it| it == "--format=env") || arguments.windows(2).any(is_pair)
}

fn deliver(issued: &Issued, proof: Option<&str>, args: &Args) -> Result<(), Failure> {
    match &args.output {
        Some(path) => write(path, issued, proof, args),
        None => {
            println!("{}", text(issued, proof, args)?);
            Ok(())
        }
    }
}

fn text(issued: &Issued, proof: Option<&str>, args: &Args) -> Result<String, Failure> {
    Ok(match (args.format, proof) {
        (Format::Env, _) => format!("export {}={}", args.env_name, issued.access_token),
        (Format::Json, dpop) => {
            serde_json::to_string(&Delivered { issued, dpop }).map_err(|error| Failure::refused(error.to_string()))?
        }
        (Format::Token, None) => issued.access_token.clone(),
        (Format::Token, Some(proof)) => format!("Authorization: DPoP {}\nDPoP: {proof}", issued.access_token),
    })
}

fn write(path: &Path, issued: &Issued, proof: Option<&str>, args: &Args) -> Result<(), Failure> {
    let mut text = text(issued, proof, args)?;
    // No line break after a token: some clients would send it.
    if args.format != Format::Token || proof.is_some() {
        text.push('\n');
    }
    files::replace_secret(path, text.as_bytes()).map_err(|error| Failure::file(path, error))
}

/// Keeps a valid token in the file. Ends when a renewal is refused; until then the file has the last token.
fn watch(path: &Path, args: &Args) -> Result<(), Failure> {
    let mut token = renewal::first(&args.issue)?;
    loop {
        write(path, &token.response, None, args)?;
        let end = token.expires.map(moment::show).unwrap_or_default();
        eprintln!("vouchsafe: wrote {}; the token expires at {end}", path.display());
        let mut due = renewal::due(&token);
        token = loop {
            while let Some(pause) = renewal::wait(clock::unix_seconds()?, due) {
                std::thread::sleep(pause);
            }
            match renewal::renew(&args.issue)? {
                Next::Renewed(token) => break token,
                Next::Later(at) => due = at,
                Next::Over(failure) => return Err(failure),
            }
        };
    }
}

/// A name that every shell accepts.
pub fn parse_env_name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = text.bytes().all(is_name) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if !valid {
        return Err("must consist of letters, digits and `_`".to_owned());
    }
    if RESERVED.contains(&text) || ["DYLD_", "LD_"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err("is a variable that shells or the loader use".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_names_of_variables() {
        for (name, expected) in
            [("A", true), ("_a1", true), ("", false), ("1a", false), ("a-b", false), ("a;b", false), ("ä", false)]
        {
            assert_eq!(parse_env_name(name).is_ok(), expected, "{name:?}");
        }
        for (name, expected) in
            [("PATH", false), ("LD_PRELOAD", false), ("IFS", false), ("LD", true), ("MY_PATH", true)]
        {
            assert_eq!(parse_env_name(name).is_ok(), expected, "{name}");
        }
    }

    #[test]
    fn wrong_command_line_unsets_the_named_variable() {
        for (line, expected) in [
            ("token --bogus", "VOUCHSAFE_TOKEN"),
            ("token --env-name API --bogus", "API"),
            ("token --env-name=API --bogus", "API"),
            ("token --env-name a;b --bogus", "VOUCHSAFE_TOKEN"),
            ("token --env-name", "VOUCHSAFE_TOKEN"),
        ] {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(on_failure(&env_name(&arguments)), format!("unset {expected}; false"), "{line}");
        }
    }

    #[test]
    fn recognizes_output_for_eval() {
        for (line, expected) in [
            ("token --format env", true),
            ("token --format=env --bogus", true),
            ("token --format token", false),
            ("token --scope env", false),
            ("token --format", false),
        ] {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(is_for_eval(&arguments), expected, "{line}");
        }
    }
}
