//! Fetching of an issuer's keys: discovery, the JWK Set, and the end of trust in it.

use std::future::Future;

use vouchsafe_crypto::Crypto;
use vouchsafe_jose::{KEY_SET_BYTES_MAX, KeyUse};

use crate::bearer::Bearer;
use crate::discovery::{self, DISCOVERY_BYTES_MAX};
use crate::error::{DocumentError, FetchError};
use crate::freshness::trusted_until;
use crate::issuer::TrustedIssuer;
use crate::trusted_keys::sha256_hex;
use crate::url::KeyUrl;
use vouchsafe_types::{KeySet, KeySource, PinnedKeys, UnixSeconds};

/// Longest entity tag that is kept, in bytes; a longer one is dropped.
pub const ETAG_BYTES_MAX: usize = 256;

const STATUS_OK: u16 = 200;
const STATUS_NOT_MODIFIED: u16 = 304;

/// The network: GETs one document, follows no redirects, and reads at most `bytes_max` bytes.
pub trait DocumentSource {
    /// `known_etag` makes the request conditional (RFC 9110 §13.1.2); `bearer` authorizes it
    /// (RFC 6750 §2.1).
    fn get(
        &self,
        url: &KeyUrl,
        known_etag: Option<&str>,
        bearer: Option<&Bearer>,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Answer, FetchError>>;
}

/// A server's response. Its content type is ignored: issuers serve key sets as `application/json`,
/// `application/jwk-set+json`, `text/plain` and `application/octet-stream`. The document is parsed strictly, and never
/// rendered.
/// The body of a response other than 200 need not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// All `Cache-Control` fields, joined by commas (RFC 9110 §5.3).
    pub cache_control: Option<String>,
    pub etag: Option<String>,
    pub body: Vec<u8>,
}

/// Fetches the keys of `issuer`. With `known`, revalidates them and renews them if unchanged. Sends `bearer` to the
/// issuer only, and no request to the servers of the URLs in `closed`.
///
/// # Errors
/// Why there are no keys; previously known keys are never returned instead.
pub async fn fetch_keys(
    source: &impl DocumentSource,
    issuer: &TrustedIssuer,
    known: Option<KeySet>,
    bearer: Option<&Bearer>,
    closed: &[String],
    now: UnixSeconds,
    crypto: &dyn Crypto,
) -> Result<KeySet, FetchError> {
    let (url, bearer) = match issuer.keys() {
        KeySource::Pinned(pinned) => return pinned_keys(pinned, issuer.key_use(), now, crypto),
        KeySource::JwksUri(url) => {
            let url = KeyUrl::of_keys(url, issuer.development()).and_then(|url| url.outside(closed));
            (url.map_err(FetchError::UrlRefused)?, bearer)
        }
        KeySource::Discovery => discover(source, issuer, bearer, closed).await?,
    };
    let known_etag = known.as_ref().and_then(|keys| etag_of(&url, keys));
    let answer = source.get(&url, known_etag, bearer, KEY_SET_BYTES_MAX).await?;
    let trusted_until = trusted_until(now, answer.cache_control.as_deref(), issuer.keys_max_age_seconds());
    match (answer.status, known) {
        (STATUS_OK, _) => {
            let etag = usable_etag(answer.etag).map(|tag| format!("{} {tag}", url.as_str()));
            accepted(answer.body, etag, issuer.key_use(), trusted_until, crypto)
        }
        // A 304 is valid only for a conditional request.
        (STATUS_NOT_MODIFIED, Some(known)) if etag_of(&url, &known).is_some() => {
            let document = known.document.into_bytes();
            accepted(document, known.etag, issuer.key_use(), trusted_until, crypto)
        }
        (status, _) => Err(FetchError::Status(status)),
    }
}

/// The keys' URL, and the credential to send there.
async fn discover<'b>(
    source: &impl DocumentSource,
    issuer: &TrustedIssuer,
    bearer: Option<&'b Bearer>,
    closed: &[String],
) -> Result<(KeyUrl, Option<&'b Bearer>), FetchError> {
    let url = KeyUrl::of_discovery(issuer.issuer(), issuer.development())
        .and_then(|url| url.outside(closed))
        .map_err(FetchError::UrlRefused)?;
    let answer = source.get(&url, None, bearer, DISCOVERY_BYTES_MAX).await?;
    if answer.status != STATUS_OK {
        return Err(FetchError::Status(answer.status));
    }
    let keys = discovery::jwks_url(&answer.body, issuer, closed)?;
    // INVARIANT: the credential is for the issuer only: a discovery document that points elsewhere must not leak it.
    let bearer = bearer.filter(|_| keys.origin() == url.origin());
    Ok((keys, bearer))
}

fn pinned_keys(
    pinned: &PinnedKeys,
    key_use: KeyUse,
    now: UnixSeconds,
    crypto: &dyn Crypto,
) -> Result<KeySet, FetchError> {
    if now.0 >= pinned.expires {
        return Err(FetchError::PinnedKeysExpired);
    }
    let document = pinned.document.clone().into_bytes();
    accepted(document, None, key_use, UnixSeconds(pinned.expires), crypto)
}

fn accepted(
    document: Vec<u8>,
    etag: Option<String>,
    key_use: KeyUse,
    trusted_until: UnixSeconds,
    crypto: &dyn Crypto,
) -> Result<KeySet, FetchError> {
    if document.len() > KEY_SET_BYTES_MAX {
        return Err(FetchError::TooLarge);
    }
    let set = vouchsafe_jose::KeySet::parse(&document, key_use, crypto)
        .map_err(|error| FetchError::DocumentInvalid(DocumentError::KeySet(error)))?;
    if set.is_empty() {
        return Err(FetchError::DocumentInvalid(DocumentError::NoUsableKey));
    }
    let digest = sha256_hex(&document);
    let not_utf8 = |_| FetchError::DocumentInvalid(DocumentError::Digest);
    let document = String::from_utf8(document).map_err(not_utf8)?;
    Ok(KeySet { digest, document, trusted_until: trusted_until.0, etag })
}

/// The entity tag that `url` gave to the document of `keys`.
fn etag_of<'k>(url: &KeyUrl, keys: &'k KeySet) -> Option<&'k str> {
    let rest = keys.etag.as_deref()?.strip_prefix(url.as_str())?;
    rest.strip_prefix(' ')
}

/// An entity tag that can be sent back (RFC 9110 §8.8.3).
fn usable_etag(etag: Option<String>) -> Option<String> {
    etag.filter(|tag| tag.len() <= ETAG_BYTES_MAX && !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
