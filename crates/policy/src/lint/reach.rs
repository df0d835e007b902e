//! Rules and audiences that no request can reach.

use super::caution::Caution;
use super::conditions::{Conditions, compared};
use crate::bundle::Bundle;
use crate::records::Issuer;
use crate::rules::{Rule, is_issuer};
use crate::slices::can_match;
use cedar_policy::{EntityUid, PrincipalConstraint, ResourceConstraint};
use serde_json::Value;
use std::collections::BTreeMap;

/// Why no request ever matches `rule`, as far as scope and compared texts tell.
pub(super) fn never_matches(rule: &Rule, bundle: &Bundle) -> Option<Caution> {
    let never = |reason: String| {
        let rule = rule.id.clone();
        Some(Caution::RuleNeverMatches { rule, reason })
    };
    let issuer = issuer_in_scope(rule, bundle);
    if let (PrincipalConstraint::IsIn(type_name, _), Some(issuer)) =
        (rule.policy.principal_constraint(), issuer)
    {
        let (found, expected) = (type_name.to_string(), issuer.entity_type());
        if found != expected {
            let name = &issuer.name;
            return never(format!(
                "principals of issuer `{name}` are `{expected}`, not `{found}`"
            ));
        }
    }
    let est = rule.policy.to_json().unwrap_or_default();
    let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for claim in issuer.into_iter().flat_map(|issuer| &issuer.require) {
        allowed.insert(format!("principal.{}", claim.name), claim.values.clone());
    }
    for (attribute, texts) in Conditions::of(&est)
        .conjuncts()
        .into_iter()
        .filter_map(compared)
    {
        let Some(before) = allowed.get(&attribute) else {
            let texts = texts.into_iter().map(str::to_owned).collect();
            allowed.insert(attribute, texts);
            continue;
        };
        let both: Vec<String> = before
            .iter()
            .filter(|text| texts.contains(&text.as_str()))
            .cloned()
            .collect();
        if both.is_empty() {
            let (one, other) = (before.join("`, `"), texts.join("`, `"));
            return never(format!(
                "`{attribute}` is never one of `{one}` and one of `{other}` at once"
            ));
        }
        allowed.insert(attribute, both);
    }
    None
}

fn issuer_in_scope<'b>(rule: &Rule, bundle: &'b Bundle) -> Option<&'b Issuer> {
    let uid = match rule.policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => uid,
        PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => {
            return None;
        }
    };
    let mut issuers = bundle.issuers_of_all_environments();
    issuers.find(|issuer| is_issuer(&uid) && uid.id().unescaped() == issuer.name)
}

/// A `forbid` that forbids all that the `permit` permits.
pub(super) fn overruled(rule: &Rule, bundle: &Bundle) -> Option<Caution> {
    let est = rule.policy.to_json().unwrap_or_default();
    let conjuncts = Conditions::of(&est).conjuncts();
    let overrules = |other: &&Rule| {
        let forbid = other.policy.to_json().unwrap_or_default();
        let conditions = Conditions::of(&forbid);
        let implied = |one: &Value| conjuncts.contains(&one);
        other.is_forbid()
            && conditions.unless.is_empty()
            && conditions.conjuncts().into_iter().all(implied)
            && covers_principal(other, rule, bundle)
            && covers_resource(other, rule)
    };
    let by = bundle.rules().iter().find(overrules)?;
    Some(Caution::RuleOverruled {
        rule: rule.id.clone(),
        by: by.id.clone(),
    })
}

/// Whether every principal of the scope of `narrow` is in that of `wide`; false where that is not known.
fn covers_principal(wide: &Rule, narrow: &Rule, bundle: &Bundle) -> bool {
    let narrow = narrow.policy.principal_constraint();
    let within = |uid: &EntityUid| match &narrow {
        PrincipalConstraint::In(other) | PrincipalConstraint::IsIn(_, other) => other == uid,
        PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => false,
    };
    let is_type = |wanted: &str| match &narrow {
        PrincipalConstraint::Eq(uid) => uid.type_name().to_string() == wanted,
        PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => {
            name.to_string() == wanted
        }
        PrincipalConstraint::In(uid) => bundle
            .issuers_of_all_environments()
            .filter(|issuer| is_issuer(uid) && uid.id().unescaped() == issuer.name)
            .any(|issuer| issuer.entity_type() == wanted),
        PrincipalConstraint::Any => false,
    };
    match wide.policy.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Eq(uid) => narrow == PrincipalConstraint::Eq(uid),
        PrincipalConstraint::In(uid) => within(&uid),
        PrincipalConstraint::Is(name) => is_type(&name.to_string()),
        PrincipalConstraint::IsIn(name, uid) => is_type(&name.to_string()) && within(&uid),
    }
}

/// Whether every resource of the scope of `narrow` is in that of `wide`; false where that is not known.
pub(super) fn covers_resource(wide: &Rule, narrow: &Rule) -> bool {
    let narrow = narrow.policy.resource_constraint();
    match wide.policy.resource_constraint() {
        // Every resource is an audience.
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
        constraint => constraint == narrow,
    }
}

/// Audiences that no `permit` which can match is for.
pub(super) fn unreachable_audiences(bundle: &Bundle, dead: &[&str]) -> Vec<String> {
    let permits: Vec<&Rule> = bundle
        .rules()
        .iter()
        .filter(|rule| !rule.is_forbid() && !dead.contains(&rule.id.as_str()))
        .collect();
    let reached = |audience: &EntityUid| {
        bundle.issuer_entities().any(|(issuer, entity)| {
            let scope = bundle.scope(issuer, entity, audience);
            permits.iter().any(|rule| can_match(rule, &scope))
        })
    };
    let unreachable = bundle.audience_uids().filter(|audience| !reached(audience));
    unreachable
        .map(|uid| uid.id().unescaped().to_owned())
        .collect()
}
