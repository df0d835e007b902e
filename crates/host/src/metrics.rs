//! Metrics of the host.

use crate::cause::Cause;
use crate::key_times::{self, KeyTimes};
use crate::merge_delay::MergeDelay;
use crate::space::StoreFiles;
use crate::spans::Counts;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use vouchsafe_serve::{Exemplar, MetricsText};

/// Routes with a series of their own; every other path counts as `other`, unless it has one of [`PREFIXES`].
const ROUTES: &[&str] = &[
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/admin/revocations",
    "/admin/revocations/lift",
    "/healthz",
    "/introspect",
    "/log/checkpoint",
    "/readyz",
    "/revocations",
    "/revoke",
    "/status",
    "/token",
];
/// The route of exchanges.
const TOKEN: &str = "/token";
/// Routes that have many paths.
const PREFIXES: &[&str] = &["/forward-auth/", "/log/", "/status/", "/v/"];
/// Upper bounds of the latency histogram, in microseconds.
const BUCKETS_US: [u64; 14] = [
    500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000,
];

/// Maximum number of series of `vouchsafe_exchanges_total`. Further exchanges share one, with the slug `other`.
const EXCHANGE_SERIES_MAX: usize = 10_000;

/// What became of an attempt to reload the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reload {
    Loaded,
    Rejected,
    Unchanged,
}

impl Reload {
    fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Rejected => "rejected",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The labels of one series of exchanges. Issuer and audience are from the bundle, `other`, or empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    pub slug: String,
    pub issuer: String,
    pub audience: String,
}

/// Connections to databases.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolStatus {
    pub open: usize,
    pub idle: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
}

#[derive(Default)]
struct Latency {
    buckets: [u64; BUCKETS_US.len()],
    count: u64,
    sum_us: u64,
    /// The last exemplar of each bucket; the last place is that of all longer times.
    exemplars: [Option<Exemplar>; BUCKETS_US.len() + 1],
}

/// Exchanges of one series.
#[derive(Default)]
struct Counted {
    count: u64,
    exemplar: Option<Exemplar>,
}

/// All metrics. Labels come from fixed sets, from the manifest, or from the bundle.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    latency: Mutex<BTreeMap<&'static str, Latency>>,
    outbound: Mutex<BTreeMap<(String, Option<Cause>), u64>>,
    exchanges: Mutex<BTreeMap<Exchange, Counted>>,
    reloads: Mutex<BTreeMap<Reload, u64>>,
    /// Digest of the bundle in use.
    bundle: Mutex<Option<String>>,
    keys: Mutex<Vec<KeyTimes>>,
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
    merge_delay: Mutex<MergeDelay>,
    /// Set if the application has a store.
    pub store: OnceLock<Arc<StoreFiles>>,
    /// Set if exchanges are exported as spans.
    pub spans: OnceLock<Arc<Counts>>,
    /// Set if the store is on PostgreSQL.
    pools: OnceLock<Box<dyn Fn() -> PoolStatus + Send + Sync>>,
}

impl Metrics {
    /// Counts an answered request.
    pub fn record_request(&self, path: &str, status: u16, took: Duration) {
        let known = ROUTES.iter().find(|route| **route == path);
        let route = known.or_else(|| PREFIXES.iter().find(|prefix| path.starts_with(**prefix)));
        let route = route.copied().unwrap_or("other");
        increase(&self.requests, (route, status), 1);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut latencies = lock(&self.latency);
        let latency = latencies.entry(route).or_default();
        latency.count = latency.count.saturating_add(1);
        latency.sum_us = latency.sum_us.saturating_add(took_us);
        for (count, bound) in latency.buckets.iter_mut().zip(BUCKETS_US) {
            *count = count.saturating_add(u64::from(took_us <= bound));
        }
    }

    /// Counts an outbound request, with the cause of its failure.
    pub fn record_outbound(&self, host: &str, cause: Option<Cause>) {
        increase(&self.outbound, (host.to_owned(), cause), 1);
    }

