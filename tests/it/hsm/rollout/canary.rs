//! Which workloads are in a canary's share, and what happens to a failing canary.

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use vouchsafe_harness::hsm::{At, GatewaySetup, KEY, check_states, issue, keys, staged, token_claims};
use vouchsafe_harness::jwt::base64url;

/// Exchanges continue while shares grow and a version is promoted and rolled back; all tokens verify with the keys that
/// were fetched before.
#[test]
fn changes_canary_under_traffic_without_failures() {
    let (setup, at) = staged();
    let jwks = at.fixture.broker.jwks();
    let broker = format!("http://{}", at.fixture.broker.address);
    let ask = |arguments: &[&str]| keys(&[&setup], arguments);
    let stop = AtomicBool::new(false);
    let kids = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut kids = BTreeMap::<String, u64>::new();
            while !stop.load(Ordering::Relaxed) {
                let token = at.issue();
                assert!(token.verifies(&jwks), "signed with a key unknown to verifiers");
                *kids.entry(token.kid().to_owned()).or_default() += 1;
            }
            kids
        });
        for share in ["5%", "50%", "100%"] {
            ask(&["canary", KEY, share]).is(0, share);
        }
        ask(&["rollback", KEY]).is(0, "1 active, 2 pending");
        ask(&["rollback", KEY]).is(0, "nothing to roll back");
        ask(&["canary", KEY, "100%"]).is(0, "2 canary 100%");
        ask(&["promote", KEY, "--broker", &broker]).is(0, "1 retiring, 2 active");
        ask(&["rollback", KEY]).is(0, "1 active, 2 pending");
        ask(&["rollback", KEY, "--version", "2"]).is(0, "unchanged");
        stop.store(true, Ordering::Relaxed);
        traffic.join().expect("traffic")
    });
    assert_eq!(kids.len(), 2, "both versions signed: {kids:?}");
    at.fixture.broker.assert_healthy();
}

fn sign_for(at: &At, principal: &str) -> String {
    let listed = at.gateway.ask("/v1/keys", None).json();
    let keys = listed["groups"][0]["token_keys"].as_array().expect("keys").clone();
    let active = keys.iter().find(|key| key["name"] == KEY && key["signs"] == true);
    let header = json!({ "alg": "ES256", "kid": active.expect("a key")["jwk"]["kid"], "typ": "JWT" });
    let input = format!("{}.{}", base64url(header.to_string()), base64url(token_claims(at.now()).to_string()));
    let body = json!({
        "key": KEY, "signing_input": input,
        "workload": { "issuer": "https://issuer.example", "principal": principal },
    });
    let response = at.gateway.ask("/v1/sign-token", Some(&body));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["version"].to_string()
}

/// A share has the same workloads each time, is contained in every greater share, and has about the stated size.
#[test]
fn keeps_workload_in_its_share() {
    let (setup, at) = staged();
    let mut before: Vec<bool> = vec![false; 100];
    for (share, fewest, most) in [("30%", 8, 55), ("60%", 35, 85), ("100%", 100, 100)] {
        keys(&[&setup], &["canary", KEY, share]).is(0, share);
        let draw = || -> Vec<bool> {
            let each = 0..100;
            each.map(|it| sign_for(&at, &format!("repo:{it}")) == "2").collect()
        };
        let within = draw();
        let count = within.iter().filter(|it| **it).count();
        assert!((fewest..=most).contains(&count), "{count} of 100 at {share}");
        assert_eq!(draw(), within, "the share has changed");
        assert!(before.iter().zip(&within).all(|(was, is)| is >= was), "a workload left the share at {share}");
        before = within;
    }
}

/// The broker passes on the workload, so all tokens of one workload are signed by one version.
#[test]
fn passes_workload_identity_to_gateway() {
    let (setup, at) = staged();
    keys(&[&setup], &["canary", KEY, "50%"]).is(0, "50%");
    let mut versions = BTreeMap::<String, Vec<String>>::new();
    for round in 0..3 {
        for number in 0..12 {
            let subject = format!("repo:octo-org/octo-repo:ref:refs/heads/{number}");
            let mut claims = at.fixture.issuer.claims(at.now());
            claims["sub"] = subject.as_str().into();
            claims["jti"] = format!("{subject} {round}").into();
            let token = issue(&at.fixture, &claims);
            versions.entry(subject).or_default().push(token.kid().to_owned());
        }
    }
    let stable = |kids: &Vec<String>| kids.iter().all(|kid| *kid == kids[0]);
    assert!(versions.values().all(stable), "{versions:?}");
    let first: BTreeSet<_> = versions.values().map(|kids| &kids[0]).collect();
    // 12 fair coins all land on the same side once in 2,000 throws, so this throws 24.
    if first.len() < 2 {
        let more: Vec<_> = (0..24).map(|it| sign_for(&at, &format!("more:{it}"))).collect();
        assert!(more.contains(&"1".to_owned()) && more.contains(&"2".to_owned()), "{more:?}");
    }
}

/// Probes that verifiers can't verify, because the published keys are another HSM's.
#[test]
fn does_not_promote_canary_unknown_to_verifiers() {
    let (setup, at) = staged();
    let strange = GatewaySetup::initialized();
    let strange_at = At::new(&strange, at.now());
    let url = |at: &At| format!("http://{}", at.fixture.broker.address);
    let ask = |arguments: &[&str]| keys(&[&setup], arguments);
    ask(&["canary", KEY, "10%"]).is(0, "2 canary 10%");
    let refused = ask(&["promote", KEY, "--broker", &url(&strange_at)]);
    refused.is(1, "the canary failed more often than the active version");
    refused.is(1, "canary 2: 20, 20 failed; active 1: 20, 20 failed; worse");
    check_states(&at.gateway, "1 active, 2 canary 10%");
    let watched = ask(&[
        "canary",
        KEY,
        "10%",
        "--watch",
        "--watch-seconds",
        "1",
        "--interval-seconds",
        "1",
        "--broker",
        &url(&at),
    ]);
    watched.is(1, "version 2 is worse and was rolled back");
    check_states(&at.gateway, "1 active, 2 pending");
    // A new attempt is judged from zero.
    let watched = ask(&[
        "canary",
        KEY,
        "10%",
        "--watch",
        "--watch-seconds",
        "1",
        "--interval-seconds",
        "1",
        "--broker",
        &url(&at),
    ]);
    watched.is(0, "1 retiring, 2 active");
    watched.is(0, "healthy");
    let probes = at.gateway.events("probe");
    assert!(probes.iter().all(|line| line["caller"] == "ops"), "not in the log");
    assert!(!probes.is_empty());
}
