//! `vouchsafe token`: token exchange as one command, for jobs and functions.

use crate::client::exchange::Issued;
use crate::client::issue::IssueArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, files};

/// Exchange the platform's token for a token from a broker.
///
/// On GitHub Actions (with `permissions: id-token: write`) the platform's token is requested automatically, with the
/// broker's URL as its audience, and both tokens are masked in the job's log. Elsewhere, use --from PLATFORM, or pass
/// the token by a file or a variable.
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
  eval \"$(vouchsafe token --broker https://broker.example --audience https://api.example --format env)\"")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
    /// What to print: the token, the broker's response, or a command for a shell.
    #[arg(long, value_enum, default_value = "token")]
    format: Format,
    /// The variable that `--format env` exports.
    #[arg(long, value_name = "NAME", default_value = ENV_NAME, value_parser = parse_env_name)]
    env_name: String,
    /// Write to this file (mode 0600, replaced at once) and print nothing.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The variable that has the token by default.
pub const ENV_NAME: &str = "VOUCHSAFE_TOKEN";

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Env,
    Json,
    Token,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let outcome = args.issue.issue().and_then(|issued| deliver(&issued, &args));
    if outcome.is_err() && args.format == Format::Env {
        // A shell that evaluates this output must neither go on nor keep the token from before.
        println!("unset {}; false", args.env_name);
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Whether a command line that can't be parsed asked for output that a shell evaluates.
pub fn is_for_eval(arguments: &[String]) -> bool {
    let is_pair = |pair: &[String]| pair == ["--format", "env"];
    arguments.iter().any(|it| it == "--format=env") || arguments.windows(2).any(is_pair)
}

fn deliver(issued: &Issued, args: &Args) -> Result<(), Failure> {
    let text = match args.format {
        Format::Env => format!("export {}={}", args.env_name, issued.access_token),
        Format::Json => serde_json::to_string(issued).map_err(|error| Failure::refused(error.to_string()))?,
        Format::Token => issued.access_token.clone(),
    };
    match &args.output {
        // No line break after a token: some clients would send it.
        Some(path) if args.format == Format::Token => write(path, &text),
        Some(path) => write(path, &format!("{text}\n")),
        None => {
            println!("{text}");
            Ok(())
        }
    }
}

fn write(path: &std::path::Path, text: &str) -> Result<(), Failure> {
    files::replace_secret(path, text.as_bytes()).map_err(|error| Failure::file(path, error))
}

/// A name that every shell accepts.
pub fn parse_env_name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = text.bytes().all(is_name) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { Err("must consist of letters, digits and `_`".to_owned()) }
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
