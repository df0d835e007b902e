//! Verifies certificates in `x5c` against a pinned root.
//!
//! `rustls-webpki` checks path, times and constraints. This module checks what it can't know: the issuer of the token, and
//! that the certificate is for the key in the JWK Set.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, DecodePem as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use crate::key::LeafKey;

/// Why a pinned root does not certify a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    #[error("the file contains no PEM certificate of a root signing key")]
    Root,
    #[error("the key has no certificate")]
    Missing,
    #[error("malformed certificate")]
    Malformed,
    #[error("the certificate is not signed by the pinned root")]
    Chain,
    #[error("the certificate is not valid yet")]
    NotYetValid,
    #[error("the certificate has expired")]
    Expired,
    #[error("the certificate does not allow signing tokens")]
    Constraints,
    #[error("the certificate is for another issuer")]
    Issuer,
    #[error("the certificate is for another key")]
    Key,
}

/// A root certificate that a verifier obtained out of band and trusts.
#[derive(Debug)]
pub struct PinnedRoot {
    der: CertificateDer<'static>,
}

/// The content of a verified certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedLeaf {
    pub subject: String,
    pub root: String,
    /// Unix seconds; both bounds are inclusive.
    pub not_before: u64,
    pub not_after: u64,
}

impl PinnedRoot {
    /// # Errors
    /// [`PinError::Root`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, PinError> {
        let certificate = Certificate::from_pem(pem).map_err(|_| PinError::Root)?;
        let tbs = certificate.tbs_certificate();
        let constraints = tbs.get_extension::<BasicConstraints>();
        let usage = tbs.get_extension::<KeyUsage>();
        let certifies = matches!(constraints, Ok(Some((_, it))) if it.ca)
            && matches!(usage, Ok(Some((_, it))) if it.key_cert_sign());
        let der = certificate.to_der().map_err(|_| PinError::Root)?;
        let der = CertificateDer::from(der);
        if certifies && anchor_from_trusted_cert(&der).is_ok() { Ok(Self { der }) } else { Err(PinError::Root) }
    }

    /// Checks that the root certifies `key` for `issuer` at `now`.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn vouches_for(&self, leaf: &[u8], key: &LeafKey, issuer: &str, now: u64) -> Result<PinnedLeaf, PinError> {
        self.verify_path(leaf, now)?;
        let certificate = Certificate::from_der(leaf).map_err(|_| PinError::Malformed)?;
        let tbs = certificate.tbs_certificate();
        match tbs.get_extension::<KeyUsage>() {
            Ok(Some((_, usage))) if usage.digital_signature() => {}
            _ => return Err(PinError::Constraints),
        }
        // INVARIANT: a root may certify keys of several issuers, and each key is valid for its own issuer only.
        match tbs.get_extension::<SubjectAltName>() {
            Ok(Some((_, SubjectAltName(names)))) => match names.as_slice() {
                [GeneralName::UniformResourceIdentifier(url)] if url.as_str() == issuer => {}
                _ => return Err(PinError::Issuer),
            },
            _ => return Err(PinError::Issuer),
        }
        if key.info().ok().as_ref() != Some(tbs.subject_public_key_info()) {
            return Err(PinError::Key);
        }
        let validity = tbs.validity();
        Ok(PinnedLeaf {
            subject: tbs.subject().to_string(),
            root: tbs.issuer().to_string(),
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    fn verify_path(&self, leaf: &[u8], now: u64) -> Result<(), PinError> {
        let leaf = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| PinError::Malformed)?;
        let anchors: [TrustAnchor<'_>; 1] = [anchor_from_trusted_cert(&self.der).map_err(|_| PinError::Root)?];
        let path = leaf.verify_for_usage(
            &[webpki::ring::ECDSA_P256_SHA256],
            &anchors,
            &[],
            UnixTime::since_unix_epoch(Duration::from_secs(now)),
            NoExtendedUsage,
            None,
            None,
        );
        match path {
            Ok(_) => Ok(()),
            Err(Error::CertExpired { .. }) => Err(PinError::Expired),
            Err(Error::CertNotValidYet { .. }) => Err(PinError::NotYetValid),
            Err(Error::UnknownIssuer | Error::InvalidSignatureForPublicKey | Error::SignatureAlgorithmMismatch) => {
                Err(PinError::Chain)
            }
            Err(Error::BadDer | Error::BadDerTime | Error::TrailingData(_)) => Err(PinError::Malformed),
            Err(_) => Err(PinError::Constraints),
        }
    }
}

/// Rejects certificates with an extended key usage. Ours have none; others are for other purposes, such as TLS.
struct NoExtendedUsage;

impl ExtendedKeyUsageValidator for NoExtendedUsage {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        match purposes.next() {
            None => Ok(()),
            Some(_) => Err(Error::EmptyEkuExtension),
        }
    }
}

#[cfg(test)]
#[path = "pin_tests.rs"]
mod tests;
