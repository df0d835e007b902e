//! What the broker checks after policies permit a request: the limits of the audience.

use vouchsafe_policy::{Audience, Bundle, TokenRequest};

/// What the broker would refuse about a permitted request, and why; empty if nothing.
pub fn refusals(audience: &Audience, request: &TokenRequest) -> Vec<String> {
    let not_offered = request.scopes.iter().filter(|scope| !audience.scopes.contains(scope));
    let mut refusals: Vec<String> =
        not_offered.map(|scope| format!("scope `{scope}`: the audience does not offer it")).collect();
    if audience.scopes_required && request.scopes.is_empty() {
        refusals.push("a request without scopes: the audience requires one".to_owned());
    }
    if audience.proof_required && !request.proof_of_possession {
        refusals.push("a request without proof of possession: the audience requires one".to_owned());
    }
    let (asked, max) = (request.requested_lifetime_seconds, audience.max_lifetime_seconds);
    if asked > max {
        refusals.push(format!("{asked} s: the audience allows at most {max} s"));
    }
    if asked == 0 {
        refusals.push("0 s: the lifetime must be at least 1 s".to_owned());
    }
    refusals
}

/// Whether the broker refuses `request` because its audience requires a scope or a proof of possession, whatever policies
/// permit.
pub(crate) fn lacks_requirement(bundle: &Bundle, request: &TokenRequest) -> bool {
    bundle.audience(&request.audience).is_some_and(|audience| {
        let lacks_scope = audience.scopes_required && request.scopes.is_empty();
        lacks_scope || (audience.proof_required && !request.proof_of_possession)
    })
}
