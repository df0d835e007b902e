//! What goes on, what stops and what comes back by itself when parts of the way to the HSM fail.

use crate::bench::files;
use crate::hsm::{HsmBench, SIGNER};
use serde_json::json;
use std::time::{Duration, Instant};
use vouchsafe_tests::broker::Setup;
use vouchsafe_tests::bundle::{API, BROKER, EPOCH_SECONDS, HSM, HSM_ES256};
use vouchsafe_tests::exchange::{Form, Want};
use vouchsafe_tests::hsm::{Gateway, GatewaySetup, Token, eventually};
use vouchsafe_tests::issuer::{Issuer, Script};
use vouchsafe_tests::jwt::{self, Issued};

fn start() -> (Gateway, HsmBench) {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let gateway = setup.start();
    let bench = HsmBench::start(&[&setup]);
    (gateway, bench)
}

/// Asks until there is a token, as a client that honours `retry-after` would.
fn recovered(bench: &HsmBench, audience: &str) -> Issued {
    eventually("a token again", || {
        bench.try_for(audience, Want::Issued).ok().flatten()
    })
}

#[test]
fn a_killed_worker_is_replaced_and_the_gateway_lives_on() {
    let (gateway, bench) = start();
    let jwks = bench.broker.jwks();
    bench.issue(HSM);
    let first = gateway.signal_worker("-KILL");
    assert!(
        bench.issue(API).verifies(&jwks),
        "delegated tokens need no HSM"
    );
    let second = gateway.next_worker(first);
    assert!(recovered(&bench, HSM).verifies(&jwks));
    assert_ne!(first, second);
    assert_eq!(gateway.get("/readyz").json()["hsm"], "up");
}

#[test]
fn a_hung_worker_is_killed_after_its_deadline() {
    let setup = GatewaySetup::new(&Token::new())
        .with_keys()
        .change("pin_file", "deadline_ms = 500\npin_file");
    let gateway = setup.start();
    let bench = HsmBench::start(&[&setup]);
    let jwks = bench.broker.jwks();
    bench.issue(HSM_ES256);
    let first = gateway.signal_worker("-STOP");
    bench.refuse(HSM_ES256, SIGNER);
    assert!(
        bench.issue(API).verifies(&jwks),
        "delegated tokens need no HSM"
    );
    gateway.next_worker(first);
    assert!(recovered(&bench, HSM_ES256).verifies(&jwks));
}

/// A token that the key `es256` may sign now.
fn es256_request(gateway: &Gateway) -> serde_json::Value {
    let kid =
        gateway.ask("/v1/keys", None).json()["groups"][0]["token_keys"][2]["jwk"]["kid"].clone();
    let now = vouchsafe_tests::now();
    let header = json!({ "alg": "ES256", "kid": kid, "typ": "JWT" });
    let claims = json!({
        "iss": BROKER, "sub": "a", "aud": HSM_ES256, "exp": now + 60, "iat": now, "nbf": now - 5, "jti": "a",
        "client_id": "a",
    });
    let input = [header, claims]
        .map(|part| jwt::base64url(part.to_string()))
        .join(".");
    json!({ "key": "es256", "signing_input": input })
}

/// With one session that hangs and one place in the queue, the rest is told at once.
#[test]
fn a_full_queue_sheds_load_with_retry_after() {
    let setup = GatewaySetup::new(&Token::new()).with_keys().change(
        "pin_file",
        "sessions = 1\nqueue = 1\ndeadline_ms = 8000\npin_file",
    );
    let gateway = setup.start();
    let request = es256_request(&gateway);
    gateway.signal_worker("-STOP");
    let ask = || gateway.ask("/v1/sign-token", Some(&request));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        // One call is in the worker, one waits for it; the others need not.
        let answers = calls
            .into_iter()
            .map(|call| call.join().expect("an answer"));
        answers.collect()
    });
    let shed: Vec<_> = answers
        .iter()
        .filter(|it| it.json()["error"] == "hsm.overloaded")
        .collect();
    // The gateway's own questions may have the session already.
    assert!(shed.len() >= 5, "{answers:?}");
    for answer in shed {
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1"))
        );
    }
}

