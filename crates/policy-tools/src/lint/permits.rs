//! Warnings about a single `permit`: what a stranger would get by it.

use super::clock::Clock;
use super::domain::{self, PATTERNS_MAX};
use super::events::Events;
use super::facts::Rule;
use super::judge::Forbids;
use super::scene::{Scene, State};
use super::search::{Adversary, Search, TooComplex};
use super::strangers::stranger_of;
use super::value::{Value, Variable};
use super::warning::Warning;
use super::{patterns, requests, scopes};
use cedar_policy::ResourceConstraint;
use std::collections::BTreeSet;
use vouchsafe_policy::Bundle;

/// All warnings about a `permit`.
pub(super) fn warnings(rule: &Rule<'_>, bundle: &Bundle, clock: &Clock, forbids: &Forbids<'_>) -> Vec<Warning> {
    let policy = rule.policy;
    let scenes = Scene::of_scope(policy, bundle, clock);
    let mut warnings = Vec::new();
    let mut events = Events::default();
    let mut check = |search: &Search<'_>| -> Result<(), TooComplex> {
        // Tokens of development issuers are made by hand.
        if !search.scene.issuer.development {
            warnings.extend(identities(search)?);
            events.add(search)?;
            warnings.extend(patterns::warnings(search)?);
            warnings.extend(any_audience(search)?);
            warnings.extend(any_environment(search)?);
        }
        warnings.extend(requests::warnings(search)?);
        warnings.extend(scopes::warnings(search)?);
        Ok(())
    };
    let mut complex = rule.facts.patterns.values().any(|patterns| patterns.len() > PATTERNS_MAX);
    for scene in &scenes {
        complex |= check(&Search::of(scene, rule, forbids)).is_err();
    }
    warnings.extend(events.warnings(policy));
    warnings.extend(complex.then(|| Warning::TooComplex(policy.id.clone())));
    let mut topics = BTreeSet::new();
    warnings.retain(|warning| topics.insert(warning.topic()));
    warnings
}

/// Warnings about whose tokens are accepted.
fn identities(search: &Search<'_>) -> Result<Vec<Warning>, TooComplex> {
    let mut warnings = Vec::new();
    match any_tenant(search)? {
        Some(warning) => warnings.push(warning),
        None => match no_workload(search)? {
            Some(warning) => warnings.push(warning),
            None => warnings.extend(any_namespace(search)?),
        },
    }
    warnings.extend(names_without_ids(search)?);
    let policy = || search.rule.policy.id.clone();
    for claim in search.scene.issuer.provider.chosen_by_caller {
        if search.decided_by(&Variable::claim(claim), &Adversary::default())?.is_some() {
            warnings.push(Warning::ChosenByCaller { policy: policy(), claim });
        }
    }
    if search.scene.issuer.provider.name == "github"
        && let Some(later) = later_attempt(search)
    {
        for claim in ["actor", "actor_id"] {
            if search.decided_by(&Variable::claim(claim), &later)?.is_some() {
                warnings.push(Warning::AttemptUnchecked { policy: policy(), claim });
            }
        }
    }
    Ok(warnings)
}

/// A run that somebody started again, for the second time or one that the policy does not name.
fn later_attempt(search: &Search<'_>) -> Option<Adversary> {
    let named: BTreeSet<&str> = search.rule.facts.texts(&Variable::claim("run_attempt")).collect();
    let other = (2_u32..).map(|attempt| attempt.to_string()).find(|attempt| !named.contains(attempt.as_str()))?;
    search.one_of(Adversary::default(), "run_attempt", &["2", &other, "10"])
}

