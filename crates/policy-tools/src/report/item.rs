//! A diagnostic in printable form.

use vouchsafe_policy::Position;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A diagnostic, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub severity: Severity,
    /// The stable code of its kind.
    pub code: &'static str,
    /// Relative to the bundle, or as it was passed if the file is not part of the bundle.
    pub file: String,
    pub in_bundle: bool,
    pub place: Option<Place>,
    pub message: String,
    pub fix: Option<String>,
}

/// A position in a file, with the text of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub position: Position,
    /// Length in characters from `position`, at least 1.
    pub length: usize,
    pub line: String,
}

impl Place {
    /// The first column after it.
    pub fn end_column(&self) -> usize {
        self.position.column.saturating_add(self.length)
    }
}

/// The path of an item relative to the working directory, where `dir` is the bundle's folder.
pub(super) fn path_from(dir: &str, item: &Item) -> String {
    match (item.in_bundle, dir.trim_end_matches('/')) {
        (false, _) | (true, "" | ".") => item.file.clone(),
        (true, dir) => format!("{}/{}", dir.trim_start_matches("./"), item.file),
    }
}
