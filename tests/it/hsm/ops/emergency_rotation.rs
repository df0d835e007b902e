//! Emergency rotations, the generation that the store remembers, and what the operator sees.

use serde_json::{Value, json};
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER, HSM_ES256};
use vouchsafe_harness::exchange::{Form, Want, check_answer, unavailable};
use vouchsafe_harness::hsm::{Gateway, GatewaySetup, HsmFixture, PUBLISHED_SECONDS, Pkcs11Token, eventually, keys};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt;
use vouchsafe_harness::now;

const SUPERSEDED: Want = unavailable("signer.superseded");

pub fn wants() -> Vec<Want> {
    vec![SUPERSEDED]
}

/// One command rotates and waits until every broker has followed, which takes at most 5 s.
#[test]
fn reaches_every_broker_and_reports_time() {
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    let quiet = HsmFixture::start(&[&setup]);
    let (old, before) = (fixture.issue(API), fixture.broker.jwks());
    quiet.broker.jwks();
    let urls = [&fixture, &quiet].map(|it| format!("http://{}", it.broker.address));
    let arguments = ["rotate", "--broker", &urls[0], "--broker", &urls[1]];
    keys(&[&setup], &arguments).is(2, "epoch keys are replaced every epoch without this command");
    let rotated = keys(&[&setup], &[&arguments[..], &["--emergency"]].concat());
    println!("{}", rotated.text);
    rotated.is(0, "rotated, generation 2");
    for url in &urls {
        rotated.is(0, &format!("{url}: followed after "));
    }
    let new = fixture.issue(API);
    assert!(new.verifies(&before), "unknown to verifiers");
    assert!(!old.verifies(&fixture.broker.jwks()));
    let acts = gateway.events("admin");
    assert_eq!((&acts[0]["act"], &acts[0]["before"], &acts[0]["after"]), (&"rotate".into(), &1.into(), &2.into()));
    // Requesting the same rotation again changes nothing.
    let again = gateway.administer("/v1/admin/rotate", Some(&json!({ "from": 1 })));
    assert_eq!(again.json(), json!({ "generation": 2, "changed": false }));
    let ahead = gateway.administer("/v1/admin/rotate", Some(&json!({ "from": 3 })));
    assert_eq!(ahead.json()["error"], "seed.generation");
    // Neither does repeating the command, and an unreachable broker or gateway stops nothing.
    let dead = "http://127.0.0.1:9";
    let repeated = ["--emergency", "--from", "1", "--timeout", "1"];
    let with_dead = ["--broker", dead, "--gateway", dead];
    let repeated = keys(&[&setup], &[&arguments[..], &repeated, &with_dead].concat());
    repeated.is(1, "follows, generation 2");
    for url in &urls {
        repeated.is(1, &format!("{url}: followed after "));
    }
    repeated.is(1, &format!("{dead}: NOT FOLLOWED within 1 s"));
    repeated.is(1, "retry with `--from 1`");
    // A broker that reaches no gateway doesn't follow, and is reported.
    let (_gateway, elsewhere) = bad_broker();
    let elsewhere = format!("http://{}", elsewhere.broker.address);
    let alone =
        keys(&[&setup], &["rotate", "--emergency", "--although-unpublished", "--timeout", "1", "--broker", &elsewhere]);
    alone.is(1, "NOT FOLLOWED within 1 s");
    assert_eq!(gateway.get("/readyz").json()["generation"], 3);
}

