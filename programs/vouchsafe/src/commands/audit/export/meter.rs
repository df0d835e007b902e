//! Metrics of an exporter: of its sinks, and of exchanges as the records show them.

use super::records::{BATCH_MAX, Records};
use crate::commands::audit::record::Record;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vouchsafe_cli::Failure;
use vouchsafe_serve::MetricsText;

/// Most series of exchanges; further ones share one, with the slug `other`.
const SERIES_MAX: usize = 10_000;
/// Upper bounds of the histogram, in microseconds.
const BUCKETS_US: [u64; 9] = [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];
/// How far back repeats are looked for, in milliseconds.
const REPEATS_MS: u64 = 60_000;

/// How a sink is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkState {
    /// Records or signals that arrived.
    pub sent: u64,
    pub failures: u64,
    /// When it failed first, without a success since then, in Unix seconds.
    pub failing_since: Option<u64>,
    /// Records that wait.
    pub behind: u64,
}

/// All metrics.
#[derive(Default)]
pub struct Meter {
    sinks: Mutex<BTreeMap<String, SinkState>>,
    exchanges: Mutex<Exchanges>,
}

/// Exchanges since the exporter started.
#[derive(Debug, Default)]
struct Exchanges {
    /// By slug, issuer and audience.
    counts: BTreeMap<(String, String, String), u64>,
    buckets: [u64; BUCKETS_US.len()],
    count: u64,
    sum_us: u64,
    /// How often each recent refusal was counted.
    repeats: BTreeMap<u64, u64>,
}

impl Meter {
    pub fn sink(&self, name: &str, change: impl FnOnce(&mut SinkState)) {
        change(lock(&self.sinks).entry(name.to_owned()).or_default());
    }

    /// Counts the records after `seq`, and refusals that older ones count; returns the number of the last record.
    pub fn read(&self, records: &mut Records, seq: u64, now_ms: u64) -> Result<u64, Failure> {
        let mut last = seq;
        loop {
            let batch = records.after(last, BATCH_MAX)?;
            let Some(end) = batch.last() else { break };
            last = end.seq;
            let mut exchanges = lock(&self.exchanges);
            batch.iter().for_each(|record| exchanges.record(record));
        }
        let repeated = records.repeated_since(now_ms.saturating_sub(REPEATS_MS))?;
        lock(&self.exchanges).repeated(&repeated);
        Ok(last)
    }

    pub fn render(&self, now: u64) -> MetricsText {
        let mut text = MetricsText::default();
        let sinks = lock(&self.sinks).clone();
        let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&SinkState) -> u64| {
            text.family(name, kind, help);
            for (sink, state) in &sinks {
                text.sample(name, &[("sink", sink)], value(state));
            }
        };
        family("vouchsafe_export_sent_total", "counter", "Records or webhooks that arrived at the sink.", &|it| {
            it.sent
        });
        family("vouchsafe_export_failures_total", "counter", "Attempts to reach the sink that failed.", &|it| {
            it.failures
        });
        family("vouchsafe_export_behind", "gauge", "Records that have not been sent to the sink.", &|it| it.behind);
        let help = "Time since which the sink has been failing; 0 if it is not.";
        family("vouchsafe_export_failing_seconds", "gauge", help, &|it| {
            it.failing_since.map_or(0, |since| now.saturating_sub(since))
        });
        lock(&self.exchanges).write(&mut text);
        text
    }
}

impl Exchanges {
    fn record(&mut self, record: &Record) {
        self.add(record, 1);
        let timings: Vec<(String, u64)> = serde_json::from_str(record.text("timings")).unwrap_or_default();
        let us = timings.iter().fold(0_u64, |sum, (_, us)| sum.saturating_add(*us));
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        for (count, bound) in self.buckets.iter_mut().zip(BUCKETS_US) {
            *count += u64::from(us <= bound);
        }
    }

