//! A proof of possession: as it is, or with a correct signature over any header and payload.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by a panic"
)]
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::{Crypto, ENTROPY_BYTES, Entropy, Native, PrivateNumbers, Software};
use vouchsafe_dpop::{
    JTI_BYTES_MAX, NONCE_BYTES_MAX, PROOF_AGE_SECONDS_MAX, PROOF_AHEAD_SECONDS_MAX, PROOF_BYTES_MAX, Request, verify,
};
use vouchsafe_types::UnixSeconds;

const NOW: u64 = 1_800_000_000;
const REQUEST: Request<'_> = Request { method: "POST", url: "https://broker.example/token", access_token: None };

/// The header and the payload of `data`, separated by a line feed, signed with the key that the seeds name.
fn signed(data: &[u8]) -> Option<String> {
    let at = data.iter().position(|byte| *byte == b'\n')?;
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(&data[..at]), URL_SAFE_NO_PAD.encode(&data[at + 1..]));
    let key = Software.signing_key(PrivateNumbers::Ed25519(&[7; 32])).expect("a key");
    let signature = key.sign(input.as_bytes(), &Entropy::from_bytes([1; ENTROPY_BYTES])).expect("a signature");
    Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fuzz_target!(|data: &[u8]| {
    let proof = signed(data).or_else(|| String::from_utf8(data.to_vec()).ok());
    let Some(proof) = proof else {
        return;
    };
    let verified = verify(&proof, REQUEST, UnixSeconds(NOW), &Software);
    assert_eq!(verified, verify(&proof, REQUEST, UnixSeconds(NOW), &Native), "both adapters agree");
    if let Ok(verified) = verified {
        assert!(proof.len() <= PROOF_BYTES_MAX);
        assert_eq!(verified.key_thumbprint.len(), 43);
        assert!((1..=JTI_BYTES_MAX).contains(&verified.jti.len()));
        assert!((NOW - PROOF_AGE_SECONDS_MAX..=NOW + PROOF_AHEAD_SECONDS_MAX).contains(&verified.issued_at));
        let other = Request { method: "GET", ..REQUEST };
        assert!(verify(&proof, other, UnixSeconds(NOW), &Software).is_err(), "for another method");
        let other = Request { url: "https://other.example/token", ..REQUEST };
        assert!(verify(&proof, other, UnixSeconds(NOW), &Software).is_err(), "for another URL");
        assert!(verified.nonce.is_none_or(|nonce| nonce.len() <= NONCE_BYTES_MAX));
    }
});
