//! The application's log lines, from which the host counts exchanges and learns why the application isn't ready.
//!
//! Guests may print anything: a line that is not as expected is passed on and otherwise ignored.

use crate::metrics::{Exchange, Metrics};
use crate::spans::Spans;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use vouchsafe_policy::BundleFiles;

/// Longest slug that becomes a label.
const SLUG_BYTES_MAX: usize = 64;

/// The names of a bundle's issuers and the ids of its audiences: the only values of these labels.
#[derive(Debug, Default)]
pub struct Names {
    issuers: BTreeSet<String>,
    audiences: BTreeSet<String>,
}

impl Names {
    /// Reads the names of issuer files, and the ids in audience files. Whether the bundle is valid is not known yet.
    pub fn of(files: &BundleFiles) -> Self {
        #[derive(Deserialize)]
        struct Audience {
            id: String,
        }
        let mut names = Self::default();
        for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".toml")) {
            match path.split_once('/') {
                Some(("issuers", file)) => {
                    names.issuers.extend(file.strip_suffix(".toml").map(str::to_owned));
                }
                Some(("audiences", _)) => {
                    let audience = std::str::from_utf8(content).ok().and_then(|text| toml::from_str(text).ok());
                    names.audiences.extend(audience.map(|Audience { id }| id));
                }
                _ => {}
            }
        }
        names
    }
}

/// Reads the log lines of all instances that use one bundle.
#[derive(Default)]
pub struct ApplicationLog {
    names: Names,
    metrics: Arc<Metrics>,
    spans: Option<Spans>,
    unready: Mutex<Option<String>>,
}

/// The members of a line that the host understands.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    route: Cow<'a, str>,
    #[serde(borrow, default)]
    slug: Cow<'a, str>,
    #[serde(borrow, default)]
    issuer: Cow<'a, str>,
    #[serde(borrow, default)]
    audience: Cow<'a, str>,
    #[serde(borrow, default)]
    detail: Cow<'a, str>,
    #[serde(default)]
    status: u16,
    #[serde(borrow, default)]
    trace_id: Cow<'a, str>,
    /// Microseconds of all steps.
    #[serde(default, deserialize_with = "sum")]
    us: u64,
    #[serde(borrow)]
    omitted: Option<Omitted<'a>>,
}

/// The number of lines that were not written.
#[derive(Deserialize)]
struct Omitted<'a> {
    #[serde(borrow)]
    route: Cow<'a, str>,
    #[serde(borrow)]
    slug: Cow<'a, str>,
    lines: u64,
}

impl ApplicationLog {
    pub fn new(names: Names, metrics: Arc<Metrics>, spans: Option<Spans>) -> Self {
        Self { names, metrics, spans, unready: Mutex::default() }
    }

    /// Reads complete lines.
    pub fn read(&self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")) {
            if let Ok(line) = serde_json::from_slice(line) {
                self.note(&line);
            }
            if let Some(spans) = &self.spans {
                spans.read(line);
            }
        }
    }

    fn note(&self, line: &Line<'_>) {
        if let Some(Omitted { route, slug, lines }) = &line.omitted {
            if route == "token" && is_slug(slug) {
                self.metrics.record_exchanges(self.exchange(slug, "", ""), *lines);
            }
        } else if line.route == "token" && is_slug(&line.slug) {
            let exchange = self.exchange(&line.slug, &line.issuer, &line.audience);
            self.metrics.record_exchanges(exchange.clone(), 1);
            if is_trace_id(&line.trace_id) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                self.metrics.record_trace(&exchange, &line.trace_id, line.us, now);
            }
        } else if line.route == "readyz" && line.status != 200 {
            let separator = if line.detail.is_empty() { "" } else { ": " };
            let why = format!("{}{separator}{}", line.slug, line.detail);
            // It becomes part of a line of the host.
            let why = why.replace(char::is_control, " ");
            *self.unready.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        }
    }

    /// The series of an exchange.
    fn exchange(&self, slug: &str, issuer: &str, audience: &str) -> Exchange {
        let label = |known: &BTreeSet<String>, name: &str| match name {
            "" => String::new(),
            name if known.contains(name) => name.to_owned(),
            _ => "other".to_owned(),
        };
        let issuer = label(&self.names.issuers, issuer);
        let audience = label(&self.names.audiences, audience);
        Exchange { slug: slug.to_owned(), issuer, audience }
    }

    /// Why the application last was not ready, by its own account.
    pub fn take_unready(&self) -> Option<String> {
        self.unready.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The sum of the members of an object, of which nothing is kept: there is a line for each exchange.
fn sum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Sum;

    impl<'de> Visitor<'de> for Sum {
        type Value = u64;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of numbers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
            let mut sum = 0_u64;
            while let Some((IgnoredAny, number)) = members.next_entry::<IgnoredAny, u64>()? {
                sum = sum.saturating_add(number);
            }
            Ok(sum)
        }
    }

    deserializer.deserialize_map(Sum)
}

