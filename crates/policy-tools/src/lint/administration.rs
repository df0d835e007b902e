//! Policies that decide who administers the broker.

use super::warning::Warning;
use crate::conditions::{Conditions, sole_member};
use cedar_policy::{EntityUid, PrincipalConstraint};
use serde_json::Value;
use vouchsafe_policy::authoring::{WORKLOAD_GROUP, can_match};
use vouchsafe_policy::{Bundle, NamedPolicy};

/// The scopes of administrators, as `crates/revocation` requires them.
const SCOPES: [&str; 3] = ["revoke", "revoke:lift", "revoke:read"];

/// The policies that permit administration, except those for the members of one workload group: the group of the first
/// policy that names one.
pub(super) fn beyond_one_group(bundle: &Bundle) -> Vec<(&NamedPolicy, Warning)> {
    let administering: Vec<_> =
        bundle.policies().iter().filter(|policy| permits_administration(policy, bundle)).collect();
    let group = administering.iter().find_map(|policy| group_of(policy));
    let beyond = administering.into_iter().filter(|policy| group.is_none() || group_of(policy) != group);
    beyond.map(|policy| (policy, Warning::AdministrationWide(policy.id.clone()))).collect()
}

fn permits_administration(policy: &NamedPolicy, bundle: &Bundle) -> bool {
    if policy.is_forbid() {
        return false;
    }
    let mut audiences = bundle.audience_uids().filter(|uid| is_of_administrators(uid, bundle));
    audiences.any(|audience| {
        bundle.issuer_entities().any(|(issuer, entity)| {
            let scope = bundle.request_scope(issuer, entity, audience);
            can_match(policy, &scope)
        })
    })
}

/// Whether the audience is `<issuer>/admin` of some broker. The bundle does not say of which: it may be used by several.
fn is_of_administrators(uid: &EntityUid, bundle: &Bundle) -> bool {
    let id = uid.id().unescaped();
    let offers = |scope: &String| SCOPES.contains(&scope.as_str());
    id.ends_with("/admin") && bundle.audience(id).is_some_and(|audience| audience.scopes.iter().any(offers))
}

/// The workload group that every principal of the policy is in.
fn group_of(policy: &NamedPolicy) -> Option<String> {
    match policy.cedar.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid)
            if uid.type_name().to_string() == WORKLOAD_GROUP =>
        {
            return Some(uid.id().unescaped().to_owned());
        }
        PrincipalConstraint::Any
        | PrincipalConstraint::Eq(_)
        | PrincipalConstraint::In(_)
        | PrincipalConstraint::Is(_)
        | PrincipalConstraint::IsIn(_, _) => {}
    }
    let json = policy.cedar.to_json().ok()?;
    Conditions::of(&json).conjuncts().into_iter().find_map(group_in)
}

/// The group in `principal in WorkloadGroup::"…"`.
fn group_in(expression: &Value) -> Option<String> {
    let (operator, sides) = sole_member(expression)?;
    let entity = sides.get("right")?.get("Value")?.get("__entity")?;
    let is_group = operator == "in"
        && sides.pointer("/left/Var").and_then(Value::as_str) == Some("principal")
        && entity.get("type").and_then(Value::as_str) == Some(WORKLOAD_GROUP);
    entity.get("id").filter(|_| is_group).and_then(Value::as_str).map(str::to_owned)
}
