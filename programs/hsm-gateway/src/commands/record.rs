//! Acts of this program, in the gateway's log: each is there before it is done, as an admin's is.

use crate::config::Config;
use crate::log::{Line, Log, Share};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use vouchsafe_cli::{Failure, clock};

/// Does `act`, which `about` describes. A running gateway may write to the same file: lines are appended
/// whole.
pub async fn recorded<T>(
    config: &Config,
    about: impl Fn(Line) -> Line,
    act: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let path = config.state_dir.join("gateway.log");
    let fail = |error: std::io::Error| {
        Failure::state(&path, error).hint("nothing is done that is not on record")
    };
    let log = Log::open(&path, true, Arc::default()).map_err(fail)?;
    let line = |failed: Option<&str>| {
        let line = about(Line::new("command", clock::unix_seconds()?).with("uid", uid()));
        Ok::<_, Failure>(match failed {
            Some(why) => line.with("failed", why),
            None => line,
        })
    };
    log.write(Share::Own, line(None)?).await.map_err(fail)?;
    let outcome = act.await;
    if let Err(failure) = &outcome {
        let line = line(Some(&failure.message))?;
        if let Err(error) = log.write(Share::Own, line).await {
            eprintln!("warning: the log lacks that this failed: {error}");
        }
    }
    outcome
}

/// Who runs this, as far as the kernel says.
fn uid() -> Option<u32> {
    let process = std::fs::metadata("/proc/self");
    process.ok().map(|it| it.uid())
}
