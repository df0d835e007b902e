//! One JSON line per request: time, ids, slug, timings and sizes; no claims, no tokens.
//!
//! Every decision is logged. For other requests, which anyone can send, [`Sampler`] limits the lines.

use crate::limits::LINES_PER_MINUTE_MAX;
use crate::trace_context::TraceContext;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::mem;

/// What happened to one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line<'a> {
    /// Unix seconds.
    pub time: u64,
    pub request_id: &'a str,
    /// Present where spans are exported from the line.
    pub trace: Option<&'a TraceContext>,
    pub route: &'static str,
    pub status: u16,
    pub slug: &'static str,
    pub decision_id: Option<&'a str>,
    /// Name of an issuer file.
    pub issuer: Option<&'a str>,
    /// An audience of the bundle.
    pub audience: Option<&'a str>,
    pub bundle: Option<&'a str>,
    pub determining_rules: &'a [String],
    pub erring_rules: &'a [String],
    /// For operators: why a component was unavailable.
    pub detail: &'a str,
    /// For operators: what they should change.
    pub warnings: &'a [String],
    pub request_bytes: usize,
    pub response_bytes: usize,
    /// Name and microseconds of each step.
    pub timings: &'a [(&'static str, u64)],
}

impl Line<'_> {
    /// `error` where the broker or something behind it failed, `warn` where operators should change something.
    fn level(&self) -> &'static str {
        if self.status >= 500 {
            "error"
        } else if self.erring_rules.is_empty() && self.warnings.is_empty() {
            "info"
        } else {
            "warn"
        }
    }

    /// Renders the line without its line feed. JSON escapes all control characters, so no value can forge a second
    /// line.
    pub fn render(&self) -> String {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("time", self.time.into());
        put("level", self.level().into());
        put("request_id", self.request_id.into());
        if let Some(TraceContext { trace_id, parent_id }) = self.trace {
            put("trace_id", trace_id.as_str().into());
            if let Some(parent_id) = parent_id {
                put("parent_id", parent_id.as_str().into());
            }
        }
        put("route", self.route.into());
        put("status", self.status.into());
        put("slug", self.slug.into());
        let known = [
            ("decision_id", self.decision_id),
            ("issuer", self.issuer),
            ("audience", self.audience),
            ("bundle", self.bundle),
        ];
        for (name, value) in known {
            if let Some(value) = value {
                put(name, value.into());
            }
        }
        if !self.determining_rules.is_empty() {
            put("rules", json!(self.determining_rules));
        }
        if !self.erring_rules.is_empty() {
            put("alarm", "rules_erred".into());
            put("erring_rules", json!(self.erring_rules));
        }
        if !self.detail.is_empty() {
            put("detail", self.detail.into());
        }
        if !self.warnings.is_empty() {
            put("warnings", json!(self.warnings));
        }
        put("request_bytes", self.request_bytes.into());
        put("response_bytes", self.response_bytes.into());
        let timings: Map<_, _> = self.timings.iter().map(|(n, us)| (n.to_string(), json!(us))).collect();
        put("us", Value::Object(timings));
        Value::Object(line).to_string()
    }
}

type Kind = (&'static str, &'static str);

/// Counts requests without a decision in the current minute, by route and slug.
#[derive(Debug, Default)]
pub struct Sampler {
    /// Minutes since the Unix epoch.
    minute: u64,
    requests: BTreeMap<Kind, u64>,
}

impl Sampler {
    #[must_use]
    pub const fn new() -> Self {
        Self { minute: 0, requests: BTreeMap::new() }
    }

    /// The lines to write for `line`: the number of lines omitted in an earlier minute, then the line itself
    /// unless it is omitted.
    pub fn lines(&mut self, line: &Line<'_>) -> Vec<String> {
        let mut lines = self.omitted(line.time);
        let count = self.requests.entry((line.route, line.slug)).or_default();
        *count = count.saturating_add(u64::from(line.decision_id.is_none()));
        if line.decision_id.is_some() || *count <= LINES_PER_MINUTE_MAX {
            lines.push(line.render());
        }
        lines
    }

    /// One line for each route and slug with lines omitted before the minute of `time`.
    fn omitted(&mut self, time: u64) -> Vec<String> {
        let minute = time / 60;
        if minute == self.minute {
            return Vec::new();
        }
        let began_at = mem::replace(&mut self.minute, minute).saturating_mul(60);
        let omitted = |((route, slug), count): (Kind, u64)| {
            let lines = count.checked_sub(LINES_PER_MINUTE_MAX)?;
            let what = json!({ "route": route, "slug": slug, "lines": lines, "minute": began_at });
            (lines > 0).then(|| json!({ "time": time, "level": "warn", "omitted": what }).to_string())
        };
        let requests = mem::take(&mut self.requests);
        requests.into_iter().filter_map(omitted).collect()
    }
}
