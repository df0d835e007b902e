//! Verifies the token of a case as the broker would at the case's time.

use crate::cases::{Case, CaseToken};
use sha2::{Digest, Sha256};
use vouchsafe_identity as identity;
use vouchsafe_identity::{ParsedKeys, TokenError, TrustedIssuer, TrustedKeys};
use vouchsafe_policy::{Bundle, Issuer, KeySource, Principal};
use vouchsafe_types::{KeySet, UnixSeconds};

/// Why the token of a case is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("issuer `{0}` is not in the bundle")]
    IssuerUnknown(String),
    #[error("the issuer file is not usable for verification: {0}")]
    IssuerUnusable(String),
    #[error(
        "there are no keys to verify the token: add the issuer's JWK Set as `keys`, here or in \
         `tests/{0}.toml`"
    )]
    KeysMissing(String),
    #[error("`keys` is not a usable JWK Set: {0}")]
    KeysUnusable(String),
    #[error("the token is refused with `{slug}`: {0}", slug = .0.slug())]
    Token(TokenError),
}

impl Refusal {
    /// The slug with which the broker would refuse the token.
    pub fn slug(&self) -> Option<&'static str> {
        match self {
            Self::Token(error) => Some(error.slug()),
            Self::IssuerUnknown(_) | Self::IssuerUnusable(_) | Self::KeysMissing(_) | Self::KeysUnusable(_) => None,
        }
    }
}

/// Verifies `token` at the time of `case`, and returns its principal.
pub(crate) fn verify(token: &CaseToken, case: &Case, bundle: &Bundle) -> Result<Principal, Refusal> {
    let name = &case.principal.issuer_name;
    let mut issuers = bundle.issuers();
    let issuer = issuers.find(|issuer| &issuer.name == name);
    let issuer = issuer.ok_or_else(|| Refusal::IssuerUnknown(name.clone()))?;
    let trusted =
        TrustedIssuer::try_from(issuer.record()).map_err(|error| Refusal::IssuerUnusable(error.to_string()))?;
    let keys = keys(token, issuer, &trusted)?;
    let now = UnixSeconds(case.now);
    let proof = identity::verify(&token.jwt, &trusted, &keys, now).map_err(Refusal::Token)?;
    Ok(proof.into_subject().principal)
}

/// The pinned keys of the issuer, or those of the case. They never expire, because the time of a case is fixed.
fn keys(token: &CaseToken, issuer: &Issuer, trusted: &TrustedIssuer) -> Result<TrustedKeys, Refusal> {
    let document = match (&issuer.keys, &token.keys) {
        (KeySource::Pinned(pinned), _) => &pinned.document,
        (KeySource::Discovery | KeySource::JwksUri(_), Some(keys)) => keys,
        (KeySource::Discovery | KeySource::JwksUri(_), None) => {
            return Err(Refusal::KeysMissing(issuer.name.clone()));
        }
    };
    let keys = KeySet {
        digest: base16ct::lower::encode_string(&Sha256::digest(document.as_bytes())),
        document: document.clone(),
        trusted_until: u64::MAX,
        etag: None,
    };
    let parsed = ParsedKeys::parse(&keys, trusted.key_use(), &vouchsafe_crypto::Software);
    let parsed = parsed.map_err(|error| Refusal::KeysUnusable(error.to_string()))?;
    Ok(parsed.trusted_until(UnixSeconds(u64::MAX)))
}
