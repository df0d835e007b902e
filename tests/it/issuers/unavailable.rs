//! Issuers that are down, slow, wrong or hostile: the exchange fails with `issuer.unavailable`, and no later than the
//! limit on fetches.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{BROKER, IssuerFile};
use vouchsafe_harness::exchange::{Form, Want, check, check_answer, refused, unavailable};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::{jwt, now};

const UNAVAILABLE: Want = unavailable("issuer.unavailable");
/// The outcome for a realm with usable keys: no policy names its principals.
const REACHED: Want = refused(400, "invalid_target", "policy.denied");
const KEYS_MAX: usize = 100;
const KEY_SET_BYTES_MAX: usize = 256 * 1024;
const DISCOVERY_BYTES_MAX: usize = 64 * 1024;
const JSON: &str = "application/json";
const HTML: &[u8] = b"<!doctype html><title>Sign in</title><p>{\"keys\":[]}";

fn honest() -> Vec<Value> {
    ["RS256", "ES256", "EdDSA"].iter().map(|alg| Key::issuer(alg).jwk(alg)).collect()
}

/// A key set of `count` keys, the issuers' among them.
fn among(count: usize) -> Script {
    let more = (3..count).map(|index| Key::stranger("EdDSA").jwk(&format!("more-{index}")));
    Script::Keys(honest().into_iter().chain(more).collect())
}

/// A key set of exactly `bytes` bytes with the issuers' keys.
fn of_size(bytes: usize) -> Script {
    let body = json!({ "keys": honest(), "pad": "" }).to_string();
    let pad = "x".repeat(bytes - body.len());
    Script::KeysAre(200, JSON, body.replace("\"pad\":\"\"", &format!("\"pad\":\"{pad}\"")).into_bytes())
}

fn with_member(name: &str, value: Value) -> Script {
    let mut keys = honest();
    keys[0][name] = value;
    Script::Keys(keys)
}

/// The issuers' keys with another content type.
fn key_set_as(content_type: &'static str) -> Script {
    let body = json!({ "keys": honest() }).to_string();
    Script::KeysAre(200, content_type, body.into_bytes())
}

fn keys_are(body: impl Into<Vec<u8>>) -> Script {
    Script::KeysAre(200, JSON, body.into())
}

/// The discovery document of the realm `realm`, changed.
fn discovery(issuer: &Issuer, realm: &str, change: impl Fn(&mut Value)) -> Script {
    let base = issuer.url(realm);
    let mut document = json!({ "issuer": base, "jwks_uri": format!("{base}/jwks") });
    change(&mut document);
    Script::DiscoveryIs(200, JSON, document.to_string().into_bytes())
}

/// A correct discovery document with another content type.
fn discovery_as(content_type: &'static str, issuer: &Issuer, realm: &str) -> Script {
    let document = json!({ "issuer": issuer.url(realm), "jwks_uri": issuer.url("good") + "/jwks" });
    Script::DiscoveryIs(200, content_type, document.to_string().into_bytes())
}

