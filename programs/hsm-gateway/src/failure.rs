//! The one way in which a command fails: `error:`, then `hint:` where there is one.

use std::path::Path;
use std::process::ExitCode;

/// A failure with its exit code: 1 the thing asked for was refused or failed, 2 the command line, a file
/// or the environment is wrong (clap uses 2 too), and stays so until somebody mends it.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub hint: Option<String>,
    pub code: u8,
}

impl Failure {
    /// The thing asked for was refused or failed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 1,
        }
    }

    /// The command line, a file or the environment is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::refused(message)
        }
    }

    /// A file of `state_dir` can't be read or written: now, and maybe not a moment later.
    pub fn state(path: &Path, error: &std::io::Error) -> Self {
        Self::refused(format!("{}: {error}", path.display()))
    }

    /// Adds the line that says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the failure to standard error and gives the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}
