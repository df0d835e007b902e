//! Exports exchanges as spans: OTLP over HTTP, in its JSON encoding (OpenTelemetry Protocol 1.x, "OTLP/HTTP").
//!
//! Runs in a thread of its own. Whatever happens to the receiver, no request waits for it: spans that don't fit into the
//! queue, or that the receiver does not take, are dropped and counted.

use crate::client::NetworkArgs;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use vouchsafe_cli::Failure;
use vouchsafe_host::{Exchanged, Spans};

/// Most exchanges in one request.
const BATCH_MAX: usize = 512;
/// How long an exchange waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(5);
/// How long a batch is tried. Meanwhile, others wait in the queue.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
/// Least time between two lines about failures.
const QUIET: Duration = Duration::from_secs(60);

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_SERVER`, `STATUS_CODE_ERROR` of OTLP.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const STATUS_ERROR: u8 = 2;

/// Starts the exporter. `endpoint` is the receiver's URL without `/v1/traces`.
pub fn start(endpoint: &str) -> Result<Spans, Failure> {
    let (spans, receiver) = Spans::new();
    let network = NetworkArgs::unattended(RETRY_TIMEOUT);
    // Certificate authorities that can't be read are an error now.
    network.http()?;
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = Exporter { spans: spans.clone(), url, network, failed_at: None };
    let thread = std::thread::Builder::new().name("traces".to_owned()).spawn(move || exporter.run(&receiver));
    thread.map_err(|error| Failure::refused(format!("cannot start a thread: {error}")))?;
    Ok(spans)
}

struct Exporter {
    spans: Spans,
    url: String,
    network: NetworkArgs,
    failed_at: Option<Instant>,
}

impl Exporter {
    fn run(mut self, receiver: &Receiver<Exchanged>) {
        while let Ok(first) = receiver.recv() {
            self.export(&batch(first, receiver));
        }
    }

    fn export(&mut self, batch: &[Exchanged]) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let Err(why) = self.send(batch) else {
            self.spans.counts().exported.fetch_add(count, Relaxed);
            return;
        };
        self.spans.counts().dropped.fetch_add(count, Relaxed);
        if self.failed_at.is_none_or(|at| at.elapsed() >= QUIET) {
            self.failed_at = Some(Instant::now());
            eprintln!("serve: {count} traces were not exported to {}: {why}", self.url);
        }
    }

    /// Sends a batch, again and again while the receiver is down, for [`RETRY_TIMEOUT`] at most.
    fn send(&self, batch: &[Exchanged]) -> Result<(), String> {
        // The time of a client counts from when it was made.
        let http = self.network.http().map_err(|failure| failure.message)?;
        let reply = http.post_json(&self.url, None, &request(batch)).map_err(|failure| failure.message)?;
        if reply.is_success() { Ok(()) } else { Err(format!("it answered {}", reply.status)) }
    }
}

/// The first exchange and those that follow within [`BATCH_WAIT`].
fn batch(first: Exchanged, receiver: &Receiver<Exchanged>) -> Vec<Exchanged> {
    let end = Instant::now().checked_add(BATCH_WAIT);
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX {
        let left = end.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left) {
            Ok(next) => batch.push(next),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    batch
}

/// An `ExportTraceServiceRequest`.
fn request(batch: &[Exchanged]) -> Value {
    let spans: Vec<Value> = batch.iter().flat_map(spans).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", "vouchsafe"),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ] },
        "scopeSpans": [{ "scope": { "name": "vouchsafe" }, "spans": spans }],
    }] })
}

/// The span of the request, and one for each step. No claims, no tokens, no subject: what names a person stays in the
/// audit trail, which the decision id finds.
fn spans(exchanged: &Exchanged) -> Vec<Value> {
    let ended = nanoseconds(exchanged.ended_at);
    let took: u64 = exchanged.steps.iter().map(|(_, us)| us.saturating_mul(1000)).fold(0, u64::saturating_add);
    let started = ended.saturating_sub(took);
    // Random, because other exchanges can belong to the same trace.
    let Some(root) = span_id() else {
        return Vec::new();
    };
    let mut attributes = vec![
        text("http.request.method", "POST"),
        text("url.path", "/token"),
        text("http.route", "/token"),
        json!({ "key": "http.response.status_code", "value": { "intValue": exchanged.status.to_string() } }),
    ];
    let known = [
        ("vouchsafe.decision_id", &exchanged.decision_id),
        ("vouchsafe.issuer", &exchanged.issuer),
        ("vouchsafe.audience", &exchanged.audience),
        ("vouchsafe.bundle", &exchanged.bundle),
    ];
    attributes.extend(known.iter().filter_map(|(key, value)| Some(text(key, value.as_deref()?))));
    if exchanged.slug != "issued" {
        attributes.push(text("error.type", &exchanged.slug));
    }
    let mut server = json!({
        "traceId": exchanged.trace_id, "spanId": root, "name": "POST /token", "kind": SERVER,
        "startTimeUnixNano": started.to_string(), "endTimeUnixNano": ended.to_string(), "attributes": attributes,
    });
    if let Some(members) = server.as_object_mut() {
        if let Some(parent) = &exchanged.parent_id {
            members.insert("parentSpanId".to_owned(), Value::from(parent.as_str()));
        }
        // A denial is a good answer of a server: only its own failures are errors.
        if exchanged.status >= 500 {
            members.insert("status".to_owned(), json!({ "code": STATUS_ERROR }));
        }
    }
    let mut all = vec![server];
    let mut at = started;
    for (name, us) in &exchanged.steps {
        let end = at.saturating_add(us.saturating_mul(1000));
        all.push(json!({
            "traceId": exchanged.trace_id, "spanId": span_id(), "parentSpanId": root,
            "name": format!("vouchsafe.{name}"), "kind": INTERNAL,
            "startTimeUnixNano": at.to_string(), "endTimeUnixNano": end.to_string(),
        }));
        at = end;
    }
    all
}

fn span_id() -> Option<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:016x}", u64::from_be_bytes(bytes)))
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanoseconds(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
