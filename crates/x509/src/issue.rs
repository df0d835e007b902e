//! Making certificates: drafts, and what the root signs.

use std::str::FromStr as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{BitString, Ia5String, UintRef};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{DateTime, Decode as _, Encode as _, EncodePem as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, SubjectPublicKeyInfo};

use crate::error::CertificateError;
use crate::key::{LeafKey, RootKey, identifier};

const SIGNATURE_BYTES: usize = 64;
/// Bytes of a serial number: less than the 20 of RFC 5280 §4.1.2.2.
const SERIAL_BYTES: usize = 16;
/// Longest name of a key group.
const GROUP_BYTES_MAX: usize = 64;

/// How far a root certificate is backdated. Machines of key ceremonies have no network, and verifiers must not consider
/// the root not yet valid.
pub const ROOT_BACKDATE_SECONDS: u64 = 86_400;

/// The content of an epoch key's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochLeaf<'a> {
    pub issuer: &'a str,
    /// The key group: `[a-z0-9-]{1,64}`.
    pub group: &'a str,
    pub generation: u64,
    /// Unix seconds.
    pub epoch_start: u64,
    /// `ES256` or `EdDSA`.
    pub algorithm: &'a str,
    pub key: LeafKey,
    /// First second of its validity, in Unix seconds.
    pub not_before: u64,
    /// Last second of its validity, in Unix seconds.
    pub not_after: u64,
}

/// An unsigned certificate.
pub struct Draft {
    builder: CertificateBuilder<Profile>,
    root: RootKey,
    message: Vec<u8>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Draft({} bytes, ..)", self.message.len())
    }
}

impl Draft {
    fn new(
        profile: Profile,
        validity: Validity,
        key: SubjectPublicKeyInfo,
        root: &RootKey,
    ) -> Result<Self, CertificateError> {
        let encoding = |_| CertificateError::Encoding;
        let serial = serial(&key)?;
        let mut builder = CertificateBuilder::new(profile, serial, validity, key).map_err(encoding)?;
        let message = builder.finalize(root).map_err(encoding)?;
        Ok(Self { builder, root: root.clone(), message })
    }

    /// The bytes that the root must sign with ES256: the `TBSCertificate` in DER (RFC 5280 §4.1.1.3).
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Returns the signed certificate in DER. `signature` is in JWS format, `r` and `s` with 32 bytes each, and is not
    /// verified here.
    ///
    /// # Errors
    /// [`CertificateError::Signature`].
    pub fn signed(self, signature: &[u8]) -> Result<Vec<u8>, CertificateError> {
        if signature.len() != SIGNATURE_BYTES {
            return Err(CertificateError::Signature);
        }
        let (r, s) = signature.split_at(SIGNATURE_BYTES / 2);
        let number = |bytes| UintRef::new(bytes).map_err(|_| CertificateError::Signature);
        // RFC 5480 appendix A: `ECDSA-Sig-Value`, a SEQUENCE of two INTEGERs.
        let value = vec![number(r)?, number(s)?];
        let encoding = |_| CertificateError::Encoding;
        let bits = value.to_der().map_err(encoding)?;
        let bits = BitString::from_bytes(&bits).map_err(encoding)?;
        let certificate = self.builder.assemble(bits, &self.root);
        let certificate = certificate.map_err(|_| CertificateError::Encoding)?;
        certificate.to_der().map_err(encoding)
    }
}

/// The serial number, which is equal for equal keys: a root issues one certificate per key.
fn serial(key: &SubjectPublicKeyInfo) -> Result<SerialNumber, CertificateError> {
    let encoding = |_| CertificateError::Encoding;
    let mut digest = Sha256::digest(key.to_der().map_err(encoding)?);
    // Positive and of fixed length.
    if let Some(first) = digest.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    SerialNumber::new(digest.get(..SERIAL_BYTES).unwrap_or_default()).map_err(encoding)
}

impl RootKey {
    /// Drafts the root's own certificate. It never expires (RFC 5280 §4.1.2.5): verifiers decide how long they pin it.
    ///
    /// # Errors
    /// [`CertificateError::Encoding`] for a time that X.509 can't represent.
    pub fn draft(&self, now: u64) -> Result<Draft, CertificateError> {
        let from = time(now.saturating_sub(ROOT_BACKDATE_SECONDS))?;
        let validity = Validity::new(from, Time::INFINITY);
        let profile = Profile::Root(root_name(&self.info)?);
        Draft::new(profile, validity, self.info.clone(), self)
    }
}

fn root_name(key: &SubjectPublicKeyInfo) -> Result<Name, CertificateError> {
    let identifier = identifier(key)?;
    let start: Vec<u8> = identifier.as_bytes().iter().copied().take(8).collect();
    let hex = base16ct::lower::encode_string(&start);
    name(&format!("CN=root {hex},O=Vouchsafe"))
}

/// Whether `name` is a valid key group name. RFC 5280 appendix A.1 allows 64 characters.
fn is_group(name: &str) -> bool {
    let is_ours = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=GROUP_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_ours)
}

fn name(text: &str) -> Result<Name, CertificateError> {
    Name::from_str(text).map_err(|_| CertificateError::Encoding)
}

