//! The host's randomness, for both signers.

use vouchsafe_signer::{ENTROPY_BYTES, Entropy, Error};

/// For one signature. Nothing is signed without it.
pub fn draw() -> Result<Entropy, Error> {
    let mut bytes = [0; ENTROPY_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| Error::Internal)?;
    Ok(Entropy::from_bytes(bytes))
}
