//! What keeps working, what stops and what recovers by itself when something between broker and HSM fails.

use crate::hsm::tiers::SIGNER;
use serde_json::json;
use std::time::Instant;
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::{API, EPOCH_SECONDS, HSM, HSM_ES256};
use vouchsafe_harness::exchange::{Form, Want};
use vouchsafe_harness::hsm::{Gateway, GatewaySetup, HsmFixture, Pkcs11Token, es256_request, eventually};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::{self, Issued};

fn start() -> (Gateway, HsmFixture) {
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    (gateway, fixture)
}

/// Retries until there is a token, as a client that honours `retry-after` would.
fn wait_for_token(fixture: &HsmFixture, audience: &str) -> Issued {
    eventually("a token again", || fixture.try_for(audience, Want::Issued).ok().flatten())
}

#[test]
fn replaces_killed_worker() {
    let (gateway, fixture) = start();
    let jwks = fixture.broker.jwks();
    fixture.issue(HSM);
    let first = gateway.signal_worker("-KILL");
    assert!(fixture.issue(API).verifies(&jwks), "delegated tokens need no HSM");
    let second = gateway.next_worker(first);
    assert!(wait_for_token(&fixture, HSM).verifies(&jwks));
    assert_ne!(first, second);
    assert_eq!(gateway.get("/readyz").json()["hsm"], "up");
}

/// An upgrade replaces the file of the running program.
#[test]
fn replaces_worker_after_program_upgrade() {
    let (setup, program) = GatewaySetup::initialized().own_program();
    let gateway = setup.start();
    let sign = || gateway.ask("/v1/sign-token", Some(&es256_request(&gateway))).status;
    std::fs::remove_file(&program).expect("the program");
    for replacement in [None, Some("#!/bin/sh\nexit 1\n")] {
        if let Some(text) = replacement {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::write(&program, text).expect("a file");
            let all = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&program, all).expect("a program");
        }
        let worker = gateway.signal_worker("-KILL");
        gateway.next_worker(worker);
        eventually("a signature", || (sign() == 200).then_some(()));
    }
}

/// Service managers signal all processes of a service, terminals all of a process group.
#[test]
fn stops_worker_only_after_gateway() {
    let gateway = GatewaySetup::initialized().start();
    let worker = gateway.worker().expect("a worker");
    let text = std::fs::read_to_string(format!("/proc/{worker}/stat")).expect("Linux");
    // After the name: state, parent, process group.
    let (_, rest) = text.rsplit_once(')').expect("a name");
    let group = rest.split_ascii_whitespace().nth(2);
    assert_eq!(group, Some(worker.to_string().as_str()), "the worker is in the gateway's process group");
    for signal in ["-TERM", "-INT"] {
        gateway.signal_worker(signal);
        let answer = gateway.ask("/v1/sign-token", Some(&es256_request(&gateway)));
        assert_eq!(answer.status, 200, "{signal}: {}", answer.text());
    }
    assert_eq!(gateway.metric("hsm_gateway_worker_starts_total"), 1);
    // The gateway itself stops, and stops its worker.
    gateway.signal("-TERM");
    eventually("the worker's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat"));
        // A process that has ended and was not waited for is `Z`.
        let ended = stat.map_or(true, |it| it.contains(") Z "));
        ended.then_some(())
    });
}

#[test]
fn kills_hung_worker_at_deadline() {
    let setup = GatewaySetup::initialized().change("pin_file", "deadline_ms = 500\npin_file");
    let gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    let jwks = fixture.broker.jwks();
    fixture.issue(HSM_ES256);
    let first = gateway.signal_worker("-STOP");
    fixture.refuse(HSM_ES256, SIGNER);
    assert!(fixture.issue(API).verifies(&jwks), "delegated tokens need no HSM");
    gateway.next_worker(first);
    assert!(wait_for_token(&fixture, HSM_ES256).verifies(&jwks));
}