    fn add(&mut self, record: &Record, count: u64) {
        let slug = record.text("slug").to_owned();
        // A refused request may name any audience.
        let is_known = record.columns.get("audience").is_some_and(Value::is_string) && slug != "audience.unknown";
        let audience = if is_known { record.text("audience") } else { "" };
        let key = (slug, record.text("issuer_name").to_owned(), audience.to_owned());
        let is_new = self.counts.len() >= SERIES_MAX && !self.counts.contains_key(&key);
        let key = if is_new { ("other".to_owned(), String::new(), String::new()) } else { key };
        *self.counts.entry(key).or_default() += count;
    }

    fn repeated(&mut self, records: &[Record]) {
        let before = std::mem::take(&mut self.repeats);
        for record in records {
            let repeats = record.number("repeats");
            let known = before.get(&record.seq).copied().unwrap_or(0);
            self.add(record, repeats.saturating_sub(known));
            self.repeats.insert(record.seq, repeats);
        }
    }

    fn write(&self, text: &mut MetricsText) {
        text.family("vouchsafe_exchanges_total", "counter", "Recorded exchanges by outcome, issuer and audience.");
        for ((slug, issuer, audience), count) in &self.counts {
            let labels = [("slug", slug.as_str()), ("issuer", issuer), ("audience", audience)];
            text.sample("vouchsafe_exchanges_total", &labels, count);
        }
        let name = "vouchsafe_request_duration_seconds";
        text.family(name, "histogram", "Time of recorded exchanges, by their steps.");
        let route = ("route", "/token");
        let bucket = format!("{name}_bucket");
        for (count, bound) in self.buckets.iter().zip(BUCKETS_US) {
            let bound = std::time::Duration::from_micros(bound).as_secs_f64().to_string();
            text.sample(&bucket, &[route, ("le", &bound)], count);
        }
        text.sample(&bucket, &[route, ("le", "+Inf")], self.count);
        let sum = std::time::Duration::from_micros(self.sum_us).as_secs_f64();
        text.sample(&format!("{name}_sum"), &[route], sum);
        text.sample(&format!("{name}_count"), &[route], self.count);
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(seq: u64, columns: Value) -> Record {
        Record { seq, columns: columns.as_object().cloned().expect("an object") }
    }

    #[test]
    fn counts_records_and_repeats_once() {
        let mut exchanges = Exchanges::default();
        let timings = "[[\"verify\",900],[\"sign\",100]]";
        exchanges
            .record(&record(1, json!({ "slug": "issued", "issuer_name": "a", "audience": "x", "timings": timings })));
        let denied = |repeats: u64| {
            record(2, json!({ "slug": "audience.unknown", "issuer_name": "a", "audience": "any", "repeats": repeats }))
        };
        exchanges.record(&denied(0));
        exchanges.repeated(&[denied(3)]);
        exchanges.repeated(&[denied(5)]);
        let count =
            |slug: &str, audience: &str| exchanges.counts.get(&(slug.into(), "a".into(), audience.into())).copied();
        assert_eq!((count("issued", "x"), count("audience.unknown", "")), (Some(1), Some(6)));
        assert_eq!(count("audience.unknown", "any"), None);
        assert_eq!((exchanges.count, exchanges.sum_us, exchanges.buckets[0]), (2, 1000, 2));
    }

    #[test]
    fn series_are_bounded() {
        let mut exchanges = Exchanges::default();
        for number in 0..SERIES_MAX + 2 {
            exchanges.add(&record(1, json!({ "slug": format!("s{number}") })), 1);
        }
        assert_eq!(exchanges.counts.len(), SERIES_MAX + 1);
        let other = ("other".to_owned(), String::new(), String::new());
        assert_eq!(exchanges.counts.get(&other), Some(&2));
    }

    #[test]
    fn shows_how_long_a_sink_fails() {
        let meter = Meter::default();
        meter.sink("file:/a", |state| *state = SinkState { sent: 3, failures: 1, failing_since: Some(100), behind: 7 });
        let text = meter.render(160).finish();
        for line in [
            "vouchsafe_export_sent_total{sink=\"file:/a\"} 3",
            "vouchsafe_export_failing_seconds{sink=\"file:/a\"} 60",
            "vouchsafe_export_behind{sink=\"file:/a\"} 7",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
    }
}
