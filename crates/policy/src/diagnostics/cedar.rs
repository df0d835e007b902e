//! Errors from Cedar as diagnostics.

use super::Diagnostic;
use crate::diagnostics::error::BundleError;

/// A diagnostic for an error from Cedar, at its first label.
pub fn cedar_diagnostic(file: &str, text: &str, error: &dyn miette::Diagnostic) -> Diagnostic {
    let message = error.to_string();
    let help = error.help().map(|help| help.to_string());
    let kind = BundleError::Cedar { message, help };
    match error.labels().and_then(|mut labels| labels.next()) {
        Some(label) => {
            let end = label.offset().saturating_add(label.len());
            Diagnostic::within(file, text, label.offset()..end, kind)
        }
        None => Diagnostic::of_file(file, kind),
    }
}
