//! A worker process: held while it is in use, killed when it is dropped.

use super::conversation::PendingCall;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a worker may take to exit after its connection closed, in polls.
const EXIT_POLLS_MAX: u32 = 100;
const EXIT_POLL: Duration = Duration::from_millis(10);

/// A worker with an open token.
pub(super) struct Worker {
    pub process: Option<Child>,
    /// Number of killed processes that have not exited yet.
    pub exiting: Arc<AtomicU64>,
    pub calls: mpsc::UnboundedSender<PendingCall>,
    /// Identifies the worker, so that a late outcome does not kill its successor.
    pub number: u64,
}

impl Worker {
    /// Waits for a process whose connection has closed, and describes its end.
    pub async fn end(mut self) -> String {
        let Some(process) = &mut self.process else {
            return "ended".to_owned();
        };
        for _ in 0..EXIT_POLLS_MAX {
            match process.try_wait() {
                Ok(None) => tokio::time::sleep(EXIT_POLL).await,
                Ok(Some(status)) => return describe_exit(status),
                Err(error) => return format!("ended ({error})"),
            }
        }
        "closed its connection and is killed".to_owned()
    }
}

/// Describes how a process ended, such as `ended (signal 9)`.
fn describe_exit(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("ended (signal {signal})"),
        (None, Some(code)) => format!("ended (exit code {code})"),
        (None, None) => "ended".to_owned(),
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // It may have exited already.
        drop(process.kill());
        // Waited for on another thread: a process that hangs in the kernel exits when the kernel lets it.
        self.exiting.fetch_add(1, Relaxed);
        let exiting = Arc::clone(&self.exiting);
        let wait = move || {
            drop(process.wait());
            exiting.fetch_sub(1, Relaxed);
        };
        // If no thread can be started, the process stays a zombie and is still counted.
        drop(std::thread::Builder::new().spawn(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(command: &str) -> Worker {
        let process = std::process::Command::new("sh").args(["-c", command]).spawn().expect("sh");
        Worker { process: Some(process), exiting: Arc::default(), calls: mpsc::unbounded_channel().0, number: 1 }
    }

    #[test]
    fn describes_how_process_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        for (command, expected) in [
            ("kill -KILL $$", "ended (signal 9)"),
            ("kill -SEGV $$", "ended (signal 11)"),
            ("exit 3", "ended (exit code 3)"),
            ("exec sleep 60", "closed its connection and is killed"),
        ] {
            assert_eq!(runtime.block_on(worker(command).end()), expected, "{command}");
        }
    }
}
