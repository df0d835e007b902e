//! Metrics in the Prometheus text format, and the listener for them.
//!
//! The `prometheus-client` crate is not used: it writes OpenMetrics, in which a counter's `TYPE` line has another name
//! than its samples and every family has a help text. Dashboards and alerts rely on the names and lines as they are.

use crate::accept::{ACCEPT_PAUSE, Gate};
use crate::connection::{bounded, builder};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
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

/// Serves what `render` returns at `/metrics`, for as long as the process lives.
pub async fn serve_metrics(
    listener: TcpListener,
    header_bytes_max: usize,
    render: impl Fn() -> String + Send + Sync + 'static,
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

async fn serve_connection(stream: TcpStream, header_bytes_max: usize, render: &(impl Fn() -> String + Sync)) {
    let service = service_fn(|request: Request<Incoming>| {
        let reply = reply(request.uri().path(), render);
        async move { Ok::<_, Infallible>(reply) }
    });
    let connection = builder(header_bytes_max).keep_alive(false).serve_connection(bounded(stream), service);
    drop(connection.await);
}

fn reply(path: &str, render: impl Fn() -> String) -> Response<Full<Bytes>> {
    let (status, text) = match path {
        "/metrics" => (StatusCode::OK, render()),
        _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
    };
    let mut reply = Response::new(Full::new(text.into()));
    *reply.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

/// Text in the Prometheus format, one metric after another.
///
/// Every metric has a help text. Values of labels must come from bounded sets.
#[derive(Debug, Default)]
pub struct MetricsText(String);

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

    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(text);
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
}
