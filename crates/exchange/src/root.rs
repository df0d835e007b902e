//! Detects that the signer's root is not the one that the store remembers.
//!
//! Another root means other keys. Verifiers with cached keys refuse the new tokens until they fetch again, and brokers
//! with different roots publish different keys under one issuer URL. Signing goes on: an operator who replaces a leaked
//! root must not be kept from issuing.

use crate::failure::Failure;
use crate::keys::hex;
use crate::ports::Store;
use crate::settings::{Settings, generation_of};
use sha2::{Digest, Sha256};

/// The warning for the operator.
pub const CHANGED: &str = "`signer_root` is not the one that this database has seen: verifiers with cached keys refuse \
    new tokens for up to 300 s, and all brokers of this issuer need the same root; \
    docs/operations/maintain.md says how to accept it";

/// The name under which the store remembers the root of this issuer and key group. Hashed, because the name of a
/// pointer is shorter than an issuer URL may be.
#[must_use]
pub fn pointer_name(issuer: &str, group: &str) -> String {
    format!("signer-root/{}", hex(&Sha256::digest(generation_of(issuer, group))))
}

/// A warning if the root is not the one that the store remembers; remembers the first one. The store keeps a fingerprint,
/// which reveals nothing about the root.
///
/// # Errors
/// The store is unavailable.
pub async fn warning(store: &impl Store, settings: &Settings) -> Result<Option<&'static str>, Failure> {
    let Some(fingerprint) = &settings.root_fingerprint else {
        return Ok(None);
    };
    let name = pointer_name(&settings.issuer, &settings.group);
    let mut known = store.pointer(&name).await?;
    if known.is_none() {
        store.create_pointer(&name, fingerprint).await?;
        // Another broker may have been faster.
        known = store.pointer(&name).await?;
    }
    Ok(known.filter(|known| known != fingerprint).map(|_| CHANGED))
}
