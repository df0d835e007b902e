//! Guardrails: `guardrails/<name>.cedar`, upper bounds on what the policies of the bundle may permit.
//!
//! A guardrail is a `forbid` that no permitted request may match. No decision depends on it: a solver proves before a
//! bundle is used that it would change none.

use crate::bundle::files::{BundleFiles, utf8};
use crate::bundle::layout::Layout;
use crate::diagnostics::cedar::cedar_diagnostic;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::{DESCRIPTION_BYTES_MAX, GUARDRAILS_MAX};
use crate::policies::checker::PolicyChecker;
use crate::policies::parse;
use crate::policies::policy::NamedPolicy;
use crate::policies::span::{self, diagnostic_in};
use crate::policies::validate::validation_errors;
use cedar_policy::PolicySet;
use std::collections::BTreeMap;
use vouchsafe_providers::is_unprintable;

/// An upper bound on what the policies of a bundle permit.
#[derive(Debug, Clone)]
pub struct Guardrail {
    /// A `forbid` that no permitted request matches.
    pub policy: NamedPolicy,
    /// What it guarantees, in one sentence.
    pub description: String,
}

/// Parses, checks and strictly validates every guardrail of the bundle, in path order.
pub(crate) fn read(
    files: &BundleFiles,
    layout: &Layout<'_>,
    checker: &PolicyChecker,
    profiles: &BTreeMap<String, String>,
) -> Result<Vec<Guardrail>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut policies = Vec::new();
    for path in &layout.guardrails {
        match read_file(path, files.content(path).unwrap_or_default()) {
            Ok(more) => policies.extend(more),
            Err(more) => diagnostics.extend(more),
        }
    }
    if policies.len() > GUARDRAILS_MAX {
        let error = BundleError::TooMany { key: "guardrails", max: GUARDRAILS_MAX };
        diagnostics.push(Diagnostic::of_file("guardrails", error));
    }
    diagnostics.extend(parse::duplicates(files, &policies, &[]));
    for policy in &policies {
        diagnostics.extend(wrong(policy).map(|error| diagnostic_in(files, policy, None, error)));
        let unknown = checker.unknown_references(policy).into_iter();
        diagnostics.extend(unknown.map(|(span, error)| diagnostic_in(files, policy, span, error)));
    }
    if diagnostics.is_empty() {
        diagnostics = validation_errors(files, &policies, &[], &checker.validator);
    }
    if diagnostics.is_empty() {
        diagnostics = super::profiles::check_profiles(files, &policies, profiles).err().unwrap_or_default();
    }
    let guardrail = |policy: NamedPolicy| {
        let description = policy.cedar.annotation("description").unwrap_or_default().to_owned();
        Guardrail { policy, description }
    };
    match diagnostics.is_empty() {
        true => Ok(policies.into_iter().map(guardrail).collect()),
        false => Err(diagnostics),
    }
}

fn read_file(path: &str, content: &[u8]) -> Result<Vec<NamedPolicy>, Vec<Diagnostic>> {
    let text = utf8(path, content).map_err(|diagnostic| vec![diagnostic])?;
    let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| cedar_diagnostic(path, text, error)).collect::<Vec<_>>()
    })?;
    let templates = parsed.templates().map(|template| {
        let span = span::annotation_of_template(template, "id");
        Diagnostic::in_file(path, text, span, BundleError::GuardrailTemplate)
    });
    let mut diagnostics: Vec<Diagnostic> = templates.collect();
    let mut policies = Vec::new();
    for policy in parsed.policies() {
        match parse::named(path, text, policy) {
            Ok(policy) => policies.push(policy),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    policies.sort_by_key(|policy: &NamedPolicy| policy.position);
    if diagnostics.is_empty() { Ok(policies) } else { Err(diagnostics) }
}

fn wrong(policy: &NamedPolicy) -> Option<BundleError> {
    if !policy.is_forbid() {
        return Some(BundleError::GuardrailPermits(policy.id.clone()));
    }
    let (key, bytes_max) = ("description", DESCRIPTION_BYTES_MAX);
    match policy.cedar.annotation("description") {
        None | Some("") => Some(BundleError::GuardrailWithoutDescription(policy.id.clone())),
        Some(text) if text.len() > bytes_max || text.chars().any(is_unprintable) => {
            Some(BundleError::ValueInvalid { key, bytes_max })
        }
        Some(_) => None,
    }
}