/// With the only session and the only place in the queue taken while the module hangs, others are refused at once,
/// before the waiting requests are answered.
#[test]
fn sheds_load_with_retry_after() {
    let setup = GatewaySetup::initialized().change("pin_file", "sessions = 1\nqueue = 1\ndeadline_ms = 8000\npin_file");
    let gateway = setup.start();
    let request = es256_request(&gateway);
    let ask = || gateway.ask("/v1/sign-token", Some(&request));
    let waiting = || gateway.metric("hsm_gateway_hsm_waiting");
    // The requests wait for two seconds. If the machine needs longer for a few answers, that shows nothing, and the
    // test tries again.
    let told_first = (0..5).any(|_| {
        eventually("a worker", || (gateway.metric("hsm_gateway_hsm_up") == 1).then_some(()));
        gateway.signal_worker("-STOP");
        std::thread::scope(|scope| {
            let full: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
            let all_wait = || full.iter().all(|it| !it.is_finished());
            while waiting() < 2 && all_wait() {}
            let answer = ask();
            let told_first = waiting() == 2 && all_wait();
            if told_first {
                assert_eq!(answer.json()["error"], "hsm.overloaded");
                let retry_after = answer.header("retry-after");
                assert_eq!((answer.status, retry_after), (503, Some("1")));
            }
            // One of the two is in the worker, unless a request of the gateway itself is.
            for call in full {
                let answer = call.join().expect("a response");
                assert_eq!(answer.status, 503, "{}", answer.text());
            }
            told_first
        })
    });
    assert!(told_first, "the excess requests were not refused before the others were answered");
}

/// A request whose client has disconnected occupies a session only while the module works on it.
#[test]
fn drops_requests_of_disconnected_clients() {
    let setup = GatewaySetup::initialized().change("pin_file", "sessions = 1\nqueue = 1\ndeadline_ms = 8000\npin_file");
    let gateway = setup.start();
    let request = es256_request(&gateway);
    let operations = || gateway.metric("hsm_gateway_hsm_operations_total");
    let files = gateway.open_files();
    let (worker, before) = (gateway.signal_worker("-STOP"), operations());
    for _ in 0..20 {
        gateway.ask_and_disconnect("/v1/sign-token", &request);
    }
    // It has read them all and noticed the disconnections.
    eventually("the end of their connections", || (gateway.open_files() <= files).then_some(()));
    let begun = operations() - before;
    assert!(begun <= 2, "{begun} operations on one session");
    let waiting = gateway.metric("hsm_gateway_hsm_waiting");
    assert!(waiting <= 2, "{waiting} for one session and one place");
    vouchsafe_harness::hsm::signal(worker, "-CONT");
    eventually("a signature", || {
        let answer = gateway.ask("/v1/sign-token", Some(&request));
        (answer.status == 200).then_some(())
    });
}

#[test]
fn recovers_tier_hsm_after_gateway_restart() {
    let (gateway, fixture) = start();
    let jwks = fixture.broker.jwks();
    fixture.issue(API);
    fixture.issue(HSM);
    gateway.kill();
    assert!(fixture.issue(API).verifies(&jwks), "the instance has its seed");
    fixture.refuse(HSM, SIGNER);
    assert_eq!(fixture.broker.jwks(), jwks, "verifiers are served");
    let again = gateway.setup.start();
    assert!(wait_for_token(&fixture, HSM).verifies(&jwks));
    assert!(fixture.issue(API).verifies(&jwks));
    drop(again);
}

#[test]
fn fails_over_to_second_gateway() {
    let token = Pkcs11Token::new();
    let setup = GatewaySetup::new(&token).with_keys();
    let twin = setup.twin();
    let (first, second) = (setup.start(), twin.start());
    let fixture = HsmFixture::start(&[&setup, &twin]);
    let jwks = fixture.broker.jwks();
    let signatures = |gateway: &Gateway| {
        let log = gateway.log();
        log.iter().filter(|line| line["event"] == "signature").count()
    };
    fixture.issue(HSM);
    fixture.issue(API);
    assert_eq!((signatures(&first), signatures(&second)), (1, 0), "the first of the list is asked");
    first.kill();
    for _ in 0..3 {
        assert!(fixture.issue(HSM).verifies(&jwks));
    }
    assert_eq!(signatures(&second), 3);
    second.kill();
    fixture.refuse(HSM, SIGNER);
    assert!(fixture.issue(API).verifies(&jwks));
}

