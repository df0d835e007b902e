//! Published versions of the keys that sign JWTs.

use vouchsafe_jose::PublicKey;
use vouchsafe_signer::PublicJwk;

/// A published version of a `[[key]]`, with its public key.
pub struct PublishedKey {
    pub name: String,
    pub version: u64,
    pub label: String,
    pub jwk: PublicJwk,
    pub verifier: PublicKey,
}
