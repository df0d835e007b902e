//! SIGHUP: a running broker takes a new bundle without losing a request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::exchange::{Form, Want, check, refused};
use vouchsafe_harness::hsm::eventually;
use vouchsafe_harness::http::{self, Request};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::{jwt, now};

const DENIED: Want = refused(400, "invalid_target", "policy.denied");
const FORBID: &str = "@id(\"closed\")\nforbid (principal, action, resource);\n";

fn digest(broker: &Broker) -> String {
    let ready = broker.get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.text());
    ready.json()["bundle"]["digest"].as_str().expect("a digest").to_owned()
}

fn put(setup: &Setup, path: &str, text: &str) {
    std::fs::write(setup.folder.join("policies").join(path), text).expect("a file");
}

/// The bundles that the broker has copied.
fn copies(setup: &Setup) -> Vec<String> {
    let copies = std::fs::read_dir(setup.folder.join("state/bundles")).expect("a folder");
    copies.map(|copy| copy.expect("a copy").file_name().to_string_lossy().into_owned()).collect()
}

/// Seconds that an issued token lives.
fn exchange(broker: &Broker, request: &Request) -> Result<u64, String> {
    let response = http::send(&broker.address, request).map_err(|error| format!("{error:#}"))?;
    let lifetime = response.json()["expires_in"].as_u64();
    lifetime.filter(|_| response.status == 200).ok_or_else(|| format!("{}: {}", response.status, response.text()))
}

#[test]
fn decides_by_the_new_bundle() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let broker = setup.start();
    let token = jwt::mint("RS256", &issuer.claims(now()));
    let request = Form::of(&token).request();
    let before = digest(&broker);
    check(&broker, &request, &token, Want::Issued).expect("permitted");

    put(&setup, "rules/closed.cedar", FORBID);
    check(&broker, &request, &token, Want::Issued).expect("an edit alone changes nothing");
    let line = broker.reload();
    let after = digest(&broker);
    assert_eq!(line, format!("serve: reload: the bundle was replaced: {before} -> {after}"));
    assert_ne!(before, after);
    check(&broker, &request, &token, DENIED).expect("forbidden");

    assert_eq!(broker.reload(), format!("serve: reload: the bundle is unchanged: {after}"));
    std::fs::remove_file(setup.folder.join("policies/rules/closed.cedar")).expect("removed");
    assert_eq!(broker.reload(), format!("serve: reload: the bundle was replaced: {after} -> {before}"));
    check(&broker, &request, &token, Want::Issued).expect("permitted again");
    broker.assert_healthy();
}

/// Each state of the files is a valid bundle, but perhaps not one that anybody wanted.
#[test]
fn keeps_the_bundle_while_files_change() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let broker = setup.start();
    let before = digest(&broker);
    let done = AtomicBool::new(false);
    let line = std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0_u64.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                // Renamed, so that no read finds an empty file.
                let draft = setup.folder.join("draft");
                std::fs::write(&draft, round.to_string()).expect("a file");
                std::fs::rename(&draft, setup.folder.join("policies/README.md")).expect("renamed");
            }
        });
        let line = broker.reload();
        done.store(true, Ordering::Relaxed);
        line
    });
    let why = "its files are still being changed; send SIGHUP again when they are complete";
    assert_eq!(line, format!("serve: reload: the new bundle was rejected, {before} stays in use: {why}"));
    assert_eq!(digest(&broker), before);
    let line = broker.reload();
    assert!(line.starts_with(&format!("serve: reload: the bundle was replaced: {before} -> ")), "{line}");
    broker.assert_healthy();
}

