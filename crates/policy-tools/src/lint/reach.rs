//! Policies and audiences that no request can reach.

use super::warning::Warning;
use crate::conditions::{Conditions, compared};
use cedar_policy::{EntityUid, PrincipalConstraint, ResourceConstraint};
use std::collections::{BTreeMap, BTreeSet};
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

/// The `forbid`s of a bundle without `unless`, by the conjunct that fewest of them have.
pub(super) struct Overruling<'b>(BTreeMap<Option<String>, Vec<Forbid<'b>>>);

struct Forbid<'b> {
    policy: &'b NamedPolicy,
    /// Its place among the policies.
    at: usize,
    /// In Cedar's JSON format.
    conjuncts: BTreeSet<String>,
}

impl<'b> Overruling<'b> {
    pub fn of(bundle: &'b Bundle) -> Self {
        let policies = bundle.policies().iter().enumerate();
        let forbids = policies.filter(|(_, policy)| policy.is_forbid()).filter_map(|(at, policy)| {
            let json = policy.cedar.to_json().ok()?;
            let conditions = Conditions::of(&json);
            let conjuncts = texts(&conditions);
            conditions.unless.is_empty().then_some(Forbid { policy, at, conjuncts })
        });
        let forbids: Vec<Forbid<'b>> = forbids.collect();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for conjunct in forbids.iter().flat_map(|forbid| &forbid.conjuncts) {
            let count = counts.entry(conjunct.clone()).or_default();
            *count = count.saturating_add(1);
        }
        let mut by_conjunct: BTreeMap<Option<String>, Vec<Forbid<'b>>> = BTreeMap::new();
        for forbid in forbids {
            let rarest = forbid.conjuncts.iter().min_by_key(|conjunct| counts.get(*conjunct)).cloned();
            by_conjunct.entry(rarest).or_default().push(forbid);
        }
        Self(by_conjunct)
    }
}

fn texts(conditions: &Conditions<'_>) -> BTreeSet<String> {
    conditions.conjuncts().into_iter().map(ToString::to_string).collect()
}

/// A warning if a `forbid` matches whenever the `permit` does.
pub(super) fn overruled(
    policy: &NamedPolicy,
    conditions: &Conditions<'_>,
    overruling: &Overruling<'_>,
    bundle: &Bundle,
) -> Option<Warning> {
    let conjuncts = texts(conditions);
    let overrules = |forbid: &&Forbid<'_>| {
        forbid.conjuncts.is_subset(&conjuncts)
            && covers_principal(forbid.policy, policy, bundle)
            && covers_resource(forbid.policy, policy)
    };
    let keys = conjuncts.iter().cloned().map(Some).chain([None]);
    let candidates = keys.filter_map(|key| overruling.0.get(&key)).flatten();
    let first = candidates.filter(overrules).min_by_key(|forbid| forbid.at)?;
    Some(Warning::PolicyOverruled { policy: policy.id.clone(), by: first.policy.id.clone() })
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