    /// Counts exchanges.
    pub fn record_exchanges(&self, exchange: Exchange, count: u64) {
        let is_new = {
            let known = lock(&self.exchanges);
            known.len() >= EXCHANGE_SERIES_MAX && !known.contains_key(&exchange)
        };
        let other = || Exchange { slug: "other".to_owned(), issuer: String::new(), audience: String::new() };
        let mut exchanges = lock(&self.exchanges);
        let counted = exchanges.entry(if is_new { other() } else { exchange }).or_default();
        counted.count = counted.count.saturating_add(count);
    }

    /// Remembers the trace of an exchange that was just recorded, whose steps took `took_us`.
    pub fn record_trace(&self, exchange: &Exchange, trace_id: &str, took_us: u64, at_seconds: f64) {
        let exemplar = |value| Exemplar { trace_id: trace_id.to_owned(), value, at_seconds };
        if let Some(counted) = lock(&self.exchanges).get_mut(exchange) {
            counted.exemplar = Some(exemplar(1.0));
        }
        let mut latencies = lock(&self.latency);
        let place = BUCKETS_US.iter().position(|bound| took_us <= *bound).unwrap_or(BUCKETS_US.len());
        if let Some(last) = latencies.entry(TOKEN).or_default().exemplars.get_mut(place) {
            *last = Some(exemplar(Duration::from_micros(took_us).as_secs_f64()));
        }
    }

    /// How many requests for a token were answered.
    pub fn exchange_requests(&self) -> u64 {
        let requests = lock(&self.requests);
        requests
            .iter()
            .filter(|((route, _), _)| *route == "/token")
            .map(|(_, count)| *count)
            .fold(0, u64::saturating_add)
    }

