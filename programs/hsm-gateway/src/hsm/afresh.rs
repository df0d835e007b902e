//! Workers that see what there is now.

use super::conversation::read_response;
use super::{Hsm, HsmError, OPEN_MAX, Worker};
use crate::worker::protocol::{self, Call, Fault, Inventory, Reply, Request};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

impl Hsm {
    /// What a worker sees that was started just now, for one look. Some modules show a process that makes an
    /// object nothing of what others made shortly before it.
    pub async fn inspect_afresh(&self) -> Result<Inventory, HsmError> {
        self.may_log_in()?;
        let failed = |error: std::io::Error| HsmError::Fault(Fault::Module(error.to_string()));
        let (process, mut socket) = self.spawn().map_err(failed)?;
        let number = self.numbers.fetch_add(1, Relaxed).saturating_add(1);
        // Killed when it is dropped.
        let _worker = Worker {
            process: Some(process),
            ending: Arc::clone(&self.ending),
            calls: mpsc::unbounded_channel().0,
            number,
        };
        let look = async {
            if let Err(fault) = self.open(&mut socket).await? {
                return Ok(Err(fault));
            }
            let request = Request {
                id: 1,
                call: Call::Inspect,
                root: self.root_for(&Call::Inspect),
            };
            socket.write_all(&protocol::frame(&request)?).await?;
            Ok(read_response(&mut socket).await?.outcome)
        };
        let looked: std::io::Result<_> = match timeout(OPEN_MAX, look).await {
            Ok(looked) => looked,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        match looked.map_err(failed)? {
            Ok(Reply::Inventory(inventory)) => Ok(inventory),
            Ok(_) => Err(HsmError::NotRunning),
            Err(fault) => Err(HsmError::Fault(self.logins.failed(number, &fault))),
        }
    }

    /// Has the worker replaced, so that it sees what there is.
    pub fn renew(&self, why: &str) {
        let number = self.worker().as_ref().map(|it| it.number);
        if let Some(number) = number {
            self.give_up(number, why);
        }
    }
}
