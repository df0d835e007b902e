//! Policies that let a stranger act.
//!
//! The actor of each case that is permitted is replaced by a stranger of the same issuer, and Cedar decides again. So a
//! `permit` without such a case is not judged; it has a warning of its own then.

use super::strangers::{Stranger, stranger_of};
use super::warning::Warning;
use crate::cases::Case;
use std::collections::BTreeSet;
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, Decision, Effect, Issuer, NamedPolicy, Principal};

/// The policies by which a stranger can act, each with the stranger of the first case.
pub(super) fn strangers<'b>(bundle: &'b Bundle, cases: &[Case]) -> Vec<(&'b NamedPolicy, Warning)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for case in cases.iter().filter(|case| case.effect == Effect::Permit) {
        let Some((issuer, ids)) = permitted(bundle, case) else { continue };
        let policies = bundle.actor_policies().iter().filter(|policy| ids.contains(&policy.id));
        for policy in policies.filter(|policy| seen.insert(policy.id.clone())) {
            let stranger = described(issuer);
            let warning = Warning::AnyActor { policy: policy.id.clone(), issuer: issuer.name.clone(), stranger };
            found.push((policy, warning));
        }
    }
    found
}

/// The issuer of the case's actor, and the policies by which a stranger of that issuer can act for the case's subject.
fn permitted<'b>(bundle: &'b Bundle, case: &Case) -> Option<(&'b Issuer, Vec<String>)> {
    let actor = case.actor.as_ref()?;
    // Tokens of development issuers are made by hand.
    let issuer = bundle.issuers().find(|issuer| issuer.name == actor.issuer_name && !issuer.development)?;
    let stranger = instead_of(actor, issuer);
    let decision = bundle.decide_act_for(&stranger, &case.principal, &case.request, case.now).ok()?;
    let Decision { effect, determining_rules, .. } = decision;
    (effect == Effect::Permit).then_some((issuer, determining_rules))
}

/// Another workload of the actor's issuer: what identifies a workload is a stranger's, and all else is the actor's, as are
/// the claims that the issuer's file requires.
fn instead_of(actor: &Principal, issuer: &Issuer) -> Principal {
    let stranger = stranger_of(issuer.provider.name);
    let is_required = |name: &str| issuer.require.iter().any(|claim| claim.name == name);
    let attributes =
        actor.attributes.iter().map(|attribute| match (&attribute.value, of_stranger(stranger, &attribute.name)) {
            (AttributeValue::Text(_), Some(value)) if !is_required(&attribute.name) => {
                Attribute { name: attribute.name.clone(), value: AttributeValue::Text(value.to_owned()) }
            }
            _ => attribute.clone(),
        });
    let id = if is_required("sub") { actor.id.clone() } else { stranger.value("sub").to_owned() };
    Principal { id, attributes: attributes.collect(), ..actor.clone() }
}

/// The value of a claim that tells a stranger apart; any claim does if the issuer's file declares them.
fn of_stranger(stranger: &Stranger, claim: &str) -> Option<&'static str> {
    let known = stranger.claims.iter().find(|(name, _)| *name == claim).map(|(_, value)| *value);
    known.or_else(|| (stranger.provider == "oidc").then(|| stranger.value(claim)))
}

fn described(issuer: &Issuer) -> String {
    let stranger = stranger_of(issuer.provider.name);
    let claims = stranger.claims.iter();
    claims.fold(stranger.described.to_owned(), |text, (claim, value)| text.replace(&format!("{{{claim}}}"), value))
}
