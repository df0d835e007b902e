//! Operations of commands in the gateway's log. Each is logged before it is done, like an admin's.

use crate::config::Config;
use crate::log::{Line, Log, Quota};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock};

/// Logs `operation`, which `describe` describes, then runs it. A running gateway may write to the same file, because
/// lines are appended whole.
pub async fn log_operation<T>(
    config: &Config,
    describe: impl Fn(Line) -> Line,
    operation: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let path = config.state_dir.join("gateway.log");
    let fail =
        |error: std::io::Error| Failure::state(&path, error).hint("nothing was done, because it could not be logged");
    let log = Log::open(&path, true, Arc::default()).map_err(fail)?;
    let line = |failed: Option<&str>| {
        let line = describe(Line::new("command", clock::unix_seconds()?).with("uid", uid()));
        Ok::<_, Failure>(match failed {
            Some(why) => line.with("failed", why),
            None => line,
        })
    };
    log.write(Quota::Gateway, line(None)?).await.map_err(fail)?;
    let outcome = operation.await;
    if let Err(failure) = &outcome {
        let line = line(Some(&failure.message))?;
        if let Err(error) = log.write(Quota::Gateway, line).await {
            eprintln!("warning: cannot log that this failed: {error}");
        }
    }
    outcome
}

/// The user that runs this process, if the kernel reports it.
fn uid() -> Option<u32> {
    let process = std::fs::metadata("/proc/self");
    process.ok().map(|it| it.uid())
}
