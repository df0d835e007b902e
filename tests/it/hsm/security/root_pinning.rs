//! Certificates of epoch keys as `openssl` checks them, and verifiers that pin their root.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use vouchsafe_harness::bundle::{BROKER, EPOCH_SECONDS};
use vouchsafe_harness::hsm::{GatewaySetup, HsmFixture};
use vouchsafe_harness::jwt::from_base64url;

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output();
    output.unwrap_or_else(|error| panic!("openssl: {error}: `scripts/test` installs it"))
}

/// Runs `openssl`, which must succeed; returns its output.
fn openssl_output(folder: &Path, arguments: &[&str]) -> String {
    let output = openssl(folder, arguments);
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Writes the root certificate of a gateway to `name`.
fn write_root(setup: &GatewaySetup, folder: &Path, name: &str) -> String {
    let (code, pem) = setup.run(&["root-certificate"]);
    assert_eq!(code, 0, "{pem}");
    std::fs::write(folder.join(name), &pem).expect("a file");
    pem
}

fn write_leaf(jwk: &Value, folder: &Path) {
    let chain = jwk["x5c"].as_array().expect("x5c");
    assert_eq!(chain.len(), 1, "the chain contains the root");
    let base64 = chain[0].as_str().expect("text");
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    std::fs::write(folder.join("leaf.pem"), pem).expect("a file");
}

fn verifies(folder: &Path, root: &str, at: u64) -> bool {
    let at = at.to_string();
    let verify = ["verify", "-x509_strict", "-attime", &at, "-CAfile", root, "leaf.pem"];
    openssl(folder, &verify).status.success()
}

/// Checks the certificates with the third-party tool `openssl`.
#[test]
fn passes_openssl_while_epoch_key_is_published() {
    let setup = GatewaySetup::initialized();
    let stranger = GatewaySetup::initialized();
    let _gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    let folder = &**setup.folder;
    write_root(&setup, folder, "root.pem");
    write_root(&stranger, folder, "stranger.pem");
    let root = openssl_output(folder, &["x509", "-in", "root.pem", "-noout", "-text"]);
    for expected in ["CA:TRUE, pathlen:0", "Certificate Sign"] {
        assert!(root.contains(expected), "{root}");
    }
    let jwks = fixture.broker.jwks();
    let keys = jwks["keys"].as_array().expect("keys");
    let certified = keys.iter().filter(|key| !key["x5c"].is_null());
    let mut subjects = BTreeSet::new();
    for jwk in certified {
        write_leaf(jwk, folder);
        let show = |what: &[&str]| {
            let x509 = ["x509", "-in", "leaf.pem", "-noout", "-nameopt", "RFC2253"];
            openssl_output(folder, &[&x509, what].concat())
        };
        let subject = show(&["-subject"]);
        let words: Vec<_> = subject.split([' ', ',']).collect();
        let word = |after: &str| {
            let place = words.iter().position(|word| word.ends_with(after));
            words[place.expect(after) + 1]
        };
        assert!(subject.contains("OU=default,O=Vouchsafe"), "{subject}");
        let start: u64 = word("epoch").parse().expect("a number");
        let (published, withdrawn) = (start - 2 * EPOCH_SECONDS, start + 2 * EPOCH_SECONDS);
        for (at, expected) in
            [(published - 1, false), (published, true), (start, true), (withdrawn - 1, true), (withdrawn + 1, false)]
        {
            let found = verifies(folder, "root.pem", at);
            assert_eq!(found, expected, "{subject} at {at}");
        }
        assert!(!verifies(folder, "stranger.pem", start), "another's root");
        let text = show(&["-text"]);
        for expected in [
            "X509v3 Basic Constraints: critical\n                CA:FALSE",
            "X509v3 Key Usage: critical\n                Digital Signature\n",
            "X509v3 Subject Key Identifier",
            "X509v3 Authority Key Identifier",
            &format!("URI:{BROKER}"),
        ] {
            assert!(text.contains(expected), "no {expected} in {text}");
        }
        let public = openssl_output(folder, &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
        std::fs::write(folder.join("public.pem"), public).expect("a file");
        let der = ["pkey", "-pubin", "-in", "public.pem", "-outform", "DER"];
        let der = openssl(folder, &der).stdout;
        let member = |name: &str| from_base64url(jwk[name].as_str()?);
        let point = [member("x").expect("x"), member("y").unwrap_or_default()].concat();
        assert!(der.ends_with(&point), "of another key: {subject}");
        subjects.insert(subject);
    }
    // Two generations, four epochs, two algorithms.
    assert_eq!(subjects.len(), 16, "{subjects:?}");
    fixture.broker.assert_healthy();
}

/// Gateways of one PKCS#11 token have one root and issue the same serial number for a key, also after a restart.
#[test]
fn shares_root_and_serial_numbers_between_gateways() {
    let first = GatewaySetup::initialized();
    let second = first.twin();
    let folder = &**first.folder;
    assert_eq!(write_root(&first, folder, "root.pem"), write_root(&second, folder, "root.pem"));
    let serials = |setup: &GatewaySetup| -> BTreeSet<String> {
        let keys = setup.start().ask("/v1/keys", None).json();
        let keys = keys["groups"][0]["epoch_keys"].as_array().expect("keys").clone();
        keys.iter()
            .map(|key| {
                write_leaf(&key["jwk"], folder);
                let serial = ["x509", "-in", "leaf.pem", "-noout", "-serial", "-subject"];
                openssl_output(folder, &serial)
            })
            .collect()
    };
    let (one, other) = (serials(&first), serials(&second));
    assert_eq!(one.len(), 16);
    // If a new epoch began meanwhile, the oldest of the four keys is gone.
    assert!(one.intersection(&other).count() >= 12, "{one:?} {other:?}");
}
