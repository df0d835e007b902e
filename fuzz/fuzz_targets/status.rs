//! A status list: as it is, or with a correct signature over any header and payload.
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
use vouchsafe_crypto::{Crypto, ENTROPY_BYTES, Entropy, PrivateNumbers, Software};
use vouchsafe_verifier::{Check, Keys, Rules, STATUS_LIST_BYTES_MAX, StatusList, StatusLists};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://broker.example";
const URI: &str = "https://broker.example/status/1790000000-7";
/// The public key of the seeds' signatures (`kid` is `k`).
const KEYS: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw","kid":"k","use":"sig","alg":"EdDSA"}]}"#;

/// The header and the payload of `data`, separated by a line feed, signed.
fn signed(data: &[u8]) -> Option<String> {
    let at = data.iter().position(|byte| *byte == b'\n')?;
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(&data[..at]), URL_SAFE_NO_PAD.encode(&data[at + 1..]));
    let key = Software.signing_key(PrivateNumbers::Ed25519(&[7; 32])).expect("a key");
    let signature = key.sign(input.as_bytes(), &Entropy::from_bytes([1; ENTROPY_BYTES])).expect("a signature");
    Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fuzz_target!(|data: &[u8]| {
    let keys = Keys::parse(KEYS).expect("keys");
    let rules = Rules::access_token(ISSUER, "https://api.example");
    let document = signed(data).or_else(|| String::from_utf8(data.to_vec()).ok());
    let Some(document) = document else {
        return;
    };
    let verified = StatusList::verify(&document, URI, &keys, &rules, NOW);
    let mut lists = StatusLists::default();
    let stored = lists.store(URI, &document, &keys, &rules, NOW);
    assert_eq!(verified.is_ok(), stored.is_ok());
    if verified.is_ok() {
        assert!(document.len() <= STATUS_LIST_BYTES_MAX);
        assert!(lists.store(URI, &document, &keys, &rules, NOW).is_ok(), "the same list again");
        let other = "https://broker.example/status/1790000000-8";
        assert!(StatusList::verify(&document, other, &keys, &rules, NOW).is_err(), "for another list");
        let other = Rules { issuer: "https://other.example", ..rules };
        assert!(StatusList::verify(&document, URI, &keys, &other, NOW).is_err(), "for another issuer");
        let error = StatusList::verify(&document, URI, &keys, &rules, NOW + 70).expect_err("expired");
        assert_eq!(error.check, Check::Revocations);
        let token = vouchsafe_verifier::verify(&document, &keys, &rules, NOW).expect_err("a list is no token");
        assert_eq!(token.check, Check::Token);
    }
});
