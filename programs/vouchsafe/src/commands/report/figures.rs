//! The figures of a period, and of the one before it.

use crate::client::moment;
use crate::commands::audit::record::Record;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Most workloads and operations that are listed.
const LISTED_MAX: usize = 50;

/// In Unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    pub start: u64,
    /// Exclusive.
    pub end: u64,
}

/// First and last use in Unix seconds, and how many.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    first: u64,
    last: u64,
    count: u64,
}

impl Use {
    fn add(&mut self, at: u64, count: u64) {
        self.first = if self.count == 0 { at } else { self.first.min(at) };
        self.last = self.last.max(at);
        self.count += count;
    }

    fn json(self, name: &str, what: &str) -> Value {
        let (first, last) = (moment::show(self.first), moment::show(self.last));
        json!({ name: what, "first": first, "last": last, "decisions": self.count })
    }
}

pub struct Figures {
    period: Period,
    /// Outcomes by slug, now and in the period before.
    slugs: BTreeMap<String, (u64, u64)>,
    denied: BTreeMap<(String, String), u64>,
    /// Policies by id, over all time and in the period.
    policies: BTreeMap<String, (Use, u64)>,
    bundles: BTreeMap<String, Use>,
    /// Keys that signed: over all time, and the audiences in the period.
    kids: BTreeMap<String, (Use, BTreeSet<String>)>,
    generations: BTreeMap<(String, u64), u64>,
    operations: Vec<Value>,
}

impl Figures {
    pub fn new(period: Period) -> Self {
        Self {
            period,
            slugs: BTreeMap::new(),
            denied: BTreeMap::new(),
            policies: BTreeMap::new(),
            bundles: BTreeMap::new(),
            kids: BTreeMap::new(),
            generations: BTreeMap::new(),
            operations: Vec::new(),
        }
    }

    fn is_in(&self, at: u64) -> bool {
        (self.period.start..self.period.end).contains(&at)
    }

    pub fn record(&mut self, record: &Record) {
        let at = record.number("decided_at_ms") / 1000;
        let (slug, count) = (record.text("slug"), 1 + record.number("repeats"));
        let is_in = self.is_in(at);
        let length = self.period.end.saturating_sub(self.period.start);
        let (now, before) = self.slugs.entry(slug.to_owned()).or_default();
        if is_in {
            *now += count;
        } else if (self.period.start.saturating_sub(length)..self.period.start).contains(&at) {
            *before += count;
        }
        if is_in && matches!(slug, "policy.denied" | "audience.unknown") {
            let workload = (record.text("issuer_name").to_owned(), record.text("subject").to_owned());
            *self.denied.entry(workload).or_default() += count;
        }
        let rules: Vec<String> = serde_json::from_str(record.text("determining_rules")).unwrap_or_default();
        for rule in rules {
            let (all, in_period) = self.policies.entry(rule).or_default();
            all.add(at, count);
            *in_period += if is_in { count } else { 0 };
        }
        if is_in {
            self.bundles.entry(record.text("bundle_digest").to_owned()).or_default().add(at, count);
        }
        if record.text("outcome") == "issued" {
            let (all, audiences) = self.kids.entry(record.text("kid").to_owned()).or_default();
            all.add(at, 1);
            if is_in {
                audiences.insert(record.text("audience").to_owned());
            }
            let generation = (record.text("generation_of").to_owned(), record.number("generation"));
            let since = self.generations.entry(generation).or_insert(at);
            *since = at.min(*since);
        }
    }

    pub fn operation(&mut self, operation: &Record) {
        let at = operation.number("at");
        if self.is_in(at) && self.operations.len() < LISTED_MAX {
            let text = |name: &str| operation.text(name).to_owned();
            self.operations.push(json!({
                "at": moment::show(at), "operation": text("operation"), "id": text("revocation_id"),
                "actor": text("actor"), "reason": text("reason"),
            }));
        }
    }

    pub fn exchanges(&self) -> Value {
        let each = self.slugs.iter().filter(|(_, counts)| **counts != (0, 0));
        let each = each.map(|(slug, (now, before))| json!({ "slug": slug, "count": now, "before": before }));
        each.collect::<Vec<_>>().into()
    }

    /// The workloads that were denied most.
    pub fn denials(&self) -> Value {
        let mut most: Vec<_> = self.denied.iter().collect();
        most.sort_by_key(|(workload, count)| (std::cmp::Reverse(**count), (*workload).clone()));
        let each = most
            .into_iter()
            .take(LISTED_MAX)
            .map(|((issuer, subject), count)| json!({ "issuer": issuer, "subject": subject, "count": count }));
        each.collect::<Vec<_>>().into()
    }

