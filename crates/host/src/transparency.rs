//! Keeps the log of audit records up to date. Components can't run in the background, so the host asks for the checkpoint
//! while there are exchanges, and the broker adds what was recorded.

use crate::app::App;
use crate::merge_delay::MergeDelay;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vouchsafe_serve::log;

/// The broker adds records to the log when this is requested.
const CHECKPOINT: &str = "/log/checkpoint";
/// Half of the time after which a record must be in the log.
const PERIOD: Duration = Duration::from_secs(5);
/// Answers after the last exchange: the first may come while an instance is at it that began before the exchange.
const ANSWERS: u8 = 2;

/// Runs for as long as the host serves.
pub async fn keep(app: Arc<App>, authority: String) {
    let (mut seen, mut answers, mut reported) = (None, 0, false);
    loop {
        tokio::time::sleep(PERIOD).await;
        let started = Instant::now();
        let exchanges = Some(app.metrics.exchange_requests());
        if seen != exchanges {
            (seen, answers) = (exchanges, 0);
        }
        if answers == ANSWERS {
            merged(&app.metrics, started);
            continue;
        }
        match app.lanes().get(CHECKPOINT, &authority).await {
            // 404: the log is empty, or the signer signs no checkpoints.
            Ok((status, _)) if status.is_success() || status == http::StatusCode::NOT_FOUND => {
                merged(&app.metrics, started);
                (answers, reported) = (answers.saturating_add(1), false);
            }
            Ok((status, _)) => failed(&app.metrics, &mut reported, &format!("status {status}")),
            Err(error) => failed(&app.metrics, &mut reported, &error),
        }
    }
}

fn merged(metrics: &Metrics, merged_at: Instant) {
    *metrics.merge_delay() = MergeDelay::none_since(merged_at);
}

fn failed(metrics: &Metrics, reported: &mut bool, why: &str) {
    metrics.merge_delay().note_failure();
    if !std::mem::replace(reported, true) {
        log!("serve: cannot add audit records to the log: {why}; trying again every {} s", PERIOD.as_secs());
    }
}
