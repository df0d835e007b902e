//! Workers that see the current objects of the token.

use super::conversation::read_response;
use super::{Hsm, HsmError, OPEN_MAX, Worker};
use crate::pkcs11::protocol::{self, Call, Inventory, Reply, Request};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

impl Hsm {
    /// Inspects the token in a new, temporary worker. Some modules hide from a process that creates an object what
    /// other processes created shortly before.
    pub async fn inspect_with_fresh_worker(&self) -> Result<Inventory, HsmError> {
        self.require_login_allowed()?;
        let failed = |error: std::io::Error| HsmError::module(error);
        let (process, mut socket) = self.spawn().map_err(failed)?;
        let number = self.workers_started.fetch_add(1, Relaxed).saturating_add(1);
        // Killed on drop.
        let _worker = Worker {
            process: Some(process),
            exiting: Arc::clone(&self.exiting),
            calls: mpsc::unbounded_channel().0,
            number,
        };
        let inspection = async {
            if let Err(error) = self.open(&mut socket).await? {
                return Ok(Err(error));
            }
            let request = Request { id: 1, call: Call::Inspect, root: self.root_for(&Call::Inspect) };
            socket.write_all(&protocol::frame(&request)?).await?;
            Ok(read_response(&mut socket).await?.outcome)
        };
        let outcome: std::io::Result<_> = match timeout(OPEN_MAX, inspection).await {
            Ok(outcome) => outcome,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        match outcome.map_err(failed)? {
            Ok(Reply::Inventory(inventory)) => Ok(inventory),
            Ok(_) => Err(HsmError::NotRunning),
            Err(error) => Err(HsmError::Pkcs11(self.logins.record_failure(number, &error))),
        }
    }

    /// Replaces the worker, so that it sees the current objects.
    pub fn replace_worker(&self, why: &str) {
        let number = self.worker().as_ref().map(|it| it.number);
        if let Some(number) = number {
            self.kill_worker(number, why);
        }
    }
}
