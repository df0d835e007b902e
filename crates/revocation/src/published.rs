//! The signed list of what is revoked, for verifiers that follow it.

use std::rc::Rc;

use vouchsafe_exchange::failure::Failure;
use vouchsafe_types::RevocationList;

use crate::ports::Ports;

/// How long a document is published while nothing changes, in seconds: a part of its lifetime, so that what is left bridges
/// a short outage.
pub const PUBLISHED_SECONDS_MAX: u64 = 5;

/// What an instance published last.
#[derive(Debug)]
pub struct Published {
    list: RevocationList,
    jwt: String,
    signed_at: u64,
    /// When the store was read: the list is used in that second only.
    read_at: u64,
}

impl Published {
    /// The document: a JWT.
    #[must_use]
    pub fn jwt(&self) -> &str {
        &self.jwt
    }
}

/// The document to publish, given what this instance published last. Reads the store at most once a second, because anyone
/// can ask, and signs only if something changed or the document is [`PUBLISHED_SECONDS_MAX`] old.
pub async fn publish<P: Ports>(ports: &P, last: Option<Rc<Published>>) -> Result<Rc<Published>, Failure> {
    let now = ports.now();
    if let Some(last) = last.as_ref().filter(|last| last.read_at == now) {
        return Ok(Rc::clone(last));
    }
    let list = ports.in_force().await?;
    let unchanged = last.filter(|last| last.list == list && now.abs_diff(last.signed_at) < PUBLISHED_SECONDS_MAX);
    let (jwt, signed_at) = match unchanged {
        Some(last) => (last.jwt.clone(), last.signed_at),
        None => (ports.sign_revocations(list.clone()).await?, now),
    };
    Ok(Rc::new(Published { list, jwt, signed_at, read_at: now }))
}
