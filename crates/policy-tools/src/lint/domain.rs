//! The values of each variable that are worth trying.
//!
//! What matters to a condition are the values that it compares with, something that fits each of its patterns, and
//! anything else. So a few values per variable stand for all.

use super::facts::Facts;
use super::scene::Scene;
use super::strangers::stranger_of;
use super::value::{Network, Pattern, Value, Variable};
use std::collections::BTreeSet;
use vouchsafe_policy::ClaimType;

/// How many values that a policy compares with are tried, and how many of those of `forbid`s.
const LITERALS_MAX: usize = 32;

/// How many patterns of a claim are tried, of a policy and of `forbid`s. Each is combined with each other.
pub(super) const PATTERNS_MAX: usize = 20;

/// 2025-01-01T00:00:00Z. No request is made before, so a policy that begins before is always in force.
const PAST: u64 = 1_735_689_600;

/// What replaces the wildcards of a pattern.
const FILLS: [&str; 4] = ["evil", "", "heads/evil", "pull/1/merge"];

/// `ref`s that conditions on their form tell apart.
const REFS: [&str; 4] = ["refs/heads/main", "refs/heads/evil", "refs/tags/evil", "refs/pull/1/merge"];

/// Addresses in different parts of both address spaces.
pub(super) const ADDRESSES: [&str; 8] = [
    "203.0.113.66",
    "198.51.100.66",
    "192.0.2.66",
    "8.8.8.66",
    "93.184.216.66",
    "2001:db8::66",
    "2606:2800::66",
    "2a00:1450::66",
];

/// The values of a variable to try, those that a policy compares with first.
pub(super) fn values(scene: &Scene<'_>, variable: &Variable, own: &Facts, forbids: &Facts) -> Vec<Value> {
    let literals = own.literals(variable).take(LITERALS_MAX).chain(forbids.literals(variable).take(LITERALS_MAX));
    let literals: Vec<Value> = literals.cloned().collect();
    match variable {
        Variable::Resource => scene.audiences.iter().map(|id| Value::text(id)).collect(),
        Variable::Context(name) => of_context(scene, name, literals),
        Variable::Claim(name) => of_claim(scene, name, literals, own, forbids),
    }
}

fn of_context(scene: &Scene<'_>, name: &str, literals: Vec<Value>) -> Vec<Value> {
    match name {
        "client_ip" => {
            let within = literals.into_iter().filter_map(|value| match value {
                Value::Network(Network { address, .. }) => Network::parse(&address.to_string()),
                _ => None,
            });
            let all = within.chain(ADDRESSES.iter().filter_map(|text| Network::parse(text)));
            all.map(Value::Network).chain([Value::Absent]).collect()
        }
        "now" => {
            let literals = literals.into_iter().filter(|value| matches!(value, Value::Time(PAST..)));
            literals.chain(scene.clock.moments().map(Value::Time)).collect()
        }
        "proof_of_possession" => vec![Value::Boolean(false), Value::Boolean(true)],
        "requested_lifetime_seconds" => {
            let positive = literals.into_iter().filter(|value| matches!(value, Value::Integer(1..)));
            positive.chain([Value::Integer(300)]).collect()
        }
        "scopes" => sets_of(&literals),
        _ => Vec::new(),
    }
}

fn of_claim(scene: &Scene<'_>, name: &str, literals: Vec<Value>, own: &Facts, forbids: &Facts) -> Vec<Value> {
    let Some((claim_type, required)) = scene.claim_type(name) else {
        return vec![Value::Absent];
    };
    let variable = Variable::claim(name);
    let fresh = || fresh(scene, name, own, forbids);
    let mut values = match claim_type {
        ClaimType::Boolean => vec![Value::Boolean(true), Value::Boolean(false)],
        ClaimType::Integer => {
            let mut values: Vec<Value> =
                literals.into_iter().filter(|value| matches!(value, Value::Integer(_))).collect();
            values.push(fresh());
            values
        }
        ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet => sets_of(&literals),
        ClaimType::Text => {
            let mut values: Vec<Value> = literals.into_iter().filter(|value| value.as_text().is_some()).collect();
            let of_forbids = forbids.patterns(&variable).take(PATTERNS_MAX);
            let patterns: Vec<&Pattern> = own.patterns(&variable).take(PATTERNS_MAX).chain(of_forbids).collect();
            values.extend(FILLS.iter().flat_map(|fill| filled(&patterns, fill)).map(Value::Text));
            let linked = own.linked.get(&variable).into_iter().flatten();
            for other in linked {
                values.extend(own.literals(other).filter(|value| value.as_text().is_some()).cloned());
                if let Variable::Claim(other) = other {
                    values.push(self::fresh(scene, other, own, forbids));
                }
            }
            values.extend(REFS.iter().filter(|_| name == "ref").map(|text| Value::text(text)));
            values.push(fresh());
            values
        }
    };
    if !required {
        values.push(Value::Absent);
    }
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(value.clone()));
    values
}

