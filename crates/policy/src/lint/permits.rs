//! What a single `permit` says that is hardly meant.

use super::caution::Caution;
use super::conditions::Conditions;
use super::forks;
use super::patterns;
use crate::bundle::Bundle;
use crate::records::Issuer;
use crate::rules::{Rule, is_issuer};
use cedar_policy::{EntityUid, PrincipalConstraint, ResourceConstraint};
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_providers::PROVIDERS;

/// Everything about one rule.
pub(super) fn cautions(rule: &Rule, bundle: &Bundle) -> Vec<Caution> {
    let mut cautions = Vec::new();
    let Ok(est) = rule.policy.to_json() else {
        return cautions;
    };
    let conditions = Conditions::of(&est);
    if rule.is_forbid() {
        return cautions;
    }
    let read = conditions.attributes_of_principal();
    let unconditional = conditions.when.is_empty() && conditions.unless.is_empty();
    if unconditional && !names_principal(rule) {
        cautions.push(Caution::PermitUnconditional(rule.id.clone()));
    }
    cautions.extend(any_tenant(rule, bundle, &read));
    cautions.extend(names_without_ids(rule, &read));
    cautions.extend(chosen_by_caller(rule, &read));
    cautions.extend(attempts(rule, bundle, &read));
    cautions.extend(events(rule, bundle, &read));
    if let Some(issuer) = issuer_of(rule, bundle) {
        let provider = issuer.provider.name;
        cautions.extend(forks::cautions(rule, bundle, provider, &read));
        cautions.extend(forks::branch_by_name(rule, provider, &read));
    }
    for body in &conditions.when {
        cautions.extend(patterns::workflows_at_any_ref(rule, body));
    }
    let mut guarded = BTreeSet::new();
    for body in &conditions.when {
        patterns::guarded_claims(body, &mut guarded);
    }
    for body in &conditions.when {
        cautions.extend(patterns::crossing_separators(rule, body, &guarded));
    }
    cautions.extend(scopes(rule, bundle, &conditions));
    cautions
}

/// Whether the scope says whose workload it means, and no other.
fn names_principal(rule: &Rule) -> bool {
    match rule.policy.principal_constraint() {
        PrincipalConstraint::Eq(_) => true,
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => !is_issuer(&uid),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
    }
}

fn scopes(rule: &Rule, bundle: &Bundle, conditions: &Conditions<'_>) -> Vec<Caution> {
    let mut cautions = Vec::new();
    if conditions.have_reversed_bound() {
        cautions.push(Caution::ScopesReversed(rule.id.clone()));
    } else if takes_scopes(rule, bundle) && !conditions.bound_scopes() {
        cautions.push(Caution::ScopesUnbounded(rule.id.clone()));
    }
    let ResourceConstraint::Eq(uid) = rule.policy.resource_constraint() else {
        return cautions;
    };
    let Some(audience) = bundle.audience(uid.id().unescaped()) else {
        return cautions;
    };
    for scope in conditions.scopes_listed() {
        if !audience.scopes.iter().any(|offered| offered == scope) {
            cautions.push(Caution::ScopeUnknown {
                rule: rule.id.clone(),
                scope: scope.to_owned(),
                audience: audience.id.clone(),
            });
        }
    }
    cautions
}

/// Who started a workflow run, trusted for whoever runs it again.
fn attempts(rule: &Rule, bundle: &Bundle, read: &BTreeSet<&str>) -> Vec<Caution> {
    let is_github = issuer_of(rule, bundle).is_some_and(|it| it.provider.name == "github");
    if !is_github || read.contains("run_attempt") {
        return Vec::new();
    }
    ["actor", "actor_id"]
        .into_iter()
        .filter(|claim| read.contains(claim))
        .map(|claim| Caution::AttemptUnchecked {
            rule: rule.id.clone(),
            claim,
        })
        .collect()
}

/// A `permit` for workflow runs of any event, where no rule forbids events.
fn events(rule: &Rule, bundle: &Bundle, read: &BTreeSet<&str>) -> Option<Caution> {
    let issuer = issuer_of(rule, bundle)?;
    let has_events = bundle
        .attributes_of(&issuer.entity_type())
        .is_some_and(|attributes| attributes.contains_key("event_name"));
    let is_github = issuer.provider.name == "github";
    if !is_github || read.contains("event_name") || bundle.rules().iter().any(forbids_events) {
        return None;
    }
    let rule = rule.id.clone();
    match read.contains("ref") {
        true => Some(Caution::EventUnchecked(rule)),
        false => has_events.then_some(Caution::EventsUnbounded(rule)),
    }
}

