//! The network and clock that a signer is given.

use std::future::Future;

use vouchsafe_signer::{Entropy, Error, UnixSeconds};

/// How often a request looks whether another's fetch has ended.
const LOOK_MILLISECONDS: u64 = 5;

/// What a gateway answered.
pub struct Answer {
    pub status: u16,
    /// At most [`crate::wire::ANSWER_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("its address is in a blocked network")]
    AddressBlocked,
    #[error("its name has no address")]
    NameUnknown,
    #[error("it is not in the manifest's `allowed_outbound_hosts`")]
    NotAllowed,
    #[error("what it answers is not http, or too much")]
    NotHttp,
    #[error("it did not answer in time")]
    NotInTime,
    #[error("it can't be reached")]
    NotReached,
    #[error("tls failed, or the host does not trust its certificate")]
    TlsFailed,
}

/// The way to the gateways, for one call of the signer.
pub trait Network {
    /// The signer's own clock.
    fn now(&self) -> UnixSeconds;

    /// Randomness for one signature.
    ///
    /// # Errors
    /// [`Error::Internal`] where the host gives none.
    fn entropy(&self) -> Result<Entropy, Error>;

    /// Sends `body` by `POST`, or a `GET` where there is none, with the credential; within a deadline of
    /// its own and that of the whole call.
    fn send(
        &self,
        url: &str,
        credential: &str,
        body: Option<String>,
    ) -> impl Future<Output = Result<Answer, Unreachable>>;

    /// Sleeps.
    ///
    /// # Errors
    /// [`Unreachable`] when the call's deadline has passed.
    fn pause(&self, milliseconds: u64) -> impl Future<Output = Result<(), Unreachable>>;
}

pub(super) async fn wait(network: &impl Network) -> Result<(), Error> {
    let waited = network.pause(LOOK_MILLISECONDS).await;
    waited.map_err(|_| Error::Unavailable)
}
