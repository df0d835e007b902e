//! The CPU deadline: a guest that computes without pause is ended, one that waits is not.
//!
//! The engine's epoch advances every [`EPOCH`](crate::engine::EPOCH); Wasm code notices at its next
//! loop or call. Each epoch in which an instance was seen running counts; when the instance waits or
//! takes a request, which no busy loop does, the count begins anew. Host calls are not counted.

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
        let epochs = deadline
            .as_nanos()
            .checked_div(EPOCH.as_nanos())
            .unwrap_or(1)
            .max(1);
        let epochs_max = u64::try_from(epochs).unwrap_or(u64::MAX);
        Arc::new(Self {
            epochs_max,
            epochs: AtomicU64::new(0),
            yielding: AtomicBool::new(false),
        })
    }

    /// Ends the guest of `store` with a trap once its count reaches the deadline; until then it
    /// lets other instances run once per epoch.
    pub fn attach<T>(self: &Arc<Self>, store: &mut Store<T>) {
        let watch = Arc::clone(self);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if watch.epochs.fetch_add(1, Relaxed) >= watch.epochs_max {
                return Ok(UpdateDeadline::Interrupt);
            }
            watch.yielding.store(true, Relaxed);
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            ))
        });
    }

    /// The instance gave up the processor: because it waits, or because its epoch ended.
    pub fn paused(&self) {
        if !self.yielding.swap(false, Relaxed) {
            self.epochs.store(0, Relaxed);
        }
    }

    /// The instance took a request: it is busy, and not stuck.
    pub fn progressed(&self) {
        self.epochs.store(0, Relaxed);
    }

    /// Whether the deadline ended the instance.
    pub fn exceeded(&self) -> bool {
        self.epochs.load(Relaxed) > self.epochs_max
    }
}
