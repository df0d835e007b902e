//! Whether the broker would issue a token: policies, the limits of the audience, and what the issuer file requires.

use vouchsafe_policy::{AttributeValue, Bundle, Effect, Principal};
use vouchsafe_policy_tools::{RecordedRequest, refusals};

/// The policies with which the broker permits `request`, policies and limits considered; none if it denies.
pub(crate) fn permitted_by(bundle: &Bundle, request: &RecordedRequest) -> Option<Vec<String>> {
    let decision = bundle.decide(&request.principal, &request.request, request.now).ok()?;
    let audience = bundle.audience(&request.request.audience)?;
    let is_permitted = decision.effect == Effect::Permit && refusals(audience, &request.request).is_empty();
    (is_permitted && meets_requirements(bundle, &request.principal)).then_some(decision.determining_rules)
}

/// Whether a token of this principal passes the `require` of its issuer file.
fn meets_requirements(bundle: &Bundle, principal: &Principal) -> bool {
    let mut issuers = bundle.issuers();
    let Some(issuer) = issuers.find(|issuer| issuer.name == principal.issuer_name) else {
        return false;
    };
    issuer.require.iter().all(|required| {
        let value = match required.name.as_str() {
            "sub" => Some(&principal.id),
            name => principal.attributes.iter().find_map(|attribute| match &attribute.value {
                AttributeValue::Text(text) if attribute.name == name => Some(text),
                _ => None,
            }),
        };
        value.is_some_and(|value| required.values.contains(value))
    })
}
