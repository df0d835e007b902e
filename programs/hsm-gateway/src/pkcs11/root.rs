//! The root signing key, which certifies epoch keys so that verifiers can pin it (`docs/pinning.md`).

use super::error::{HsmError, duplicate_object};
use super::hsm::Hsm;
use super::inventory::{check_key_pair, inspect};
use super::protocol::{Algorithm, Call, Inventory, Reply};
use std::sync::Arc;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::{ROOT_CERTIFICATE_LABEL, ROOT_SIGNING_LABEL, Uncertified};
use vouchsafe_jose::PublicKey;
use vouchsafe_signer::{CurvePoint, PublicJwk};
use vouchsafe_x509::{CertificateError, Draft, EpochLeaf, LeafKey, RootCertificate, RootKey};

const MISSING_HINT: &str =
    "`hsm-gateway init` creates it on an empty PKCS#11 token, `hsm-gateway restore` from a backup";

/// The root's certificate, with the key that verifies its signatures.
pub struct Root {
    certificate: RootCertificate,
    der: Vec<u8>,
    verifier: PublicKey,
}

impl Root {
    /// Finds the token's root signing key and its certificate, and checks both.
    pub fn find(inventory: &Inventory) -> Result<Self, Failure> {
        let (key, verifier) = root_key(inventory)?;
        let mut found = inventory.certificates.iter().filter(|it| it.label == ROOT_CERTIFICATE_LABEL);
        let certificate = match (found.next(), found.next()) {
            (Some(certificate), None) => certificate,
            (None, _) => {
                return Err(
                    Failure::refused(format!("the PKCS#11 token has no `{ROOT_CERTIFICATE_LABEL}`")).hint(MISSING_HINT)
                );
            }
            (Some(_), Some(_)) => return Err(duplicate_object(ROOT_CERTIFICATE_LABEL)),
        };
        let der = certificate.der.0.to_vec();
        let certificate = RootCertificate::new(&der, key).map_err(|error| {
            Failure::refused(format!("`{ROOT_CERTIFICATE_LABEL}`: {error}"))
                .hint("it must be the certificate that was created with this token's root signing key")
        })?;
        Ok(Self { certificate, der, verifier })
    }

    pub fn certificate(&self) -> &RootCertificate {
        &self.certificate
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub fn verifier(&self) -> &PublicKey {
        &self.verifier
    }

    /// Issues the certificate of an epoch key, in DER, valid while the key is published.
    pub async fn certify(&self, hsm: &Arc<Hsm>, key: &Uncertified) -> Result<Vec<u8>, HsmError> {
        let epoch = key.epoch();
        let leaf = EpochLeaf {
            issuer: &key.issuer,
            group: key.group(),
            generation: key.generation(),
            epoch_start: epoch.start(),
            algorithm: key.algorithm().name(),
            key: leaf_key(&key.jwk).ok_or_else(|| HsmError::module("epoch key is not on a known curve"))?,
            not_before: epoch.publication().0,
            not_after: epoch.withdrawal().0,
        };
        let draft = self.certificate.leaf(&leaf).map_err(HsmError::module)?;
        sign(hsm, draft, &self.verifier).await
    }
}

/// Generates the root signing key on the token, and imports its certificate.
pub async fn create_root_signing_key(hsm: &Arc<Hsm>, now: u64) -> Result<(), Failure> {
    let call =
        Call::CreateKey { label: ROOT_SIGNING_LABEL.to_owned(), algorithm: Algorithm::Es256, id: Vec::new().into() };
    hsm.call(call).await?;
    let inventory = inspect(hsm).await?;
    let (key, verifier) = root_key(&inventory)?;
    let draft = key.draft(now).map_err(certificate_failure)?;
    let der = sign(hsm, draft, &verifier).await?;
    import_root_certificate(hsm, der, key).await?;
    println!("created {ROOT_SIGNING_LABEL}, ES256, and {ROOT_CERTIFICATE_LABEL}");
    Ok(())
}

/// Imports the root's certificate.
pub async fn import_root_certificate(hsm: &Arc<Hsm>, der: Vec<u8>, key: RootKey) -> Result<(), Failure> {
    let certificate = RootCertificate::new(&der, key).map_err(certificate_failure)?;
    let subject = certificate.subject_der().map_err(certificate_failure)?;
    hsm.call(Call::ImportCertificate {
        label: ROOT_CERTIFICATE_LABEL.to_owned(),
        subject: subject.into(),
        der: der.into(),
    })
    .await?;
    Ok(())
}

fn certificate_failure(error: CertificateError) -> Failure {
    Failure::refused(error.to_string())
}

fn root_key(inventory: &Inventory) -> Result<(RootKey, PublicKey), Failure> {
    let (jwk, verifier) = check_key_pair(inventory, ROOT_SIGNING_LABEL, "ES256", MISSING_HINT)?;
    match jwk.curve_point() {
        Some(CurvePoint::P256 { x, y }) => {
            let key = RootKey::p256(&x, &y).map_err(certificate_failure)?;
            Ok((key, verifier))
        }
        Some(CurvePoint::Ed25519(_)) | None => {
            Err(Failure::refused(format!("`{ROOT_SIGNING_LABEL}` is not a P-256 key")))
        }
    }
}

fn leaf_key(jwk: &PublicJwk) -> Option<LeafKey> {
    jwk.curve_point().map(|point| match point {
        CurvePoint::Ed25519(key) => LeafKey::Ed25519(key),
        CurvePoint::P256 { x, y } => LeafKey::P256 { x, y },
    })
}

/// INVARIANT: returns only certificates whose signature verifies.
async fn sign(hsm: &Arc<Hsm>, draft: Draft, verifier: &PublicKey) -> Result<Vec<u8>, HsmError> {
    let call = Call::Sign {
        label: ROOT_SIGNING_LABEL.to_owned(),
        algorithm: Algorithm::Es256,
        message: draft.message().to_vec().into(),
    };
    let Reply::Bytes(signature) = hsm.call_internal(call).await? else {
        return Err(HsmError::unexpected_reply());
    };
    if verifier.verify(draft.message(), &signature.0).is_err() {
        return Err(HsmError::module("a signature of the root does not verify"));
    }
    draft.signed(&signature.0).map_err(HsmError::module)
}
