//! Metrics of the gateway. Label values are slugs of this program, never text from a caller.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use vouchsafe_serve::MetricsText;

#[derive(Default)]
pub struct Metrics {
    pub hsm_operations: AtomicU64,
    pub worker_starts: AtomicU64,
    pub seeds: AtomicU64,
    pub signatures: AtomicU64,
    pub signatures_withheld: AtomicU64,
    pub log_lines: AtomicU64,
    pub log_syncs: AtomicU64,
    pub hsm_durations: Durations,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

/// Upper bounds of the histogram, in microseconds. An HSM in the network takes milliseconds to tens of them.
const BUCKETS_US: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000];

#[derive(Default)]
struct Histogram {
    buckets: [u64; BUCKETS_US.len()],
    count: u64,
    sum_us: u64,
}

/// How long calls to the HSM took, with the time that they waited for a session, by operation.
#[derive(Default)]
pub struct Durations(Mutex<BTreeMap<&'static str, Histogram>>);

impl Durations {
    pub fn add(&self, operation: &'static str, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = all.entry(operation).or_default();
        histogram.count = histogram.count.saturating_add(1);
        histogram.sum_us = histogram.sum_us.saturating_add(took_us);
        for (count, bound) in histogram.buckets.iter_mut().zip(BUCKETS_US) {
            *count = count.saturating_add(u64::from(took_us <= bound));
        }
    }

    fn write(&self, text: &mut MetricsText) {
        let name = "hsm_gateway_hsm_operation_duration_seconds";
        text.family(name, "histogram", "Time of calls to the HSM, with the time that they waited for it.");
        for (operation, histogram) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let operation = ("operation", *operation);
            let bucket = format!("{name}_bucket");
            for (count, bound) in histogram.buckets.iter().zip(BUCKETS_US) {
                let bound = Duration::from_micros(bound).as_secs_f64().to_string();
                text.sample(&bucket, &[operation, ("le", &bound)], count);
            }
            text.sample(&bucket, &[operation, ("le", "+Inf")], histogram.count);
            let sum = Duration::from_micros(histogram.sum_us).as_secs_f64();
            text.sample(&format!("{name}_sum"), &[operation], sum);
            text.sample(&format!("{name}_count"), &[operation], histogram.count);
        }
    }
}

impl Metrics {
    /// Counts a refusal.
    pub fn count_refusal(&self, slug: &'static str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refusals.entry(slug).or_default();
        *count = count.saturating_add(1);
    }

    /// All counters, the `gauges`, given as names with help texts and values, and the histogram.
    pub fn render(&self, gauges: &[(&str, &str, u64)]) -> MetricsText {
        let mut text = MetricsText::default();
        for (name, help, counter) in [
            ("hsm_gateway_hsm_operations_total", "Calls to the worker.", &self.hsm_operations),
            ("hsm_gateway_worker_starts_total", "Workers that logged in.", &self.worker_starts),
            ("hsm_gateway_seeds_total", "Released seeds.", &self.seeds),
            ("hsm_gateway_signatures_total", "Released signatures.", &self.signatures),
            (
                "hsm_gateway_signatures_withheld_total",
                "Signatures from the HSM that did not verify.",
                &self.signatures_withheld,
            ),
            ("hsm_gateway_log_lines_total", "Lines of the log.", &self.log_lines),
            ("hsm_gateway_log_syncs_total", "Syncs of the log to the disk.", &self.log_syncs),
        ] {
            text.counter(name, help, counter.load(Relaxed));
        }
        text.family("hsm_gateway_refusals_total", "counter", "Refusals by slug.");
        for (slug, count) in &*self.refusals.lock().unwrap_or_else(PoisonError::into_inner) {
            text.sample("hsm_gateway_refusals_total", &[("slug", slug)], count);
        }
        for (name, help, value) in gauges {
            text.gauge(name, help, value);
        }
        self.hsm_durations.write(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_counters_and_gauges() {
        let metrics = Metrics::default();
        metrics.seeds.fetch_add(2, Relaxed);
        metrics.count_refusal("seed.window");
        metrics.count_refusal("seed.window");
        metrics.hsm_durations.add("sign", Duration::from_millis(3));
        let text = metrics.render(&[("hsm_gateway_up", "Help.", 1)]).finish();
        for line in [
            "hsm_gateway_seeds_total 2",
            "hsm_gateway_refusals_total{slug=\"seed.window\"} 2",
            "hsm_gateway_up 1",
            "hsm_gateway_hsm_operation_duration_seconds_bucket{operation=\"sign\",le=\"0.0025\"} 0",
            "hsm_gateway_hsm_operation_duration_seconds_bucket{operation=\"sign\",le=\"0.005\"} 1",
            "hsm_gateway_hsm_operation_duration_seconds_sum{operation=\"sign\"} 0.003",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
    }
}
