//! The network and the clock of a signer.

use std::future::Future;

use vouchsafe_signer::{Entropy, Error, UnixSeconds};
use vouchsafe_types::UnreachableCause;

/// How often a request checks whether another request's fetch has ended.
const LOOK_MILLISECONDS: u64 = 5;

/// A gateway's answer.
pub struct Answer {
    pub status: u16,
    /// At most [`crate::wire::ANSWER_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Why a gateway gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("invalid or oversized HTTP response")]
    NotHttp,
    #[error("timeout")]
    NotInTime,
    #[error("{0}")]
    NotReached(UnreachableCause),
}

/// Access to gateways, clock and randomness for one call of the signer.
pub trait Network {
    /// The signer's own clock.
    fn now(&self) -> UnixSeconds;

    /// Randomness for one signature.
    ///
    /// # Errors
    /// [`Error::Internal`] if the host provides none.
    fn entropy(&self) -> Result<Entropy, Error>;

    /// Sends `body` with `POST`, or a `GET` without one, with the credential. Ends within its own deadline and that of the
    /// whole call.
    fn send(
        &self,
        url: &str,
        credential: &str,
        body: Option<String>,
    ) -> impl Future<Output = Result<Answer, Unreachable>>;

    /// Sleeps.
    ///
    /// # Errors
    /// [`Unreachable`] if the call's deadline has passed.
    fn pause(&self, milliseconds: u64) -> impl Future<Output = Result<(), Unreachable>>;
}

/// Waits a moment for another request's fetch.
pub(super) async fn wait(network: &impl Network) -> Result<(), Error> {
    let waited = network.pause(LOOK_MILLISECONDS).await;
    waited.map_err(|_| Error::Unavailable)
}
