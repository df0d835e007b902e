//! Metrics of the host.

use crate::space::StoreFiles;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use vouchsafe_serve::MetricsText;

/// Routes with a series of their own; every other path counts as `other`.
const ROUTES: &[&str] = &[
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/healthz",
    "/readyz",
    "/token",
];
/// Upper bounds of the latency histogram, in microseconds.
const BUCKETS_US: [u64; 14] = [
    500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000,
];

/// Outcome of an outbound request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Answered,
    Denied,
    Failed,
    TimedOut,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

#[derive(Default)]
struct Latency {
    buckets: [u64; BUCKETS_US.len()],
    count: u64,
    sum_us: u64,
}

/// All metrics. The labels of requests and outbound requests come from fixed sets.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    latency: Mutex<BTreeMap<&'static str, Latency>>,
    outbound: Mutex<BTreeMap<(String, Outcome), u64>>,
    pub instances_live: AtomicI64,
    pub instances_new: AtomicU64,
    pub traps: AtomicU64,
    pub timeouts: AtomicU64,
    pub overloads: AtomicU64,
    pub connections: AtomicI64,
    /// Requests that were answered after the drain began.
    pub drained: AtomicU64,
    /// Whether the host is stopping.
    pub draining: AtomicBool,
    /// Set if the application has a store.
    pub store: OnceLock<Arc<StoreFiles>>,
}

impl Metrics {
    /// Counts an answered request.
    pub fn record_request(&self, path: &str, status: u16, took: Duration) {
        let route = ROUTES.iter().find(|route| **route == path).copied().unwrap_or("other");
        increase(&self.requests, (route, status));
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut latencies = lock(&self.latency);
        let latency = latencies.entry(route).or_default();
        latency.count = latency.count.saturating_add(1);
        latency.sum_us = latency.sum_us.saturating_add(took_us);
        for (count, bound) in latency.buckets.iter_mut().zip(BUCKETS_US) {
            *count = count.saturating_add(u64::from(took_us <= bound));
        }
    }

    /// Counts an outbound request.
    pub fn record_outbound(&self, host: &str, outcome: Outcome) {
        increase(&self.outbound, (host.to_owned(), outcome));
    }

    /// Writes all metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = MetricsText::default();
        text.family("vouchsafe_requests_total", "counter");
        for ((route, status), count) in &*lock(&self.requests) {
            let labels = [("route", *route), ("status", &status.to_string())];
            text.sample("vouchsafe_requests_total", &labels, count);
        }
        self.write_latency(&mut text);
        text.family("vouchsafe_outbound_total", "counter");
        for ((host, outcome), count) in &*lock(&self.outbound) {
            let labels = [("host", host.as_str()), ("outcome", outcome.name())];
            text.sample("vouchsafe_outbound_total", &labels, count);
        }
        for (name, value) in
            [("vouchsafe_instances_live", &self.instances_live), ("vouchsafe_connections_live", &self.connections)]
        {
            text.gauge(name, value.load(Relaxed));
        }
        for (name, value) in [
            ("vouchsafe_instances_new_total", &self.instances_new),
            ("vouchsafe_traps_total", &self.traps),
            ("vouchsafe_timeouts_total", &self.timeouts),
            ("vouchsafe_overloads_total", &self.overloads),
            ("vouchsafe_drained_total", &self.drained),
        ] {
            text.counter(name, value.load(Relaxed));
        }
        self.write_store(&mut text);
        text.finish()
    }

    /// Measured when the metrics are read, so that they show the disk as it is.
    fn write_store(&self, text: &mut MetricsText) {
        let Some(files) = self.store.get() else {
            return;
        };
        let mut size = |name: &str, help: &str, bytes: u64| {
            text.help(name, help);
            text.gauge(name, bytes);
        };
        size("vouchsafe_store_bytes", "Size of the store's database and its write-ahead log.", files.bytes());
        if let Some(bytes) = files.free_bytes() {
            size("vouchsafe_store_free_bytes", "Free bytes of the file system that the store's database is on.", bytes);
        }
    }

    fn write_latency(&self, text: &mut MetricsText) {
        text.family("vouchsafe_request_duration_seconds", "histogram");
        for (route, latency) in &*lock(&self.latency) {
            let route = ("route", *route);
            let mut bucket = |bound: &str, count: u64| {
                let labels = [route, ("le", bound)];
                text.sample("vouchsafe_request_duration_seconds_bucket", &labels, count);
            };
            for (count, bound) in latency.buckets.iter().zip(BUCKETS_US) {
                let bound = Duration::from_micros(bound).as_secs_f64();
                bucket(&bound.to_string(), *count);
            }
            bucket("+Inf", latency.count);
            let sum = Duration::from_micros(latency.sum_us).as_secs_f64();
            text.sample("vouchsafe_request_duration_seconds_sum", &[route], sum);
            let count = latency.count;
            text.sample("vouchsafe_request_duration_seconds_count", &[route], count);
        }
    }
}

fn lock<T>(counters: &Mutex<T>) -> MutexGuard<'_, T> {
    counters.lock().unwrap_or_else(PoisonError::into_inner)
}

fn increase<K: Ord>(counters: &Mutex<BTreeMap<K, u64>>, key: K) {
    let mut counters = lock(counters);
    let count = counters.entry(key).or_default();
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_paths_share_one_series() {
        let metrics = Metrics::default();
        metrics.record_request("/token", 200, Duration::from_millis(2));
        metrics.record_request("/wp-admin", 404, Duration::from_millis(1));
        metrics.record_request("/x\"y", 404, Duration::from_millis(1));
        metrics.record_outbound("a.example", Outcome::TimedOut);
        let text = metrics.render();
        for line in [
            "vouchsafe_requests_total{route=\"other\",status=\"404\"} 2",
            "vouchsafe_requests_total{route=\"/token\",status=\"200\"} 1",
            "vouchsafe_request_duration_seconds_bucket{route=\"/token\",le=\"0.001\"} 0",
            "vouchsafe_request_duration_seconds_bucket{route=\"/token\",le=\"0.002\"} 1",
            "vouchsafe_request_duration_seconds_count{route=\"/token\"} 1",
            "vouchsafe_outbound_total{host=\"a.example\",outcome=\"timed_out\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("wp-admin"));
        assert!(!text.contains("vouchsafe_store"), "there is no store");
    }

    #[test]
    fn shows_size_and_free_space_of_store() {
        let path = std::env::temp_dir().join(format!("vouchsafe-size-{}.db", std::process::id()));
        std::fs::write(&path, [0; 4096]).expect("written");
        let metrics = Metrics::default();
        let files = Arc::new(StoreFiles::of(path.clone()));
        assert!(metrics.store.set(files).is_ok());
        let text = metrics.render();
        for lines in [
            "# TYPE vouchsafe_store_bytes gauge\nvouchsafe_store_bytes 4096\n",
            "# TYPE vouchsafe_store_free_bytes gauge\nvouchsafe_store_free_bytes ",
        ] {
            assert!(text.contains(lines), "{lines} is not in\n{text}");
        }
        for name in ["vouchsafe_store_bytes", "vouchsafe_store_free_bytes"] {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
        std::fs::remove_file(path).expect("removed");
    }
}
