//! The one way in which a command fails: `error:`, then `hint:` if there is one.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

const UNREACHABLE: u8 = 3;

/// A failed command: what is wrong, what to do about it, and the exit code.
///
/// Exit codes: 1 the operation failed or was refused; 2 the command line, a file or the environment is wrong, and stays
/// so until someone corrects it (clap uses 2 too); 3 a server can't be reached.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub hint: Option<String>,
    pub code: u8,
}

impl Failure {
    /// Exit code 1: the operation failed or was refused.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(message, 1)
    }

    /// Exit code 2: the command line, a file or the environment is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(message, 2)
    }

    /// Exit code 3: a server can't be reached, or does not speak the protocol.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(message, UNREACHABLE)
    }

    /// Exit code 1: a file of the program's own state can't be read or written now.
    pub fn state(path: &Path, why: impl Display) -> Self {
        Self::refused(format!("{}: {why}", path.display()))
    }

    /// Exit code 2: a file that the user named is wrong or can't be read.
    pub fn file(path: &Path, why: impl Display) -> Self {
        Self::usage(format!("{}: {why}", path.display()))
    }

    fn new(message: impl Into<String>, code: u8) -> Self {
        Self { message: message.into(), hint: None, code }
    }

    /// Whether the same command may succeed later.
    pub fn is_unreachable(&self) -> bool {
        self.code == UNREACHABLE
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the failure to standard error and returns its exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}
