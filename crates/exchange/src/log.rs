//! One JSON line per request: decision id, slug, timings, sizes. No claims, no tokens.

use serde_json::{Map, Value, json};

/// What happened to one request.
#[derive(Debug, Default)]
pub struct Line<'a> {
    pub route: &'static str,
    pub status: u16,
    pub slug: &'a str,
    pub decision_id: Option<&'a str>,
    pub bundle: Option<&'a str>,
    pub determining_rules: &'a [String],
    pub erring_rules: &'a [String],
    /// For us: why a part was unavailable.
    pub detail: &'a str,
    pub request_bytes: usize,
    pub response_bytes: usize,
    /// Name and microseconds of each step.
    pub timings: &'a [(&'static str, u64)],
}

impl Line<'_> {
    /// The line, without its line feed. JSON escapes every control character, so that no value
    /// can forge a second line.
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
        let timings: Map<_, _> = self
            .timings
            .iter()
            .map(|(n, us)| (n.to_string(), json!(us)))
            .collect();
        put("us", Value::Object(timings));
        Value::Object(line).to_string()
    }
}