/// Verifiers that have fetched nothing since the first rotation know the keys of the second one: by the gateway's
/// clock, on every gateway, and for both commands.
#[test]
fn waits_until_verifiers_know_next_generation() {
    const TOO_EARLY: &str = "verifiers may not know the standby generation yet: ";
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    let broker = format!("http://{}", fixture.broker.address);
    let emergency = ["rotate", "--emergency", "--broker", &broker];
    keys(&[&setup], &emergency).is(0, "rotated, generation 2");
    let refused = keys(&[&setup], &emergency);
    refused.is(1, TOO_EARLY);
    refused.is(1, "--although-unpublished");
    let (code, text) = setup.run(&["rotate", "--emergency"]);
    assert!(code == 1 && text.contains(TOO_EARLY), "{text}");
    assert!(text.contains("--although-unpublished"), "{text}");
    let refusals = gateway.events("refusal");
    let refusal = refusals.last().expect("a line");
    assert_eq!((&refusal["caller"], &refusal["slug"]), (&"ops".into(), &"generation.standby_unknown".into()));
    gateway.kill();

    // The time is stored on the PKCS#11 token, so a gateway that starts later knows it, too.
    let (_, status) = setup.run(&["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let root = status["keys"].as_array().expect("keys").iter();
    let root = root.clone().find(|key| key["label"] == "vouchsafe:root");
    let since = root.expect("the root")["generation_since"].as_u64();
    let since = since.expect("a moment");
    let at = |moment: u64| setup.clone().at_time(moment).start();
    let body = json!({ "from": 2 });
    let gateway = at(since + PUBLISHED_SECONDS - 120);
    let early = gateway.administer("/v1/admin/rotate", Some(&body));
    assert_eq!(early.status, 409, "{}", early.text());
    assert_eq!(early.json()["error"], "generation.standby_unknown");
    let wait: u64 = early.header("retry-after").expect("seconds").parse().expect("a number");
    assert!((1..=120).contains(&wait), "{wait}");
    gateway.kill();
    let gateway = at(since + PUBLISHED_SECONDS);
    let rotated = gateway.administer("/v1/admin/rotate", Some(&body));
    assert_eq!(rotated.json(), json!({ "generation": 3, "changed": true }));
    // For operators who prefer an outage to using leaked keys.
    let body = json!({ "from": 3, "although_unpublished": true });
    let rotated = gateway.administer("/v1/admin/rotate", Some(&body));
    assert_eq!(rotated.json(), json!({ "generation": 4, "changed": true }));
    let acts = gateway.events("admin");
    let noted: Vec<_> = acts.iter().map(|it| &it["although_unpublished"]).collect();
    assert_eq!(noted, [false, false, true]);
}

/// A broker of another gateway, which has nothing to follow.
fn bad_broker() -> (Gateway, HsmFixture) {
    let other = GatewaySetup::initialized();
    let gateway = other.start();
    let fixture = HsmFixture::start(&[&other]);
    (gateway, fixture)
}

/// An HSM from before an emergency comes back, behind a gateway that doesn't know of it; the store does.
#[test]
fn remembers_highest_generation_in_store() {
    let token = Pkcs11Token::new();
    let setup = GatewaySetup::new(&token).with_keys();
    let (code, text) = setup.run(&["rotate", "--emergency"]);
    assert_eq!(code, 0, "{text}");
    let gateway = setup.start();
    let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
    let older = GatewaySetup::initialized();
    let origins = [issuer.origin(), setup.url(), older.url()];
    let first = Setup::of("spin.hsm.toml", &issuer.files(), &origins)
        .variable("gateway_urls", &setup.url())
        .variable("gateway_token", &setup.credential)
        .variable("signer_hsm_algorithms", "ES256");
    let exchange = |broker: &Broker, audience: &str| {
        let claims = issuer.claims(now());
        let form = Form::of(&jwt::mint("RS256", &claims)).set("audience", audience);
        broker.send(&form.request())
    };
    let running = first.start();
    let response = exchange(&running, API);
    assert_eq!(response.status, 200, "{}", response.text());
    let ready = running.get("/readyz").json();
    assert_eq!(ready["signer"]["generation"], 2, "{ready}");
    assert_eq!(ready["signer"]["gateways"], serde_json::json!({ "up": 1, "of": 1 }), "{ready}");
    let seconds = ready["signer"]["seconds_left"].as_u64().expect("a countdown");
    assert!((1..=2_400).contains(&seconds), "{ready}");
    running.kill();
    drop(gateway);

    let _older = older.start();
    // Two brokers use the same database, one after the other.
    let second = first.clone().variable("gateway_urls", &older.url()).variable("gateway_token", &older.credential);
    let Err(reason) = second.try_start() else { panic!("the broker started") };
    assert!(reason.contains(r#""slug":"signer.superseded""#), "{reason}");
    let detail = "generation 1 of the signer is below 2, which this database has seen";
    assert!(reason.contains(detail), "{reason}");
    let database = rusqlite::Connection::open(second.database()).expect("the database");
    let seen: (String, i64) = database
        .query_row("SELECT name, highest FROM generations", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a row");
    assert_eq!(seen, (format!("{BROKER} default"), 2));

    // An operator accepts the lower generation because the higher one was a mistake; then a broker has the higher one
    // again.
    let remember = |generation: i64| {
        let update = "UPDATE generations SET highest = ?1";
        let rows = database.execute(update, [generation]).expect("written");
        assert_eq!(rows, 1);
    };
    remember(1);
    let running = second.start();
    let response = exchange(&running, API);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(running.line("token")["slug"], "issued");
    assert_eq!(running.get("/.well-known/jwks.json").status, 200);
    remember(2);
    let token = jwt::mint("RS256", &issuer.claims(now()));
    let form = Form::of(&token).set("audience", API);
    let response = running.send(&form.request());
    let line = running.line("token");
    check_answer(&response, Some(&line), false, SUPERSEDED).expect("a refusal");
    assert_eq!(line["detail"], detail);
    let response = exchange(&running, HSM_ES256);
    assert_eq!(response.status, 200, "tier hsm has no generations: {}", response.text());
    // It neither publishes expired keys nor claims to be ready.
    for path in ["/.well-known/jwks.json", "/readyz"] {
        eventually("503", || (running.get(path).status == 503).then_some(()));
    }
    running.kill();
    let refused: i64 = database
        .query_row("SELECT count(*) FROM audit WHERE slug = 'signer.superseded'", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(refused, 1, "records");
}

/// The log tells an operator about the missing host in the manifest; responses to callers don't.
#[test]
fn logs_why_gateway_did_not_answer() {
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
    let broker = Setup::of("spin.hsm.toml", &issuer.files(), &[issuer.origin()])
        .variable("gateway_urls", &setup.url())
        .variable("gateway_token", &setup.credential);
    let Err(reason) = broker.try_start() else { panic!("the broker started") };
    let why = format!("gateway {}: not in the manifest's `allowed_outbound_hosts`", setup.url());
    assert!(reason.contains(&why), "{reason}");
    assert!(!reason.contains(&setup.credential));
    let fixture = HsmFixture::start(&[&setup]);
    fixture.issue(HSM_ES256);
    gateway.kill();
    // Tier `delegated` goes on; the counter shows why it will end.
    eventually("no gateway up", || {
        let ready = fixture.broker.get("/readyz");
        assert_eq!(ready.status, 200, "{}", ready.text());
        (ready.json()["signer"]["gateways"] == serde_json::json!({ "up": 0, "of": 1 })).then_some(())
    });
    let form = Form::of(&fixture.token()).set("audience", HSM_ES256);
    let response = fixture.broker.send(&form.request());
    assert_eq!(response.status, 503);
    assert!(!response.text().contains(&setup.url()), "{}", response.text());
    let mut lines = std::iter::repeat_with(|| fixture.broker.line("token"));
    let line = lines.find(|line| line["slug"] == "signer.unavailable");
    let detail = line.expect("a line")["detail"].to_string();
    assert!(detail.contains(&format!("gateway {}: connection refused", setup.url())), "{detail}");
}