/// Sets of the texts among `literals`: each alone, all and none.
fn sets_of(literals: &[Value]) -> Vec<Value> {
    let texts: Vec<&str> = literals.iter().filter_map(Value::as_text).collect();
    let single = texts.iter().map(|text| Value::texts([*text]));
    let mut sets: Vec<Value> = single.chain([Value::texts(texts.iter().copied()), Value::texts([])]).collect();
    sets.dedup();
    sets
}

/// Texts that can fit patterns: each pattern with its wildcards replaced, and with the end of each other one.
fn filled(patterns: &[&Pattern], fill: &str) -> Vec<String> {
    let ends = |one: &&Pattern| patterns.iter().map(|other| format!("{}{fill}{}", one.start(), other.end())).collect();
    let mixed = patterns.iter().filter(|one| one.has_wildcard()).flat_map(|one| -> Vec<String> { ends(one) });
    patterns.iter().map(|pattern| pattern.filled(fill)).chain(mixed).collect()
}

/// A value of a claim that neither the policy nor a `forbid` names, as a stranger has it.
pub(super) fn fresh(scene: &Scene<'_>, name: &str, own: &Facts, forbids: &Facts) -> Value {
    let variable = Variable::claim(name);
    let named: BTreeSet<&Value> = own.literals(&variable).chain(forbids.literals(&variable)).collect();
    let base = stranger_of(scene.issuer.provider.name).value(name);
    match scene.claim_type(name).map(|(claim_type, _)| claim_type) {
        Some(ClaimType::Boolean) => Value::Boolean(false),
        Some(ClaimType::Integer) => {
            let mut number = 666_i64;
            while named.contains(&Value::Integer(number)) {
                number = number.saturating_add(1);
            }
            Value::Integer(number)
        }
        Some(ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet) => Value::texts([]),
        Some(ClaimType::Text) | None => {
            let mut text = base.to_owned();
            while named.contains(&Value::Text(text.clone())) {
                text.push('6');
            }
            Value::Text(text)
        }
    }
}

/// Whether an ARN says nothing behind the kind of the resource, such as `role/`.
fn is_whole_account(start: &str) -> bool {
    start.strip_suffix('/').is_some_and(|start| !start.contains('/'))
}

/// The values of a claim that somebody else can have: a fresh one, and some that fit the policy's patterns. The tenant
/// comes first in such values, so one that starts with a whole tenant is its own.
pub(super) fn foreign(scene: &Scene<'_>, name: &str, own: &Facts, forbids: &Facts) -> Vec<Value> {
    let variable = Variable::claim(name);
    let fresh = fresh(scene, name, own, forbids);
    let Some(text) = fresh.as_text() else {
        return vec![fresh];
    };
    // `github.com/octo-org/octo-repo` starts with a host, and a SPIFFE ID with a scheme and a trust domain.
    let parts = match name {
        "vcs_origin" | "path" => 2,
        "spiffe_id" => 4,
        _ => 1,
    };
    let is_open = |pattern: &Pattern| match name {
        "email" => !pattern.end().contains('@'),
        // Nobody knows what the claims of such an issuer consist of.
        _ if scene.issuer.provider.declares_claims() => pattern.start().is_empty(),
        // `arn:aws:iam::123456789012:role/` is the start of every role of an account.
        _ if name.ends_with("_arn") && is_whole_account(&pattern.start()) => true,
        _ => pattern.start().matches('/').count() < parts,
    };
    let open = |pattern: &&Pattern| pattern.has_wildcard() && is_open(pattern);
    let patterns: Vec<&Pattern> = own.patterns(&variable).filter(open).take(PATTERNS_MAX).collect();
    let short = if text.bytes().all(|byte| byte.is_ascii_digit()) { "666" } else { "evil" };
    let whole = |candidate: &String| candidate.contains('/') || !text.contains('/');
    let fitting: Vec<String> = [short, "evil/evil", text].iter().flat_map(|fill| filled(&patterns, fill)).collect();
    let named: BTreeSet<&str> = own.texts(&variable).collect();
    let mut values: Vec<Value> = fitting
        .into_iter()
        .filter(|candidate| whole(candidate) && !named.contains(candidate.as_str()))
        .map(Value::Text)
        .collect();
    values.insert(0, fresh);
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(value.clone()));
    values
}
