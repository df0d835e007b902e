//! The CPU deadline, which terminates guests that compute without a pause, but not guests that wait.
//!
//! The engine's epoch advances every [`EPOCH`](crate::engine::EPOCH); Wasm code notices at its next
//! loop or call. Each epoch in which an instance was running counts. The count restarts when the
//! instance waits or takes a request, which no busy loop does. Host calls are not counted.

use crate::engine::EPOCH;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wasmtime::{Store, UpdateDeadline};

/// Counts the epochs of one instance.
pub struct CpuWatch {
    epochs_max: u64,
    epochs: AtomicU64,
    yielding: AtomicBool,
}

impl CpuWatch {
    pub fn new(deadline: Duration) -> Arc<Self> {
        let epochs = deadline.as_nanos().checked_div(EPOCH.as_nanos()).unwrap_or(1).max(1);
        let epochs_max = u64::try_from(epochs).unwrap_or(u64::MAX);
        Arc::new(Self { epochs_max, epochs: AtomicU64::new(0), yielding: AtomicBool::new(false) })
    }

    /// Makes the guest of `store` trap when its count reaches the deadline. Until then, the guest yields to other
    /// instances once per epoch.
    pub fn attach<T>(self: &Arc<Self>, store: &mut Store<T>) {
        let watch = Arc::clone(self);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if watch.epochs.fetch_add(1, Relaxed) >= watch.epochs_max {
                return Ok(UpdateDeadline::Interrupt);
            }
            watch.yielding.store(true, Relaxed);
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
    }

    /// Called when the instance gave up the CPU, because it waits or because its epoch ended.
    pub fn record_pause(&self) {
        if !self.yielding.swap(false, Relaxed) {
            self.epochs.store(0, Relaxed);
        }
    }

    /// Called when the instance took a request: it is busy, but not stuck.
    pub fn record_progress(&self) {
        self.epochs.store(0, Relaxed);
    }

    /// Whether the deadline terminated the instance.
    pub fn is_exceeded(&self) -> bool {
        self.epochs.load(Relaxed) > self.epochs_max
    }
}
