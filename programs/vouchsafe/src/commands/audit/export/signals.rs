//! What webhooks are about: compromise, failed and done rotations, replays, rollbacks, and a log that was changed.

use crate::commands::audit::record::Record;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A bundle that is in use again after this long was rolled back. Brokers that reload one after the other need less.
const ROLLBACK_MS_MIN: u64 = 600_000;
/// Most bundles and findings that are remembered.
const REMEMBERED_MAX: usize = 100;

/// Something that a person or a program should react to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    pub kind: &'static str,
    /// The same for the same event, so that receivers recognize repeats.
    pub id: String,
    pub at_ms: u64,
    pub data: Value,
}

/// What earlier records showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The highest generation by issuer and key group.
    generations: BTreeMap<String, u64>,
    /// When each bundle was last used, and the one that was used last.
    bundles: BTreeMap<String, u64>,
    bundle: Option<String>,
    /// Findings of the log that were told.
    findings: BTreeSet<String>,
    /// The latest checkpoint that was seen.
    pub checkpoint: Option<String>,
}

impl Seen {
    /// What a record is about.
    pub fn record(&mut self, record: &Record) -> Vec<Signal> {
        let mut signals = Vec::new();
        let at_ms = record.number("decided_at_ms");
        let mut add = |kind, id: String, more: Value| {
            let mut data = about(record, &["decision_id", "issuer_name", "subject", "audience", "slug"]);
            data.extend(more.as_object().cloned().unwrap_or_default());
            signals.push(Signal { kind, id, at_ms, data: data.into() });
        };
        let decision = record.text("decision_id");
        match record.text("slug") {
            "replay.spent" | "proof.spent" => add("token.replayed", decision.to_owned(), Value::Null),
            "signer.superseded" => add("rotation.failed", decision.to_owned(), Value::Null),
            _ => {}
        }
        let (name, generation) = (record.text("generation_of"), record.number("generation"));
        let known = self.generations.get(name).copied();
        if generation > known.unwrap_or(0) {
            self.generations.insert(name.to_owned(), generation);
            if let Some(known) = known {
                let more = json!({ "generation_of": name, "generation": generation, "before": known });
                add("key.rotated", format!("{name}/{generation}"), more);
            }
        }
        if let Some(before) = self.roll_back(record.text("bundle_digest"), at_ms) {
            let more = json!({ "bundle_digest": record.text("bundle_digest"), "before": before });
            add("policy.rolled_back", decision.to_owned(), more);
        }
        signals
    }

    /// The bundle that was replaced, if `digest` is in use again after it was not for long.
    fn roll_back(&mut self, digest: &str, at_ms: u64) -> Option<String> {
        let last = self.bundles.insert(digest.to_owned(), at_ms);
        let before = self.bundle.replace(digest.to_owned()).filter(|before| before != digest);
        if self.bundles.len() > REMEMBERED_MAX {
            let oldest = self.bundles.iter().min_by_key(|(_, at)| **at).map(|(digest, _)| digest.clone());
            if let Some(oldest) = oldest {
                self.bundles.remove(&oldest);
            }
        }
        let unused = at_ms.saturating_sub(last?);
        before.filter(|_| unused >= ROLLBACK_MS_MIN)
    }

    /// What an operation is about.
    pub fn operation(&self, operation: &Record) -> Option<Signal> {
        let kind = match (operation.text("operation"), operation.text("kid").is_empty()) {
            ("block" | "revoke", false) => "key.compromised",
            ("block", true) => "workload.blocked",
            ("lift", _) => "workload.unblocked",
            _ => return None,
        };
        let mut data = about(
            operation,
            &["operation", "revocation_id", "issuer_name", "subject", "audience", "kid", "actor", "reason"],
        );
        data.insert("generations".to_owned(), json!(self.generations));
        let id = format!("operation/{}/{}", operation.seq, operation.text("revocation_id"));
        Some(Signal { kind, id, at_ms: operation.number("at").saturating_mul(1000), data: data.into() })
    }

    /// A finding about the log, unless it was told before.
    pub fn finding(&mut self, kind: &str, text: &str, at_ms: u64) -> Option<Signal> {
        if self.findings.len() >= REMEMBERED_MAX || !self.findings.insert(text.to_owned()) {
            return None;
        }
        let data = json!({ "finding": kind, "text": text });
        Some(Signal { kind: "log.forked", id: format!("log/{text}"), at_ms, data })
    }
}

fn about(record: &Record, names: &[&str]) -> Map<String, Value> {
    let member =
        |name: &&str| Some(((*name).to_owned(), record.columns.get(*name).filter(|it| !it.is_null())?.clone()));
    names.iter().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(columns: Value) -> Record {
        Record { seq: 1, columns: columns.as_object().cloned().expect("an object") }
    }

    fn kinds(seen: &mut Seen, columns: Value) -> Vec<&'static str> {
        seen.record(&record(columns)).into_iter().map(|signal| signal.kind).collect()
    }

    #[test]
    fn tells_replays_and_failed_rotations() {
        for (slug, expected) in [
            ("issued", &[][..]),
            ("policy.denied", &[]),
            ("replay.spent", &["token.replayed"]),
            ("proof.spent", &["token.replayed"]),
            ("signer.superseded", &["rotation.failed"]),
        ] {
            assert_eq!(kinds(&mut Seen::default(), json!({ "slug": slug, "bundle_digest": "a" })), expected, "{slug}");
        }
    }

    #[test]
    fn generation_that_grows_was_rotated() {
        let mut seen = Seen::default();
        let mut told = |generation: u64| kinds(&mut seen, json!({ "generation_of": "g", "generation": generation }));
        assert_eq!(told(1), [""; 0], "it is the first");
        assert_eq!(told(1), [""; 0]);
        assert_eq!(told(2), ["key.rotated"]);
        // A broker that has not followed yet.
        assert_eq!(told(1), [""; 0]);
        assert_eq!(told(2), [""; 0]);
    }

    #[test]
    fn old_bundle_that_comes_back_was_rolled_back() {
        let mut seen = Seen::default();
        let mut told = |digest: &str, minute: u64| {
            kinds(&mut seen, json!({ "bundle_digest": digest, "decided_at_ms": minute * 60_000 }))
        };
        assert_eq!(told("a", 0), [""; 0]);
        assert_eq!(told("b", 1), [""; 0], "a new one");
        assert_eq!(told("a", 2), [""; 0], "another broker has not reloaded yet");
        assert_eq!(told("b", 3), [""; 0]);
        assert_eq!(told("a", 12), ["policy.rolled_back"], "10 minutes later");
        assert_eq!(told("a", 13), [""; 0]);
    }

    #[test]
    fn tells_what_operators_did() {
        let told = |columns| Seen::default().operation(&record(columns)).map(|signal| signal.kind);
        assert_eq!(told(json!({ "operation": "block", "kid": null, "subject": "s" })), Some("workload.blocked"));
        assert_eq!(told(json!({ "operation": "revoke", "kid": "k" })), Some("key.compromised"));
        assert_eq!(told(json!({ "operation": "lift", "kid": null })), Some("workload.unblocked"));
        assert_eq!(told(json!({ "operation": "revoke", "jti": "j" })), None);
    }

    #[test]
    fn finding_is_told_once() {
        let mut seen = Seen::default();
        assert_eq!(seen.finding("forked", "forked: a", 1).map(|signal| signal.kind), Some("log.forked"));
        assert_eq!(seen.finding("forked", "forked: a", 2), None);
        assert!(seen.finding("forked", "forked: b", 2).is_some());
    }
}
