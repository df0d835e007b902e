//! Why the host can't run the application.

/// Why the host can't run the application, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    pub kind: ErrorKind,
    pub message: String,
    pub hint: Option<String>,
}

/// The kind of an error, which determines the program's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An option, a file or the environment is wrong: a restart does not help.
    Configuration,
    /// The system, the database or the application is not ready.
    Startup,
}

impl HostError {
    /// An option, a file or the environment is wrong.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Configuration, message: message.into(), hint: None }
    }

    /// The system, the database or the application is not ready.
    pub(crate) fn startup(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Startup, ..Self::configuration(message) }
    }

    /// Adds the line that says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
