//! Admins who disconnect or act on several gateways at once, and changes to their PKCS#11 tokens.

use serde_json::json;
use std::time::Duration;
use vouchsafe_harness::bundle::{API, HSM_ES256};
use vouchsafe_harness::exchange::{Want, unavailable};
use vouchsafe_harness::hsm::{GatewaySetup, HsmFixture, Pkcs11Token, check_states, eventually, keys, states};

/// Pressing Ctrl-C must not leave a key between two states, nor the log without the outcome.
#[test]
fn finishes_operation_when_admin_disconnects() {
    let setup = GatewaySetup::new(&Pkcs11Token::new()).change("pin_file", "deadline_ms = 30000\npin_file").with_keys();
    let gateway = setup.start();
    check_states(&gateway, "1 active");
    gateway.signal_worker("-STOP");
    let stage = json!({ "key": "es256", "act": "stage" });
    gateway.administer_and_disconnect("/v1/admin/act", &stage);
    // Long enough to notice that the client has disconnected.
    std::thread::sleep(Duration::from_millis(300));
    gateway.signal_worker("-CONT");
    eventually("a second version", || (states(&gateway) == "1 active, 2 pending").then_some(()));
}

/// Two PKCS#11 tokens restored from one backup share a key, but each stages a different next version.
#[test]
fn stops_when_gateways_hold_different_keys() {
    let first = GatewaySetup::new(&Pkcs11Token::new());
    let second = first.twin().with_token(&Pkcs11Token::new());
    let folder = first.folder.join("shares");
    std::fs::create_dir(&folder).expect("a folder");
    let shares = folder.display().to_string();
    let (code, text) = first.run(&["init", "--with-backup", "2-of-3", "--shares", &shares]);
    assert_eq!(code, 0, "{text}");
    let share = |name: &str| folder.join(name).display().to_string();
    let (one, two) = (share("share-1-of-3"), share("share-2-of-3"));
    let (code, text) = second.run(&["restore", "--generation", "1", &one, &two]);
    assert_eq!(code, 0, "{text}");
    let _gateways = [first.start(), second.start()];
    let both = [&first, &second];
    keys(&both, &["rollback", "es256"]).is(0, "nothing to roll back");
    let words = format!("version 2 of `es256` is not the same key at {} and {}", first.admin_url(), second.admin_url());
    let staged = keys(&both, &["stage", "es256"]);
    staged.is(1, &words);
    staged.is(1, "keys retire es256 --version 2");
    keys(&both, &["canary", "es256", "5%"]).is(1, &words);
    keys(&both, &["promote", "es256"]).is(1, &words);
    keys(&[&first], &["stage", "es256"]).is(0, "unchanged");
    keys(&both, &["retire", "es256", "--version", "2"]).is(0, "2 retiring");
}

/// No verifier knows keys that replace others under the same label.
#[test]
fn does_not_sign_with_swapped_pkcs11_token() {
    let (token, other) = (Pkcs11Token::new(), Pkcs11Token::new());
    let setup = GatewaySetup::new(&token).with_keys();
    let (code, text) = setup.with_token(&other).run(&["init", "--generation", "5"]);
    assert_eq!(code, 0, "{text}");
    let gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    fixture.issue(HSM_ES256);
    let published = fixture.broker.jwks();
    let swap = || {
        let (ours, theirs) = (token.folder.join("tokens"), other.folder.join("tokens"));
        let aside = token.folder.join("aside");
        for (from, to) in [(&ours, &aside), (&theirs, &ours), (&aside, &theirs)] {
            std::fs::rename(from, to).expect("renames");
        }
        gateway.next_worker(gateway.signal_worker("-KILL"));
    };
    let hsm_is = |expected: &str| {
        eventually(expected, || (gateway.get("/readyz").json()["hsm"] == *expected).then_some(()));
    };
    swap();
    hsm_is("down");
    let refused = fixture.try_for(HSM_ES256, unavailable("signer.unavailable"));
    assert!(matches!(refused, Ok(None)), "signed or refused otherwise: {refused:?}");
    fixture.issue(API);
    // Its generation is neither followed nor raised.
    let rotate = json!({ "from": 1 });
    let rotated = gateway.administer("/v1/admin/rotate", Some(&rotate));
    assert_eq!(rotated.status, 503, "{}", rotated.text());
    assert_eq!(gateway.get("/readyz").json()["generation"], 1);
    swap();
    hsm_is("up");
    let remembered = std::fs::read_to_string(setup.folder.join("state/generation"));
    assert_eq!(remembered.expect("a file").trim(), "1");
    assert_eq!(gateway.get("/readyz").json()["generation"], 1);
    for key in published["keys"].as_array().expect("keys") {
        let now = fixture.broker.jwks();
        let mut all = now["keys"].as_array().expect("keys").iter();
        assert!(all.any(|it| it["kid"] == key["kid"]), "{key} is gone");
    }
    let issued = eventually("a token", || fixture.try_for(HSM_ES256, Want::Issued).ok().flatten());
    assert!(issued.verifies(&fixture.broker.jwks()));
}

