//! The concurrency limit: how many requests are in guests at once.

use http::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of concurrent writing requests. A few more wait for a permit; the others are answered with 503.
const WRITES_MAX: usize = 128;
/// Maximum number of concurrent reading requests, which have a limit of their own: verifiers and probes must not wait
/// behind exchanges that wait for an issuer.
const READS_MAX: usize = 64;
/// Longest time that a request waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Limits the number of concurrent requests.
pub struct ConcurrencyLimit {
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// Permission for one request, until this is dropped.
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// No permit became free in time.
#[derive(Debug, PartialEq, Eq)]
pub struct Overloaded;

impl ConcurrencyLimit {
    pub fn new() -> Self {
        Self { writes: Arc::new(Semaphore::new(WRITES_MAX)), reads: Arc::new(Semaphore::new(READS_MAX)) }
    }

    /// Waits for a permit for a request with this method.
    pub async fn acquire(&self, method: &Method) -> Result<Permit, Overloaded> {
        let permits = if method.is_safe() { &self.reads } else { &self.writes };
        let permit = Arc::clone(permits).acquire_owned();
        match tokio::time::timeout(PERMIT_TIMEOUT, permit).await {
            Ok(Ok(_permit)) => Ok(Permit { _permit }),
            Ok(Err(_)) | Err(_) => Err(Overloaded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all permits for a method, checks that there are no more, and returns them.
    async fn exhaust(limit: &ConcurrencyLimit, method: &Method, max: usize) -> Vec<Permit> {
        let mut taken = Vec::new();
        for number in 1..=max {
            let permit = limit.acquire(method).await;
            taken.push(permit.unwrap_or_else(|_| panic!("{method} {number} of {max}")));
        }
        assert_eq!(limit.acquire(method).await.err(), Some(Overloaded), "{method}");
        taken
    }

    #[tokio::test]
    async fn reads_and_writes_have_separate_permits() {
        let limit = ConcurrencyLimit::new();
        let mut writes = exhaust(&limit, &Method::POST, WRITES_MAX).await;
        let mut reads = exhaust(&limit, &Method::GET, READS_MAX).await;
        assert_eq!(limit.acquire(&Method::HEAD).await.err(), Some(Overloaded));
        reads.pop();
        assert_eq!(limit.acquire(&Method::POST).await.err(), Some(Overloaded));
        assert!(limit.acquire(&Method::HEAD).await.is_ok(), "one has ended");
        writes.pop();
        assert!(limit.acquire(&Method::POST).await.is_ok(), "one has ended");
    }
}
