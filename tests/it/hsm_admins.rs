//! What admins do to gateways: to several at once, and leaving before the end; and to their tokens.

use crate::hsm::HsmBench;
use crate::hsm_keys::{check_states, keys, states};
use serde_json::json;
use std::time::Duration;
use vouchsafe_tests::bundle::{API, HSM_ES256};
use vouchsafe_tests::exchange::{Want, unavailable};
use vouchsafe_tests::hsm::{GatewaySetup, Token, eventually};

/// Who presses Ctrl-C must not leave a key between two states, nor the log without the end.
#[test]
fn an_act_goes_on_when_its_admin_has_left() {
    let setup = GatewaySetup::new(&Token::new())
        .change("pin_file", "deadline_ms = 30000\npin_file")
        .with_keys();
    let gateway = setup.start();
    check_states(&gateway, "1 active");
    gateway.signal_worker("-STOP");
    let stage = json!({ "key": "es256", "act": "stage" });
    gateway.administer_and_leave("/v1/admin/act", &stage);
    // For as long as it takes to see that the client has left.
    std::thread::sleep(Duration::from_millis(300));
    gateway.signal_worker("-CONT");
    eventually("a second version", || {
        (states(&gateway) == "1 active, 2 pending").then_some(())
    });
}

/// Restored from one backup, two tokens have one key; what is staged later is another one in each.
#[test]
fn a_version_that_is_another_key_at_another_gateway_goes_no_further() {
    let first = GatewaySetup::new(&Token::new());
    let second = first.twin().with_token(&Token::new());
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
    let words = format!(
        "version 2 of `es256` is not the same key at {} and {}",
        first.admin_url(),
        second.admin_url()
    );
    let staged = keys(&both, &["stage", "es256"]);
    staged.is(1, &words);
    staged.is(1, "keys retire es256 --version 2");
    keys(&both, &["canary", "es256", "5%"]).is(1, &words);
    keys(&both, &["promote", "es256"]).is(1, &words);
    keys(&[&first], &["stage", "es256"]).is(0, "unchanged");
    keys(&both, &["retire", "es256", "--version", "2"]).is(0, "2 retiring");
}

/// Keys that take the place of others behind the same label are known to no verifier.
#[test]
fn a_token_that_takes_the_place_of_the_gateways_own_signs_nothing() {
    let (token, other) = (Token::new(), Token::new());
    let setup = GatewaySetup::new(&token).with_keys();
    let (code, text) = setup.with_token(&other).run(&["init", "--generation", "5"]);
    assert_eq!(code, 0, "{text}");
    let gateway = setup.start();
    let bench = HsmBench::start(&[&setup]);
    bench.issue(HSM_ES256);
    let published = bench.broker.jwks();
    let swap = || {
        let (ours, theirs) = (token.folder.join("tokens"), other.folder.join("tokens"));
        let aside = token.folder.join("aside");
        for (from, to) in [(&ours, &aside), (&theirs, &ours), (&aside, &theirs)] {
            std::fs::rename(from, to).expect("renames");
        }
        gateway.next_worker(gateway.signal_worker("-KILL"));
    };
    let hsm_is = |expected: &str| {
        eventually(expected, || {
            (gateway.get("/readyz").json()["hsm"] == *expected).then_some(())
        });
    };
    swap();
    hsm_is("down");
    let refused = bench.try_for(HSM_ES256, unavailable("signer.unavailable"));
    assert!(matches!(refused, Ok(None)), "it is signed, or {refused:?}");
    bench.issue(API);
    // Nor is its generation followed, or raised.
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
        let now = bench.broker.jwks();
        let mut all = now["keys"].as_array().expect("keys").iter();
        assert!(all.any(|it| it["kid"] == key["kid"]), "{key} is gone");
    }
    let issued = eventually("a token", || {
        bench.try_for(HSM_ES256, Want::Issued).ok().flatten()
    });
    assert!(issued.verifies(&bench.broker.jwks()));
}

/// Public halves can be written by whoever reaches the token, without a PIN.
#[test]
fn a_public_half_that_is_anothers_is_not_published() {
    let token = Token::new();
    let setup = GatewaySetup::new(&token).with_keys();
    let label = "vouchsafe:token:es256:v1";
    let foreign = token.folder.join("foreign.der").display().to_string();
    let command = format!(
        "openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -outform DER -out {foreign}"
    );
    let made = std::process::Command::new("sh")
        .args(["-c", &command])
        .output();
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
    let keys = keys["groups"][0]["token_keys"]
        .as_array()
        .expect("keys")
        .clone();
    let names: Vec<_> = keys.iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["rs256", "eddsa"], "and not es256");
    assert_eq!(setup.run(&["doctor"]).0, 1);
}

/// A generation that could not be written down is, once it can: a restart must not take a lower one.
#[test]
fn a_generation_that_can_not_be_written_is_tried_again() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let gateway = setup.start();
    let state = |name: &str| setup.folder.join("state").join(name);
    let in_its_way = state("generation.new");
    std::fs::create_dir(&in_its_way).expect("a folder");
    let rotated = gateway.administer("/v1/admin/rotate", Some(&json!({ "from": 1 })));
    assert_eq!(rotated.json()["generation"], 2);
    let ready = gateway.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(
        ready.text().contains("the generation cannot be written"),
        "{}",
        ready.text()
    );
    std::fs::remove_dir(&in_its_way).expect("removes");
    eventually("written", || {
        let text = std::fs::read_to_string(state("generation")).ok()?;
        (text.trim() == "2").then_some(())
    });
    eventually("ready", || {
        (gateway.get("/readyz").status == 200).then_some(())
    });
}

/// Seeds and the PIN are in there.
#[test]
fn a_crash_leaves_no_copy_of_the_memory() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let gateway = setup.start();
    let worker = gateway.worker().expect("a worker");
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).expect("Linux");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.expect("a line").split_whitespace().collect();
    assert_eq!(words.get(4..6), Some(&["0", "0"][..]), "{words:?}");
}

/// A key without a root would keep `init` from making the rest.
#[test]
fn a_key_is_added_to_no_empty_token() {
    let setup = GatewaySetup::new(&Token::new());
    let (code, text) = setup.run(&["add-key", "es256"]);
    assert!(
        code == 1 && text.contains("`hsm-gateway init` creates"),
        "{text}"
    );
    let (code, text) = setup.run(&["serve"]);
    assert!(
        code == 1 && text.contains("`hsm-gateway init` creates"),
        "{text}"
    );
    assert_eq!(setup.run(&["init"]).0, 0);
}

#[test]
fn the_wrong_file_or_listener_is_wrong_use() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let _gateway = setup.start();
    let signing = ["list", "--gateway", &setup.url()];
    keys(&[&setup], &signing).is(2, "not the admin listener of a gateway");
    std::fs::write(setup.folder.join("admin"), "[[admin]]\n").expect("a file");
    keys(&[&setup], &["list"]).is(2, "not the secret of an [[admin]]");
}
