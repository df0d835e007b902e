//! Public keys in certificates.

use sha2::{Digest as _, Sha256};
use signature::Keypair;
use x509_cert::SubjectPublicKeyInfo;
use x509_cert::der::asn1::{BitString, OctetString};
use x509_cert::der::{Any, Document, Encode as _};
use x509_cert::spki::{self, AlgorithmIdentifier, DynSignatureAlgorithmIdentifier, EncodePublicKey, ObjectIdentifier};

use crate::error::CertificateError;

/// id-ecPublicKey and secp256r1 (RFC 5480 §2.1.1), id-Ed25519 (RFC 8410 §3), ecdsa-with-SHA256
/// (RFC 5758 §3.2).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// First byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 0x04;
/// Bytes of a key's identifier (RFC 7093 §2, method 1).
const IDENTIFIER_BYTES: usize = 20;

/// The public key of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafKey {
    /// The 32 bytes of RFC 8032 §5.1.5.
    Ed25519([u8; 32]),
    /// The coordinates.
    P256 { x: [u8; 32], y: [u8; 32] },
}

impl LeafKey {
    pub(crate) fn info(&self) -> Result<SubjectPublicKeyInfo, CertificateError> {
        match self {
            Self::Ed25519(key) => info(ED25519, None, key),
            Self::P256 { x, y } => p256_info(x, y),
        }
    }
}

fn p256_info(x: &[u8; 32], y: &[u8; 32]) -> Result<SubjectPublicKeyInfo, CertificateError> {
    let point = [&[UNCOMPRESSED][..], x, y].concat();
    info(EC, Some(Any::from(P256)), &point)
}

fn info(oid: ObjectIdentifier, parameters: Option<Any>, key: &[u8]) -> Result<SubjectPublicKeyInfo, CertificateError> {
    Ok(SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier { oid, parameters },
        subject_public_key: BitString::from_bytes(key).map_err(|_| CertificateError::Encoding)?,
    })
}

/// The identifier of a key: its SHA-256, truncated to 160 bits (RFC 7093 §2, method 1).
pub(crate) fn identifier(info: &SubjectPublicKeyInfo) -> Result<OctetString, CertificateError> {
    let digest = Sha256::digest(info.subject_public_key.raw_bytes());
    let start = digest.get(..IDENTIFIER_BYTES).unwrap_or_default();
    OctetString::new(start).map_err(|_| CertificateError::Encoding)
}

/// The public half of a P-256 root signing key. The HSM has the private half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey {
    pub(crate) info: SubjectPublicKeyInfo,
}

impl RootKey {
    /// From coordinates.
    ///
    /// # Errors
    /// [`CertificateError::Encoding`], which no input causes.
    pub fn p256(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, CertificateError> {
        p256_info(x, y).map(|info| Self { info })
    }
}

impl EncodePublicKey for RootKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.info.to_der()?)?)
    }
}

impl Keypair for RootKey {
    type VerifyingKey = Self;

    fn verifying_key(&self) -> Self {
        self.clone()
    }
}

impl DynSignatureAlgorithmIdentifier for RootKey {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifier<Any>> {
        Ok(AlgorithmIdentifier { oid: ECDSA_SHA256, parameters: None })
    }
}