/// A workload of a tenant that the bundle does not name, where everyone can have tokens of the issuer.
fn any_tenant(search: &Search<'_>) -> Result<Option<Warning>, TooComplex> {
    let (issuer, stranger) = (search.scene.issuer, stranger_of(search.scene.issuer.provider.name));
    if !issuer.provider.open_issuers.contains(&issuer.issuer.as_str()) {
        return Ok(None);
    }
    let claims = stranger.claims.iter().map(|(name, _)| *name);
    let Some(adversary) = search.foreign(claims) else {
        return Ok(None);
    };
    let warning = |state: State<'_>| Warning::AnyTenant {
        policy: search.rule.policy.id.clone(),
        issuer: issuer.name.clone(),
        claims: issuer.provider.tenant_claims.join("`, `"),
        stranger: search.described(&state),
    };
    Ok(search.permitted(&adversary)?.map(warning))
}

/// Another workload of the same issuer and tenant.
fn no_workload(search: &Search<'_>) -> Result<Option<Warning>, TooComplex> {
    let (issuer, stranger) = (search.scene.issuer, stranger_of(search.scene.issuer.provider.name));
    let declared = issuer.claims.iter().map(|claim| claim.name.as_ref());
    let own = stranger.claims.iter().map(|(name, _)| *name).filter(|name| !stranger.of_tenant.contains(name));
    let Some(adversary) = search.foreign(own.chain(declared)) else {
        return Ok(None);
    };
    let warning = |state: State<'_>| Warning::NoWorkload {
        policy: search.rule.policy.id.clone(),
        issuer: issuer.name.clone(),
        stranger: search.described(&state),
    };
    Ok(search.permitted(&adversary)?.map(warning))
}

/// A service account of the same name in another namespace.
fn any_namespace(search: &Search<'_>) -> Result<Option<Warning>, TooComplex> {
    if search.scene.issuer.provider.name != "kubernetes" {
        return Ok(None);
    }
    let Some(adversary) = search.foreign(["namespace", "pod_uid", "secret_uid", "service_account_uid", "sub"]) else {
        return Ok(None);
    };
    let policy = || search.rule.policy.id.clone();
    let warning = |state: State<'_>| Warning::AnyNamespace { policy: policy(), stranger: search.described(&state) };
    Ok(search.permitted(&adversary)?.map(warning))
}

/// Whoever takes over a name gets it without its ids.
fn names_without_ids(search: &Search<'_>) -> Result<Vec<Warning>, TooComplex> {
    let mut warnings = Vec::new();
    for (name, ids) in search.scene.issuer.provider.names_with_ids {
        let variable = Variable::claim(name);
        let Some(adversary) = search.foreign(ids.iter().copied()).filter(|_| search.rule.reads(&variable)) else {
            continue;
        };
        if let (Some(state), Some(id)) = (search.decided_by(&variable, &adversary)?, ids.first()) {
            let (policy, stranger) = (search.rule.policy.id.clone(), search.described(&state));
            warnings.push(Warning::NameWithoutId { policy, name, id, stranger });
        }
    }
    Ok(warnings)
}

/// A job of an environment that nobody has set up: GitHub and GitLab create one when a workflow names it.
fn any_environment(search: &Search<'_>) -> Result<Option<Warning>, TooComplex> {
    let (claim, variable) = ("environment", Variable::claim("environment"));
    let has_environments = matches!(search.scene.issuer.provider.name, "github" | "gitlab");
    if !has_environments || !search.rule.reads(&variable) || search.scene.claim_type(claim).is_none() {
        return Ok(None);
    }
    let any = domain::fresh(search.scene, claim, &search.rule.facts, &search.forbids.facts);
    let of = |value: Value| search.permitted(&Adversary::default().with(variable.clone(), vec![value]));
    let is_any = of(any)?.is_some() && of(Value::Absent)?.is_none();
    Ok(is_any.then(|| Warning::AnyEnvironment(search.rule.policy.id.clone())))
}

/// An audience that nobody has added yet.
fn any_audience(search: &Search<'_>) -> Result<Option<Warning>, TooComplex> {
    let policy = search.rule.policy;
    if !matches!(policy.cedar.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_)) {
        return Ok(None);
    }
    let later = Adversary::default().with(Variable::Resource, vec![Value::text("https://evil.example")]);
    Ok(search.permitted(&later)?.map(|_| Warning::ResourceUnbounded(policy.id.clone())))
}