/// The issuer that a rule's scope names, by itself or by the only issuer of its principals' type.
fn issuer_of<'b>(rule: &Rule, bundle: &'b Bundle) -> Option<&'b Issuer> {
    let named = |uid: &EntityUid, issuer: &Issuer| match is_issuer(uid) {
        true => uid.id().unescaped() == issuer.name,
        false => uid.type_name().to_string() == issuer.entity_type(),
    };
    match rule.policy.principal_constraint() {
        PrincipalConstraint::Eq(uid)
        | PrincipalConstraint::In(uid)
        | PrincipalConstraint::IsIn(_, uid) => bundle
            .issuers_of_all_environments()
            .find(|issuer| named(&uid, issuer)),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    }
}

/// A `permit` for an issuer of many tenants that reads nothing which tells them apart.
fn any_tenant(rule: &Rule, bundle: &Bundle, read: &BTreeSet<&str>) -> Option<Caution> {
    let issuer = issuer_of(rule, bundle)?;
    untold_tenant(issuer, |claim| read.contains(claim)).map(|claims| Caution::AnyTenant {
        rule: rule.id.clone(),
        issuer: issuer.name.clone(),
        claims,
    })
}

/// The claims that would say whose workload is meant, where `issuer` serves everybody and none of them is
/// looked at.
pub(super) fn untold_tenant(issuer: &Issuer, is_read: impl Fn(&str) -> bool) -> Option<String> {
    let telling = issuer.provider.names_with_ids;
    let claims: BTreeSet<&str> = telling
        .iter()
        .flat_map(|(name, ids)| std::iter::once(*name).chain(ids.iter().copied()))
        .collect();
    let open = issuer.provider.open_issuers;
    let narrowed = !open.contains(&issuer.issuer.as_str())
        || !issuer.require.is_empty()
        || claims.iter().any(|claim| is_read(claim));
    (!narrowed).then(|| claims.into_iter().collect::<Vec<_>>().join("`, `"))
}

/// Names that a `permit` reads from its principal while it reads none of their ids. What is read is
/// looked at, not how: this is a warning.
fn names_without_ids(rule: &Rule, read: &BTreeSet<&str>) -> Vec<Caution> {
    let names: BTreeMap<_, _> = PROVIDERS
        .iter()
        .flat_map(|provider| provider.names_with_ids.iter().copied())
        .collect();
    let without = names
        .into_iter()
        .filter(|(name, ids)| read.contains(name) && !ids.iter().any(|id| read.contains(id)));
    without
        .filter_map(|(name, ids)| {
            Some(Caution::NameWithoutId {
                rule: rule.id.clone(),
                name,
                id: ids.first()?,
            })
        })
        .collect()
}

fn chosen_by_caller(rule: &Rule, read: &BTreeSet<&str>) -> Vec<Caution> {
    let chosen = PROVIDERS
        .iter()
        .flat_map(|provider| provider.chosen_by_caller);
    chosen
        .filter(|claim| read.contains(*claim))
        .map(|claim| Caution::ChosenByCaller {
            rule: rule.id.clone(),
            claim,
        })
        .collect()
}

/// Whether `rule` keeps workflow runs out by their event.
fn forbids_events(rule: &Rule) -> bool {
    let est = rule.policy.to_json().unwrap_or_default();
    rule.is_forbid()
        && Conditions::of(&est)
            .attributes_of_principal()
            .contains("event_name")
}

/// Whether a request that `rule` permits can have scopes at all: the broker refuses those that an
/// audience does not offer.
fn takes_scopes(rule: &Rule, bundle: &Bundle) -> bool {
    match rule.policy.resource_constraint() {
        ResourceConstraint::Eq(uid) => bundle
            .audience(uid.id().unescaped())
            .is_none_or(|audience| !audience.scopes.is_empty()),
        ResourceConstraint::Any
        | ResourceConstraint::In(_)
        | ResourceConstraint::Is(_)
        | ResourceConstraint::IsIn(_, _) => true,
    }
}