/// Callers that ask and leave take a session for as long as the module works for them, and no more.
#[test]
fn those_who_ask_and_leave_do_not_fill_the_worker() {
    let setup = GatewaySetup::new(&Token::new()).with_keys().change(
        "pin_file",
        "sessions = 1\nqueue = 1\ndeadline_ms = 8000\npin_file",
    );
    let gateway = setup.start();
    let request = es256_request(&gateway);
    let operations = || gateway.metric("hsm_gateway_hsm_operations_total");
    let (worker, before) = (gateway.signal_worker("-STOP"), operations());
    for _ in 0..20 {
        gateway.ask_and_leave("/v1/sign-token", &request);
    }
    // Whether all of them were read by now makes no difference to what is expected.
    std::thread::sleep(Duration::from_millis(500));
    let begun = operations() - before;
    assert!(begun <= 2, "{begun} operations on one session");
    vouchsafe_tests::hsm::signal(worker, "-CONT");
    eventually("a signature", || {
        let answer = gateway.ask("/v1/sign-token", Some(&request));
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_killed_gateway_stops_tier_hsm_alone_and_comes_back_by_itself() {
    let (gateway, bench) = start();
    let jwks = bench.broker.jwks();
    bench.issue(API);
    bench.issue(HSM);
    gateway.kill();
    assert!(
        bench.issue(API).verifies(&jwks),
        "the instance has its seed"
    );
    bench.refuse(HSM, SIGNER);
    assert_eq!(bench.broker.jwks(), jwks, "verifiers are served");
    let again = gateway.setup.start();
    assert!(recovered(&bench, HSM).verifies(&jwks));
    assert!(bench.issue(API).verifies(&jwks));
    drop(again);
}

#[test]
fn a_second_gateway_takes_over() {
    let token = Token::new();
    let setup = GatewaySetup::new(&token).with_keys();
    let twin = setup.twin();
    let (first, second) = (setup.start(), twin.start());
    let bench = HsmBench::start(&[&setup, &twin]);
    let jwks = bench.broker.jwks();
    let signatures = |gateway: &Gateway| {
        let log = gateway.log();
        log.iter()
            .filter(|line| line["event"] == "signature")
            .count()
    };
    bench.issue(HSM);
    bench.issue(API);
    assert_eq!(
        (signatures(&first), signatures(&second)),
        (1, 0),
        "the first of the list is asked"
    );
    first.kill();
    for _ in 0..3 {
        assert!(bench.issue(HSM).verifies(&jwks));
    }
    assert_eq!(signatures(&second), 3);
    second.kill();
    bench.refuse(HSM, SIGNER);
    assert!(bench.issue(API).verifies(&jwks));
}

/// The PIN is changed behind the gateway's back: what is logged in goes on, and what is not tries once.
#[test]
fn a_changed_pin_is_tried_once_and_delegated_tokens_go_on() {
    let (gateway, bench) = start();
    bench.issue(HSM);
    let changed = gateway
        .setup
        .token
        .pkcs11_tool(&["--change-pin", "--new-pin", "9876"]);
    assert!(changed.status.success(), "{changed:?}");
    bench.issue(HSM);
    gateway.signal_worker("-KILL");
    let note = gateway.setup.folder.join("state/pin-refused");
    eventually("a note of the refused PIN", || note.is_file().then_some(()));
    bench.refuse(HSM, SIGNER);
    bench.issue(API);
    assert_eq!(gateway.get("/readyz").json()["hsm"], "down");
    gateway.kill();
    std::fs::write(gateway.setup.folder.join("pin"), "9876").expect("a file");
    std::fs::remove_file(note).expect("the note");
    let _again = gateway.setup.start();
    recovered(&bench, HSM);
}

/// A faulty signature can give its key away: none leaves.
#[test]
fn a_signature_that_does_not_verify_is_withheld() {
    let gateway = GatewaySetup::new(&Token::new())
        .with_keys()
        .shimmed()
        .start();
    let request = es256_request(&gateway);
    let spoil = gateway.setup.folder.join("spoil");
    std::fs::write(&spoil, "").expect("a file");
    let answer = gateway.ask("/v1/sign-token", Some(&request));
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, r#"{"error":"hsm.unavailable"}"#)
    );
    assert!(!spoil.exists(), "the module did give a faulty one");
    let answer = gateway.ask("/v1/sign-token", Some(&request));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let signed = gateway.log().into_iter();
    assert_eq!(
        signed.filter(|line| line["event"] == "signature").count(),
        1
    );
}

/// As `logrotate` does it.
#[test]
fn the_log_goes_on_in_a_new_file_after_sighup() {
    let gateway = GatewaySetup::new(&Token::new()).with_keys().start();
    let (log, moved) = ["gateway.log", "gateway.log.1"]
        .map(|name| gateway.setup.folder.join("state").join(name))
        .into();
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
    let lines = |path| {
        std::fs::read_to_string(path)
            .expect("a log")
            .lines()
            .count()
    };
    assert_eq!(
        (lines(&moved), lines(&log)),
        (4, 1),
        "`init`, the start and two, then one"
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&log)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A broker that was never there before needs a gateway.
#[test]
fn a_fresh_broker_without_gateways_is_not_ready() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
    let broker = Setup::of(
        "spin.hsm.toml",
        &files(&issuer),
        &[issuer.origin(), setup.url()],
    )
    .variable("gateway_urls", &setup.url())
    .variable("gateway_token", &setup.credential);
    let Err(reason) = broker.try_start() else {
        panic!("it serves")
    };
    assert!(reason.contains("signer.unavailable"), "{reason}");
}

/// Seconds before the end of an epoch at which gateway and broker are started. Where that took so long
/// that the epoch ended, it is tried again, further from the end.
const OFFSETS: [u64; 3] = [12, 40, 120];

/// The next epoch's seeds are there before it begins: the first token of an epoch waits for nobody, and a
/// verifier that fetched the keys before knows what signs.
#[test]
fn an_epoch_ends_without_a_token_that_fails() {
    let token = Token::new();
    let keys = GatewaySetup::new(&token).with_keys();
    let boundary = 1_800_000_000 + EPOCH_SECONDS;
    for offset in OFFSETS {
        let start = boundary - offset;
        let setup = keys
            .clone()
            .argument("--danger-now")
            .argument(start.to_string());
        let (gateway, started) = (setup.start(), Instant::now());
        let virtual_now = || start + started.elapsed().as_secs();
        let bench = HsmBench::start_with(&[&setup], |broker| {
            broker
                .argument("--danger-now")
                .argument(virtual_now().to_string())
        });
        let issue = || {
            let claims = jwt::claims(&bench.issuer.url("main"), BROKER, virtual_now());
            let form = Form::of(&jwt::mint("RS256", &claims));
            let response = bench.broker.send(&form.request());
            assert_eq!(response.status, 200, "{}", response.text());
            Issued::parse(response.json()["access_token"].as_str().expect("a token"))
        };
        let (first, jwks) = (issue(), bench.broker.jwks());
        if first.number("iat") >= boundary - 3 {
            continue;
        }
        let last = eventually("the next epoch's key", || {
            let token = issue();
            assert!(token.verifies(&jwks), "whatever signs, verifiers know it");
            (token.kid() != first.kid()).then_some(token)
        });
        assert!(
            first.verifies(&bench.broker.jwks()),
            "the old key is published on"
        );
        let seed = gateway.log().into_iter().find(|line| {
            line["event"] == "seed"
                && line["epoch_start"] == boundary
                && line["algorithm"] == "ES256"
        });
        let fetched_at = seed.expect("a seed")["time"].as_u64();
        assert!(
            fetched_at < Some(boundary),
            "fetched at {fetched_at:?}, needed at {boundary}"
        );
        assert!(last.number("iat") + 2 >= boundary);
        return;
    }
    panic!("each start took longer than its epoch");
}
