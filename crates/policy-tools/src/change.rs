//! The smallest change of a denied request that would be permitted.
//!
//! Only what the caller chooses is changed: scopes, lifetime, time, address and audience, never the principal. Each
//! candidate is decided, not guessed from the policies' text.

use crate::limits::refusals;
use serde_json::Value;
use std::collections::BTreeSet;
use vouchsafe_policy::{Audience, Bundle, Effect, Principal, TokenRequest};

/// The most decisions that a search makes.
pub const DECISIONS_MAX: usize = 4096;
/// Up to this many scopes, every subset is tried; beyond, only those that drop one or keep one.
const SCOPES_WHOLE_MAX: usize = 6;
/// How far ahead a permitted time is searched, in steps of an hour: a week, and the hour before it.
const HOURS_AHEAD_MAX: u64 = 7 * 24;
const HOUR_SECONDS: u64 = 3600;

/// How a permitted request differs from the denied one. A field that is `None` stays the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub audience: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub lifetime_seconds: Option<u64>,
    /// The first full hour of UTC within a week at which it is permitted, in Unix seconds.
    pub at: Option<u64>,
    pub client_ip: Option<String>,
    /// The policies that would permit it.
    pub policies: Vec<String>,
}

/// What a search may change.
#[derive(Clone, Copy, Default)]
struct Free {
    scopes: bool,
    lifetime: bool,
    time: bool,
    address: bool,
}

