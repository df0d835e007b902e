//! Warnings about the scopes that a `permit` grants.

use super::search::{Adversary, Search, TooComplex};
use super::value::{Value, Variable};
use super::warning::Warning;
use crate::conditions::Conditions;
use cedar_policy::ResourceConstraint;
use std::collections::BTreeSet;
use vouchsafe_policy::{Audience, Bundle, NamedPolicy};

/// A scope that no audience offers.
const FRESH: &str = "evil";

/// Words of scopes that let nobody change anything.
const READING: [&str; 8] = ["get", "list", "public", "read", "readonly", "status", "view", "viewer"];

pub(super) fn warnings(search: &Search<'_>) -> Result<Vec<Warning>, TooComplex> {
    let offering = |id: &String| search.scene.bundle.audience(id).is_none_or(|audience| !audience.scopes.is_empty());
    // The broker refuses scopes that the audience does not offer.
    if !search.scene.audiences.iter().any(offering) {
        return Ok(Vec::new());
    }
    let variable = Variable::context("scopes");
    let listed: BTreeSet<&str> = search.rule.facts.texts(&variable).filter(|scope| *scope != FRESH).collect();
    let with_fresh = |scopes: &[&str]| Value::texts(scopes.iter().copied().chain([FRESH]));
    let all: Vec<&str> = listed.iter().copied().collect();
    let mut sets = vec![with_fresh(&[]), with_fresh(&all)];
    sets.extend(listed.iter().map(|scope| with_fresh(&[scope])));
    let more = Adversary::default().with(variable.clone(), sets);
    let policy = || search.rule.policy.id.clone();
    if search.permitted(&more)?.is_some() {
        return Ok(vec![Warning::ScopesUnbounded(policy())]);
    }
    if listed.iter().any(|scope| is_reading(scope)) || listed.is_empty() {
        return Ok(Vec::new());
    }
    let optional = |id: &&String| search.scene.bundle.audience(id).is_some_and(|audience| !requires_scopes(audience));
    let audiences: Vec<Value> = search.scene.audiences.iter().filter(optional).map(|id| Value::text(id)).collect();
    if audiences.is_empty() {
        return Ok(Vec::new());
    }
    let none = Adversary::default().with(variable, vec![Value::texts([])]).with(Variable::Resource, audiences);
    let warning = |scopes| Warning::ScopesOptional { policy: policy(), scopes };
    Ok(search.permitted(&none)?.map(|_| warning(all.join("`, `"))).into_iter().collect())
}

/// The scopes that a policy lists; none if one of them only lets its holder read.
pub fn writing_scopes(policy: &NamedPolicy) -> Vec<String> {
    let json = policy.cedar.to_json().unwrap_or_default();
    let listed = Conditions::of(&json).scopes_listed();
    match listed.iter().any(|scope| is_reading(scope)) {
        true => Vec::new(),
        false => listed.into_iter().map(str::to_owned).collect(),
    }
}

/// Whether a scope only lets its holder read.
fn is_reading(scope: &str) -> bool {
    let mut words = scope.split(|character: char| !character.is_ascii_alphanumeric());
    words.any(|word| READING.contains(&word.to_ascii_lowercase().as_str()))
}

/// Whether the broker refuses requests without scopes for the audience.
fn requires_scopes(audience: &Audience) -> bool {
    audience.scopes_required
}

/// Warnings about scopes in a policy that its audience does not offer.
pub(super) fn not_offered(policy: &NamedPolicy, conditions: &Conditions<'_>, bundle: &Bundle) -> Vec<Warning> {
    let ResourceConstraint::Eq(uid) = policy.cedar.resource_constraint() else {
        return Vec::new();
    };
    let Some(audience) = bundle.audience(uid.id().unescaped()) else {
        return Vec::new();
    };
    let listed = conditions.scopes_listed().into_iter();
    let unknown = listed.filter(|scope| !audience.scopes.iter().any(|offered| offered == scope));
    let warning = |scope: &str| Warning::ScopeUnknown {
        policy: policy.id.clone(),
        scope: scope.to_owned(),
        audience: audience.id.clone(),
    };
    unknown.map(warning).collect()
}