#[test]
fn keeps_the_bundle_when_the_new_one_is_invalid() {
    let issuer = Issuer::honest();
    let (setup, metrics) = Setup::trusting(&issuer).with_metrics();
    let broker = setup.start();
    let token = jwt::mint("RS256", &issuer.claims(now()));
    let request = Form::of(&token).request();
    let before = digest(&broker);
    let rejected = format!("serve: reload: the new bundle was rejected, {before} stays in use: ");
    for (path, text, why) in [
        ("rules/broken.cedar", "permit (principal, action", "rules/broken.cedar"),
        ("audiences/api.toml", "id = 7", "audiences/api.toml"),
        (".hidden", "", ".hidden"),
    ] {
        let file = setup.folder.join("policies").join(path);
        let original = std::fs::read(&file).ok();
        put(&setup, path, text);
        let line = broker.reload();
        assert!(line.starts_with(&rejected) && line.contains(why), "{line}");
        check(&broker, &request, &token, Want::Issued).expect(path);
        assert_eq!(digest(&broker), before);
        assert_eq!(copies(&setup), [before.as_str()], "{path}");
        match original {
            Some(original) => std::fs::write(file, original).expect("restored"),
            None => std::fs::remove_file(file).expect("removed"),
        }
    }
    assert_eq!(broker.reload(), format!("serve: reload: the bundle is unchanged: {before}"));
    let text = http::send(&metrics, &Request::get("/metrics")).expect("metrics").text();
    for line in [
        "vouchsafe_bundle_reloads_total{outcome=\"loaded\"} 0".to_owned(),
        "vouchsafe_bundle_reloads_total{outcome=\"rejected\"} 3".to_owned(),
        "vouchsafe_bundle_reloads_total{outcome=\"unchanged\"} 1".to_owned(),
        format!("vouchsafe_bundle_info{{digest=\"{before}\"}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    broker.assert_healthy();
}

/// Clients at full speed, while the bundle changes again and again and is invalid in between.
#[test]
fn loses_no_request_while_bundles_are_replaced() {
    const CLIENTS: usize = 4;
    const ROUNDS: u64 = 12;
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let audience = std::fs::read_to_string(setup.folder.join("policies/audiences/api.toml")).expect("the audience");
    let with_lifetime = |seconds: u64| format!("{audience}default_lifetime = \"{seconds}s\"\n");
    put(&setup, "audiences/api.toml", &with_lifetime(60));
    let broker = setup.start();
    let mut claims = issuer.claims(now());
    // Never shortens the issued tokens.
    claims["exp"] = serde_json::json!(now() + 3600);
    let request = Form::of(&jwt::mint("RS256", &claims)).request();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = || {
            let mut lifetimes = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                lifetimes.push(exchange(&broker, &request));
            }
            lifetimes
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        for round in 1..=ROUNDS {
            let seconds = 60 + round;
            if round % 3 == 0 {
                put(&setup, "audiences/api.toml", "id = ");
                assert!(broker.reload().contains("rejected"), "round {round}");
                assert_eq!(exchange(&broker, &request), Ok(seconds - 1), "round {round}");
            }
            put(&setup, "audiences/api.toml", &with_lifetime(seconds));
            assert!(broker.reload().contains("was replaced"), "round {round}");
            assert_eq!(exchange(&broker, &request), Ok(seconds), "round {round}");
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let mut last = 60;
            for lifetime in client.join().expect("no panic") {
                let lifetime = lifetime.expect("every request is answered");
                assert!((last..=60 + ROUNDS).contains(&lifetime), "{lifetime} s after {last} s");
                last = lifetime;
            }
        }
    });
    broker.assert_healthy();
}

/// The issuer answers only after the bundle was replaced by one that forbids the request.
#[test]
fn request_in_flight_finishes_with_its_bundle() {
    let slow = Script::Slow(Duration::from_secs(2), Script::keys(&["RS256"]));
    let issuer = Issuer::start([("main", slow), ("other", Script::honest())]);
    let setup = Setup::trusting(&issuer);
    let broker = setup.start();
    let request = Form::of(&jwt::mint("RS256", &issuer.claims(now()))).request();
    put(&setup, "rules/closed.cedar", FORBID);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| broker.send(&request));
        eventually("a request for keys", || (issuer.fetches("main") > 1).then_some(()));
        let line = broker.reload();
        assert!(line.contains("was replaced") && !waiting.is_finished(), "{line}");
        let response = waiting.join().expect("no panic");
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(broker.send(&request).status, 400, "the next request is forbidden");
    });
    broker.assert_healthy();
}

/// Instances of replaced bundles end, however long idle instances otherwise live.
#[test]
fn instances_of_old_bundles_end() {
    let issuer = Issuer::honest();
    let (setup, metrics) = Setup::trusting(&issuer).with_metrics();
    let broker = setup.start();
    for round in 0..5 {
        put(&setup, "bundle.toml", &format!("name = \"tests\"\nversion = \"reload-{round}\"\n"));
        assert!(broker.reload().contains("was replaced"), "round {round}");
    }
    eventually("the end of old instances", || {
        let text = http::send(&metrics, &Request::get("/metrics")).expect("metrics").text();
        text.contains("vouchsafe_instances_live 1\n").then_some(())
    });
    assert_eq!(broker.get("/readyz").status, 200);
    broker.assert_healthy();
}
