//! Turns: how many requests are in guests at once.

use http::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most requests in guests at once; a few more wait, the rest are told to come back.
const REQUESTS_MAX: usize = 128;
/// As many more may only read: verifiers and probes must not stand behind exchanges that wait for an issuer.
const READS_MAX: usize = 64;
/// Longest that a request waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(1);

/// Who may go in.
pub struct Turns {
    requests: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// A request's turn, which ends when this is dropped.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// No turn came in time.
#[derive(Debug, PartialEq, Eq)]
pub struct Overloaded;

impl Turns {
    pub fn new() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        }
    }

    /// Waits for a turn of a request with this method.
    pub async fn take(&self, method: &Method) -> Result<Turn, Overloaded> {
        let turns = match method.is_safe() {
            true => &self.reads,
            false => &self.requests,
        };
        let permit = Arc::clone(turns).acquire_owned();
        match tokio::time::timeout(TURN_TIMEOUT, permit).await {
            Ok(Ok(_permit)) => Ok(Turn { _permit }),
            Ok(Err(_)) | Err(_) => Err(Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes every turn that a method has, and one more; gives those that there were.
    async fn fill(turns: &Turns, method: &Method, max: usize) -> Vec<Turn> {
        let mut taken = Vec::new();
        for number in 1..=max {
            let turn = turns.take(method).await;
            taken.push(turn.unwrap_or_else(|_| panic!("{method} {number} of {max}")));
        }
        assert_eq!(turns.take(method).await.err(), Some(Overloaded), "{method}");
        taken
    }

    #[tokio::test]
    async fn requests_and_reads_have_turns_of_their_own() {
        let turns = Turns::new();
        let mut requests = fill(&turns, &Method::POST, REQUESTS_MAX).await;
        // Reads do not stand behind them, nor they behind reads.
        let mut reads = fill(&turns, &Method::GET, READS_MAX).await;
        assert_eq!(turns.take(&Method::HEAD).await.err(), Some(Overloaded));
        reads.pop();
        assert_eq!(turns.take(&Method::POST).await.err(), Some(Overloaded));
        assert!(turns.take(&Method::HEAD).await.is_ok(), "one has ended");
        requests.pop();
        assert!(turns.take(&Method::POST).await.is_ok(), "one has ended");
    }
}
