//! Proof that the token has the private half of what its public halves say: those can be written by whoever
//! reaches the token, without a PIN.

use super::algorithm;
use super::states::TokenKey;
use crate::hsm::{Hsm, HsmError};
use crate::worker::protocol::{Call, Fault, Reply};
use std::collections::BTreeSet;
use std::sync::Arc;
use vouchsafe_gateway::Rules;

/// Labels of those of `keys` that the token can't sign with: nothing of them is to be published.
///
/// # Errors
/// That the token could not be asked.
pub(super) async fn unproven(
    hsm: &Arc<Hsm>,
    rules: &Rules,
    keys: impl Iterator<Item = &TokenKey>,
) -> Result<BTreeSet<String>, HsmError> {
    let mut labels = BTreeSet::new();
    for key in keys {
        let rule = rules.keys().find(|rule| rule.name == key.name);
        let Some(rule) = rule else {
            continue;
        };
        let message = nonce()?;
        let call = Call::Sign {
            label: key.label.clone(),
            algorithm: algorithm(rule.algorithm),
            message: message.clone().into(),
        };
        let proven = match hsm.call_own(call).await {
            Ok(Reply::Bytes(signature)) => key.verifier.verify(&message, &signature.0).is_ok(),
            Err(HsmError::Fault(
                Fault::KeyMissing(_) | Fault::KeyTwice(_) | Fault::NotPossible(_),
            )) => false,
            Ok(_) => return Err(HsmError::NotRunning),
            Err(error) => return Err(error),
        };
        if !proven {
            eprintln!(
                "hsm-gateway: the token can't sign with what it has for `{}`, which is neither used nor published: \
                 its public half is another key's, or somebody changed it",
                key.label
            );
            labels.insert(key.label.clone());
        }
    }
    Ok(labels)
}

/// What nobody can take for a token: a signing input has no colon (RFC 7515 §5.1).
fn nonce() -> Result<Vec<u8>, HsmError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| HsmError::NotRunning)?;
    let hex = crate::hex::hex(&bytes);
    Ok(format!("vouchsafe:possession:{hex}").into_bytes())
}
