//! Why a command can't be run.

use std::io::{Error, ErrorKind};
use std::process::Command;
use vouchsafe_cli::Failure;

/// Exit codes of `env` and of shells.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

pub fn cannot_run(command: &Command, error: &Error) -> Failure {
    let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    Failure { code, ..Failure::refused(format!("cannot run `{}`: {error}", command.get_program().display())) }
}
