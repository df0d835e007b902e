//! What a single `permit` says that is hardly meant.

use super::candidate::{Candidate, Forbids};
use super::caution::Caution;
use super::conditions::Conditions;
use super::forks;
use super::patterns;
use crate::bundle::Bundle;
use crate::records::Issuer;
use crate::rules::{Rule, is_issuer};
use cedar_policy::{PrincipalConstraint, ResourceConstraint};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_providers::PROVIDERS;

/// Everything about one rule.
pub(super) fn cautions(rule: &Rule, bundle: &Bundle, forbids: &Forbids<'_>) -> Vec<Caution> {
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
    let candidates = Candidate::of_scope(rule, bundle);
    cautions.extend(any_tenant(rule, &est, &candidates, forbids));
    cautions.extend(names_without_ids(rule, &read, &candidates));
    cautions.extend(chosen_by_caller(rule, &read, &candidates));
    cautions.extend(attempts(rule, &read, &candidates));
    cautions.extend(forks::cautions(rule, &est, &read, &candidates, forbids));
    cautions.extend(forks::branch_by_name(rule, &read, &candidates));
    let builds = forks::builds_of_forks(rule, &est, &read, &candidates, forbids);
    cautions.extend(builds);
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
fn attempts(rule: &Rule, read: &BTreeSet<&str>, candidates: &[Candidate<'_>]) -> Vec<Caution> {
    let caution = |claim: &'static str| {
        let is_unchecked = |candidate: &Candidate<'_>| {
            let is_read = |claim: &str| is_looked_at(claim, read, candidate);
            candidate.issuer.provider.name == "github" && is_read(claim) && !is_read("run_attempt")
        };
        let rule = rule.id.clone();
        let unchecked = candidates.iter().any(is_unchecked);
        unchecked.then_some(Caution::AttemptUnchecked { rule, claim })
    };
    ["actor", "actor_id"]
        .into_iter()
        .filter_map(caution)
        .collect()
}

/// Whether a rule, or what is required of the principals in its scope, goes by a claim.
pub(super) fn is_looked_at(claim: &str, read: &BTreeSet<&str>, candidate: &Candidate<'_>) -> bool {
    read.contains(claim) || candidate.certain_claims().any(|certain| certain == claim)
}

/// Issuers of many tenants for whose strangers a `permit` can hold, whatever it reads.
fn any_tenant(
    rule: &Rule,
    est: &Value,
    candidates: &[Candidate<'_>],
    forbids: &Forbids<'_>,
) -> Vec<Caution> {
    let mut issuers = BTreeMap::new();
    for stranger in candidates.iter().cloned().filter_map(Candidate::stranger) {
        if stranger.is_let_through(rule, est, forbids) {
            issuers.insert(&stranger.issuer.name, stranger.issuer);
        }
    }
    let caution = |issuer: &Issuer| Caution::AnyTenant {
        rule: rule.id.clone(),
        issuer: issuer.name.clone(),
        claims: issuer.provider.tenant_claims.join("`, `"),
    };
    issuers.into_values().map(caution).collect()
}

/// Names that a `permit` reads from its principal while neither it nor its scope goes by one of their ids. What is
/// read is looked at, not how: this is a warning.
fn names_without_ids(
    rule: &Rule,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
) -> Vec<Caution> {
    let names: BTreeMap<_, _> = PROVIDERS
        .iter()
        .flat_map(|provider| provider.names_with_ids.iter().copied())
        .collect();
    let has_id = |ids: &[&str]| {
        let of = |candidate: &Candidate<'_>| ids.iter().any(|id| is_looked_at(id, read, candidate));
        let in_scope = !candidates.is_empty() && candidates.iter().all(of);
        in_scope || ids.iter().any(|id| read.contains(id))
    };
    let without = names
        .into_iter()
        .filter(|(name, ids)| read.contains(name) && !has_id(ids));
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

fn chosen_by_caller(
    rule: &Rule,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
) -> Vec<Caution> {
    let mut chosen = BTreeSet::new();
    for candidate in candidates {
        let claims = candidate.issuer.provider.chosen_by_caller.iter();
        chosen.extend(claims.filter(|claim| is_looked_at(claim, read, candidate)));
    }
    let caution = |claim: &'static str| Caution::ChosenByCaller {
        rule: rule.id.clone(),
        claim,
    };
    chosen.into_iter().map(caution).collect()
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