    /// Policies by use. With the ids of a bundle, also those that were never used, and those that are gone.
    pub fn policies(&self, bundle: Option<&[String]>) -> Value {
        let known: BTreeSet<&String> = bundle.unwrap_or_default().iter().collect();
        let all: BTreeSet<&String> = self.policies.keys().chain(known.iter().copied()).collect();
        let each = all.into_iter().map(|id| {
            let used = self.policies.get(id);
            json!({
                "policy": id,
                "decisions": used.map_or(0, |(_, in_period)| *in_period),
                "last": used.map(|(all, _)| moment::show(all.last)),
                "in_bundle": bundle.map(|_| known.contains(id)),
            })
        });
        let each: Vec<Value> = each.collect();
        let in_bundle: Vec<&Value> = each.iter().filter(|it| it["in_bundle"] == true).collect();
        let used = in_bundle.iter().filter(|it| it["decisions"] != 0).count();
        json!({ "policies": each, "in_bundle": bundle.map(|_| in_bundle.len()), "used": bundle.map(|_| used) })
    }

    /// The bundles that decided, oldest first: each after the first is a change of policies.
    pub fn bundles(&self) -> Value {
        let mut bundles: Vec<_> = self.bundles.iter().collect();
        bundles.sort_by_key(|(_, used)| used.first);
        bundles.into_iter().map(|(digest, used)| used.json("digest", digest)).collect::<Vec<_>>().into()
    }

    /// Which keys signed in the period, and which generations began in it.
    pub fn rotation(&self) -> Value {
        let mut keys: Vec<_> = self.kids.iter().filter(|(_, (_, audiences))| !audiences.is_empty()).collect();
        keys.sort_by_key(|(_, (used, _))| used.first);
        let age = |used: &Use| used.last.saturating_sub(used.first);
        let oldest = keys.iter().map(|(_, (used, _))| age(used)).max();
        let generations = self.generations.iter().filter(|((name, _), since)| !name.is_empty() && self.is_in(**since));
        let generations =
            generations.map(|((_, number), since)| json!({ "generation": number, "since": moment::show(*since) }));
        json!({
            "keys": keys.len(),
            "new_keys": keys.iter().filter(|(_, (used, _))| self.is_in(used.first)).count(),
            "longest_use_seconds": oldest,
            "generations": generations.collect::<Vec<_>>(),
        })
    }

    pub fn operations(&self) -> Value {
        self.operations.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Period = Period { start: 1000, end: 2000 };

    fn figures(rows: &[Value]) -> Figures {
        let mut figures = Figures::new(PERIOD);
        for row in rows {
            figures.record(&Record { seq: 1, columns: row.as_object().cloned().expect("an object") });
        }
        figures
    }

    fn denied(at: u64, repeats: u64) -> Value {
        json!({
            "slug": "policy.denied", "outcome": "refused", "decided_at_ms": at * 1000, "repeats": repeats,
            "issuer_name": "i", "subject": "s", "determining_rules": "[\"no\"]", "bundle_digest": "b",
        })
    }

    #[test]
    fn compares_with_the_period_before() {
        let figures = figures(&[denied(0, 0), denied(999, 0), denied(1000, 2), denied(1999, 0), denied(2000, 0)]);
        assert_eq!(figures.exchanges(), json!([{ "slug": "policy.denied", "count": 4, "before": 2 }]));
        assert_eq!(figures.denials(), json!([{ "issuer": "i", "subject": "s", "count": 4 }]));
    }

    #[test]
    fn tells_policies_that_nobody_used() {
        let bundle = ["no".to_owned(), "unused".to_owned()];
        let found = figures(&[denied(1000, 0)]).policies(Some(&bundle));
        assert_eq!((&found["in_bundle"], &found["used"]), (&json!(2), &json!(1)));
        assert_eq!(found["policies"][1]["decisions"], 0);
        let found = figures(&[denied(1000, 0)]).policies(Some(&bundle[1..]));
        assert_eq!(found["policies"][0]["in_bundle"], false, "it is gone");
    }

    #[test]
    fn shows_which_keys_were_new() {
        let issued = |at: u64, kid: &str, generation: u64| {
            json!({ "slug": "issued", "outcome": "issued", "decided_at_ms": at * 1000, "kid": kid, "audience": "a",
                "generation_of": "g", "generation": generation })
        };
        let figures =
            figures(&[issued(500, "old", 1), issued(1500, "old", 1), issued(1600, "new", 2), issued(500, "gone", 1)]);
        let found = figures.rotation();
        assert_eq!(
            (&found["keys"], &found["new_keys"], &found["longest_use_seconds"]),
            (&json!(2), &json!(1), &json!(1000))
        );
        assert_eq!(found["generations"], json!([{ "generation": 2, "since": "1970-01-01T00:26:40Z" }]));
    }
}
