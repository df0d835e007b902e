//! Spans of exchanges, made from the application's log lines, for whoever exports them.

use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::time::SystemTime;

/// Most exchanges that wait to be exported; further ones are dropped and counted.
const WAITING_MAX: usize = 4096;
/// The steps of an exchange, in the order in which they run.
const STEPS: [&str; 7] = ["load", "prepare", "verify", "decide", "consume", "sign", "record"];

/// One exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// 32 lowercase hex digits.
    pub trace_id: String,
    /// The span of the proxy that passed the request on: 16 lowercase hex digits.
    pub parent_id: Option<String>,
    pub ended_at: SystemTime,
    pub status: u16,
    pub slug: String,
    pub decision_id: Option<String>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub bundle: Option<String>,
    /// Name and microseconds of each step, in order.
    pub steps: Vec<(&'static str, u64)>,
}

/// The queue between the application's log and an exporter. A full queue never delays a request.
#[derive(Clone)]
pub struct Spans {
    sender: SyncSender<Exchanged>,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    pub exported: AtomicU64,
    pub dropped: AtomicU64,
}

/// The members of a line that a span is made from.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    parent_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    slug: Cow<'a, str>,
    status: u16,
    #[serde(borrow)]
    decision_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    issuer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    audience: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bundle: Option<Cow<'a, str>>,
    #[serde(borrow)]
    us: BTreeMap<Cow<'a, str>, u64>,
}

impl Spans {
    /// The queue, and what an exporter reads from it.
    #[must_use]
    pub fn new() -> (Self, Receiver<Exchanged>) {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        (Self { sender, counts: Arc::default() }, receiver)
    }

    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Queues the exchange of a log line. A line without a trace is not one.
    pub(crate) fn read(&self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
            return;
        };
        if self.sender.try_send(Exchanged::of(line)).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Exchanged {
    fn of(line: Line<'_>) -> Self {
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        Self {
            trace_id: line.trace_id.into_owned(),
            parent_id: owned(line.parent_id),
            ended_at: SystemTime::now(),
            status: line.status,
            slug: line.slug.into_owned(),
            decision_id: owned(line.decision_id),
            issuer: owned(line.issuer),
            audience: owned(line.audience),
            bundle: owned(line.bundle),
            steps: STEPS.iter().filter_map(|step| Some((*step, *line.us.get(*step)?))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"time":1,"route":"token","status":200,"slug":"issued","trace_id":"0af7651916cd43dd8448eb211c80319c",
        "parent_id":"b7ad6b7169203331","decision_id":"d","issuer":"github","audience":"https://api.example","bundle":"b",
        "us":{"verify":30,"prepare":10,"unknown":5,"record":20}}"#;

    #[test]
    fn exchange_has_its_steps_in_order() {
        let (spans, receiver) = Spans::new();
        spans.read(LINE);
        let exchanged = receiver.try_recv().unwrap();
        assert_eq!(exchanged.steps, [("prepare", 10), ("verify", 30), ("record", 20)]);
        assert_eq!((exchanged.slug.as_str(), exchanged.issuer.as_deref()), ("issued", Some("github")));
        assert_eq!(exchanged.parent_id.as_deref(), Some("b7ad6b7169203331"));
    }

    #[test]
    fn other_lines_are_ignored() {
        let (spans, receiver) = Spans::new();
        for line in [&b"{}"[..], b"text", br#"{"route":"healthz","slug":"ok","status":200,"us":{}}"#] {
            spans.read(line);
        }
        assert!(receiver.try_recv().is_err());
        assert_eq!(spans.counts().dropped.load(Relaxed), 0);
    }

    #[test]
    fn full_queue_drops_and_counts() {
        let (spans, receiver) = Spans::new();
        for _ in 0..=WAITING_MAX {
            spans.read(LINE);
        }
        assert_eq!(spans.counts().dropped.load(Relaxed), 1);
        assert_eq!(receiver.try_iter().count(), WAITING_MAX);
    }
}
