//! Strict validation of policies against the schema.

use crate::bundle::files::{BundleFiles, text_of};
use crate::diagnostics::cedar::cedar_diagnostic;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::policies::policy::{NamedPolicy, policy_set};
use crate::policies::span::{self, diagnostic_in};
use crate::policies::templates::NamedTemplate;
use cedar_policy::{ValidationError, ValidationMode, ValidationResult, Validator};
use miette::Diagnostic as _;

/// The errors of strictly validating all policies together.
pub(crate) fn validation_errors(
    files: &BundleFiles,
    policies: &[NamedPolicy],
    templates: &[NamedTemplate],
    validator: &Validator,
) -> Vec<Diagnostic> {
    let whole = policy_set(policies).and_then(|mut set| {
        for template in templates {
            if set.template(template.template.id()).is_none() {
                set.add_template(template.template.clone())?;
            }
        }
        Ok(set)
    });
    let set = match whole {
        Ok(set) => set,
        Err(error) => {
            let (message, help) = (error.to_string(), None);
            return vec![Diagnostic::of_file("rules", BundleError::Cedar { message, help })];
        }
    };
    let result = validator.validate(&set, ValidationMode::Strict);
    let mut diagnostics: Vec<Diagnostic> = result
        .validation_errors()
        .filter(|error| !is_consequence(error, &result, files, policies))
        .map(|error| {
            let id: &str = error.policy_id().as_ref();
            let policy = policies.iter().find(|policy| policy.id == id);
            // The locations of Cedar's errors are in the text of the template, not in the link file.
            if let Some(policy) = policy.filter(|policy| policy.file.ends_with(".toml")) {
                let help = error.help().map(|help| help.to_string());
                let message = error.to_string();
                return diagnostic_in(files, policy, None, BundleError::Cedar { message, help });
            }
            let template = templates.iter().find(|template| template.id == id);
            let file = policy.map(|policy| &policy.file);
            let file = file.or(template.map(|template| &template.file));
            let file = file.map_or("rules", String::as_str);
            let text = std::str::from_utf8(files.content(file).unwrap_or_default());
            cedar_diagnostic(file, text.unwrap_or_default(), error)
        })
        .collect();
    diagnostics.sort_by(|one, next| (&one.file, one.position).cmp(&(&next.file, next.position)));
    diagnostics
}

/// Whether an error only follows from another one in the same policy: after an unknown attribute, Cedar ignores the
/// `has` tests that guard other attributes.
fn is_consequence(
    error: &ValidationError,
    result: &ValidationResult,
    files: &BundleFiles,
    policies: &[NamedPolicy],
) -> bool {
    let ValidationError::UnsafeOptionalAttributeAccess(_) = error else {
        return false;
    };
    let unknown = result.validation_errors().any(|other| {
        matches!(other, ValidationError::UnsafeAttributeAccess(_)) && other.policy_id() == error.policy_id()
    });
    let id: &str = error.policy_id().as_ref();
    let policy = policies.iter().find(|policy| policy.id == id && policy.link.is_none());
    let label = error.labels().and_then(|mut labels| labels.next());
    let (true, Some(policy), Some(label)) = (unknown, policy, label) else {
        return false;
    };
    let end = label.offset().saturating_add(label.len());
    let read = text_of(files, &policy.file).get(label.offset()..end);
    let asked = read.and_then(|read| read.split_once('.'));
    asked.is_some_and(|(object, claim)| {
        let word = |character: char| !(character.is_alphanumeric() || character == '_');
        let claim = claim.split(word).next().unwrap_or_default();
        span::contains(policy, &format!("{object} has {claim}"))
    })
}
