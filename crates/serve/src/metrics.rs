//! Metrics in the Prometheus text format, or in that of OpenMetrics, and the listener for them.
//!
//! The `prometheus-client` crate is not used: it writes OpenMetrics, in which a counter's `TYPE` line has another name
//! than its samples and every family has a help text. Dashboards and alerts rely on the names and lines as they are.

use crate::accept::{ACCEPT_PAUSE, Gate};
use crate::connection::{bounded, builder};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

/// Maximum number of concurrent connections of the metrics listener. Its clients need no credential, so they must not be
/// able to use up the file descriptors.
const CONNECTIONS_MAX: usize = 32;
const TEXT: &str = "text/plain; version=0.0.4";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves what `render` returns at `/metrics`, for as long as the process lives: in the format of OpenMetrics 1.0, which has
/// exemplars, to clients that accept it.
pub async fn serve_metrics(
    listener: TcpListener,
    header_bytes_max: usize,
    render: impl Fn() -> MetricsText + Send + Sync + 'static,
) {
    let render = Arc::new(render);
    let gate = Gate::new(listener, CONNECTIONS_MAX);
    // The semaphore is never closed.
    while let Ok((permit, accepted)) = gate.accept().await {
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let render = Arc::clone(&render);
        tokio::spawn(async move {
            serve_connection(stream, header_bytes_max, &*render).await;
            drop(permit);
        });
    }
}

async fn serve_connection(stream: TcpStream, header_bytes_max: usize, render: &(impl Fn() -> MetricsText + Sync)) {
    let service = service_fn(|request: Request<Incoming>| {
        let accepts = request.headers().get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(is_open_metrics));
        let reply = reply(request.uri().path(), accepts, render);
        async move { Ok::<_, Infallible>(reply) }
    });
    let connection = builder(header_bytes_max).keep_alive(false).serve_connection(bounded(stream), service);
    drop(connection.await);
}

/// Whether a client names the format. What it prefers does not matter: the other format has less.
fn is_open_metrics(accept: &str) -> bool {
    accept
        .split(',')
        .any(|range| range.split(';').next().is_some_and(|kind| kind.trim() == "application/openmetrics-text"))
}

fn reply(path: &str, accepts_open_metrics: bool, render: impl Fn() -> MetricsText) -> Response<Full<Bytes>> {
    let (status, text, kind) = match path {
        "/metrics" if accepts_open_metrics => (StatusCode::OK, render().finish_open_metrics(), OPEN_METRICS),
        "/metrics" => (StatusCode::OK, render().finish(), TEXT),
        _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned(), TEXT),
    };
    let mut reply = Response::new(Full::new(text.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// One event behind a sample, by its trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    pub trace_id: String,
    pub value: f64,
    /// Unix time.
    pub at_seconds: f64,
}

/// Text in the Prometheus format, one metric after another.
///
/// Every metric has a help text. Values of labels must come from bounded sets.
#[derive(Debug, Default)]
pub struct MetricsText {
    text: String,
    /// Exemplars by the place in the text of the end of the line that each belongs to, in order.
    exemplars: Vec<(usize, Exemplar)>,
}

impl MetricsText {
    /// Writes a counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// Writes a gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Begins a metric of this kind, whose samples follow.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Writes one sample with its labels.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.write(format_args!("{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.write(format_args!("{before}{label}=\"{text}\""));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{after} {value}\n"));
    }

    /// Adds an exemplar to the last sample, which must be a counter or a bucket. Only OpenMetrics has it.
    pub fn exemplar(&mut self, exemplar: &Exemplar) {
        self.exemplars.push((self.text.len().saturating_sub(1), exemplar.clone()));
    }

    /// The whole text, in the format of Prometheus.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    /// The whole text, in the format of OpenMetrics 1.0: families of counters have no `_total`.
    #[must_use]
    pub fn finish_open_metrics(self) -> String {
        let mut open = String::with_capacity(self.text.len());
        let mut exemplars = self.exemplars.into_iter().peekable();
        let mut end = 0_usize;
        let mut help = String::new();
        for line in self.text.split_inclusive('\n') {
            end = end.saturating_add(line.len());
            let line = line.trim_end_matches('\n');
            if line.starts_with("# HELP ") {
                line.clone_into(&mut help);
                continue;
            }
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let counter = family.strip_suffix("_total counter");
                let named = |line: &str| match counter {
                    Some(name) => line.replacen(&format!("{name}_total "), &format!("{name} "), 1),
                    None => line.to_owned(),
                };
                open.push_str(&format!("{}\n{}\n", named(&help), named(line)));
                continue;
            }
            open.push_str(line);
            if let Some((_, exemplar)) = exemplars.next_if(|(place, _)| place.saturating_add(1) == end) {
                let Exemplar { trace_id, value, at_seconds } = exemplar;
                open.push_str(&format!(" # {{trace_id=\"{trace_id}\"}} {value} {at_seconds:.3}"));
            }
            open.push('\n');
        }
        open.push_str("# EOF\n");
        open
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_families_and_samples() {
        let mut text = MetricsText::default();
        text.counter("a_total", "Number of a.", 2);
        text.gauge("b_bytes", "Size of b.", -1);
        text.family("c_total", "counter", "Number of c.");
        text.sample("c_total", &[("route", "/x\"\\\n"), ("status", "200")], 3);
        let expected = "# HELP a_total Number of a.\n# TYPE a_total counter\na_total 2\n\
            # HELP b_bytes Size of b.\n# TYPE b_bytes gauge\nb_bytes -1\n\
            # HELP c_total Number of c.\n# TYPE c_total counter\nc_total{route=\"/x\\\"\\\\\\n\",status=\"200\"} 3\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn open_metrics_has_exemplars_and_families_without_total() {
        let mut text = MetricsText::default();
        text.family("a_total", "counter", "Number of a.");
        text.sample("a_total", &[("x", "y")], 2);
        text.exemplar(&Exemplar { trace_id: "ab".to_owned(), value: 1.0, at_seconds: 1.5 });
        text.sample("a_total", &[("x", "z")], 3);
        text.gauge("b_bytes", "Size of b, a_total.", 1);
        let expected = "# HELP a Number of a.\n# TYPE a counter\n\
            a_total{x=\"y\"} 2 # {trace_id=\"ab\"} 1 1.500\na_total{x=\"z\"} 3\n\
            # HELP b_bytes Size of b, a_total.\n# TYPE b_bytes gauge\nb_bytes 1\n# EOF\n";
        assert_eq!(text.finish_open_metrics(), expected);
    }

    #[test]
    fn clients_get_the_format_that_they_accept() {
        for (accept, expected) in [
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4", true),
            ("application/openmetrics-text", true),
            ("text/plain", false),
            ("*/*", false),
            ("application/openmetrics-text2", false),
        ] {
            assert_eq!(is_open_metrics(accept), expected, "{accept}");
        }
    }
}
