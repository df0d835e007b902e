//! One JSON line per request: decision id, slug, timings and sizes; no claims, no tokens.
//!
//! Every decision is logged. For other requests, which anyone can send, [`Sampler`] limits the lines.

use crate::limits::LINES_PER_MINUTE_MAX;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::mem;

/// What happened to one request.
#[derive(Debug, Default)]
pub struct Line<'a> {
    pub route: &'static str,
    pub status: u16,
    pub slug: &'static str,
    pub decision_id: Option<&'a str>,
    pub bundle: Option<&'a str>,
    pub determining_rules: &'a [String],
    pub erring_rules: &'a [String],
    /// For operators: why a component was unavailable.
    pub detail: &'a str,
    pub request_bytes: usize,
    pub response_bytes: usize,
    /// Name and microseconds of each step.
    pub timings: &'a [(&'static str, u64)],
}

impl Line<'_> {
    /// Renders the line without its line feed. JSON escapes all control characters, so no value can forge a second
    /// line.
    pub fn render(&self) -> String {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("route", self.route.into());
        put("status", self.status.into());
        put("slug", self.slug.into());
        if let Some(id) = self.decision_id {
            put("decision_id", id.into());
        }
        if let Some(bundle) = self.bundle {
            put("bundle", bundle.into());
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

    /// The lines to write for `line` at `now`: the number of lines omitted in an earlier minute, then the line itself
    /// unless it is omitted.
    pub fn lines(&mut self, line: &Line<'_>, now: u64) -> Vec<String> {
        let mut lines = self.omitted(now / 60);
        let count = self.requests.entry((line.route, line.slug)).or_default();
        *count = count.saturating_add(u64::from(line.decision_id.is_none()));
        if line.decision_id.is_some() || *count <= LINES_PER_MINUTE_MAX {
            lines.push(line.render());
        }
        lines
    }

    /// One line for each route and slug with lines omitted before `minute`.
    fn omitted(&mut self, minute: u64) -> Vec<String> {
        if minute == self.minute {
            return Vec::new();
        }
        let began_at = mem::replace(&mut self.minute, minute).saturating_mul(60);
        let omitted = |((route, slug), count): (Kind, u64)| {
            let lines = count.checked_sub(LINES_PER_MINUTE_MAX)?;
            let what = json!({ "route": route, "slug": slug, "lines": lines, "minute": began_at });
            (lines > 0).then(|| json!({ "omitted": what }).to_string())
        };
        let requests = mem::take(&mut self.requests);
        requests.into_iter().filter_map(omitted).collect()
    }
}
