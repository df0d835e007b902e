//! Metrics of the gateway. Label values are slugs of this program, never text from a caller.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
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
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

impl Metrics {
    /// Counts a refusal.
    pub fn count_refusal(&self, slug: &'static str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refusals.entry(slug).or_default();
        *count = count.saturating_add(1);
    }

    /// Writes all counters and the `gauges`, given as names with help texts and values, in the Prometheus text format.
    pub fn render(&self, gauges: &[(&str, &str, u64)]) -> String {
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
        text.finish()
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
        let text = metrics.render(&[("hsm_gateway_up", "Help.", 1)]);
        for line in
            ["hsm_gateway_seeds_total 2", "hsm_gateway_refusals_total{slug=\"seed.window\"} 2", "hsm_gateway_up 1"]
        {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
    }
}
