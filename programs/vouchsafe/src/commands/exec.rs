//! `vouchsafe exec`: runs a command with a token in its environment.

mod cannot_run;
mod renewed;

use super::token::{ENV_NAME, parse_env_name};
use crate::client::issue::IssueArgs;
use cannot_run::cannot_run;
use clap::error::{ContextKind, ContextValue, Error};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use vouchsafe_cli::Failure;

/// The variable that has the name of the token's file.
const FILE_ENV_NAME: &str = "VOUCHSAFE_TOKEN_FILE";

/// Run a command with a token from a broker in its environment.
///
/// The command replaces this process, so signals reach it and its exit code is the result. It doesn't run if there is
/// no token. The token is in no command line, which other users of the machine could read.
///
/// With --renew, for commands that outlast a token, the variable has the name of a private file instead, in which there
/// is always a valid token. This process then stays, passes signals on and removes the file in the end.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 to 255 those of the command; without a token, 1 refused, 2 the command line is wrong, 3 the broker cannot
be reached or cannot answer now. 126 the command cannot be executed, 127 it was not found. With --renew, a command that
a signal ended gives 128 and the signal's number.

Examples:
  vouchsafe exec --broker https://broker.example --audience https://deploy.example --scope deploy:write -- ./deploy.sh
  vouchsafe exec --broker https://broker.example --audience https://api.example --env-name API_TOKEN -- \\
    sh -c 'curl -H \"Authorization: Bearer $API_TOKEN\" https://api.example/items'
  vouchsafe exec --broker https://broker.example --audience sts.amazonaws.com --renew \\
    --env-name AWS_WEB_IDENTITY_TOKEN_FILE -- aws s3 sync site s3://bucket")]
pub struct Args {
    #[command(flatten)]
    issue: IssueArgs,
    /// The variable that has the token [default: VOUCHSAFE_TOKEN; with --renew, VOUCHSAFE_TOKEN_FILE].
    #[arg(long, value_name = "NAME", value_parser = parse_env_name, help_heading = None::<&str>)]
    env_name: Option<String>,
    /// Keep a file with a valid token while the command runs, and pass its name.
    #[arg(long, help_heading = None::<&str>)]
    renew: bool,
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
    let mut command = Command::new(program);
    command.args(arguments);
    if args.renew {
        return renewed::run(args.issue, args.env_name.as_deref().unwrap_or(FILE_ENV_NAME), command);
    }
    let token = args.issue.issue()?.response.access_token;
    // Only a failure returns.
    let error = command.env(args.env_name.as_deref().unwrap_or(ENV_NAME), token).exec();
    Err(cannot_run(&command, &error))
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
