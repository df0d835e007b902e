//! Proof that the token has the private keys of the public keys that it shows: whoever reaches the token can write
//! public keys without a PIN.

use super::published_key::PublishedKey;
use crate::hex::hex;
use crate::pkcs11::protocol::{Call, Pkcs11Error, Reply};
use crate::pkcs11::{Hsm, HsmError};
use std::collections::BTreeSet;
use std::sync::Arc;
use vouchsafe_gateway::Rules;

/// Returns the labels of those `keys` that the token can't sign with, which must not be published.
///
/// # Errors
/// The token could not be asked.
pub(super) async fn find_unproven(
    hsm: &Arc<Hsm>,
    rules: &Rules,
    keys: impl Iterator<Item = &PublishedKey>,
) -> Result<BTreeSet<String>, HsmError> {
    let mut labels = BTreeSet::new();
    for key in keys {
        let rule = rules.keys().find(|rule| rule.name == key.name);
        let Some(rule) = rule else {
            continue;
        };
        let message = nonce()?;
        let call =
            Call::Sign { label: key.label.clone(), algorithm: rule.algorithm.into(), message: message.clone().into() };
        let proven = match hsm.call_internal(call).await {
            Ok(Reply::Bytes(signature)) => key.verifier.verify(&message, &signature.0).is_ok(),
            Err(HsmError::Pkcs11(
                Pkcs11Error::KeyMissing(_) | Pkcs11Error::DuplicateKey(_) | Pkcs11Error::Unsupported(_),
            )) => false,
            Ok(_) => return Err(HsmError::unexpected_reply()),
            Err(error) => return Err(error),
        };
        if !proven {
            eprintln!(
                "hsm-gateway: the PKCS#11 token cannot sign with `{}`, which is neither used nor published: its public key does \
                 not match its private key, or the key was changed",
                key.label
            );
            labels.insert(key.label.clone());
        }
    }
    Ok(labels)
}

/// A message that can't be mistaken for a signing input, which has no colon (RFC 7515 §5.1).
fn nonce() -> Result<Vec<u8>, HsmError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| HsmError::NotRunning)?;
    Ok(format!("vouchsafe:possession:{}", hex(&bytes)).into_bytes())
}