/// Finds a change of `request` that is permitted and within the audience's limits. Prefers changing one thing to
/// changing several, and the same audience to another. Never drops all scopes: such a token is of no use to the caller.
/// None if the request is permitted as it is, or if no change is found within [`DECISIONS_MAX`] decisions.
pub fn smallest_change(bundle: &Bundle, principal: &Principal, request: &TokenRequest, now: u64) -> Option<Change> {
    let literals = Literals::of(bundle);
    let mut search = Search { bundle, principal, asked: request, now, literals, left: DECISIONS_MAX };
    if search.permits(request, now).is_some() {
        return None;
    }
    let others: Vec<&Audience> = bundle.audiences().filter(|audience| audience.id != request.audience).collect();
    let same: Vec<&Audience> = bundle.audience(&request.audience).into_iter().collect();
    let free = Free::default();
    let (scopes, lifetime) = (Free { scopes: true, ..free }, Free { lifetime: true, ..free });
    let both = Free { scopes: true, lifetime: true, ..free };
    for (audiences, free) in [
        (&same, scopes),
        (&same, lifetime),
        (&same, Free { time: true, ..free }),
        (&same, Free { address: true, ..free }),
        (&same, Free { time: true, address: true, ..free }),
        (&same, both),
        (&others, free),
        (&others, scopes),
        (&others, lifetime),
        (&others, both),
        (&same, Free { time: true, address: true, ..scopes }),
    ] {
        for audience in audiences {
            if let Some(change) = search.within(audience, free) {
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
    literals: Literals,
    left: usize,
}

impl Search<'_> {
    fn within(&mut self, audience: &Audience, free: Free) -> Option<Change> {
        let asked = self.asked;
        let scope_sets = match free.scopes {
            true => scope_sets(&asked.scopes, &audience.scopes, audience.id == asked.audience),
            false => vec![asked.scopes.clone()],
        };
        let lifetimes = match free.lifetime {
            true => self.lifetimes(audience),
            false => vec![asked.requested_lifetime_seconds],
        };
        let addresses = match free.address {
            true => self.literals.addresses.iter().cloned().map(Some).collect(),
            false => vec![asked.client_ip.clone()],
        };
        let times = match free.time {
            true => self.times(),
            false => vec![self.now],
        };
        for scopes in &scope_sets {
            for lifetime in &lifetimes {
                for client_ip in &addresses {
                    let request = TokenRequest {
                        audience: audience.id.clone(),
                        scopes: scopes.clone(),
                        requested_lifetime_seconds: *lifetime,
                        client_ip: client_ip.clone(),
                        ..asked.clone()
                    };
                    let permitted = times.iter().find_map(|at| Some((*at, self.permits(&request, *at)?)));
                    if let Some((at, policies)) = permitted {
                        return Some(self.change(request, at, policies));
                    }
                }
            }
        }
        None
    }

    fn change(&self, request: TokenRequest, at: u64, policies: Vec<String>) -> Change {
        let asked = self.asked;
        let lifetime = request.requested_lifetime_seconds;
        Change {
            audience: (request.audience != asked.audience).then_some(request.audience),
            scopes: (request.scopes != asked.scopes).then_some(request.scopes),
            lifetime_seconds: (lifetime != asked.requested_lifetime_seconds).then_some(lifetime),
            at: (at != self.now).then_some(at),
            client_ip: request.client_ip.filter(|address| asked.client_ip.as_ref() != Some(address)),
            policies,
        }
    }

    /// The policies that permit `request`, if its audience allows it too.
    fn permits(&mut self, request: &TokenRequest, at: u64) -> Option<Vec<String>> {
        let audience = self.bundle.audience(&request.audience)?;
        if !refusals(audience, request).is_empty() {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let decision = self.bundle.decide(self.principal, request, at).ok()?;
        (decision.effect == Effect::Permit).then_some(decision.determining_rules)
    }

    /// The full hours of the next week, if policies read a time.
    fn times(&self) -> Vec<u64> {
        let hour = self.now.checked_div(HOUR_SECONDS).unwrap_or_default();
        let hours = 1..=HOURS_AHEAD_MAX.saturating_add(1);
        let times = hours.map(|ahead| hour.saturating_add(ahead).saturating_mul(HOUR_SECONDS));
        if self.literals.reads_time { times.collect() } else { Vec::new() }
    }

    /// Lifetimes that can make a difference: numbers in policies and their neighbours, and those of the audience.
    /// Closest to the requested one first.
    fn lifetimes(&self, audience: &Audience) -> Vec<u64> {
        let mut numbers = BTreeSet::from([audience.default_lifetime_seconds, audience.max_lifetime_seconds]);
        numbers.extend(&self.literals.numbers);
        let beside = |number: &u64| [number.saturating_sub(1), *number, number.saturating_add(1)];
        let beside: BTreeSet<u64> = numbers.iter().flat_map(beside).collect();
        let asked = self.asked.requested_lifetime_seconds;
        let can_be = |number: &u64| *number != asked && *number <= audience.max_lifetime_seconds;
        let mut lifetimes: Vec<u64> = beside.into_iter().filter(can_be).collect();
        lifetimes.sort_by_key(|lifetime| lifetime.abs_diff(asked));
        lifetimes
    }
}

/// What the policies of a bundle compare requests with.
#[derive(Default)]
struct Literals {
    numbers: BTreeSet<u64>,
    /// An address of each network, in text order.
    addresses: BTreeSet<String>,
    reads_time: bool,
}

impl Literals {
    fn of(bundle: &Bundle) -> Self {
        let mut literals = Self::default();
        for policy in bundle.policies() {
            literals.collect(&policy.cedar.to_json().unwrap_or_default());
        }
        literals
    }

    fn collect(&mut self, expression: &Value) {
        match expression {
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Number(number) => self.numbers.extend(number.as_u64()),
            Value::Object(members) => {
                let network = expression.pointer("/ip/0/Value").and_then(Value::as_str);
                let address = network.and_then(|network| network.split('/').next());
                self.addresses.extend(address.map(str::to_owned));
                let attribute = expression.pointer("/./attr").and_then(Value::as_str);
                self.reads_time |= matches!(attribute, Some("local" | "now"));
                members.values().for_each(|value| self.collect(value));
            }
            Value::Bool(_) | Value::Null | Value::String(_) => {}
        }
    }
}

/// Alternative scopes, by how little they differ: subsets of the requested ones except the empty one, then one
/// more if the audience is the same.
fn scope_sets(asked: &[String], offered: &[String], is_same_audience: bool) -> Vec<Vec<String>> {
    let kept: Vec<&String> = asked.iter().filter(|scope| offered.contains(scope)).collect();
    let mut sets: Vec<Vec<String>> = match kept.len() {
        0..=SCOPES_WHOLE_MAX => {
            (1..1_usize << kept.len()).map(|mask| chosen(&kept, |at| mask >> at & 1 == 1)).collect()
        }
        count => (0..count)
            .map(|left_out| chosen(&kept, |at| at != left_out))
            .chain((0..count).map(|only| chosen(&kept, |at| at == only)))
            .collect(),
    };
    // A stable sort: among sets of the same size, the one with the scopes that were named first stays first.
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let further = offered.iter().filter(|scope| is_same_audience && !asked.contains(scope));
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
