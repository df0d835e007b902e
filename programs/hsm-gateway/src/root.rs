//! The root signing key: certifies epoch keys, so that verifiers can pin it (`docs/pinning.md`).

use crate::hsm::{Hsm, HsmError};
use crate::inventory::{checked_pair, hsm_failure, inspect, twice};
use crate::worker::protocol::{Algorithm, Call, Fault, Inventory, Reply};
use std::sync::Arc;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::{ROOT_CERTIFICATE_LABEL, ROOT_SIGNING_LABEL, Uncertified};
use vouchsafe_jose::PublicKey;
use vouchsafe_signer::{CurvePoint, PublicJwk};
use vouchsafe_x509::{Draft, EpochLeaf, LeafKey, RootCertificate, RootKey};

const MISSING: &str = "`hsm-gateway init` makes it in an empty token, `restore` from a backup";

/// The root's certificate, and what its signatures are verified with.
pub struct Root {
    certificate: RootCertificate,
    der: Vec<u8>,
    verifier: PublicKey,
}

impl Root {
    /// The root of a token, if its key is safe and its certificate of that key.
    pub fn of(inventory: &Inventory) -> Result<Self, Failure> {
        let (key, verifier) = key(inventory)?;
        let mut found = inventory
            .certificates
            .iter()
            .filter(|it| it.label == ROOT_CERTIFICATE_LABEL);
        let certificate = match (found.next(), found.next()) {
            (Some(certificate), None) => certificate,
            (None, _) => {
                return Err(Failure::refused(format!(
                    "the token has no `{ROOT_CERTIFICATE_LABEL}`"
                ))
                .hint(MISSING));
            }
            (Some(_), Some(_)) => return Err(twice(ROOT_CERTIFICATE_LABEL)),
        };
        let der = certificate.der.0.to_vec();
        let certificate = RootCertificate::new(&der, key).map_err(|error| {
            Failure::refused(format!("`{ROOT_CERTIFICATE_LABEL}`: {error}")).hint(
                "it has to be the certificate that was made with this token's root signing key",
            )
        })?;
        Ok(Self {
            certificate,
            der,
            verifier,
        })
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

    /// The certificate of an epoch key, in DER: valid while the key is published.
    pub async fn certify(&self, hsm: &Arc<Hsm>, key: &Uncertified) -> Result<Vec<u8>, HsmError> {
        let epoch = key.epoch();
        let leaf = EpochLeaf {
            issuer: &key.issuer,
            group: key.group(),
            generation: key.generation(),
            epoch_start: epoch.start(),
            algorithm: key.algorithm().name(),
            key: leaf_key(&key.jwk).ok_or_else(|| unable("not on a curve"))?,
            not_before: epoch.publication().0,
            not_after: epoch.withdrawal().0,
        };
        let draft = self.certificate.leaf(&leaf).map_err(unable)?;
        sign(hsm, draft, &self.verifier).await
    }
}

/// Makes the root signing key in the token, and its certificate.
pub async fn create(hsm: &Arc<Hsm>, now: u64) -> Result<(), Failure> {
    let call = Call::CreateKey {
        label: ROOT_SIGNING_LABEL.to_owned(),
        algorithm: Algorithm::Es256,
        id: Vec::new().into(),
    };
    hsm.call(call).await.map_err(hsm_failure)?;
    let inventory = inspect(hsm).await.map_err(hsm_failure)?;
    let (key, verifier) = key(&inventory)?;
    let draft = key
        .draft(now)
        .map_err(|error| Failure::refused(error.to_string()))?;
    let der = sign(hsm, draft, &verifier).await.map_err(hsm_failure)?;
    import_certificate(hsm, der, key).await?;
    println!("made {ROOT_SIGNING_LABEL}, ES256, and {ROOT_CERTIFICATE_LABEL}");
    Ok(())
}

/// Puts the root's certificate into the token.
pub async fn import_certificate(hsm: &Arc<Hsm>, der: Vec<u8>, key: RootKey) -> Result<(), Failure> {
    let failed = |error: vouchsafe_x509::CertificateError| Failure::refused(error.to_string());
    let certificate = RootCertificate::new(&der, key).map_err(failed)?;
    let call = Call::ImportCertificate {
        label: ROOT_CERTIFICATE_LABEL.to_owned(),
        subject: certificate.subject_der().map_err(failed)?.into(),
        der: der.into(),
    };
    hsm.call(call).await.map_err(hsm_failure).map(drop)
}

fn key(inventory: &Inventory) -> Result<(RootKey, PublicKey), Failure> {
    let (jwk, verifier) = checked_pair(inventory, ROOT_SIGNING_LABEL, "ES256", MISSING)?;
    match jwk.curve_point() {
        Some(CurvePoint::P256 { x, y }) => {
            let key = RootKey::p256(&x, &y).map_err(|error| Failure::refused(error.to_string()))?;
            Ok((key, verifier))
        }
        Some(CurvePoint::Ed25519(_)) | None => Err(Failure::refused(format!(
            "`{ROOT_SIGNING_LABEL}` is not on P-256"
        ))),
    }
}

fn leaf_key(jwk: &PublicJwk) -> Option<LeafKey> {
    jwk.curve_point().map(|point| match point {
        CurvePoint::Ed25519(key) => LeafKey::Ed25519(key),
        CurvePoint::P256 { x, y } => LeafKey::P256 { x, y },
    })
}

/// INVARIANT: no certificate whose signature does not verify.
async fn sign(hsm: &Arc<Hsm>, draft: Draft, verifier: &PublicKey) -> Result<Vec<u8>, HsmError> {
    let call = Call::Sign {
        label: ROOT_SIGNING_LABEL.to_owned(),
        algorithm: Algorithm::Es256,
        message: draft.message().to_vec().into(),
    };
    let Reply::Bytes(signature) = hsm.call_own(call).await? else {
        return Err(HsmError::NotRunning);
    };
    if verifier.verify(draft.message(), &signature.0).is_err() {
        return Err(unable("a signature of the root that does not verify"));
    }
    draft.signed(&signature.0).map_err(unable)
}

fn unable(why: impl ToString) -> HsmError {
    HsmError::Fault(Fault::Module(why.to_string()))
}
