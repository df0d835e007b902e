//! `vouchsafe exec`: runs a command with a token in its environment.

use super::token::{ENV_NAME, parse_env_name};
use crate::client::issue::IssueArgs;
use clap::error::{ContextKind, ContextValue, Error};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use vouchsafe_cli::Failure;

/// Exit codes of `env` and of shells.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Run a command with a token from a broker in its environment.
///
/// The command replaces this process, so signals reach it and its exit code is the result. It doesn't run if there is
/// no token. The token is in no command line, which other users of the machine could read.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 to 255 those of the command; without a token, 1 refused, 2 the command line is wrong, 3 the broker cannot
be reached or cannot answer now. 126 the command cannot be executed, 127 it was not found.

Examples:
  vouchsafe exec --broker https://broker.example --audience https://deploy.example --scope deploy:write -- ./deploy.sh
  vouchsafe exec --broker https://broker.example --audience https://api.example --env-name API_TOKEN -- \\
    sh -c 'curl -H \"Authorization: Bearer $API_TOKEN\" https://api.example/items'")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
    /// The variable that has the token.
    #[arg(long, value_name = "NAME", default_value = ENV_NAME, value_parser = parse_env_name, help_heading = None::<&str>)]
    env_name: String,
    /// The command and its arguments.
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<OsString>,
}

/// Says where the command belongs, if a command line that can't be parsed lacks the `--` before it.
pub fn hint_at_separator(error: &mut Error, arguments: &[String]) {
    let is_exec = arguments.get(1).is_some_and(|name| name == "exec");
    if error.use_stderr() && is_exec && !arguments.iter().any(|it| it == "--") {
        let hint = "put the command after `--`".to_owned();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::usage("no command"));
    };
    let issued = args.issue.issue(None)?;
    let error = Command::new(program).args(arguments).env(&args.env_name, issued.access_token).exec();
    // Only a failure returns.
    let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    Err(Failure { code, ..Failure::refused(format!("cannot run `{}`: {error}", program.display())) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args as _;

    #[test]
    fn hints_at_the_missing_separator() {
        let shown = |line: &str| {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let command = clap::Command::new("vouchsafe").subcommand(Args::augment_args(clap::Command::new("exec")));
            let mut error = command.try_get_matches_from(&arguments).expect_err("wrong");
            hint_at_separator(&mut error, &arguments);
            error.to_string()
        };
        let text = shown("vouchsafe exec --broker b --audience a ./deploy.sh");
        assert!(text.contains("tip: put the command after `--`"), "{text}");
        let text = shown("vouchsafe exec --broker b --audience a --bogus -- ./deploy.sh");
        assert!(!text.contains("put the command"), "{text}");
    }
}
