//! Warnings about a single `permit`: what a stranger would get by it.

use super::clock::Clock;
use super::events::Events;
use super::facts::Rule;
use super::judge::Forbids;
use super::scene::{Scene, State};
use super::search::{Adversary, Search, TooComplex};
use super::strangers::stranger_of;
use super::value::{Value, Variable};
use super::warning::Warning;
use super::{patterns, requests, scopes};
use cedar_policy::{PrincipalConstraint, ResourceConstraint};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use vouchsafe_policy::{Bundle, NamedPolicy};

/// How many claims a warning shows beside those that describe a stranger.
const SHOWN_MAX: usize = 3;

/// All warnings about a `permit`.
pub(super) fn warnings(rule: &Rule<'_>, bundle: &Bundle, clock: &Clock, forbids: &Forbids<'_>) -> Vec<Warning> {
    let policy = rule.policy;
    let scenes = Scene::of_scope(policy, bundle, clock);
    let searches = || scenes.iter().map(|scene| Search { scene, rule, forbids });
    let mut warnings = Vec::new();
    let mut events = Events::default();
    let mut check = |search: &Search<'_>| -> Result<(), TooComplex> {
        // Tokens of development issuers are made by hand.
        if !search.scene.issuer.development {
            warnings.extend(identities(search)?);
            events.add(search)?;
            warnings.extend(patterns::warnings(search)?);
            warnings.extend(any_audience(search)?);
        }
        warnings.extend(requests::warnings(search)?);
        warnings.extend(scopes::warnings(search)?);
        Ok(())
    };
    let mut complex = false;
    for search in searches() {
        complex |= check(&search).is_err();
    }
    match any_issuer(policy, searches()) {
        Ok(warning) => warnings.extend(warning),
        Err(TooComplex) => complex = true,
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
        && let Some(later) = search.fixed(Adversary::default(), "run_attempt", "2")
    {
        for claim in ["actor", "actor_id"] {
            if search.decided_by(&Variable::claim(claim), &later)?.is_some() {
                warnings.push(Warning::AttemptUnchecked { policy: policy(), claim });
            }
        }
    }
    Ok(warnings)
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
        stranger: described(search, &state),
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
        stranger: described(search, &state),
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
    let warning = |state: State<'_>| Warning::AnyNamespace { policy: policy(), stranger: described(search, &state) };
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
            let (policy, stranger) = (search.rule.policy.id.clone(), described(search, &state));
            warnings.push(Warning::NameWithoutId { policy, name, id, stranger });
        }
    }
    Ok(warnings)
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

/// Principals of one type and several issuers, whose ids mean something else at each.
fn any_issuer<'s>(
    policy: &NamedPolicy,
    searches: impl Iterator<Item = Search<'s>>,
) -> Result<Option<Warning>, TooComplex> {
    if matches!(policy.cedar.principal_constraint(), PrincipalConstraint::In(_) | PrincipalConstraint::IsIn(_, _)) {
        return Ok(None);
    }
    let mut permitted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for search in searches.filter(|search| !search.scene.issuer.development) {
        if search.permitted(&Adversary::default())?.is_some() {
            permitted.entry(&search.scene.entity_type).or_default().insert(&search.scene.issuer.name);
        }
    }
    let several = permitted.into_values().find(|issuers| issuers.len() > 1);
    Ok(several.map(|issuers| Warning::IssuerUnbounded {
        policy: policy.id.clone(),
        issuers: Vec::from_iter(issuers).join("`, `"),
    }))
}

/// The maker of a permitted request, as warnings show it.
pub(super) fn described(search: &Search<'_>, state: &State<'_>) -> String {
    let stranger = stranger_of(search.scene.issuer.provider.name);
    let value = |claim: &str| state.get(&Variable::claim(claim)).and_then(Value::as_text);
    let mut text = stranger.described.to_owned();
    let known = stranger.claims.iter().filter(|(claim, _)| stranger.described.contains(&format!("{{{claim}}}")));
    for (claim, fresh) in known.clone() {
        text = text.replace(&format!("{{{claim}}}"), value(claim).unwrap_or(fresh));
    }
    let is_told = |claim: &str| known.clone().any(|(told, _)| *told == claim);
    let others = search.rule.facts.reads.iter().filter_map(|variable| match variable {
        Variable::Claim(name) if !is_told(name) => Some((name, value(name)?)),
        _ => None,
    });
    let others: Vec<String> = others.take(SHOWN_MAX).map(|(name, value)| format!("`{name}` `{value}`")).collect();
    match others.is_empty() {
        true => text,
        false => format!("{text}, with {}", others.join(" and ")),
    }
}

/// How many requests are compared that differ in more than one variable.
const REQUESTS_MAX: usize = 32;

/// Whether every permitted request, of as many as are tried, is permitted with any other value of `variable` too.
pub(super) fn is_irrelevant(search: &Search<'_>, variable: &Variable) -> Result<bool, TooComplex> {
    let values = search.values(variable);
    let (mut seen, mut irrelevant) = (BTreeSet::new(), true);
    search.each(&Adversary::default(), &mut |state| {
        let mut others = state.clone();
        others.unset(variable);
        if seen.insert(others.into_values()) {
            irrelevant = values.iter().all(|value| search.permits_with(state, variable, value));
        }
        match irrelevant && seen.len() < REQUESTS_MAX {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(!seen.is_empty() && irrelevant)
}
