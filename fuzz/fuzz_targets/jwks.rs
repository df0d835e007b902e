//! A JWK Set: what is usable has no secret, and its keys verify or refuse anything without a panic, the same with both
//! adapters of the arithmetic.
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
use vouchsafe_crypto::{Native, Software};
use vouchsafe_jose::{Algorithm, KEYS_MAX, KeySet, KeyUse};

fuzz_target!(|document: &[u8]| {
    for key_use in [KeyUse::Signature, KeyUse::JwtSvid] {
        let Ok(set) = KeySet::parse(document, key_use, &Software) else {
            continue;
        };
        let native = KeySet::parse(document, key_use, &Native).expect("the adapters accept the same sets");
        assert_eq!((native.len(), native.skipped()), (set.len(), set.skipped()));
        assert!(set.len() + set.skipped().len() <= KEYS_MAX);
        for name in ["RS256", "ES256", "ES384", "EdDSA"] {
            let algorithm = Algorithm::from_name(name).expect("known");
            if let Ok(key) = set.find(None, algorithm) {
                assert_eq!(key.algorithm(), algorithm);
                let native = native.find(None, algorithm).expect("the same key");
                for bytes in [0, 64, 96, 256] {
                    let signature = vec![0x01; bytes];
                    assert_eq!(key.verify(b"message", &signature), native.verify(b"message", &signature));
                }
            }
        }
    }
});
