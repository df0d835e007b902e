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
        "version 2 of `es256` is one key at {} and another at {}",
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
    let _others_keys = setup.with_token(&other).with_keys();
    let gateway = setup.start();
    let bench = HsmBench::start(&[&setup]);
    bench.issue(HSM_ES256);
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
    swap();
    hsm_is("up");
    let issued = eventually("a token", || {
        bench.try_for(HSM_ES256, Want::Issued).ok().flatten()
    });
    assert!(issued.verifies(&bench.broker.jwks()));
}
