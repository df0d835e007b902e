//! Groups whose members change, and time zones that change.

use super::change::{Change, Direction, Subject};
use crate::explain::conditions_of;
use std::collections::BTreeSet;
use vouchsafe_policy::{Bundle, Group};

/// Members that join or leave groups that a policy names.
pub(super) fn groups(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let names: BTreeSet<&str> = old.groups().chain(new.groups()).map(|group| group.name.as_str()).collect();
    let mut changes = Vec::new();
    for name in names {
        for (kind, members) in [
            ("WorkloadGroup", workloads as fn(&Group) -> BTreeSet<String>),
            ("AudienceGroup", audiences as fn(&Group) -> BTreeSet<String>),
        ] {
            let of = |bundle: &Bundle| {
                let group = bundle.groups().find(|group| group.name == name);
                group.map(members).unwrap_or_default()
            };
            let (was, is) = (of(old), of(new));
            // Whether a policy names it takes reading all of them.
            if was == is {
                continue;
            }
            let Some(direction) = direction(&was, &is, &Uses::of([old, new], kind, name)) else {
                continue;
            };
            let words = |here: &BTreeSet<String>, there: &BTreeSet<String>| {
                let only: Vec<&str> = here.difference(there).map(String::as_str).collect();
                match only.as_slice() {
                    [] => "without".to_owned(),
                    only => only.join(", "),
                }
            };
            changes.push(Change {
                direction,
                subject: Subject::Group,
                name: format!("{kind}::\"{name}\""),
                old: words(&was, &is),
                new: words(&is, &was),
            });
        }
    }
    changes
}

/// Zone names that stand for another time zone, so that policies mean other hours.
pub(super) fn zones(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let (old, new) = (old.time_zones(), new.time_zones());
    let moved = old.into_iter().filter_map(|(name, was)| {
        let is = new.get(&name).filter(|is| **is != was)?;
        Some(Change { direction: Direction::Either, subject: Subject::Zone, name, old: was, new: is.clone() })
    });
    moved.collect()
}

fn workloads(group: &Group) -> BTreeSet<String> {
    let workloads = group.workloads.iter().map(|workload| {
        let claims = workload.claims.iter();
        let claims: Vec<String> = claims.map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {}", workload.issuer, claims.join(" "))
    });
    workloads.collect()
}

fn audiences(group: &Group) -> BTreeSet<String> {
    group.audiences.iter().cloned().collect()
}

/// How policies use a group: whether `permit`s name it in their scope.
struct Uses {
    permits: bool,
    /// Whether `forbid`s or conditions name it, where fewer members can mean more access.
    others: bool,
}

impl Uses {
    fn of(bundles: [&Bundle; 2], kind: &str, name: &str) -> Self {
        let mut uses = Self { permits: false, others: false };
        let written = format!("{kind}::\"{name}\"");
        for policy in bundles.into_iter().flat_map(Bundle::policies) {
            let in_conditions = conditions_of(policy).iter().any(|text| text.contains(&written));
            let json = policy.cedar.to_json().unwrap_or_default();
            let in_scope = ["principal", "resource"].into_iter().any(|part| {
                let scope = json.get(part).map(ToString::to_string).unwrap_or_default();
                let (kind, name) = (format!("\"{kind}\""), serde_json::json!(name).to_string());
                scope.contains(&kind) && scope.contains(&name)
            });
            uses.permits |= in_scope && !policy.is_forbid();
            uses.others |= in_conditions || (in_scope && policy.is_forbid());
        }
        uses
    }
}

fn direction(was: &BTreeSet<String>, is: &BTreeSet<String>, uses: &Uses) -> Option<Direction> {
    let (more, less) = (!is.is_subset(was), !was.is_subset(is));
    match (uses.permits, uses.others) {
        (false, false) => None,
        (_, true) => Some(Direction::Either),
        (true, false) => Some(match (more, less) {
            (true, false) => Direction::Widening,
            (false, true) => Direction::Narrowing,
            _ => Direction::Either,
        }),
    }
}
