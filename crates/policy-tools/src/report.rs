//! Findings as people, other programs, GitHub and code scanners read them.

mod github;
mod place;
mod sarif;
mod text;

use crate::report::place::place;
use serde_json::{Value, json};
use std::fmt::Display;
use vouchsafe_policy::lint::{Caution, Report};
use vouchsafe_policy::{BundleFiles, Finding, Position, Problem};

pub use github::github;
pub use sarif::sarif;
pub use text::text;

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

/// One finding, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub severity: Severity,
    /// A stable name of its kind.
    pub code: &'static str,
    /// Relative to the bundle; for a file that is not of the bundle, as it was given.
    pub file: String,
    pub in_bundle: bool,
    pub place: Option<Place>,
    pub message: String,
    pub fix: Option<String>,
}

/// Where in a file, with the line itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub position: Position,
    /// Characters from `position` on that it is about; 1 at least.
    pub length: usize,
    pub line: String,
}

/// Everything in `report`, errors first, in the order in which it was found.
pub fn items(files: &BundleFiles, report: &Report) -> Vec<Item> {
    let errors = report.errors.iter().map(|error| of_error(files, error));
    let warnings = report.warnings.iter();
    errors
        .chain(warnings.map(|warning| of_warning(files, warning)))
        .collect()
}

/// What keeps `files` from being a bundle.
pub fn of_error(files: &BundleFiles, finding: &Finding<Problem>) -> Item {
    let (code, fix) = (finding.problem.code(), finding.problem.fix());
    item(files, finding, Severity::Error, code, fix)
}

pub fn of_warning(files: &BundleFiles, finding: &Finding<Caution>) -> Item {
    let (code, fix) = (finding.problem.code(), finding.problem.fix());
    item(files, finding, Severity::Warning, code, fix)
}

fn item<P: Display>(
    files: &BundleFiles,
    finding: &Finding<P>,
    severity: Severity,
    code: &'static str,
    fix: Option<String>,
) -> Item {
    Item {
        severity,
        code,
        file: finding.file.clone(),
        in_bundle: true,
        place: finding
            .position
            .and_then(|position| place(files, &finding.file, position, finding.length)),
        message: finding.problem.to_string(),
        fix,
    }
}

/// One object per finding.
pub fn json(items: &[Item]) -> Vec<Value> {
    let object = |item: &Item| {
        json!({
            "severity": item.severity.name(),
            "code": item.code,
            "file": item.file,
            "line": item.place.as_ref().map(|place| place.position.line),
            "column": item.place.as_ref().map(|place| place.position.column),
            "end_column": item.place.as_ref().map(Place::end_column),
            "message": item.message,
            "fix": item.fix,
        })
    };
    items.iter().map(object).collect()
}

impl Place {
    /// The first column that it is not about.
    pub fn end_column(&self) -> usize {
        self.position.column.saturating_add(self.length)
    }
}

/// The path of an item from where the command was started, `dir` being the bundle's folder.
fn path_from(dir: &str, item: &Item) -> String {
    match (item.in_bundle, dir.trim_end_matches('/')) {
        (false, _) | (true, "" | ".") => item.file.clone(),
        (true, dir) => format!("{}/{}", dir.trim_start_matches("./"), item.file),
    }
}