    pub fn merge_delay(&self) -> MutexGuard<'_, MergeDelay> {
        lock(&self.merge_delay)
    }

    /// Counts an attempt to reload the bundle.
    pub fn record_reload(&self, reload: Reload) {
        increase(&self.reloads, reload, 1);
    }

    /// Includes the connections to PostgreSQL, as they are when the metrics are read.
    pub fn report_pools(&self, status: impl Fn() -> PoolStatus + Send + Sync + 'static) {
        drop(self.pools.set(Box::new(status)));
    }

    /// Sets the digest of the bundle in use, and the keys that were found with it.
    pub fn set_bundle(&self, digest: Option<String>, keys: Vec<KeyTimes>) {
        *lock(&self.bundle) = digest;
        *lock(&self.keys) = keys;
    }

    /// All metrics in the Prometheus text format.
    #[cfg(test)]
    pub fn render(&self) -> String {
        self.text().finish()
    }

    /// All metrics.
    pub fn text(&self) -> MetricsText {
        let mut text = MetricsText::default();
        self.write_info(&mut text);
        text.family("vouchsafe_requests_total", "counter", "Answered requests.");
        for ((route, status), count) in &*lock(&self.requests) {
            let labels = [("route", *route), ("status", &status.to_string())];
            text.sample("vouchsafe_requests_total", &labels, count);
        }
        self.write_latency(&mut text);
        self.write_exchanges(&mut text);
        text.family("vouchsafe_outbound_total", "counter", "Outbound requests, by cause if they failed.");
        for ((host, cause), count) in &*lock(&self.outbound) {
            let outcome = cause.map_or("answered", Cause::outcome);
            let labels = [("host", host.as_str()), ("outcome", outcome), ("cause", cause.map_or("", Cause::name))];
            text.sample("vouchsafe_outbound_total", &labels, count);
        }
        text.gauge("vouchsafe_instances_live", "Current instances.", self.instances_live.load(Relaxed));
        text.gauge("vouchsafe_connections_live", "Current client connections.", self.connections.load(Relaxed));
        for (name, help, value) in [
            ("vouchsafe_instances_new_total", "Instances started.", &self.instances_new),
            ("vouchsafe_traps_total", "Instances that crashed.", &self.traps),
            ("vouchsafe_timeouts_total", "Requests ended by the request timeout.", &self.timeouts),
            ("vouchsafe_overloads_total", "Requests that found no free place.", &self.overloads),
            ("vouchsafe_drained_total", "Requests answered after the drain began.", &self.drained),
        ] {
            text.counter(name, help, value.load(Relaxed));
        }
        let help = "Longest time that an audit record has been waiting for the log.";
        text.gauge("vouchsafe_log_merge_delay_seconds", help, self.merge_delay().seconds());
        key_times::write(&lock(&self.keys), &mut text);
        self.write_spans(&mut text);
        self.write_store(&mut text);
        self.write_pools(&mut text);
        text
    }

    fn write_info(&self, text: &mut MetricsText) {
        text.family("vouchsafe_build_info", "gauge", "The version of this program, as a label.");
        text.sample("vouchsafe_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        if let Some(digest) = &*lock(&self.bundle) {
            text.family("vouchsafe_bundle_info", "gauge", "The bundle in use, as a label.");
            text.sample("vouchsafe_bundle_info", &[("digest", digest)], 1);
        }
        text.family("vouchsafe_bundle_reloads_total", "counter", "Attempts to reload the bundle.");
        let reloads = lock(&self.reloads);
        for reload in [Reload::Loaded, Reload::Rejected, Reload::Unchanged] {
            let count = reloads.get(&reload).unwrap_or(&0);
            text.sample("vouchsafe_bundle_reloads_total", &[("outcome", reload.name())], count);
        }
    }

    fn write_exchanges(&self, text: &mut MetricsText) {
        text.family("vouchsafe_exchanges_total", "counter", "Token exchanges by outcome, issuer and audience.");
        for (Exchange { slug, issuer, audience }, counted) in &*lock(&self.exchanges) {
            let labels = [("slug", slug.as_str()), ("issuer", issuer), ("audience", audience)];
            text.sample("vouchsafe_exchanges_total", &labels, counted.count);
            counted.exemplar.iter().for_each(|exemplar| text.exemplar(exemplar));
        }
    }

    /// Measured when the metrics are read, so that they show the disk as it is.
    fn write_store(&self, text: &mut MetricsText) {
        let Some(files) = self.store.get() else {
            return;
        };
        let help = "Size of the store's database and its write-ahead log.";
        text.gauge("vouchsafe_store_bytes", help, files.bytes());
        if let Some(bytes) = files.free_bytes() {
            let help = "Free bytes of the file system that the store's database is on.";
            text.gauge("vouchsafe_store_free_bytes", help, bytes);
        }
    }

    fn write_spans(&self, text: &mut MetricsText) {
        let Some(counts) = self.spans.get() else {
            return;
        };
        text.family("vouchsafe_traces_total", "counter", "Exchanges for the receiver of traces, by outcome.");
        for (outcome, count) in [("dropped", &counts.dropped), ("exported", &counts.exported)] {
            text.sample("vouchsafe_traces_total", &[("outcome", outcome)], count.load(Relaxed));
        }
    }

    fn write_pools(&self, text: &mut MetricsText) {
        let Some(PoolStatus { open, idle, waiting }) = self.pools.get().map(|status| status()) else {
            return;
        };
        text.gauge("vouchsafe_postgres_connections_open", "Connections to PostgreSQL.", open);
        text.gauge("vouchsafe_postgres_connections_idle", "Connections to PostgreSQL that run no statement.", idle);
        text.gauge("vouchsafe_postgres_waiting", "Statements that wait for a connection to PostgreSQL.", waiting);
    }

    fn write_latency(&self, text: &mut MetricsText) {
        text.family("vouchsafe_request_duration_seconds", "histogram", "Time to answer a request.");
        for (route, latency) in &*lock(&self.latency) {
            let route = ("route", *route);
            let bounds = BUCKETS_US.map(|bound| Duration::from_micros(bound).as_secs_f64().to_string());
            let buckets = bounds.iter().map(String::as_str).zip(latency.buckets).chain([("+Inf", latency.count)]);
            for ((bound, count), exemplar) in buckets.zip(&latency.exemplars) {
                let labels = [route, ("le", bound)];
                text.sample("vouchsafe_request_duration_seconds_bucket", &labels, count);
                exemplar.iter().for_each(|exemplar| text.exemplar(exemplar));
            }
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

fn increase<K: Ord>(counters: &Mutex<BTreeMap<K, u64>>, key: K, by: u64) {
    let mut counters = lock(counters);
    let count = counters.entry(key).or_default();
    *count = count.saturating_add(by);
}

#[cfg(test)]
mod tests;
