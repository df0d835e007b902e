//! What an operator meets: the gateway's commands in a pipe, their exit codes, and its log.

use crate::hsm_gateway::setup;
use serde_json::json;
use std::fs::File;
use vouchsafe_tests::hsm::{GatewaySetup, Token, eventually, unheard};

/// `hsm-gateway status | head -1`, where `head` was faster.
#[test]
fn a_reader_that_leaves_is_no_failure_and_a_full_disk_is_one() {
    let setup = GatewaySetup::new(&Token::new());
    let (code, errors) = setup.run_into(unheard(), &["init"]);
    assert_eq!(code, 0, "{errors}");
    for arguments in [
        &["status"][..],
        &["status", "--format", "json"],
        &["doctor"],
        &["doctor", "--format", "json"],
        &["root-certificate"],
        &["credential", "--out", "unread"],
    ] {
        let (code, errors) = setup.run_into(unheard(), arguments);
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    }
    let full = File::options().write(true).open("/dev/full");
    let (code, errors) = setup.run_into(full.expect("Linux"), &["root-certificate"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.starts_with("error: standard output: "), "{errors}");
}

#[test]
fn a_gateway_goes_on_where_nobody_reads_what_it_says() {
    let gateway = setup().shimmed().start_unheard();
    let first = gateway.worker().expect("a worker");
    // It has more to say.
    gateway.signal_worker("-KILL");
    gateway.next_worker(first);
    eventually("an HSM", || {
        (gateway.get("/readyz").json()["hsm"] == "up").then_some(())
    });
    assert_eq!(gateway.get("/readyz").status, 200);
}

/// Exit code 2 is never followed by another start: what may pass has another one.
#[test]
fn a_state_folder_that_fails_is_worth_another_start() {
    let setup = setup();
    let (code, text) = setup.clone().change("\"state\"", "\"pin\"").run(&["serve"]);
    assert!(code == 1 && text.contains("pin: "), "{code}: {text}");
    for name in ["generation", "gateway.log"] {
        let path = setup.folder.join("state").join(name);
        drop(std::fs::remove_file(&path));
        std::fs::create_dir(&path).expect("a folder in its place");
        let (code, text) = setup.run(&["serve"]);
        assert!(code == 1 && text.contains(name), "{code}: {text}");
        std::fs::remove_dir(&path).expect("removes");
    }
    std::fs::write(setup.folder.join("state/generation"), "x").expect("a file");
    assert_eq!(setup.run(&["serve"]).0, 2, "this one stays wrong");
}
