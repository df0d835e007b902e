//! Writes a request as a test case.

use crate::cases::{AT_DEFAULT, LIFETIME_SECONDS_DEFAULT, default_principal};
use crate::recorded::RecordedRequest;
use toml::{Table, Value};
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, BundleFiles, Principal, to_rfc3339};

/// A case that expects the request to be denied because no policy permits it. Leaves out what the default claims of the
/// issuer have. `intent` is a comment.
pub fn denied(
    files: &BundleFiles,
    bundle: &Bundle,
    request: &RecordedRequest,
    profile: Option<&str>,
    intent: &str,
) -> String {
    let RecordedRequest { principal, request, now, .. } = request;
    let usual = default_principal(files, bundle, &principal.issuer_name);
    let mut text = format!("# {intent}\n{}", line("issuer", principal.issuer_name.as_str()));
    if usual.as_ref().is_none_or(|usual| usual.id != principal.id) {
        text.push_str(&line("id", principal.id.as_str()));
    }
    if *now != AT_DEFAULT {
        text.push_str(&line("at", to_rfc3339(*now).unwrap_or_default()));
    }
    if let Some(profile) = profile {
        text.push_str(&line("profile", profile));
    }
    let absent = absent(usual.as_ref(), principal);
    if !absent.is_empty() {
        text.push_str(&line("absent", absent));
    }
    text.push_str("rules = []\n");
    let claims: Table = special(usual.as_ref(), principal).map(|it| (it.name.clone(), value(&it.value))).collect();
    if !claims.is_empty() {
        text.push_str(&format!("\n[claims]\n{claims}"));
    }
    text.push_str(&format!("\n[request]\n{}", line("audience", request.audience.as_str())));
    if !request.scopes.is_empty() {
        text.push_str(&line("scopes", request.scopes.clone()));
    }
    if request.requested_lifetime_seconds != LIFETIME_SECONDS_DEFAULT {
        text.push_str(&line("lifetime", format!("{}s", request.requested_lifetime_seconds)));
    }
    if let Some(address) = &request.client_ip {
        text.push_str(&line("client_ip", address.as_str()));
    }
    if request.proof_of_possession {
        text.push_str("proof_of_possession = true\n");
    }
    text
}

fn line(key: &str, value: impl Into<Value>) -> String {
    format!("{key} = {}\n", value.into())
}

/// Default claims that the principal does not have.
fn absent(usual: Option<&Principal>, principal: &Principal) -> Vec<String> {
    let has = |name: &str| principal.attributes.iter().any(|it| it.name == name);
    let defaults = usual.into_iter().flat_map(|usual| &usual.attributes);
    defaults.filter(|it| !has(&it.name)).map(|it| it.name.clone()).collect()
}

/// The claims that the default claims do not have with this value.
fn special<'p>(usual: Option<&'p Principal>, principal: &'p Principal) -> impl Iterator<Item = &'p Attribute> {
    let is_default = move |claim: &&Attribute| usual.is_some_and(|usual| usual.attributes.contains(claim));
    principal.attributes.iter().filter(move |claim| !is_default(claim))
}

fn value(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Boolean(value) => Value::from(*value),
        AttributeValue::Integer(value) => Value::from(*value),
        AttributeValue::Text(value) => Value::from(value.as_str()),
        AttributeValue::TextSet(values) => Value::from(values.clone()),
    }
}
