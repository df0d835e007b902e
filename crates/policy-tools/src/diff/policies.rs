//! Added, removed and changed policies, and the access that they give.

use super::change::{Change, Direction, Subject};
use crate::access::access;
use crate::explain::conditions_of;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::{Bundle, NamedPolicy};

/// Pairs of issuer and audience that gain or lose all access.
pub(super) fn pairs(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let (old, new) = (access(old), access(new));
    let pairs: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    pairs
        .into_iter()
        .filter_map(|pair| {
            let direction = match (old.contains_key(pair), new.contains_key(pair)) {
                (false, true) => Direction::Widening,
                (true, false) => Direction::Narrowing,
                _ => return None,
            };
            let by = |access: &BTreeMap<_, Vec<String>>| match access.get(pair) {
                Some(policies) => format!("by `{}`", policies.join("`, `")),
                None => "by no policy".to_owned(),
            };
            let (issuer, audience) = pair;
            Some(Change {
                direction,
                subject: Subject::Pair,
                name: format!("{issuer} -> {audience}"),
                old: by(&old),
                new: by(&new),
            })
        })
        .collect()
}

/// Policies that are only in one bundle or have changed. Replacing a policy by an equivalent one is not a change.
pub(super) fn policies(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let by_id = |bundle: &Bundle| -> BTreeMap<String, NamedPolicy> {
        let policies = bundle.policies().iter();
        policies.map(|policy| (policy.id.clone(), policy.clone())).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    // A policy with an equivalent one on the other side changes nothing, whatever its `@id`.
    let has_twin = |policy: Option<&NamedPolicy>, others: &BTreeMap<String, NamedPolicy>| {
        policy.is_none_or(|policy| {
            let shape_of_rule = shape(policy);
            others.values().any(|other| shape(other) == shape_of_rule)
        })
    };
    let change = |id: &String| {
        let (direction, was, is) = match (old.get(id), new.get(id)) {
            (was, is) if has_twin(was, &new) && has_twin(is, &old) => return None,
            (None, None) => return None,
            (None, Some(policy)) => (grants(policy, true), "absent".to_owned(), effect(policy)),
            (Some(policy), None) => (grants(policy, false), effect(policy), "absent".to_owned()),
            (Some(was), Some(is)) => changed(was, is)?,
        };
        Some(Change { direction, subject: Subject::Policy, name: id.clone(), old: was, new: is })
    };
    ids.into_iter().filter_map(change).collect()
}

fn effect(policy: &NamedPolicy) -> String {
    match policy.is_forbid() {
        true => "forbid".to_owned(),
        false => "permit".to_owned(),
    }
}

/// The direction if a policy matches more requests, or fewer.
fn grants(policy: &NamedPolicy, more: bool) -> Direction {
    match policy.is_forbid() == more {
        true => Direction::Narrowing,
        false => Direction::Widening,
    }
}

fn changed(was: &NamedPolicy, is: &NamedPolicy) -> Option<(Direction, String, String)> {
    let (old, new) = (shape(was), shape(is));
    if old == new {
        return None;
    }
    let missing = |from: &Shape, other: &Shape| -> Vec<String> {
        let kept = from.conditions.iter();
        kept.filter(|one| !other.conditions.contains(*one)).cloned().collect()
    };
    let (gone, added) = (missing(&old, &new), missing(&new, &old));
    let direction = if old.head != new.head {
        Direction::Either
    } else if gone.is_empty() {
        grants(is, false)
    } else if added.is_empty() {
        grants(is, true)
    } else {
        Direction::Either
    };
    let words = |conditions: &[String], other_head: bool| match conditions {
        [] if other_head => "another scope or effect".to_owned(),
        [] => "without".to_owned(),
        conditions => conditions.join(" && "),
    };
    let other_head = old.head != new.head;
    Some((direction, words(&gone, other_head), words(&added, other_head)))
}

/// A policy without position, comments and order of conditions.
#[derive(PartialEq, Eq)]
struct Shape {
    head: Value,
    /// The conditions that must all hold, as Cedar writes them.
    conditions: BTreeSet<String>,
}

fn shape(policy: &NamedPolicy) -> Shape {
    let mut head = policy.cedar.to_json().unwrap_or_default();
    if let Some(members) = head.as_object_mut() {
        members.remove("conditions");
        members.remove("annotations");
    }
    let conditions = conditions_of(policy).into_iter();
    Shape { head, conditions: conditions.collect() }
}
