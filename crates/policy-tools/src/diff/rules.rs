//! Rules that come, go or change, and who can reach what by them.

use super::{Change, Direction, Subject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::{Bundle, Rule};

/// Pairs of principal kind and audience that can, or can no longer, get a token at all.
pub(super) fn pairs(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let (old, new) = (old.access(), new.access());
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
                Some(rules) => format!("by `{}`", rules.join("`, `")),
                None => "by no rule".to_owned(),
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

/// Rules that only one bundle has, or that say something else. A rule that goes where another of the same
/// meaning comes is no change.
pub(super) fn rules(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let by_id = |bundle: &Bundle| -> BTreeMap<String, Rule> {
        let rules = bundle.rules().iter();
        rules.map(|rule| (rule.id.clone(), rule.clone())).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    // A rule whose twin is on the other side, whatever its `@id`, grants and forbids nothing that was not.
    let has_twin = |rule: Option<&Rule>, others: &BTreeMap<String, Rule>| {
        rule.is_none_or(|rule| {
            let shape_of_rule = shape(rule);
            others.values().any(|other| shape(other) == shape_of_rule)
        })
    };
    let change = |id: &String| {
        let (direction, was, is) = match (old.get(id), new.get(id)) {
            (was, is) if has_twin(was, &new) && has_twin(is, &old) => return None,
            (None, None) => return None,
            (None, Some(rule)) => (grants(rule, true), "absent".to_owned(), effect(rule)),
            (Some(rule), None) => (grants(rule, false), effect(rule), "absent".to_owned()),
            (Some(was), Some(is)) => changed(was, is)?,
        };
        Some(Change {
            direction,
            subject: Subject::Rule,
            name: id.clone(),
            old: was,
            new: is,
        })
    };
    ids.into_iter().filter_map(change).collect()
}

fn effect(rule: &Rule) -> String {
    match rule.is_forbid() {
        true => "forbid".to_owned(),
        false => "permit".to_owned(),
    }
}

/// What it does that a rule has more (`more`) or fewer requests that it matches.
fn grants(rule: &Rule, more: bool) -> Direction {
    match rule.is_forbid() == more {
        true => Direction::Narrowing,
        false => Direction::Widening,
    }
}

fn changed(was: &Rule, is: &Rule) -> Option<(Direction, String, String)> {
    let (old, new) = (shape(was), shape(is));
    if old == new {
        return None;
    }
    let missing = |from: &Shape, other: &Shape| -> Vec<String> {
        let kept = from.conditions.iter();
        kept.filter(|one| !other.conditions.contains(*one))
            .cloned()
            .collect()
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
    Some((
        direction,
        words(&gone, other_head),
        words(&added, other_head),
    ))
}

/// A rule without its place, comments and the order of its conditions.
#[derive(PartialEq, Eq)]
struct Shape {
    head: Value,
    /// What must all hold, as Cedar writes it.
    conditions: BTreeSet<String>,
}

fn shape(rule: &Rule) -> Shape {
    let mut head = rule.policy.to_json().unwrap_or_default();
    if let Some(members) = head.as_object_mut() {
        members.remove("conditions");
        members.remove("annotations");
    }
    let conditions = rule.conditions().into_iter();
    Shape {
        head,
        conditions: conditions.collect(),
    }
}
