//! Which RSA keys are strong enough to verify with (RFC 7518 §3.3 and §6.3.1).

use crate::error::KeyError;
use crate::limits::{RSA_EXPONENT_MAX, RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN};

const RSA_EXPONENT_MIN: u64 = 3;

/// The generator and the primes that identify moduli of CVE-2017-15361 ("ROCA").
const ROCA_GENERATOR: u32 = 65_537;
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Checks big-endian `n` and `e`, which must not have leading zeros, and returns the exponent.
pub(crate) fn require_strong(n: &[u8], e: &[u8], bits_max: u32) -> Result<u64, KeyError> {
    if has_leading_zero(n) || has_leading_zero(e) {
        return Err(KeyError::Malformed);
    }
    let exponent = be_u64(e).ok_or(KeyError::RsaExponent)?;
    if !(RSA_EXPONENT_MIN..=RSA_EXPONENT_MAX).contains(&exponent) || exponent % 2 == 0 {
        return Err(KeyError::RsaExponent);
    }
    // ORDER: length before arithmetic, so that a huge modulus costs nothing.
    if n.len() > RSA_MODULUS_BITS_MAX as usize / 8 {
        return Err(KeyError::RsaModulus);
    }
    let highest_bits = n.first().map_or(0, |first| u8::BITS.saturating_sub(first.leading_zeros()));
    let bits = (n.len() as u32).saturating_sub(1).saturating_mul(u8::BITS).saturating_add(highest_bits);
    if bits < RSA_MODULUS_BITS_MIN {
        return Err(KeyError::RsaModulus);
    }
    if bits > bits_max {
        return Err(KeyError::RsaTooLong);
    }
    if n.last().is_none_or(|lowest| lowest % 2 == 0) {
        return Err(KeyError::RsaModulus);
    }
    if has_small_factor(n) || is_weak(n) {
        return Err(KeyError::RsaWeak);
    }
    Ok(exponent)
}

/// Whether one of the small primes divides the modulus. No correct generator makes such a key.
fn has_small_factor(n: &[u8]) -> bool {
    ROCA_PRIMES.iter().any(|prime| residue(n, *prime) == 0)
}

#[expect(clippy::arithmetic_side_effects, reason = "the primes of `ROCA_PRIMES` are not 0 and have 8 bits")]
fn residue(n: &[u8], prime: u32) -> u32 {
    n.iter().fold(0, |residue, byte| (residue << 8 | u32::from(*byte)) % prime)
}

/// Whether the modulus is a power of the generator modulo each of the primes. That holds for every modulus of the
/// faulty library, and for about one in a hundred million others.
#[expect(clippy::arithmetic_side_effects, reason = "primes and powers have 8 bits, the generator 17")]
fn is_weak(n: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let residue = residue(n, *prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * ROCA_GENERATOR % prime));
        powers.take(*prime as usize).any(|power| power == residue)
    })
}

fn has_leading_zero(number: &[u8]) -> bool {
    number.first().is_none_or(|first| *first == 0)
}

fn be_u64(bytes: &[u8]) -> Option<u64> {
    if bytes.len() > size_of::<u64>() {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
