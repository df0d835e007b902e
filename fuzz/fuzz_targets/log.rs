//! Texts of a transparency log: what parses has one spelling, and no key of a stranger signed it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by a panic"
)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_crypto::{Crypto as _, PublicNumbers, Software};
use vouchsafe_tlog::{Checkpoint, KeyKind, Note, Policy, Proof, TileId, VerifierKey};

fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let key = Software.verifying_key(PublicNumbers::Ed25519(key));
    key.is_some_and(|key| key.verifies(message, signature))
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
        // RFC 8032 section 7.1, test 1: a key that nobody here signs with.
        let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let key = vouchsafe_tlog::decode(key).expect("a key");
        let key = VerifierKey::new("log.example", KeyKind::Ed25519, key).expect("a name");
        assert!(!matches!(note.signed_by(&key, &verify), Ok(Some(_))));
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(proof) = Proof::parse(text) {
        assert_eq!(proof.to_string(), text);
        if let Ok(checkpoint) = Checkpoint::parse(proof.note.text()) {
            assert!(!proof.includes(&[7; 32], &checkpoint));
        }
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Some((id, width)) = TileId::parse(text) {
        assert_eq!(id.path(width), text);
    }
    if let (Ok(policy), Ok(note)) = (Policy::parse(text), Note::parse("a\n1\nAA\n\n\u{2014} a AAAAAAA=\n")) {
        assert!(policy.accept(&note, &verify).is_err());
    }
});