/// The PIN is changed while the gateway runs: existing logins keep working, and new ones try once.
#[test]
fn tries_changed_pin_only_once() {
    let (gateway, fixture) = start();
    fixture.issue(HSM);
    let changed = gateway.setup.token.pkcs11_tool(&["--change-pin", "--new-pin", "9876"]);
    assert!(changed.status.success(), "{changed:?}");
    fixture.issue(HSM);
    gateway.signal_worker("-KILL");
    let note = gateway.setup.folder.join("state/pin-refused");
    eventually("the note about the rejected PIN", || note.is_file().then_some(()));
    fixture.refuse(HSM, SIGNER);
    fixture.issue(API);
    assert_eq!(gateway.get("/readyz").json()["hsm"], "down");
    assert_eq!(gateway.metric("hsm_gateway_pin_refused"), 1);
    gateway.kill();
    std::fs::write(gateway.setup.folder.join("pin"), "9876").expect("a file");
    std::fs::remove_file(note).expect("the note");
    let _again = gateway.setup.start();
    wait_for_token(&fixture, HSM);
}

fn logins(setup: &GatewaySetup) -> usize {
    let logins = std::fs::read_to_string(setup.folder.join("logins"));
    logins.expect("logins").lines().count()
}

/// Modules report a wrong PIN with all kinds of errors, and the token counts attempts: two in all, across restarts.
#[test]
fn gives_up_after_two_unexplained_login_failures() {
    let gateway = GatewaySetup::initialized().shimmed().start();
    let setup = gateway.setup.clone();
    assert_eq!(logins(&setup), 1);
    let fails = setup.folder.join("login-fails");
    let note = setup.folder.join("state/pin-refused");
    std::fs::write(&fails, "").expect("a file");
    gateway.signal_worker("-KILL");
    eventually("a note of the failed logins", || note.is_file().then_some(()));
    let text = std::fs::read_to_string(&note).expect("a note");
    assert!(text.contains("FunctionFailed"), "{text}");
    let failed_before = setup.folder.join("state/login-failed");
    eventually("one note in place of the other", || (!failed_before.exists()).then_some(()));
    assert_eq!(logins(&setup), 3);
    gateway.kill();
    assert_eq!(setup.run(&["serve"]).0, 2, "no operator has intervened yet");
    assert_eq!(logins(&setup), 3);
    // Each start tries once, and the second try is the last.
    std::fs::remove_file(&note).expect("the note");
    for (code, tried) in [(1, 4), (2, 5), (2, 5)] {
        let (found, text) = setup.run(&["serve"]);
        assert_eq!((found, logins(&setup)), (code, tried), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }
}

/// The HSM was gone for a moment: a single failed login needs no operator.
#[test]
fn retries_single_failed_login() {
    let setup = GatewaySetup::initialized().shimmed();
    let fails = setup.folder.join("login-fails");
    for _ in 0..3 {
        std::fs::write(&fails, "").expect("a file");
        let (code, text) = setup.run(&["serve"]);
        assert_eq!(code, 1, "{text}");
        std::fs::remove_file(&fails).expect("the file");
        drop(setup.start());
    }
}

/// For example a token too long for the module's EdDSA: another worker would not sign it either.
#[test]
fn keeps_worker_when_one_key_fails() {
    let gateway = GatewaySetup::initialized().shimmed().start();
    let request = es256_request(&gateway);
    let fault = gateway.setup.folder.join("data-length");
    for _ in 0..6 {
        std::fs::write(&fault, "").expect("a file");
        let answer = gateway.ask("/v1/sign-token", Some(&request));
        // The gateway's own derivations for a new epoch may have met it.
        assert!(answer.status == 503 || !fault.exists(), "{}", answer.text());
    }
    assert_eq!(gateway.ask("/v1/sign-token", Some(&request)).status, 200);
    assert_eq!(gateway.metric("hsm_gateway_worker_starts_total"), 1);
}

/// An invalid signature can reveal its key, so none leaves the gateway.
#[test]
fn withholds_signature_that_does_not_verify() {
    let gateway = GatewaySetup::initialized().shimmed().start();
    let request = es256_request(&gateway);
    let spoil = gateway.setup.folder.join("spoil");
    std::fs::write(&spoil, "").expect("a file");
    let answer = gateway.ask("/v1/sign-token", Some(&request));
    assert_eq!((answer.status, answer.text().as_str()), (503, r#"{"error":"hsm.unavailable"}"#));
    assert!(!spoil.exists(), "the fault was not injected");
    assert_eq!(gateway.metric("hsm_gateway_signatures_withheld_total"), 1);
    let answer = gateway.ask("/v1/sign-token", Some(&request));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let signed = gateway.log().into_iter();
    assert_eq!(signed.filter(|line| line["event"] == "signature").count(), 1);
}

/// The last use of each key is written in the background: a hanging disk delays no signature.
#[test]
fn signs_while_key_uses_cannot_be_written() {
    let setup = GatewaySetup::initialized();
    for name in ["uses.new", "uses.json.new"] {
        // Opening it for writing blocks until there is a reader.
        let pipe = setup.folder.join("state").join(name);
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.expect("mkfifo").success());
    }
    let gateway = setup.start();
    let sign = || gateway.ask("/v1/sign-token", Some(&es256_request(&gateway))).status;
    assert_eq!(sign(), 200);
    // Two HSM operations for each check whether there is something to write.
    let operations = || gateway.metric("hsm_gateway_hsm_operations_total");
    let before = operations();
    eventually("three looks", || (operations() >= before + 6).then_some(()));
    assert_eq!(sign(), 200);
    assert!(!setup.folder.join("state/uses.json").exists(), "the pipe was written to");
}

/// A broker with a new database needs a gateway.
#[test]
fn is_not_ready_without_any_gateway() {
    let setup = GatewaySetup::initialized();
    let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
    let broker = Setup::of("spin.hsm.toml", &issuer.files(), &[issuer.origin(), setup.url()])
        .variable("gateway_urls", &setup.url())
        .variable("gateway_token", &setup.credential);
    let Err(reason) = broker.try_start() else { panic!("the broker started") };
    assert!(reason.contains("signer.unavailable"), "{reason}");
}

/// Seconds before the end of an epoch at which gateway and broker are started. If that took so long that the epoch
/// ended, the test tries again further from the end.
const OFFSETS: [u64; 3] = [12, 40, 120];

/// The next epoch's seeds are there before it begins: its first token waits for nothing, and a verifier that fetched
/// the keys before knows the signing key.
#[test]
fn crosses_epoch_boundary_without_failed_token() {
    let token = Pkcs11Token::new();
    let keys = GatewaySetup::new(&token).with_keys();
    let boundary = 1_800_000_000 + EPOCH_SECONDS;
    for offset in OFFSETS {
        let start = boundary - offset;
        let setup = keys.clone().at_time(start);
        let (gateway, started) = (setup.start(), Instant::now());
        let virtual_now = || start + started.elapsed().as_secs();
        let fixture = HsmFixture::start_with(&[&setup], |broker| broker.at_time(virtual_now()));
        let issue = || {
            let claims = fixture.issuer.claims(virtual_now());
            let form = Form::of(&jwt::mint("RS256", &claims));
            let response = fixture.broker.send(&form.request());
            assert_eq!(response.status, 200, "{}", response.text());
            Issued::parse(response.json()["access_token"].as_str().expect("a token"))
        };
        let (first, jwks) = (issue(), fixture.broker.jwks());
        if first.number("iat") >= boundary - 3 {
            continue;
        }
        let last = eventually("the next epoch's key", || {
            let token = issue();
            assert!(token.verifies(&jwks), "signed with a key unknown to verifiers");
            (token.kid() != first.kid()).then_some(token)
        });
        assert!(first.verifies(&fixture.broker.jwks()), "the old key is no longer published");
        let seed = gateway
            .log()
            .into_iter()
            .find(|line| line["event"] == "seed" && line["epoch_start"] == boundary && line["algorithm"] == "ES256");
        let fetched_at = seed.expect("a seed")["time"].as_u64();
        assert!(fetched_at < Some(boundary), "fetched at {fetched_at:?}, needed at {boundary}");
        assert!(last.number("iat") + 2 >= boundary);
        return;
    }
    panic!("each start took longer than its epoch");
}

/// An attacker who controls the gateway's NTP gets no seed of another time, and a clock that recovers costs nothing.
#[test]
fn stops_signing_until_clock_is_trusted_again() {
    let setup = GatewaySetup::initialized();
    let file = setup.folder.join("clock");
    let setup = setup.argument("--danger-clock").argument(file.display().to_string());
    let gateway = setup.start();
    let set_by = |seconds: i64| std::fs::write(&file, seconds.to_string()).expect("a file");
    // For the epoch of the wall clock.
    let seed = |seconds: i64| {
        let now = vouchsafe_harness::now().saturating_add_signed(seconds);
        let body = json!({
            "group": "default", "generation": 1, "algorithm": "ES256",
            "epoch_start": now / EPOCH_SECONDS * EPOCH_SECONDS,
        });
        let answer = gateway.ask("/v1/epoch-seed", Some(&body));
        (answer.status, answer.json()["error"].as_str().map(str::to_owned))
    };
    let refused = (503, Some("clock.set".to_owned()));
    let epoch = EPOCH_SECONDS as i64;
    assert_eq!(seed(0), (200, None));
    let derived = gateway.metric("hsm_gateway_hsm_operations_total");
    for step in [epoch, -epoch, 400 * 24 * 3600] {
        set_by(step);
        assert_eq!((seed(step), seed(0)), (refused.clone(), refused.clone()), "{step}");
        let answer = gateway.ask("/v1/sign-token", Some(&es256_request(&gateway)));
        assert_eq!(answer.json()["error"], "clock.set");
        let ready = gateway.get("/readyz");
        let body = ready.json();
        assert_eq!((ready.status, &body["clock"]), (503, &"set".into()));
        assert_eq!(body["clock_set_by_seconds"], step);
        assert!(body["wanting"].as_str().expect("words").contains("SIGUSR1"), "{body}");
        assert!(body["seconds_left"].as_u64() > Some(0), "{body}");
        let metric = gateway.metric("hsm_gateway_clock_set_by_seconds");
        assert_eq!(metric, step.unsigned_abs());
        eventually("a line in the log", || {
            let lines = gateway.log().into_iter();
            let mut clock = lines.filter(|line| line["event"] == "clock");
            clock.find(|line| line["set_by_seconds"] == step)
        });
        set_by(0);
        assert_eq!(seed(0), (200, None), "after a jump of {step} s");
        assert_eq!(gateway.get("/readyz").status, 200);
        eventually("a line in the log", || {
            let log = gateway.log();
            let last = log.iter().rfind(|line| line["event"] == "clock")?;
            last["set_by_seconds"].is_null().then_some(())
        });
    }
    assert!(gateway.metric("hsm_gateway_hsm_operations_total") > derived);
    // A legitimate step, which an operator confirms.
    let honest = 2 * epoch;
    set_by(honest);
    assert_eq!(seed(honest), refused);
    gateway.signal("-USR1");
    eventually("a seed of the confirmed time", || (seed(honest) == (200, None)).then_some(()));
    assert_ne!(seed(0).0, 200, "a seed of the time before");
    assert_eq!(gateway.get("/readyz").json()["clock"], "believed");
}
