//! What is wrong with a bundle, and where.

pub(crate) mod cedar;
mod codes;
pub(crate) mod error;
pub(crate) mod spanned;
pub(crate) mod suggestion;
pub mod toml_span;

pub use error::BundleError;
use std::fmt;
use std::ops::Range;

/// A position in a text file. Both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// The position of byte `offset` of `text`, or the end of `text` if `offset` is beyond it.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        Self {
            line: before.matches('\n').count().saturating_add(1),
            column: before.get(line_start..).map_or(0, |line| line.chars().count()).saturating_add(1),
        }
    }
}

/// An error or a warning, with its file and, if known, its position in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic<E = BundleError> {
    pub file: String,
    pub position: Option<Position>,
    /// Length in characters, up to the end of the line at most; none if only the start is known.
    pub length: Option<usize>,
    pub kind: E,
}

impl<E> Diagnostic<E> {
    /// An error about a file as a whole.
    pub fn of_file(file: &str, error: E) -> Self {
        Self { file: file.to_owned(), position: None, length: None, kind: error }
    }

    /// An error at byte `offset` of `text`, the content of `file`.
    pub fn at(file: &str, text: &str, offset: usize, error: E) -> Self {
        Self { file: file.to_owned(), position: Some(Position::of(text, offset)), length: None, kind: error }
    }

    /// An error about the bytes `span` of `text`, the content of `file`.
    pub fn within(file: &str, text: &str, span: Range<usize>, error: E) -> Self {
        let about = text.get(span.clone()).unwrap_or_default();
        let line = about.lines().next().unwrap_or_default();
        let length = Some(line.chars().count()).filter(|length| *length > 0);
        Self { length, ..Self::at(file, text, span.start, error) }
    }

    /// Like [`Diagnostic::within`], or about the whole file if the span is unknown.
    pub fn in_file(file: &str, text: &str, span: Option<Range<usize>>, error: E) -> Self {
        match span {
            Some(span) => Self::within(file, text, span, error),
            None => Self::of_file(file, error),
        }
    }

    /// Converts the error.
    pub fn map<F>(self, convert: impl FnOnce(E) -> F) -> Diagnostic<F> {
        Diagnostic { file: self.file, position: self.position, length: self.length, kind: convert(self.kind) }
    }
}

impl<E: fmt::Display> fmt::Display for Diagnostic<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.kind)
            }
            None => write!(f, "{}: {}", self.file, self.kind),
        }
    }
}

/// Why a bundle does not load: every error that was found, at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadError {
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            write!(f, "{}{diagnostic}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

impl From<Diagnostic> for LoadError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: vec![diagnostic] }
    }
}
