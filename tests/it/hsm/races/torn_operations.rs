//! The worker is killed before, between and after the writes of an operation, while a call to the module is held. The
//! next gateway must read the state before or after the operation.

use serde_json::{Value, json};
use std::thread;
use vouchsafe_harness::hsm::{
    Gateway, GatewaySetup, KEY, PUBLISHED_SECONDS, check_states, keys, kid_that_signs, sign_with,
};
use vouchsafe_harness::now;

const BEFORE_MAKING: &str = "before-C_GenerateKeyPair";
const AFTER_MAKING: &str = "after-C_GenerateKeyPair";
const BEFORE_WRITING: &str = "before-C_SetAttributeValue";
const AFTER_WRITING: &str = "after-C_SetAttributeValue";

fn setup() -> GatewaySetup {
    GatewaySetup::initialized().shimmed()
}

/// Kills the worker at the `number`th call that reaches `place` during a request; returns a gateway that is started
/// again.
fn kill_at(gateway: Gateway, place: &str, number: u32, path: &str, body: &Value) -> Gateway {
    let setup = gateway.setup.clone();
    setup.hold(place, number);
    thread::scope(|scope| {
        let asked = scope.spawn(|| gateway.administer(path, Some(body)));
        setup.wait_until_held(place);
        gateway.signal_worker("-KILL");
        let answer = asked.join().expect("a response");
        assert_eq!(answer.status, 503, "{place} {number}: {}", answer.text());
    });
    gateway.kill();
    setup.release(place);
    setup.start()
}

fn act(act: &str) -> Value {
    json!({ "key": KEY, "act": act })
}

#[test]
fn stages_all_or_nothing_when_killed() {
    let setup = setup();
    let mut gateway = setup.start();
    for (place, before, after) in [
        (BEFORE_MAKING, "1 active", "1 active"),
        (AFTER_MAKING, "1 active", "1 active, 2 pending"),
        (BEFORE_WRITING, "1 active, 2 retiring", "1 active, 2 retiring, 3 pending"),
        (AFTER_WRITING, "1 active, 2 retiring, 3 retiring", "1 active, 2 retiring, 3 retiring, 4 pending"),
    ] {
        check_states(&gateway, before);
        gateway = kill_at(gateway, place, 1, "/v1/admin/act", &act("stage"));
        check_states(&gateway, after);
        if let Some((_, version)) = after.rsplit_once(", ") {
            // The version is complete, so it can be used like any other.
            keys(&[&setup], &["stage", KEY]).is(0, &format!("unchanged, {after}"));
            let number = version.trim_end_matches(" pending");
            keys(&[&setup], &["retire", KEY, "--version", number]).is(0, "retiring");
        }
        check_signs(&gateway, now());
    }
}

#[test]
fn promotes_all_or_nothing_when_killed() {
    const CANARY: &str = "1 active, 2 canary 100%";
    const PROMOTED: &str = "1 retiring, 2 active";
    let setup = setup();
    let gateway = setup.start();
    keys(&[&setup], &["stage", KEY]).is(0, "2 pending");
    gateway.kill();
    let known = now() + PUBLISHED_SECONDS + 10;
    let setup = setup.at_time(known);
    for (place, number, after) in [
        (BEFORE_WRITING, 1, CANARY),
        (AFTER_WRITING, 1, PROMOTED),
        (BEFORE_WRITING, 2, PROMOTED),
        (AFTER_WRITING, 2, PROMOTED),
    ] {
        let gateway = setup.start();
        keys(&[&setup], &["canary", KEY, "100%"]).is(0, CANARY);
        report_outcomes(&gateway);
        let gateway = kill_at(gateway, place, number, "/v1/admin/act", &act("promote"));
        check_states(&gateway, after);
        check_signs(&gateway, known);
        report_outcomes(&gateway);
        keys(&[&setup], &["promote", KEY]).is(0, PROMOTED);
        keys(&[&setup], &["rollback", KEY, "--version", "2"]).is(0, "1 active, 2 pending");
    }
}

/// Reports outcomes as if the canary's probes had been verified.
fn report_outcomes(gateway: &Gateway) {
    for version in [1, 2] {
        let outcome = json!({ "key": KEY, "version": version, "verified": true });
        for _ in 0..20 {
            let answer = gateway.administer("/v1/admin/probe-outcome", Some(&outcome));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

#[test]
fn rotates_all_or_nothing_when_killed() {
    let setup = setup();
    let mut gateway = setup.start();
    for (place, from, after) in [(BEFORE_WRITING, 1, 1), (AFTER_WRITING, 1, 2)] {
        let body = json!({ "from": from });
        gateway = kill_at(gateway, place, 1, "/v1/admin/rotate", &body);
        assert_eq!(gateway.get("/readyz").json()["generation"], after, "{place}");
    }
    // The same request again finds it done.
    let again = gateway.administer("/v1/admin/rotate", Some(&json!({ "from": 1 })));
    assert_eq!(again.json(), json!({ "generation": 2, "changed": false }));
    assert_eq!(setup.run(&["doctor"]).0, 0);
}

/// Exactly one version signs outside shares, and verifiers know it.
#[track_caller]
fn check_signs(gateway: &Gateway, now: u64) {
    let kid = kid_that_signs(gateway, KEY).expect("one signs");
    assert_eq!(sign_with(gateway, KEY, &kid, now), (200, Value::Null));
}