fn time(seconds: u64) -> Result<Time, CertificateError> {
    let time = DateTime::from_unix_duration(Duration::from_secs(seconds));
    time.map(Time::from).map_err(|_| CertificateError::Encoding)
}

/// The certificate of a root signing key, which certifies epoch keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootCertificate {
    certificate: Certificate,
    key: RootKey,
}

impl RootCertificate {
    /// Reads a certificate that [`RootKey::draft`] made for `key`. Doesn't verify the signature, because a self-signature
    /// proves nothing.
    ///
    /// # Errors
    /// [`CertificateError::Root`].
    pub fn new(der: &[u8], key: RootKey) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_der(der).map_err(|_| CertificateError::Root)?;
        let tbs = certificate.tbs_certificate();
        let ours = tbs.subject_public_key_info() == &key.info
            && tbs.subject() == &root_name(&key.info)?
            && tbs.issuer() == tbs.subject();
        if ours { Ok(Self { certificate, key }) } else { Err(CertificateError::Root) }
    }

    /// Encodes the certificate for files and for pinning.
    ///
    /// # Errors
    /// [`CertificateError::Encoding`], which no certificate causes.
    pub fn to_pem(&self) -> Result<String, CertificateError> {
        let pem = self.certificate.to_pem(LineEnding::LF);
        pem.map_err(|_| CertificateError::Encoding)
    }

    /// # Errors
    /// [`CertificateError::Encoding`], which no certificate causes.
    pub fn to_der(&self) -> Result<Vec<u8>, CertificateError> {
        let der = self.certificate.to_der();
        der.map_err(|_| CertificateError::Encoding)
    }

    /// The root's subject in DER.
    ///
    /// # Errors
    /// [`CertificateError::Encoding`], which no certificate causes.
    pub fn subject_der(&self) -> Result<Vec<u8>, CertificateError> {
        let der = self.certificate.tbs_certificate().subject().to_der();
        der.map_err(|_| CertificateError::Encoding)
    }

    /// Drafts the certificate of an epoch key.
    ///
    /// # Errors
    /// [`CertificateError::Group`], [`CertificateError::Issuer`], [`CertificateError::Encoding`].
    pub fn leaf(&self, leaf: &EpochLeaf<'_>) -> Result<Draft, CertificateError> {
        // INVARIANT: nothing in the string that `name` parses begins another field.
        if !is_group(leaf.group) {
            return Err(CertificateError::Group);
        }
        let subject = name(&format!(
            "CN=generation {} epoch {} {},OU={},O=Vouchsafe",
            leaf.generation, leaf.epoch_start, leaf.algorithm, leaf.group
        ))?;
        let profile = Profile::Leaf {
            subject,
            root: self.certificate.tbs_certificate().subject().clone(),
            issuer: Ia5String::new(leaf.issuer).map_err(|_| CertificateError::Issuer)?,
        };
        let validity = Validity::new(time(leaf.not_before)?, time(leaf.not_after)?);
        Draft::new(profile, validity, leaf.key.info()?, &self.key)
    }
}

/// The parts of our certificates besides times and keys.
enum Profile {
    Root(Name),
    Leaf { subject: Name, root: Name, issuer: Ia5String },
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, subject: &Name) -> Name {
        match self {
            Self::Root(_) => subject.clone(),
            Self::Leaf { root, .. } => root.clone(),
        }
    }

    fn get_subject(&self) -> Name {
        match self {
            Self::Root(subject) | Self::Leaf { subject, .. } => subject.clone(),
        }
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        root: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let mut all = Vec::new();
        let own = SubjectKeyIdentifier(identifier_of(&key)?);
        let usage = match self {
            Self::Root(_) => KeyUsages::KeyCertSign,
            Self::Leaf { .. } => KeyUsages::DigitalSignature,
        };
        let constraints = BasicConstraints {
            ca: matches!(self, Self::Root(_)),
            path_len_constraint: matches!(self, Self::Root(_)).then_some(0),
        };
        all.push((&constraints).to_extension(tbs.subject(), &all)?);
        // Critical on a leaf too, so that it is never accepted as a CA.
        if let Some(constraints) = all.first_mut() {
            constraints.critical = true;
        }
        all.push((&KeyUsage(usage.into())).to_extension(tbs.subject(), &all)?);
        all.push((&own).to_extension(tbs.subject(), &all)?);
        if let Self::Leaf { issuer, .. } = self {
            let authority = AuthorityKeyIdentifier {
                key_identifier: Some(identifier_of(&root)?),
                ..AuthorityKeyIdentifier::default()
            };
            all.push((&authority).to_extension(tbs.subject(), &all)?);
            let url = GeneralName::UniformResourceIdentifier(issuer.clone());
            all.push((&SubjectAltName(vec![url])).to_extension(tbs.subject(), &all)?);
        }
        Ok(all)
    }
}

fn identifier_of(key: &SubjectPublicKeyInfoRef<'_>) -> builder::Result<x509_cert::der::asn1::OctetString> {
    use x509_cert::der::referenced::RefToOwned as _;
    identifier(&key.ref_to_owned()).map_err(|_| builder::Error::Asn1(x509_cert::der::ErrorKind::Failed.into()))
}

#[cfg(test)]
#[path = "issue_tests.rs"]
mod tests;
