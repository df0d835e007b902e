//! Checks of settings against one another.

use crate::bundle::files::{BundleFiles, text_of};
use crate::bundle::layout::Layout;
use crate::diagnostics::suggestion::suggest;
use crate::diagnostics::{BundleError, Diagnostic, toml_span};
use crate::policies::attributes::Attributes;
use crate::settings::records::{Audience, Issuer};
use crate::settings::subject_template;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use vouchsafe_providers::ClaimType;

/// Checks that no two files define the same issuer or the same audience.
pub(crate) fn check_unique(
    files: &BundleFiles,
    layout: &Layout<'_>,
    issuers: &[Issuer],
    audiences: &[Audience],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for ((path, _), issuer) in layout.issuers.iter().zip(issuers) {
        if let Some(other) = seen.insert(&issuer.issuer, path) {
            let (issuer, other) = (issuer.issuer.clone(), other.to_owned());
            let (text, error) = (text_of(files, path), BundleError::DuplicateIssuer { issuer, other });
            let span = toml_span::value(text, &["issuer"]);
            diagnostics.push(Diagnostic::in_file(path, text, span, error));
        }
    }
    seen.clear();
    for (path, audience) in layout.audiences.iter().zip(audiences) {
        if let Some(other) = seen.insert(&audience.id, path) {
            let (id, other) = (audience.id.clone(), other.to_owned());
            let (text, error) = (text_of(files, path), BundleError::DuplicateAudience { id, other });
            let span = toml_span::value(text, &["id"]);
            diagnostics.push(Diagnostic::in_file(path, text, span, error));
        }
    }
}

/// Checks that each claim that an audience copies is an attribute of some issuer's principals.
pub(crate) fn check_copied_claims(
    files: &BundleFiles,
    layout: &Layout<'_>,
    audiences: &[Audience],
    attributes: &Attributes,
    issuers: &[Issuer],
) -> Result<(), Vec<Diagnostic>> {
    let types: BTreeSet<String> = issuers.iter().map(Issuer::entity_type).collect();
    let known: BTreeSet<&str> = types
        .iter()
        .filter_map(|type_name| attributes.get(type_name))
        .flat_map(|names| names.keys().map(String::as_str))
        .collect();
    let mut diagnostics = Vec::new();
    for (path, audience) in layout.audiences.iter().zip(audiences) {
        for claim in audience.claims.iter().filter(|claim| !known.contains(claim.as_str())) {
            let error =
                BundleError::ClaimUndeclared { name: claim.clone(), suggestion: suggest(claim, known.iter().copied()) };
            let text = text_of(files, path);
            let span = toml_span::key_of(text, "claims", claim);
            diagnostics.push(Diagnostic::in_file(path, text, span, error));
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
}

/// Checks that required claims and the placeholders of subject templates are string claims of the issuer's
/// principals. The broker could not compare or fill in any other.
pub(crate) fn check_issuer_claims(
    files: &BundleFiles,
    layout: &Layout<'_>,
    issuers: &[Issuer],
    attributes: &Attributes,
) -> Result<(), Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    for ((path, _), issuer) in layout.issuers.iter().zip(issuers) {
        let entity_type = issuer.entity_type();
        let texts: Vec<&str> = attributes
            .get(&entity_type)
            .into_iter()
            .flatten()
            .filter(|(_, attribute)| attribute.claim_type == Some(ClaimType::Text))
            .map(|(name, _)| name.as_str())
            .collect();
        let text = text_of(files, path);
        let is_text = |claim: &str| claim == "sub" || texts.contains(&claim);
        for claim in issuer.require.iter().filter(|claim| !is_text(&claim.name)) {
            let error = BundleError::RequiredClaimUnknown {
                claim: claim.name.clone(),
                entity_type: entity_type.clone(),
                known: format!("`sub`, `{}`", texts.join("`, `")),
            };
            let span = toml_span::key_of(text, "require", &claim.name);
            diagnostics.push(Diagnostic::in_file(path, text, span, error));
        }
        let template = issuer.subject_template.as_deref().unwrap_or_default();
        for claim in subject_template::placeholders(template) {
            if is_text(claim) {
                continue;
            }
            let error = BundleError::SubjectClaimUnknown {
                claim: claim.to_owned(),
                entity_type: entity_type.clone(),
                known: format!("`sub`, `{}`", texts.join("`, `")),
            };
            let span = toml_span::value(text, &["subject"]);
            let within = |span: Range<usize>| {
                let written = format!("{{{claim}}}");
                let at = text.get(span.clone()).and_then(|text| text.find(&written));
                let start = at.map(|at| span.start.saturating_add(at));
                start.map_or(span, |start| start..start.saturating_add(written.len()))
            };
            diagnostics.push(Diagnostic::in_file(path, text, span.map(within), error));
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
}