fn key_sets() -> Vec<(&'static str, Script, Want)> {
    vec![
        ("good", Script::honest(), REACHED),
        ("keys-at-limit", among(KEYS_MAX), REACHED),
        ("keys-over-limit", among(KEYS_MAX + 1), UNAVAILABLE),
        ("keys-500", among(500), UNAVAILABLE),
        ("bytes-at-limit", of_size(KEY_SET_BYTES_MAX), REACHED),
        ("bytes-over-limit", of_size(KEY_SET_BYTES_MAX + 1), UNAVAILABLE),
        ("bytes-1-mb", of_size(1024 * 1024), UNAVAILABLE),
        // Only the document counts: real issuers use any of these types.
        ("as-text", key_set_as("text/plain"), REACHED),
        ("as-bytes", key_set_as("application/octet-stream"), REACHED),
        ("as-jwk-set", key_set_as("application/jwk-set+json"), REACHED),
        ("html", Script::KeysAre(200, "text/html", HTML.to_vec()), UNAVAILABLE),
        ("html-called-json", keys_are(HTML), UNAVAILABLE),
        ("empty", keys_are(""), UNAVAILABLE),
        ("no-keys", keys_are(r#"{"keys":[]}"#), UNAVAILABLE),
        ("no-list", keys_are(r#"{"jwks":[]}"#), UNAVAILABLE),
        ("garbage", keys_are([0xff, 0xfe, 0, 1]), UNAVAILABLE),
        ("cut-short", keys_are(r#"{"keys":[{"kty":"RSA""#), UNAVAILABLE),
        ("deep", keys_are("[".repeat(5000)), UNAVAILABLE),
        ("private-key", with_member("d", json!("AQAB")), UNAVAILABLE),
        ("duplicate-kid", with_member("kid", json!("ES256")), UNAVAILABLE),
        ("numeric-kid", with_member("kid", json!(1)), UNAVAILABLE),
        ("for-encryption", with_member("use", json!("enc")), refused(400, "invalid_request", "token.key_unusable")),
        (
            "another-certificate",
            with_member("x5c", json!(["MIIBAA=="])),
            refused(400, "invalid_request", "token.key_unusable"),
        ),
        ("another-alg", with_member("alg", json!("RS512")), refused(400, "invalid_request", "token.key_unusable")),
    ]
}

fn key_set_responses() -> Vec<(&'static str, Script, Want)> {
    vec![
        ("keys-404", Script::KeysAre(404, JSON, b"{}".to_vec()), UNAVAILABLE),
        ("keys-500-status", Script::KeysAre(500, JSON, b"{}".to_vec()), UNAVAILABLE),
        ("keys-204", Script::KeysAre(204, JSON, Vec::new()), UNAVAILABLE),
        // The request was not conditional.
        ("keys-304", Script::KeysAre(304, JSON, Vec::new()), UNAVAILABLE),
        ("keys-moved", Script::KeysMoved("good".into()), UNAVAILABLE),
        ("keys-stalled", Script::Stalled, UNAVAILABLE),
    ]
}

fn discoveries(issuer: &Issuer) -> Vec<(&'static str, Script, Want)> {
    let padded = |realm: &str, bytes: usize| {
        let base = issuer.url(realm);
        let body = json!({ "issuer": base, "jwks_uri": issuer.url("good") + "/jwks", "pad": "" }).to_string();
        let pad = "x".repeat(bytes - body.len());
        Script::DiscoveryIs(200, JSON, body.replace("\"pad\":\"\"", &format!("\"pad\":\"{pad}\"")).into_bytes())
    };
    vec![
        ("silent", Script::Silent, UNAVAILABLE),
        ("reset", Script::Reset, UNAVAILABLE),
        ("moved", Script::DiscoveryMoved("good".into()), UNAVAILABLE),
        ("discovery-html", Script::DiscoveryIs(200, "text/html", HTML.to_vec()), UNAVAILABLE),
        ("discovery-as-text", discovery_as("text/plain", issuer, "discovery-as-text"), REACHED),
        ("discovery-404", Script::DiscoveryIs(404, JSON, b"{}".to_vec()), UNAVAILABLE),
        ("discovery-empty", Script::DiscoveryIs(200, JSON, Vec::new()), UNAVAILABLE),
        ("discovery-at-limit", padded("discovery-at-limit", DISCOVERY_BYTES_MAX), REACHED),
        ("discovery-over-limit", padded("discovery-over-limit", DISCOVERY_BYTES_MAX + 1), UNAVAILABLE),
        ("names-another", discovery(issuer, "good", |_| {}), UNAVAILABLE),
        (
            "names-a-slash",
            discovery(issuer, "names-a-slash", |document| {
                document["issuer"] = json!(document["issuer"].as_str().unwrap_or_default().to_owned() + "/");
            }),
            UNAVAILABLE,
        ),
        ("names-none", discovery(issuer, "names-none", |document| document["issuer"] = Value::Null), UNAVAILABLE),
    ]
}

fn key_set_uris(issuer: &Issuer) -> Vec<(&'static str, Script, Want)> {
    let uri = |realm: &str, uri: Value| discovery(issuer, realm, move |document| document["jwks_uri"] = uri.clone());
    vec![
        ("no-uri", uri("no-uri", Value::Null), UNAVAILABLE),
        ("uri-file", uri("uri-file", json!("file:///etc/passwd")), UNAVAILABLE),
        (
            "uri-user",
            uri("uri-user", json!(issuer.url("good").replace("http://", "http://user@") + "/jwks")),
            UNAVAILABLE,
        ),
        ("uri-metadata-service", uri("uri-metadata-service", json!("http://169.254.169.254/jwks")), UNAVAILABLE),
        ("uri-plain-http", uri("uri-plain-http", json!("http://keys.example/jwks")), UNAVAILABLE),
        // Well-formed and https, but not among the manifest's `allowed_outbound_hosts`.
        ("uri-not-allowed", uri("uri-not-allowed", json!("https://keys.example/jwks")), UNAVAILABLE),
        // OpenID Connect Discovery lets an issuer point to keys on another host.
        ("uri-elsewhere", uri("uri-elsewhere", json!(issuer.url("good") + "/jwks")), REACHED),
    ]
}

/// The outcome at the token endpoint for each realm.
fn table(issuer: &Issuer) -> BTreeMap<&'static str, Want> {
    let realms = [key_sets(), key_set_responses(), discoveries(issuer), key_set_uris(issuer)].concat();
    let count = realms.len();
    let mut table = BTreeMap::new();
    for (realm, script, want) in realms {
        issuer.set_script(realm, script);
        table.insert(realm, want);
    }
    assert_eq!(table.len(), count, "two realms of one name");
    table
}

pub fn wants() -> Vec<Want> {
    table(&Issuer::start([])).into_values().collect()
}

fn present(broker: &Broker, iss: &str, want: Want) -> Result<(), String> {
    let token = jwt::mint("RS256", &jwt::claims(iss, BROKER, now()));
    check(broker, &Form::of(&token).request(), &token, want).map(drop)
}

#[test]
fn reports_unavailable_issuer_for_every_fault() {
    let issuer = Issuer::start([]);
    let table = table(&issuer);
    // Nothing listens on port 1 of loopback.
    let down = "http://127.0.0.1:1/down";
    let mut files: Vec<_> = table.keys().map(|realm| IssuerFile::new(realm, issuer.url(realm), "")).collect();
    files.push(IssuerFile::new("down", down, ""));
    let broker = Setup::broker(&files, &[issuer.origin(), "http://127.0.0.1:1".to_owned()]).start();
    let mut failures = Vec::new();
    let mut tell = |realm: &str, outcome: Result<(), String>| {
        if let Err(reason) = outcome {
            failures.push(format!("- {realm}: {reason}"));
        }
    };
    tell("down", present(&broker, down, UNAVAILABLE));
    for (realm, want) in &table {
        tell(realm, present(&broker, &issuer.url(realm), *want));
    }
    // An unavailable issuer doesn't affect the others.
    tell("good again", present(&broker, &issuer.url("good"), REACHED));
    assert!(failures.is_empty(), "{} of {} issuers:\n{}", failures.len(), table.len(), failures.join("\n"));
    broker.assert_healthy();
}

/// Why an issuer is unreachable: the setting that blocks it is named in the log, and nothing of it in the response.
#[test]
fn logs_why_issuer_is_unreachable() {
    let issuer = Issuer::start([("good", Script::honest()), ("elsewhere", Script::honest())]);
    issuer.set_script(
        "elsewhere",
        discovery(&issuer, "elsewhere", |document| {
            document["jwks_uri"] = "https://keys.example/jwks".into();
        }),
    );
    let (good, elsewhere) = (issuer.url("good"), issuer.url("elsewhere"));
    let down = "http://127.0.0.1:1/down".to_owned();
    let origins = [issuer.origin(), "http://127.0.0.1:1".to_owned()];
    let blocking = "[outbound_networking]\nblock_networks = [\"127.0.0.0/8\"]\n";
    let manifest = "not in the manifest's `allowed_outbound_hosts`";
    let blocked = "address in a blocked network";
    for (iss, origins, config, expected) in [
        (&down, &origins[..], "", "http://127.0.0.1:1: connection refused".to_owned()),
        (&good, &origins[1..], "", format!("{}: {manifest}", issuer.origin())),
        (&elsewhere, &origins[..], "", format!("https://keys.example: {manifest}")),
        (&good, &origins[..], blocking, format!("{}: {blocked}", issuer.origin())),
    ] {
        let setup = Setup::broker(&[IssuerFile::new("main", iss, "")], origins);
        let file = setup.folder.join("runtime.toml");
        std::fs::write(&file, config).expect("a file");
        let broker = setup.argument("--runtime-config-file").argument(file.display().to_string()).start();
        let token = jwt::mint("RS256", &jwt::claims(iss, BROKER, now()));
        let response = broker.send(&Form::of(&token).request());
        let line = broker.line("token");
        check_answer(&response, Some(&line), false, UNAVAILABLE).expect("an outage");
        let detail = line["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with(&format!("keys of issuer `main`: {expected}")), "{detail}");
        assert_eq!(line["issuer"], "main");
        assert!(!response.text().contains("127.0.0.1"), "{}", response.text());
    }
}

#[test]
fn fetches_keys_once_for_many_tokens() {
    let issuer = Issuer::start([("good", Script::honest())]);
    let files = [IssuerFile::new("good", issuer.url("good"), "")];
    let broker = Setup::broker(&files, &[issuer.origin()]).start();
    for _ in 0..5 {
        present(&broker, &issuer.url("good"), REACHED).expect("reached");
    }
    assert_eq!(issuer.fetches("good"), 2, "one fetch is two requests");
    let header = json!({ "alg": "RS256", "kid": "unknown" }).to_string();
    let unknown =
        || jwt::mint_raw(&Key::issuer("RS256"), &header, jwt::claims(&issuer.url("good"), BROKER, now()).to_string());
    let want = refused(400, "invalid_request", "token.key_unknown");
    let before = now();
    for _ in 0..5 {
        let token = unknown();
        check(&broker, &Form::of(&token).request(), &token, want).expect("unknown");
    }
    // One more fetch per window of 10 s; more if the machine is so slow that several windows passed.
    let windows = usize::try_from((now() - before) / 10 + 1).expect("small");
    let fetched = issuer.fetches("good") - 2;
    assert!(fetched >= 2 && fetched <= 2 * windows, "{fetched} requests in {windows} windows");
}

#[test]
fn learns_rotated_key_from_unknown_kid() {
    let issuer = Issuer::start([("good", Script::honest())]);
    let files = [IssuerFile::new("good", issuer.url("good"), "")];
    let broker = Setup::broker(&files, &[issuer.origin()]).start();
    present(&broker, &issuer.url("good"), REACHED).expect("reached");
    issuer.set_script("good", Script::Keys(vec![Key::stranger("RS256").jwk("rotated")]));
    let header = json!({ "alg": "RS256", "kid": "rotated" }).to_string();
    let token =
        jwt::mint_raw(&Key::stranger("RS256"), header, jwt::claims(&issuer.url("good"), BROKER, now()).to_string());
    check(&broker, &Form::of(&token).request(), &token, REACHED).expect("the new key is used");
    // The old key is no longer in the set, so it is no longer trusted.
    let want = refused(400, "invalid_request", "token.key_unknown");
    present(&broker, &issuer.url("good"), want).expect("the old key is not used");
}

/// Exchanges that wait for a silent issuer fill the places for exchanges, but no others.
#[test]
fn serves_keys_and_probes_despite_silent_issuer() {
    const WAITING: usize = 160;
    let issuer = Issuer::start([("main", Script::Silent)]);
    let file = IssuerFile::new("main", issuer.url("main"), "");
    let broker = Setup::broker(&[file], &[issuer.origin()]).start();
    let request = Form::of(&jwt::mint("RS256", &issuer.claims(now()))).request();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..WAITING).map(|_| scope.spawn(|| broker.send(&request).status)).collect();
        // Waits until the issuer is asked and the exchanges have their places.
        while issuer.fetches("main") == 0 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut answered = 0;
        while waiting.iter().any(|client| !client.is_finished()) {
            for path in ["/healthz", "/readyz", "/.well-known/jwks.json"] {
                assert_eq!(broker.get(path).status, 200, "{path}");
            }
            answered += 1;
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(answered > 0, "no exchange waited");
        for client in waiting {
            assert_eq!(client.join().expect("a response"), 503);
        }
    });
    broker.assert_healthy();
}
