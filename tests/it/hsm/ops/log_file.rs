//! The gateway's log file: rotation, and a full disk.

use vouchsafe_harness::hsm::{GatewaySetup, es256_request, eventually};

/// Rotates the log as `logrotate` does.
#[test]
fn reopens_log_file_on_sighup() {
    let gateway = GatewaySetup::initialized().start();
    let (log, moved) =
        ["gateway.log", "gateway.log.1"].map(|name| gateway.setup.folder.join("state").join(name)).into();
    let sign = || {
        let answer = gateway.ask("/v1/sign-token", Some(&es256_request(&gateway)));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    sign();
    std::fs::rename(&log, &moved).expect("moves");
    sign();
    gateway.signal("-HUP");
    eventually("a new file", || log.exists().then_some(()));
    sign();
    let lines = |path| std::fs::read_to_string(path).expect("a log").lines().count();
    assert_eq!((lines(&moved), lines(&log)), (4, 1), "`init`, the start and two, then one");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&log).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Nothing leaves without a log line, so a gateway that can't write is not ready.
#[test]
fn is_not_ready_while_log_is_unwritable() {
    let gateway = GatewaySetup::initialized().start();
    let log = gateway.setup.folder.join("state/gateway.log");
    let ready = || {
        let answer = gateway.get("/readyz");
        (answer.status, answer.json()["log"].clone())
    };
    let sign = || gateway.ask("/v1/sign-token", Some(&es256_request(&gateway)));
    assert_eq!((sign().status, ready()), (200, (200, "ok".into())));
    // Like a full disk.
    std::fs::remove_file(&log).expect("the log");
    std::os::unix::fs::symlink("/dev/full", &log).expect("a link");
    gateway.signal("-HUP");
    eventually("a refusal", || {
        let answer = sign();
        (answer.json()["error"] == "log.unavailable").then_some(())
    });
    assert_eq!(ready(), (503, "failing".into()));
    assert_eq!(gateway.metric("hsm_gateway_log_fails"), 1);
    std::fs::remove_file(&log).expect("the link");
    gateway.signal("-HUP");
    eventually("readiness without a request", || (ready().0 == 200).then_some(()));
    assert_eq!(ready(), (200, "ok".into()));
    assert_eq!(sign().status, 200);
}
