//! Errors of cases that cannot be decided.

use crate::cases::Case;
use crate::error::CheckError;
use vouchsafe_policy::authoring::{suggest, text_of, toml_span};
use vouchsafe_policy::{Bundle, BundleFiles, DecideError, Diagnostic};
use vouchsafe_providers::{Attribute, AttributeValue, ClaimType};

/// The error of a case that cannot be decided, at its position in the case or in the file with default claims.
pub(crate) fn undecidable(
    files: &BundleFiles,
    bundle: &Bundle,
    case: &Case,
    error: DecideError,
) -> Diagnostic<CheckError> {
    let path = match &error {
        DecideError::AttributesInvalid { entity_type } => {
            let misfit = misfit(bundle, entity_type, &case.principal.attributes);
            if let Some((claim, error)) = misfit {
                return at_claim(files, case, &claim, error);
            }
            &["issuer"][..]
        }
        DecideError::AudienceUnknown => {
            let name = case.request.audience.clone();
            let known = bundle.audiences().map(|audience| audience.id.as_str());
            let suggestion = suggest(&name, known);
            let error = CheckError::CaseAudienceUnknown { name, suggestion };
            let text = text_of(files, &case.path);
            let span = toml_span::value(text, &["request", "audience"]);
            return Diagnostic::in_file(&case.path, text, span, error);
        }
        DecideError::ClientIpInvalid => &["request", "client_ip"],
        DecideError::LifetimeInvalid => &["request", "lifetime"],
        DecideError::TimeInvalid => &["at"],
        DecideError::EntityTypeMismatch { .. } | DecideError::IssuerUnknown => &["issuer"],
        DecideError::RequestInvalid | DecideError::PoliciesInvalid => &["request"],
    };
    let text = text_of(files, &case.path);
    let span = toml_span::value(text, path);
    Diagnostic::in_file(&case.path, text, span, CheckError::CaseUndecidable(error))
}

/// A diagnostic at a claim of the case or of the file with default claims, else at the case's issuer.
fn at_claim(files: &BundleFiles, case: &Case, claim: &str, error: CheckError) -> Diagnostic<CheckError> {
    let base = format!("tests/{}.toml", case.principal.issuer_name);
    for path in [&case.path, &base] {
        let text = text_of(files, path);
        if toml_span::value(text, &["claims", claim]).is_some() {
            let span = toml_span::key_of(text, "claims", claim);
            return Diagnostic::in_file(path, text, span, error);
        }
    }
    let text = text_of(files, &case.path);
    let span = toml_span::value(text, &["issuer"]);
    Diagnostic::in_file(&case.path, text, span, error)
}

/// The first claim that does not fit the principal's type.
fn misfit(bundle: &Bundle, entity_type: &str, attributes: &[Attribute]) -> Option<(String, CheckError)> {
    let known = bundle.attributes_of(entity_type)?;
    let entity_type = entity_type.to_owned();
    for Attribute { name, value } in attributes {
        let claim = name.clone();
        let Some(expected) = known.get(name) else {
            let suggestion = suggest(name, known.keys().map(String::as_str));
            let error = CheckError::CaseClaimUnknown { claim, entity_type, suggestion };
            return Some((name.clone(), error));
        };
        let (found, found_type) = type_of(value);
        if let Some(expected) = expected.claim_type.filter(|it| *it != found_type) {
            let error = CheckError::CaseClaimMistyped { claim, entity_type, expected: expected.expected(), found };
            return Some((name.clone(), error));
        }
    }
    let given = |name: &String| attributes.iter().any(|attribute| &attribute.name == name);
    let mut missing = known.iter().filter(|(name, it)| it.required && !given(name));
    let (claim, _) = missing.next()?;
    let error = CheckError::CaseClaimMissing { claim: claim.clone(), entity_type };
    Some((claim.clone(), error))
}

fn type_of(value: &AttributeValue) -> (&'static str, ClaimType) {
    match value {
        AttributeValue::Boolean(_) => ("a boolean", ClaimType::Boolean),
        AttributeValue::Integer(_) => ("an integer", ClaimType::Integer),
        AttributeValue::Text(_) => ("a string", ClaimType::Text),
        AttributeValue::TextSet(_) => ("an array of strings", ClaimType::TextSet),
    }
}
