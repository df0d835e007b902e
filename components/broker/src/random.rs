//! Random numbers. All fail if the host provides no randomness.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::refusal::Refusal;

/// 128 random bits, base64url.
pub fn id() -> Result<String, Failure> {
    words::<2>().map(|[high, low]| URL_SAFE_NO_PAD.encode([high.to_le_bytes(), low.to_le_bytes()].as_flattened()))
}

/// Random words, by one call of the host.
pub fn words<const N: usize>() -> Result<[u64; N], Failure> {
    let mut bytes = [[0; 8]; N];
    getrandom::fill(bytes.as_flattened_mut())
        .map_err(|_| Failure::new(Refusal::Internal, "the host provides no randomness"))?;
    Ok(bytes.map(u64::from_le_bytes))
}
