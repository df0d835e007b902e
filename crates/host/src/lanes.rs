//! Lanes: one set of instances per core.
//!
//! The guest code of an instance runs on one core at a time. A request goes to the lane with the fewest requests, so
//! that a load which one core cannot bear spreads over all of them before any instance is full. A light load stays in
//! the first lanes, and the instances of the others end when they have been idle for long enough.

use crate::instances::Instances;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty, Limited};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use wasmtime_wasi_http::handler::{ProxyHandler, Request, Response};

/// Maximum size of an answer that the host itself requests.
const ANSWER_BYTES_MAX: usize = 128 * 1024;

/// The instances of an application with one bundle.
pub struct Lanes(Vec<Lane>);

struct Lane {
    handler: ProxyHandler<Instances>,
    requests: AtomicUsize,
}

/// A request in a lane, until this is dropped.
struct Place<'a>(&'a Lane);

impl Lanes {
    /// One lane per core that this process may use.
    pub fn new(instances: &Instances) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let lane = |_| Lane { handler: ProxyHandler::new(instances.clone()), requests: AtomicUsize::new(0) };
        Self((0..cores).map(lane).collect())
    }

    /// Lets a guest answer `request`.
    pub async fn handle(&self, request: Request) -> wasmtime::Result<Response> {
        // Concurrent calls may choose the same lane, which the next calls make up for.
        let lane = self.0.iter().min_by_key(|lane| lane.requests.load(Relaxed));
        let place = Place::take(lane.ok_or_else(|| wasmtime::format_err!("no lane"))?);
        place.0.handler.handle((), request).await
    }

    /// Sends the application a GET request for `path`, without a connection.
    pub async fn get(&self, path: &str, authority: &str) -> Result<(StatusCode, Bytes), String> {
        let request = http::Request::get(format!("http://{authority}{path}"))
            .header(http::header::HOST, authority)
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let request = request.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync());
        let response = self.handle(request).await.map_err(|error| format!("{error:#}"))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    }
}

impl<'a> Place<'a> {
    fn take(lane: &'a Lane) -> Self {
        lane.requests.fetch_add(1, Relaxed);
        Self(lane)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}
