//! Who can get what, by the scopes of policies.

use cedar_policy::{PrincipalConstraint, ResourceConstraint};
use std::collections::BTreeMap;
use vouchsafe_policy::authoring::{RequestScope, can_match};
use vouchsafe_policy::{Bundle, NamedPolicy};

/// The `permit`s by issuer name and audience id whose scope lets principals of the issuer get a token for the audience.
/// Conditions are ignored, but a pair is left out if a `forbid` without conditions covers it.
pub fn access(bundle: &Bundle) -> BTreeMap<(String, String), Vec<String>> {
    let mut access = BTreeMap::new();
    for (issuer, entity) in bundle.issuer_entities() {
        for (audience, uid) in bundle.audiences().zip(bundle.audience_uids()) {
            let scope = bundle.request_scope(issuer, entity, uid);
            let matching = |policy: &&NamedPolicy| can_match(policy, &scope);
            let policies: Vec<&NamedPolicy> = bundle.policies().iter().filter(matching).collect();
            let forbids_all = |policy: &&&NamedPolicy| {
                policy.is_forbid() && !policy.cedar.has_non_scope_constraint() && covers_all(policy, &scope)
            };
            let permits = policies.iter().filter(|policy| !policy.is_forbid());
            let permits: Vec<String> = permits.map(|policy| policy.id.clone()).collect();
            if !permits.is_empty() && !policies.iter().any(|policy| forbids_all(&policy)) {
                access.insert((issuer.name.clone(), audience.id.clone()), permits);
            }
        }
    }
    access
}

/// Whether the scope of a `policy` that can match covers all of `scope`; false if unknown.
fn covers_all(policy: &NamedPolicy, scope: &RequestScope<'_>) -> bool {
    let principal = match policy.cedar.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => &uid == scope.issuer,
        PrincipalConstraint::Eq(_) => false,
    };
    let resource = match policy.cedar.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Eq(_) | ResourceConstraint::Is(_) => true,
        ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => scope.audience_groups.contains(&uid),
    };
    principal && resource
}
