//! Diagnostics for people, programs, GitHub and code scanners.

mod github;
mod item;
mod place;
mod sarif;
mod text;

use crate::error::CheckError;
use crate::lint::{Report, Warning};
use place::place;
use serde_json::{Value, json};
use std::fmt::Display;
use vouchsafe_policy::{BundleFiles, Diagnostic};

pub use github::github;
pub use item::{Item, Place, Severity};
pub use sarif::sarif;
pub use text::text;

/// All diagnostics of `report`, errors first, in the order in which they were found.
pub fn items(files: &BundleFiles, report: &Report) -> Vec<Item> {
    let errors = report.errors.iter().map(|error| of_error(files, error));
    let warnings = report.warnings.iter();
    errors.chain(warnings.map(|warning| of_warning(files, warning))).collect()
}

/// An error, ready to be printed.
pub fn of_error(files: &BundleFiles, diagnostic: &Diagnostic<CheckError>) -> Item {
    let (code, fix) = (diagnostic.kind.code(), diagnostic.kind.fix());
    item(files, diagnostic, Severity::Error, code, fix)
}

pub fn of_warning(files: &BundleFiles, diagnostic: &Diagnostic<Warning>) -> Item {
    let (code, fix) = (diagnostic.kind.code(), diagnostic.kind.fix());
    item(files, diagnostic, Severity::Warning, code, fix)
}

fn item<P: Display>(
    files: &BundleFiles,
    diagnostic: &Diagnostic<P>,
    severity: Severity,
    code: &'static str,
    fix: Option<String>,
) -> Item {
    Item {
        severity,
        code,
        file: diagnostic.file.clone(),
        in_bundle: true,
        place: diagnostic.position.and_then(|position| place(files, &diagnostic.file, position, diagnostic.length)),
        message: diagnostic.kind.to_string(),
        fix,
    }
}

/// One object per diagnostic.
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
