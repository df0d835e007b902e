//! The signed documents of what is revoked, for verifiers that don't ask about each token: the list of revocations, and
//! status lists.

use std::rc::Rc;

use vouchsafe_exchange::failure::Failure;
use vouchsafe_types::{RevocationList, StatusList};

use crate::ports::Ports;

/// How long a document is published while nothing changes, in seconds: a part of its lifetime, so that what is left bridges
/// a short outage.
pub const PUBLISHED_SECONDS_MAX: u64 = 5;

/// What an instance published last.
#[derive(Debug)]
pub struct Published<L = RevocationList> {
    list: L,
    jwt: String,
    signed_at: u64,
    /// When the store was read: the list is used in that second only.
    read_at: u64,
}

impl<L> Published<L> {
    /// What the document says.
    pub fn list(&self) -> &L {
        &self.list
    }

    /// The document: a JWT.
    #[must_use]
    pub fn jwt(&self) -> &str {
        &self.jwt
    }
}

impl<L: PartialEq> Published<L> {
    /// The document of `list`: the last one, unless something changed or that one is [`PUBLISHED_SECONDS_MAX`] old.
    async fn of(
        list: L,
        last: Option<Rc<Self>>,
        now: u64,
        sign: impl AsyncFnOnce(&L) -> Result<String, Failure>,
    ) -> Result<Rc<Self>, Failure> {
        let unchanged = last.filter(|last| last.list == list && now.abs_diff(last.signed_at) < PUBLISHED_SECONDS_MAX);
        let (jwt, signed_at) = match unchanged {
            Some(last) => (last.jwt.clone(), last.signed_at),
            None => (sign(&list).await?, now),
        };
        Ok(Rc::new(Self { list, jwt, signed_at, read_at: now }))
    }
}

/// The document to publish, given what this instance published last. Reads the store at most once a second, because anyone
/// can ask.
pub async fn publish<P: Ports>(ports: &P, last: Option<Rc<Published>>) -> Result<Rc<Published>, Failure> {
    let now = ports.now();
    if let Some(last) = last.as_ref().filter(|last| last.read_at == now) {
        return Ok(Rc::clone(last));
    }
    let sign = async |list: &RevocationList| ports.sign_revocations(list.clone()).await;
    Published::of(ports.in_force().await?, last, now, sign).await
}

/// Likewise the status list `name`; none if there is no such list.
pub async fn publish_status<P: Ports>(
    ports: &P,
    name: &str,
    last: Option<Rc<Published<StatusList>>>,
) -> Result<Option<Rc<Published<StatusList>>>, Failure> {
    let now = ports.now();
    if let Some(last) = last.as_ref().filter(|last| last.read_at == now) {
        return Ok(Some(Rc::clone(last)));
    }
    let Some(list) = ports.status_list(name).await? else { return Ok(None) };
    let sign = async |list: &StatusList| ports.sign_status_list(list.clone()).await;
    Published::of(list, last, now, sign).await.map(Some)
}
