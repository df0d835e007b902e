//! The smallest change of a denied request that would be permitted.
//!
//! Only what the caller chooses is changed: scopes, lifetime and audience, never the principal. Each candidate is
//! decided, not guessed from the policies' text.

use crate::limits::refusals;
use serde_json::Value;
use std::collections::BTreeSet;
use vouchsafe_policy::{Audience, Bundle, Effect, Principal, TokenRequest};

/// The most decisions that a search makes.
pub const DECISIONS_MAX: usize = 4096;
/// Up to this many scopes, every subset is tried; beyond, only those that drop one or keep one.
const SCOPES_WHOLE_MAX: usize = 6;

/// How a permitted request differs from the denied one. A field that is `None` stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub audience: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub lifetime_seconds: Option<u64>,
    /// The policies that would permit it.
    pub policies: Vec<String>,
}

/// Finds a change of `request` that is permitted and within the audience's limits. Prefers changing one thing to
/// changing several, and keeping scopes to dropping them. None if the request is permitted as it is, or if no change is
/// found within [`DECISIONS_MAX`] decisions.
pub fn smallest_change(bundle: &Bundle, principal: &Principal, request: &TokenRequest, now: u64) -> Option<Change> {
    let mut search = Search { bundle, principal, asked: request, now, left: DECISIONS_MAX };
    if search.permits(request).is_some() {
        return None;
    }
    let others: Vec<&Audience> = bundle.audiences().filter(|audience| audience.id != request.audience).collect();
    let same: Vec<&Audience> = bundle.audience(&request.audience).into_iter().collect();
    // Which of scopes, lifetime and audience are changed.
    for (audiences, scopes, lifetime) in [
        (&same, true, false),
        (&same, false, true),
        (&others, false, false),
        (&same, true, true),
        (&others, true, false),
        (&others, false, true),
        (&others, true, true),
    ] {
        for audience in audiences {
            if let Some(change) = search.within(audience, scopes, lifetime) {
                return Some(change);
            }
        }
    }
    None
}

struct Search<'a> {
    bundle: &'a Bundle,
    principal: &'a Principal,
    asked: &'a TokenRequest,
    now: u64,
    left: usize,
}

impl Search<'_> {
    fn within(&mut self, audience: &Audience, scopes: bool, lifetime: bool) -> Option<Change> {
        let scope_sets = match scopes {
            true => scope_sets(&self.asked.scopes, &audience.scopes),
            false => vec![self.asked.scopes.clone()],
        };
        let lifetimes = match lifetime {
            true => self.lifetimes(audience),
            false => vec![self.asked.requested_lifetime_seconds],
        };
        for scopes in &scope_sets {
            for lifetime in &lifetimes {
                let request = TokenRequest {
                    audience: audience.id.clone(),
                    scopes: scopes.clone(),
                    requested_lifetime_seconds: *lifetime,
                    ..self.asked.clone()
                };
                if let Some(policies) = self.permits(&request) {
                    return Some(self.change(request, policies));
                }
            }
        }
        None
    }

    fn change(&self, request: TokenRequest, policies: Vec<String>) -> Change {
        let asked = self.asked;
        let lifetime = request.requested_lifetime_seconds;
        Change {
            audience: (request.audience != asked.audience).then_some(request.audience),
            scopes: (request.scopes != asked.scopes).then_some(request.scopes),
            lifetime_seconds: (lifetime != asked.requested_lifetime_seconds).then_some(lifetime),
            policies,
        }
    }

    /// The policies that permit `request`, if its audience allows it too.
    fn permits(&mut self, request: &TokenRequest) -> Option<Vec<String>> {
        let audience = self.bundle.audience(&request.audience)?;
        if !refusals(audience, request).is_empty() {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let decision = self.bundle.decide(self.principal, request, self.now).ok()?;
        (decision.effect == Effect::Permit).then_some(decision.determining_rules)
    }

    /// Lifetimes that can make a difference: numbers in policies and their neighbours, and those of the audience.
    /// Closest to the requested one first.
    fn lifetimes(&self, audience: &Audience) -> Vec<u64> {
        let mut numbers = BTreeSet::from([audience.default_lifetime_seconds, audience.max_lifetime_seconds]);
        for policy in self.bundle.policies() {
            let est = policy.cedar.to_json().unwrap_or_default();
            numbers_in(&est, &mut numbers);
        }
        let beside = |number: &u64| [number.saturating_sub(1), *number, number.saturating_add(1)];
        let beside: BTreeSet<u64> = numbers.iter().flat_map(beside).collect();
        let asked = self.asked.requested_lifetime_seconds;
        let can_be = |number: &u64| *number != asked && *number <= audience.max_lifetime_seconds;
        let mut lifetimes: Vec<u64> = beside.into_iter().filter(can_be).collect();
        lifetimes.sort_by_key(|lifetime| lifetime.abs_diff(asked));
        lifetimes
    }
}

fn numbers_in(expression: &Value, numbers: &mut BTreeSet<u64>) {
    match expression {
        Value::Array(values) => values.iter().for_each(|value| numbers_in(value, numbers)),
        Value::Number(number) => numbers.extend(number.as_u64()),
        Value::Object(members) => members.values().for_each(|value| numbers_in(value, numbers)),
        Value::Bool(_) | Value::Null | Value::String(_) => {}
    }
}

/// Alternative scopes, by how little they differ: subsets of the requested ones, then one more.
fn scope_sets(asked: &[String], offered: &[String]) -> Vec<Vec<String>> {
    let kept: Vec<&String> = asked.iter().filter(|scope| offered.contains(scope)).collect();
    let mut sets: Vec<Vec<String>> = match kept.len() {
        0..=SCOPES_WHOLE_MAX => {
            (0..1_usize << kept.len()).map(|mask| chosen(&kept, |at| mask >> at & 1 == 1)).collect()
        }
        count => (0..count)
            .map(|left_out| chosen(&kept, |at| at != left_out))
            .chain((0..count).map(|only| chosen(&kept, |at| at == only)))
            .chain([Vec::new()])
            .collect(),
    };
    // A stable sort: among sets of the same size, the one with the scopes that were named first stays first.
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let further = offered.iter().filter(|scope| !asked.contains(scope));
    sets.extend(further.map(|scope| {
        let with = kept.iter().map(|kept| (*kept).clone());
        with.chain([scope.clone()]).collect()
    }));
    sets.retain(|set| set != asked);
    sets
}

fn chosen(scopes: &[&String], is_chosen: impl Fn(usize) -> bool) -> Vec<String> {
    let chosen = scopes.iter().enumerate().filter(|(at, _)| is_chosen(*at));
    chosen.map(|(_, scope)| (*scope).clone()).collect()
}
