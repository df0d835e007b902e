//! Instances of the composed component: how they start, are reused, and end.

use crate::cpu::CpuWatch;
use crate::metrics::Metrics;
use crate::state::{Grants, GuestState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::Sleep;
use vouchsafe_serve::log;
use wasmtime::component::GuestTaskId;
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

/// How long an instance may keep running after its last request.
const POST_RETURN: Duration = Duration::from_secs(10);
/// How much longer than the request timeout an instance that does not react to it may live.
const UNRESPONSIVE: Duration = Duration::from_secs(1);

/// How long an instance may stay idle after its bundle was replaced. A request that was just assigned to it still finds
/// it.
const RETIRED_IDLE: Duration = Duration::from_secs(1);

/// Limits on the lifetime of instances.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    pub requests_max: usize,
    pub concurrent_max: usize,
    pub idle_max: Duration,
    pub request_timeout: Duration,
    pub cpu_deadline: Duration,
}

/// Creates instances.
#[derive(Clone)]
pub struct Instances {
    pub engine: Engine,
    pub pre: wasmtime_wasi_http::p3::bindings::ServicePre<GuestState>,
    pub grants: Grants,
    pub lifetime: Lifetime,
    pub metrics: Arc<Metrics>,
    /// Closed when the bundle is replaced.
    pub in_use: watch::Receiver<()>,
}

impl HandlerState for Instances {
    type StoreData = GuestState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<GuestState, Expiration, Worker>> {
        let cpu = CpuWatch::new(self.lifetime.cpu_deadline);
        let mut store = self.grants.store(&self.engine, &cpu)?;
        let pre = ProxyPre::P3(self.pre.clone());
        let proxy = tokio::time::timeout(self.lifetime.request_timeout, pre.instantiate_async(&mut store))
            .await
            .map_err(|_| wasmtime::format_err!("instantiation timed out"))??;
        cpu.record_pause();
        self.metrics.instances_new.fetch_add(1, Relaxed);
        self.metrics.instances_live.fetch_add(1, Relaxed);
        Ok(Instance {
            store,
            proxy,
            view: GuestState::http,
            expiration: Expiration {
                lifetime: self.lifetime,
                cpu: Arc::clone(&cpu),
                sleep: None,
                in_use: Some(Box::pin(until_closed(self.in_use.clone()))),
            },
            state: Worker { lifetime: self.lifetime, metrics: Arc::clone(&self.metrics), cpu },
        })
    }
}

async fn until_closed(mut in_use: watch::Receiver<()>) {
    while in_use.changed().await.is_ok() {}
}

/// Ends an instance that is idle or does not end by itself.
pub struct Expiration {
    lifetime: Lifetime,
    cpu: Arc<CpuWatch>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Ends when the bundle is replaced; `None` afterwards.
    in_use: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        // Called whenever the instance's event loop has nothing to run.
        self.cpu.record_pause();
        if self.in_use.as_mut().is_some_and(|in_use| in_use.as_mut().poll(cx).is_ready()) {
            self.in_use = None;
        }
        let allowed = match status {
            WorkerStatus::Idle if self.in_use.is_none() => RETIRED_IDLE,
            WorkerStatus::Idle => self.lifetime.idle_max,
            WorkerStatus::Requests => self.lifetime.request_timeout.saturating_add(UNRESPONSIVE),
            WorkerStatus::PostReturn => POST_RETURN,
        };
        let Some(deadline) = start.checked_add(allowed).map(tokio::time::Instant::from_std) else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

/// The state of one instance that the request dispatcher uses.
pub struct Worker {
    lifetime: Lifetime,
    metrics: Arc<Metrics>,
    cpu: Arc<CpuWatch>,
}

impl WorkerState for Worker {
    type StoreData = GuestState;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.lifetime.requests_max {
            ShouldAccept::Never
        } else if concurrent >= self.lifetime.concurrent_max {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, GuestState>,
        (): (),
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        self.cpu.record_progress();
        Box::pin(tokio::time::sleep(self.lifetime.request_timeout))
    }

    fn drop(&self, store: Store<GuestState>, result: Result<(), wasmtime::Error>) {
        drop(store);
        self.metrics.instances_live.fetch_sub(1, Relaxed);
        // When the process ends, every instance is dropped with its task.
        if let Err(error) = result
            && !self.metrics.draining.load(Relaxed)
        {
            self.metrics.traps.fetch_add(1, Relaxed);
            let reason = if self.cpu.is_exceeded() { "cpu deadline" } else { "trap" };
            // Debug output includes the Wasm backtrace, which has function names but no data.
            log!("serve: instance terminated, its requests failed ({reason}): {error:?}");
        }
    }
}