/// Anyone who reaches the PKCS#11 token can write public keys, without a PIN.
#[test]
fn does_not_publish_foreign_public_key() {
    let token = Pkcs11Token::new();
    let setup = GatewaySetup::new(&token).with_keys();
    let label = "vouchsafe:token:es256:v1";
    let foreign = token.folder.join("foreign.der").display().to_string();
    let command =
        format!("openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -outform DER -out {foreign}");
    let made = std::process::Command::new("sh").args(["-c", &command]).output();
    assert!(made.expect("sh").status.success());
    let anonymous = |arguments: &[&str]| {
        let output = token.pkcs11_tool_anonymously(&[&["--session-rw"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}");
    };
    let of_key = ["--type", "pubkey", "--label", label];
    anonymous(&[&["--delete-object"][..], &of_key].concat());
    anonymous(&[&["--write-object", &foreign, "--usage-sign"][..], &of_key].concat());
    let gateway = setup.start();
    let keys = gateway.ask("/v1/keys", None).json();
    let keys = keys["groups"][0]["token_keys"].as_array().expect("keys").clone();
    let names: Vec<_> = keys.iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["rs256", "eddsa"], "and not es256");
    assert_eq!(setup.run(&["doctor"]).0, 1);
}

/// A generation is recorded as soon as the disk allows, because a restart must not accept a lower one.
#[test]
fn retries_write_of_generation() {
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let state = |name: &str| setup.folder.join("state").join(name);
    let in_its_way = state("generation.new");
    std::fs::create_dir(&in_its_way).expect("a folder");
    let rotated = gateway.administer("/v1/admin/rotate", Some(&json!({ "from": 1 })));
    assert_eq!(rotated.json()["generation"], 2);
    let ready = gateway.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("the generation cannot be written"), "{}", ready.text());
    std::fs::remove_dir(&in_its_way).expect("removes");
    eventually("written", || {
        let text = std::fs::read_to_string(state("generation")).ok()?;
        (text.trim() == "2").then_some(())
    });
    eventually("ready", || (gateway.get("/readyz").status == 200).then_some(()));
}

/// Memory contains seeds and the PIN.
#[test]
fn leaves_no_core_dump() {
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let worker = gateway.worker().expect("a worker");
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).expect("Linux");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.expect("a line").split_whitespace().collect();
    assert_eq!(words.get(4..6), Some(&["0", "0"][..]), "{words:?}");
}

/// A key without a root would keep `init` from making the rest.
#[test]
fn does_not_add_key_to_empty_token() {
    let setup = GatewaySetup::new(&Pkcs11Token::new());
    let (code, text) = setup.run(&["add-key", "es256"]);
    assert!(code == 1 && text.contains("`hsm-gateway init` creates"), "{text}");
    let (code, text) = setup.run(&["serve"]);
    assert!(code == 1 && text.contains("`hsm-gateway init` creates"), "{text}");
    assert_eq!(setup.run(&["init"]).0, 0);
}

#[test]
fn reports_usage_error_for_wrong_file_or_listener() {
    let setup = GatewaySetup::initialized();
    let _gateway = setup.start();
    let signing = ["list", "--gateway", &setup.url()];
    keys(&[&setup], &signing).is(2, "not the admin listener of a gateway");
    std::fs::write(setup.folder.join("admin"), "[[admin]]\n").expect("a file");
    keys(&[&setup], &["list"]).is(2, "not the secret of an [[admin]]");
}