/// 16 bytes in lowercase hex.
fn is_trace_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_slug(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=SLUG_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> ApplicationLog {
        let mut bundle = BundleFiles::default();
        for (path, text) in [
            ("issuers/github.toml", ""),
            ("audiences/api.toml", "id = \"https://api.example\"\nscopes = [\"read\"]\n"),
            ("audiences/broken.toml", "id = "),
            ("rules/a.cedar", ""),
        ] {
            bundle.add(path, text.into()).expect(path);
        }
        ApplicationLog::new(Names::of(&bundle), Arc::default(), None)
    }

    /// The samples of `vouchsafe_exchanges_total` after `lines`.
    fn counted(lines: &str) -> Vec<String> {
        let log = log();
        log.read(lines.as_bytes());
        let text = log.metrics.render();
        text.lines().filter_map(|line| line.strip_prefix("vouchsafe_exchanges_total")).map(str::to_owned).collect()
    }

    #[test]
    fn counts_exchanges_by_names_of_the_bundle() {
        let lines = r#"{"route":"token","slug":"issued","issuer":"github","audience":"https://api.example"}
{"route":"token","slug":"issued","issuer":"github","audience":"https://api.example"}
{"route":"token","slug":"policy.denied","issuer":"github","audience":"https://unknown.example"}
{"route":"token","slug":"token.malformed"}
{"omitted":{"route":"token","slug":"token.malformed","lines":421,"minute":1}}
"#;
        assert_eq!(
            counted(lines),
            [
                r#"{slug="issued",issuer="github",audience="https://api.example"} 2"#,
                r#"{slug="policy.denied",issuer="github",audience="other"} 1"#,
                r#"{slug="token.malformed",issuer="",audience=""} 422"#,
            ]
        );
    }

    #[test]
    fn exemplars_have_the_trace_of_an_exchange() {
        let (log, id) = (log(), "0af7651916cd43dd8448eb211c80319c");
        let line = |id: &str| {
            format!(
                "{{\"route\":\"token\",\"slug\":\"issued\",\"trace_id\":\"{id}\",\"us\":{{\"verify\":900,\"sign\":200}}}}\n"
            )
        };
        log.read(line("not a trace\\\" id").as_bytes());
        assert!(!log.metrics.text().finish_open_metrics().contains("trace_id"));
        log.read(line(id).as_bytes());
        let text = log.metrics.text().finish_open_metrics();
        let has = |start: &str| text.lines().any(|line| line.starts_with(start));
        assert!(
            has(&format!(
                "vouchsafe_exchanges_total{{slug=\"issued\",issuer=\"\",audience=\"\"}} 2 # {{trace_id=\"{id}\"}} 1 "
            )),
            "{text}"
        );
        let bucket = "vouchsafe_request_duration_seconds_bucket{route=\"/token\",le=\"0.002\"} 0 # ";
        assert!(has(&format!("{bucket}{{trace_id=\"{id}\"}} 0.0011 ")), "{text}");
        assert!(!log.metrics.render().contains("trace_id"), "Prometheus' own format has no exemplars");
    }

    #[test]
    fn ignores_lines_of_another_form() {
        let long = format!(r#"{{"route":"token","slug":"{}"}}"#, "a".repeat(SLUG_BYTES_MAX + 1));
        for line in [
            "",
            "text",
            "{",
            "[]",
            r#"{"route":"token"}"#,
            r#"{"route":"token","slug":7}"#,
            r#"{"route":"token","slug":"a\"} 1\nb{c=\""}"#,
            r#"{"route":"jwks","slug":"ok"}"#,
            r#"{"omitted":{"route":"jwks","slug":"ok","lines":3}}"#,
            &long,
        ] {
            assert_eq!(counted(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn remembers_last_reason_until_taken() {
        let log = log();
        let line =
            |slug: &str, more: &str| format!("{{\"route\":\"readyz\",\"status\":503,\"slug\":\"{slug}\"{more}}}\n");
        log.read(line("store.unavailable", "").as_bytes());
        assert_eq!(log.take_unready().as_deref(), Some("store.unavailable"));
        log.read(line("policy.unavailable", ",\"detail\":\"rules/a.cedar:1:2: no\"").as_bytes());
        log.read(b"{\"route\":\"readyz\",\"status\":200,\"slug\":\"ok\"}\n");
        assert_eq!(log.take_unready().as_deref(), Some("policy.unavailable: rules/a.cedar:1:2: no"));
        assert_eq!(log.take_unready(), None);
    }
}
