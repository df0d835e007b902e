//! RSASSA-PKCS1-v1_5 verification with SHA-256 (RFC 8017 §8.2.2).
//!
//! Handles only public data, so variable time is safe. The arithmetic is that of `crypto-bigint`, used directly: the
//! `rsa` crate computes a key's Montgomery parameters for each signature and raises to the power in constant time, which
//! takes several times as long.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use sha2::{Digest, Sha256};

use crate::port::VerifyingKey;

/// DER of `DigestInfo` for SHA-256, up to the digest (RFC 8017 §9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// An RSA public key with its Montgomery parameters.
pub(crate) struct Public {
    params: BoxedMontyParams,
    modulus_bytes: usize,
    exponent: u64,
}

impl Public {
    pub(crate) fn load(modulus: &[u8], exponent: u64) -> Option<Self> {
        if !is_usable(modulus, exponent) {
            return None;
        }
        let odd = Option::<Odd<BoxedUint>>::from(Odd::new(BoxedUint::from_be_slice_vartime(modulus)))?;
        Some(Self { params: BoxedMontyParams::new_vartime(odd), modulus_bytes: modulus.len(), exponent })
    }

    /// `s` to the public exponent, by squaring and multiplying from the highest bit down.
    fn power(&self, s: BoxedUint) -> BoxedUint {
        let base = BoxedMontyForm::new(s, &self.params);
        let mut power = base.clone();
        for bit in (0..self.exponent.checked_ilog2().unwrap_or(0)).rev() {
            power = power.square();
            if self.exponent >> bit & 1 == 1 {
                power = power.mul(&base);
            }
        }
        power.retrieve()
    }
}

impl VerifyingKey for Public {
    /// Compares the whole encoded message instead of parsing it, which prevents Bleichenbacher's forgery
    /// (RFC 8017 §8.2.2).
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != self.modulus_bytes {
            return false;
        }
        let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, self.params.bits_precision()).ok();
        let expected = encoded_message(message, self.modulus_bytes);
        match (number(signature), expected.and_then(|expected| number(&expected))) {
            (Some(signature), Some(expected)) => {
                signature < *self.params.modulus().as_ref() && self.power(signature) == expected
            }
            _ => false,
        }
    }
}

/// The conditions on numbers that both adapters share. `vouchsafe-jose` has stricter ones.
pub(crate) fn is_usable(modulus: &[u8], exponent: u64) -> bool {
    let has_length = (MODULUS_BYTES_MIN..=MODULUS_BYTES_MAX).contains(&modulus.len());
    let is_odd = modulus.last().is_some_and(|lowest| lowest % 2 == 1);
    let has_no_leading_zero = modulus.first().is_some_and(|first| *first != 0);
    let has_exponent = exponent >= 3 && exponent <= u64::from(u32::MAX) && exponent % 2 == 1;
    has_length && is_odd && has_no_leading_zero && has_exponent
}

/// 2048 and 8192 bits.
const MODULUS_BYTES_MIN: usize = 256;
const MODULUS_BYTES_MAX: usize = 1024;

/// EMSA-PKCS1-v1_5 of SHA-256 (RFC 8017 §9.2): `00 01 FF… 00 DigestInfo`.
fn encoded_message(message: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let digest = Sha256::digest(message);
    let padding_end = bytes.checked_sub(1)?.checked_sub(SHA256_DIGEST_INFO.len())?.checked_sub(digest.len())?;
    let mut encoded = vec![0x00, 0x01];
    encoded.resize(padding_end, 0xff);
    encoded.push(0x00);
    encoded.extend_from_slice(&SHA256_DIGEST_INFO);
    encoded.extend_from_slice(&digest);
    Some(encoded)
}
