//! The async runtime of a command.

use crate::Failure;
use std::time::Duration;

/// Longest wait for blocking tasks when a command ends.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);

/// Runs `command` on a multi-threaded runtime.
pub fn run<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(format!("cannot start the async runtime: {error}")))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    outcome
}
