//! Warnings about a single `permit`.

use super::candidate::{Candidate, Forbids};
use super::warning::Warning;
use super::{forks, patterns};
use crate::conditions::Conditions;
use cedar_policy::{PrincipalConstraint, ResourceConstraint};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::authoring::is_issuer;
use vouchsafe_policy::{Bundle, Issuer, NamedPolicy};
use vouchsafe_providers::PROVIDERS;

/// All warnings about a policy.
pub(super) fn warnings(policy: &NamedPolicy, bundle: &Bundle, forbids: &Forbids<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Ok(est) = policy.cedar.to_json() else {
        return warnings;
    };
    let conditions = Conditions::of(&est);
    if policy.is_forbid() {
        return warnings;
    }
    let read = conditions.attributes_of_principal();
    let unconditional = conditions.when.is_empty() && conditions.unless.is_empty();
    if unconditional && !names_principal(policy) {
        warnings.push(Warning::PermitUnconditional(policy.id.clone()));
    }
    let candidates = Candidate::of_scope(policy, bundle);
    warnings.extend(any_tenant(policy, &est, &candidates, forbids));
    warnings.extend(names_without_ids(policy, &read, &candidates));
    warnings.extend(chosen_by_caller(policy, &read, &candidates));
    warnings.extend(attempts(policy, &read, &candidates));
    warnings.extend(forks::warnings(policy, &est, &read, &candidates, forbids));
    warnings.extend(forks::branch_by_name(policy, &read, &candidates));
    let builds = forks::builds_of_forks(policy, &est, &read, &candidates, forbids);
    warnings.extend(builds);
    for body in &conditions.when {
        warnings.extend(patterns::workflows_at_any_ref(policy, body));
    }
    let mut guarded = BTreeSet::new();
    for body in &conditions.when {
        patterns::guarded_claims(body, &mut guarded);
    }
    for body in &conditions.when {
        warnings.extend(patterns::crossing_separators(policy, body, &guarded));
    }
    warnings.extend(scopes(policy, bundle, &conditions));
    warnings
}

/// Whether the scope names particular workloads.
fn names_principal(policy: &NamedPolicy) -> bool {
    match policy.cedar.principal_constraint() {
        PrincipalConstraint::Eq(_) => true,
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => !is_issuer(&uid),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
    }
}

fn scopes(policy: &NamedPolicy, bundle: &Bundle, conditions: &Conditions<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if conditions.have_reversed_bound() {
        warnings.push(Warning::ScopesReversed(policy.id.clone()));
    } else if takes_scopes(policy, bundle) && !conditions.bound_scopes() {
        warnings.push(Warning::ScopesUnbounded(policy.id.clone()));
    }
    let ResourceConstraint::Eq(uid) = policy.cedar.resource_constraint() else {
        return warnings;
    };
    let Some(audience) = bundle.audience(uid.id().unescaped()) else {
        return warnings;
    };
    for scope in conditions.scopes_listed() {
        if !audience.scopes.iter().any(|offered| offered == scope) {
            warnings.push(Warning::ScopeUnknown {
                policy: policy.id.clone(),
                scope: scope.to_owned(),
                audience: audience.id.clone(),
            });
        }
    }
    warnings
}

/// Warnings about comparing who started a workflow run without checking that it is the first attempt.
fn attempts(policy: &NamedPolicy, read: &BTreeSet<&str>, candidates: &[Candidate<'_>]) -> Vec<Warning> {
    let warning = |claim: &'static str| {
        let is_unchecked = |candidate: &Candidate<'_>| {
            let is_read = |claim: &str| candidate.is_compared(claim, read);
            candidate.issuer.provider.name == "github" && is_read(claim) && !is_read("run_attempt")
        };
        let policy = policy.id.clone();
        let unchecked = candidates.iter().any(is_unchecked);
        unchecked.then_some(Warning::AttemptUnchecked { policy, claim })
    };
    ["actor", "actor_id"].into_iter().filter_map(warning).collect()
}

/// Warnings about issuers of many tenants if the `permit` can match tenants that the bundle does not name.
fn any_tenant(policy: &NamedPolicy, est: &Value, candidates: &[Candidate<'_>], forbids: &Forbids<'_>) -> Vec<Warning> {
    let mut issuers = BTreeMap::new();
    for stranger in candidates.iter().cloned().filter_map(Candidate::stranger) {
        if stranger.is_let_through(policy, est, forbids) {
            issuers.insert(&stranger.issuer.name, stranger.issuer);
        }
    }
    let warning = |issuer: &Issuer| Warning::AnyTenant {
        policy: policy.id.clone(),
        issuer: issuer.name.clone(),
        claims: issuer.provider.tenant_claims.join("`, `"),
    };
    issuers.into_values().map(warning).collect()
}

/// Warnings about names in a `permit` without one of their ids in the policy or its scope. Looks only at which claims
/// are read, not how.
fn names_without_ids(policy: &NamedPolicy, read: &BTreeSet<&str>, candidates: &[Candidate<'_>]) -> Vec<Warning> {
    let names: BTreeMap<_, _> = PROVIDERS.iter().flat_map(|provider| provider.names_with_ids.iter().copied()).collect();
    let has_id = |ids: &[&str]| {
        let of = |candidate: &Candidate<'_>| ids.iter().any(|id| candidate.is_compared(id, read));
        let in_scope = !candidates.is_empty() && candidates.iter().all(of);
        in_scope || ids.iter().any(|id| read.contains(id))
    };
    let without = names.into_iter().filter(|(name, ids)| read.contains(name) && !has_id(ids));
    without
        .filter_map(|(name, ids)| Some(Warning::NameWithoutId { policy: policy.id.clone(), name, id: ids.first()? }))
        .collect()
}

fn chosen_by_caller(policy: &NamedPolicy, read: &BTreeSet<&str>, candidates: &[Candidate<'_>]) -> Vec<Warning> {
    let mut chosen = BTreeSet::new();
    for candidate in candidates {
        let claims = candidate.issuer.provider.chosen_by_caller.iter();
        chosen.extend(claims.filter(|claim| candidate.is_compared(claim, read)));
    }
    let warning = |claim: &'static str| Warning::ChosenByCaller { policy: policy.id.clone(), claim };
    chosen.into_iter().map(warning).collect()
}

/// Whether a request that the policy permits can have scopes at all: the broker refuses scopes that the audience does
/// not offer.
fn takes_scopes(policy: &NamedPolicy, bundle: &Bundle) -> bool {
    match policy.cedar.resource_constraint() {
        ResourceConstraint::Eq(uid) => {
            bundle.audience(uid.id().unescaped()).is_none_or(|audience| !audience.scopes.is_empty())
        }
        ResourceConstraint::Any
        | ResourceConstraint::In(_)
        | ResourceConstraint::Is(_)
        | ResourceConstraint::IsIn(_, _) => true,
    }
}
