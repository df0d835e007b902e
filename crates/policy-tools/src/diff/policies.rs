//! Added, removed and changed policies, and the access that they give.

use super::change::{Change, Direction, Subject};
use crate::access::access;
use crate::explain::conditions_of;
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
    of_shapes(old, new, &shape)
}

/// Takes the shape of each policy once, because that needs Cedar to write it.
fn of_shapes(old: &Bundle, new: &Bundle, shape: &dyn Fn(&NamedPolicy) -> Shape) -> Vec<Change> {
    let by_id = |bundle: &Bundle| -> BTreeMap<String, (bool, Shape)> {
        let policies = bundle.policies_of_all_actions();
        policies.map(|policy| (policy.id.clone(), (policy.is_forbid(), shape(policy)))).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let shapes = |side: &BTreeMap<_, (bool, Shape)>| side.values().map(|(_, shape)| shape.clone()).collect();
    let (of_old, of_new): (BTreeSet<Shape>, BTreeSet<Shape>) = (shapes(&old), shapes(&new));
    // A policy with an equivalent one on the other side changes nothing, whatever its `@id`.
    let has_twin = |policy: Option<&(bool, Shape)>, others: &BTreeSet<Shape>| {
        policy.is_none_or(|(_, shape)| others.contains(shape))
    };
    let change = |id: &String| {
        let (direction, was, is) = match (old.get(id), new.get(id)) {
            (was, is) if has_twin(was, &of_new) && has_twin(is, &of_old) => return None,
            (None, None) => return None,
            (None, Some((forbid, _))) => (grants(*forbid, true), "absent".to_owned(), effect(*forbid)),
            (Some((forbid, _)), None) => (grants(*forbid, false), effect(*forbid), "absent".to_owned()),
            (Some((_, was)), Some((forbid, is))) => changed(was, is, *forbid)?,
        };
        Some(Change { direction, subject: Subject::Policy, name: id.clone(), old: was, new: is })
    };
    ids.into_iter().filter_map(change).collect()
}

fn effect(forbid: bool) -> String {
    match forbid {
        true => "forbid".to_owned(),
        false => "permit".to_owned(),
    }
}

/// The direction if a policy matches more requests, or fewer.
fn grants(forbid: bool, more: bool) -> Direction {
    match forbid == more {
        true => Direction::Narrowing,
        false => Direction::Widening,
    }
}

fn changed(old: &Shape, new: &Shape, forbid: bool) -> Option<(Direction, String, String)> {
    if old == new {
        return None;
    }
    let missing = |from: &Shape, other: &Shape| -> Vec<String> {
        let kept = from.conditions.iter();
        kept.filter(|one| !other.conditions.contains(*one)).cloned().collect()
    };
    let (gone, added) = (missing(old, new), missing(new, old));
    let direction = if old.head != new.head {
        Direction::Either
    } else if gone.is_empty() {
        grants(forbid, false)
    } else if added.is_empty() {
        grants(forbid, true)
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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    /// As JSON.
    head: String,
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
    Shape { head: head.to_string(), conditions: conditions.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use vouchsafe_policy::{BundleFiles, Environment};

    fn bundle(rules: usize) -> Bundle {
        let rule = |at: usize| {
            format!(
                "@id(\"r{at}\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, resource == \
                 Audience::\"https://a.example\") when {{ principal.repository_id == \"{at}\" }};\n"
            )
        };
        let rules: String = (0..rules).map(rule).collect();
        let mut files = BundleFiles::default();
        for (path, content) in [
            ("bundle.toml", "name = 'a'\nversion = '1'"),
            ("schema.cedarschema", include_str!("../../../../policies/schema.cedarschema")),
            ("issuers/github.toml", "issuer = 'https://idp.example'\nprovider = 'github'"),
            ("audiences/a.toml", "id = 'https://a.example'"),
            ("rules/a.cedar", rules.as_str()),
        ] {
            files.add(path, content.into()).expect("within the limits");
        }
        let issuer = "https://broker.example".to_owned();
        let environment = Environment { issuer, development: false, epoch_seconds: 3600 };
        Bundle::load(&files, &environment).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    #[test]
    fn each_policy_is_written_once() {
        for (old, new, changes) in [(40, 40, 0), (40, 42, 2)] {
            let written = Cell::new(0);
            let count = |policy: &NamedPolicy| {
                written.set(written.get() + 1);
                shape(policy)
            };
            assert_eq!(of_shapes(&bundle(old), &bundle(new), &count).len(), changes);
            assert_eq!(written.get(), old + new);
        }
    }
}
