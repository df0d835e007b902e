//! Policies and audiences that no request can reach.

use super::warning::Warning;
use crate::conditions::{Conditions, compared};
use cedar_policy::{EntityUid, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;
use std::collections::BTreeMap;
use vouchsafe_policy::authoring::{can_match, is_issuer};
use vouchsafe_policy::{Bundle, Issuer, NamedPolicy};

/// A warning if the scope and the compared strings show that no request can match.
pub(super) fn never_matches(policy: &NamedPolicy, conditions: &Conditions<'_>, bundle: &Bundle) -> Option<Warning> {
    let never = |reason: String| {
        let policy = policy.id.clone();
        Some(Warning::PolicyNeverMatches { policy, reason })
    };
    let issuer = issuer_in_scope(policy, bundle);
    if let (PrincipalConstraint::IsIn(type_name, _), Some(issuer)) = (policy.cedar.principal_constraint(), issuer) {
        let (found, expected) = (type_name.to_string(), issuer.entity_type());
        if found != expected {
            let name = &issuer.name;
            return never(format!("principals of issuer `{name}` are `{expected}`, not `{found}`"));
        }
    }
    let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for claim in issuer.into_iter().flat_map(|issuer| &issuer.require) {
        allowed.insert(format!("principal.{}", claim.name), claim.values.clone());
    }
    for (attribute, texts) in conditions.conjuncts().into_iter().filter_map(compared) {
        let Some(before) = allowed.get(&attribute) else {
            let texts = texts.into_iter().map(str::to_owned).collect();
            allowed.insert(attribute, texts);
            continue;
        };
        let both: Vec<String> = before.iter().filter(|text| texts.contains(&text.as_str())).cloned().collect();
        if both.is_empty() {
            let (one, other) = (before.join("`, `"), texts.join("`, `"));
            return never(format!("`{attribute}` cannot be one of `{one}` and one of `{other}`"));
        }
        allowed.insert(attribute, both);
    }
    None
}

fn issuer_in_scope<'b>(policy: &NamedPolicy, bundle: &'b Bundle) -> Option<&'b Issuer> {
    let uid = match policy.cedar.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => uid,
        PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => {
            return None;
        }
    };
    let mut issuers = bundle.issuers_of_all_environments();
    issuers.find(|issuer| is_issuer(&uid) && uid.id().unescaped() == issuer.name)
}

/// The `forbid`s of a bundle without `unless`, each in Cedar's JSON format.
pub(super) struct Overruling<'b>(Vec<(&'b NamedPolicy, Value)>);

impl<'b> Overruling<'b> {
    pub fn of(bundle: &'b Bundle) -> Self {
        let forbids = bundle.policies().iter().filter(|policy| policy.is_forbid());
        let with_json = forbids.filter_map(|policy| Some((policy, policy.cedar.to_json().ok()?)));
        Self(with_json.filter(|(_, json)| Conditions::of(json).unless.is_empty()).collect())
    }
}

/// A warning if a `forbid` matches whenever the `permit` does.
pub(super) fn overruled(
    policy: &NamedPolicy,
    conditions: &Conditions<'_>,
    overruling: &Overruling<'_>,
    bundle: &Bundle,
) -> Option<Warning> {
    let conjuncts = conditions.conjuncts();
    let implied = |one: &Value| conjuncts.contains(&one);
    let overrules = |(forbid, json): &&(&NamedPolicy, Value)| {
        covers_principal(forbid, policy, bundle)
            && covers_resource(forbid, policy)
            && Conditions::of(json).conjuncts().into_iter().all(implied)
    };
    let (by, _) = overruling.0.iter().find(overrules)?;
    Some(Warning::PolicyOverruled { policy: policy.id.clone(), by: by.id.clone() })
}

/// Whether the resource scope of `wide` includes that of `narrow`; false if unknown.
fn covers_resource(wide: &NamedPolicy, narrow: &NamedPolicy) -> bool {
    let narrow = narrow.cedar.resource_constraint();
    match wide.cedar.resource_constraint() {
        // Every resource is an audience.
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
        constraint => constraint == narrow,
    }
}

/// Whether the principal scope of `wide` includes that of `narrow`; false if unknown.
fn covers_principal(wide: &NamedPolicy, narrow: &NamedPolicy, bundle: &Bundle) -> bool {
    let narrow = narrow.cedar.principal_constraint();
    let within = |uid: &EntityUid| match &narrow {
        PrincipalConstraint::In(other) | PrincipalConstraint::IsIn(_, other) => other == uid,
        PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => false,
    };
    let is_type = |wanted: &str| match &narrow {
        PrincipalConstraint::Eq(uid) => uid.type_name().to_string() == wanted,
        PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => name.to_string() == wanted,
        PrincipalConstraint::In(uid) => bundle
            .issuers_of_all_environments()
            .filter(|issuer| is_issuer(uid) && uid.id().unescaped() == issuer.name)
            .any(|issuer| issuer.entity_type() == wanted),
        PrincipalConstraint::Any => false,
    };
    match wide.cedar.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Eq(uid) => narrow == PrincipalConstraint::Eq(uid),
        PrincipalConstraint::In(uid) => within(&uid),
        PrincipalConstraint::Is(name) => is_type(&name.to_string()),
        PrincipalConstraint::IsIn(name, uid) => is_type(&name.to_string()) && within(&uid),
    }
}

/// Audiences for which no `permit` can match.
pub(super) fn unreachable_audiences(bundle: &Bundle, dead: &[&str]) -> Vec<String> {
    let permits: Vec<&NamedPolicy> =
        bundle.policies().iter().filter(|policy| !policy.is_forbid() && !dead.contains(&policy.id.as_str())).collect();
    let reached = |audience: &EntityUid| {
        bundle.issuer_entities().any(|(issuer, entity)| {
            let scope = bundle.request_scope(issuer, entity, audience);
            permits.iter().any(|policy| can_match(policy, &scope))
        })
    };
    let unreachable = bundle.audience_uids().filter(|audience| !reached(audience));
    unreachable.map(|uid| uid.id().unescaped().to_owned()).collect()
}
