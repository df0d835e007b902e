//! What a stolen credential gets from the gateway: nothing beyond its limits, and a line in the log.

use serde_json::{Value, json};
use vouchsafe_harness::bundle::{EPOCH_SECONDS, HSM_ES256};
use vouchsafe_harness::hsm::{Gateway, GatewaySetup, ask_at, epoch_at, seed_request, sign, sign_text, token_claims};
use vouchsafe_harness::http::Request;
use vouchsafe_harness::jwt::from_base64url;
use vouchsafe_harness::keys;
use vouchsafe_harness::now;

#[test]
fn requires_known_credential_on_every_route() {
    let gateway = GatewaySetup::initialized().start();
    let real = gateway.setup.credential.clone();
    let shorter = real[..real.len() - 1].to_owned();
    for (method, path) in [("GET", "/v1/keys"), ("POST", "/v1/epoch-seed"), ("POST", "/v1/sign-token")] {
        let request = |authorization: Option<String>| {
            let mut request = Request::post(path, "application/json", "{}");
            request.method = method.into();
            match authorization {
                Some(value) => request.with("authorization", &value),
                None => request,
            }
        };
        for authorization in [
            None,
            Some(String::new()),
            Some("Bearer ".to_owned()),
            Some(format!("Bearer {shorter}")),
            Some(format!("Bearer {real}x")),
            Some(format!("Bearer  {real}")),
            Some(format!("bearer {real}")),
            Some(format!("Basic {real}")),
            Some(real.clone()),
        ] {
            let response = gateway.send(&request(authorization.clone()));
            assert_eq!(
                (response.status, response.text().as_str()),
                (401, r#"{"error":"credential.unknown"}"#),
                "{path} {authorization:?}"
            );
        }
        let twice = request(Some(format!("Bearer {real}"))).with("authorization", &format!("Bearer {real}"));
        assert_eq!(gateway.send(&twice).status, 401, "{path}");
    }
    assert_eq!(gateway.get("/healthz").status, 200);
    assert_eq!(gateway.get("/readyz").json()["status"], "ready");
    assert_eq!(gateway.get("/v1/nothing").status, 404);
    assert_eq!(gateway.ask("/v1/keys", Some(&json!({}))).status, 405);
    let events = |name: &str| {
        let log = gateway.log().into_iter();
        log.filter(|line| line["event"] == name).collect::<Vec<_>>()
    };
    assert_eq!(events("refusal"), Vec::<Value>::new());
    let lines = events("unauthenticated");
    let minutes = lines.iter().map(|line| line["time"].as_u64().map(|it| it / 60));
    let minutes = minutes.collect::<std::collections::BTreeSet<_>>().len();
    assert!((1..=2 * minutes).contains(&lines.len()), "too many lines: {lines:?}");
}

type Body = Box<dyn Fn(u64) -> Value>;

/// Requests for seeds at a time, and the slugs of their refusals.
fn seed_cases() -> Vec<(&'static str, Body, &'static str)> {
    let with = |name: &'static str, value: Value| {
        move |now: u64| {
            let mut body = seed_request(epoch_at(now));
            body[name] = value.clone();
            body
        }
    };
    let at = |steps: i64| move |now: u64| seed_request(epoch_at(now).wrapping_add_signed(steps * EPOCH_SECONDS as i64));
    vec![
        ("an old epoch", Box::new(at(-2)), "seed.window"),
        ("the next epoch but one", Box::new(at(2)), "seed.window"),
        ("a far-future epoch", Box::new(at(100_000)), "seed.window"),
        ("no epoch", Box::new(|now| seed_request(epoch_at(now) + 1)), "seed.epoch"),
        ("another group", Box::new(with("group", "other".into())), "group.forbidden"),
        ("a group that is not there", Box::new(with("group", "nobody".into())), "group.forbidden"),
        ("an old generation", Box::new(with("generation", 0.into())), "seed.generation"),
        ("a future generation", Box::new(with("generation", 2.into())), "seed.generation"),
        ("another algorithm", Box::new(with("algorithm", "RS256".into())), "seed.algorithm"),
        ("something more", Box::new(with("more", 1.into())), "request.malformed"),
        ("a negative epoch", Box::new(with("epoch_start", (-1).into())), "request.malformed"),
    ]
}

/// Tier `delegated`: seeds that a thief of the credential can't get.
#[test]
fn yields_only_current_seeds_of_its_group() {
    let gateway = GatewaySetup::initialized().start();
    for (what, body, slug) in seed_cases() {
        let refusals = refusals(&gateway).len();
        let (_, answer) = ask_at(&gateway, "/v1/epoch-seed", body);
        assert_eq!(answer, json!({ "error": slug }), "{what}");
        let log = self::refusals(&gateway);
        assert!(log.len() > refusals, "{what} is not in the log");
        let line = log.last().expect("a line");
        assert_eq!((&line["caller"], &line["slug"]), (&"broker".into(), &slug.into()), "{what}");
    }
    let (status, answer) = ask_at(&gateway, "/v1/epoch-seed", |now| seed_request(epoch_at(now)));
    assert_eq!(status, 200, "{answer}");
}

fn refusals(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.log().into_iter();
    lines.filter(|line| line["event"] == "refusal").collect()
}

/// Key, payload and slug of a refused signature.
type SignatureCase = (&'static str, &'static str, String, &'static str);

fn claims_cases() -> Vec<SignatureCase> {
    let changed = |name: &str, value: Value| {
        let mut claims = token_claims(now());
        claims[name] = value;
        claims.to_string()
    };
    let twice = token_claims(now()).to_string().replacen('{', r#"{"aud":"https://evil.example","#, 1);
    let hidden = token_claims(now()).to_string().replacen('{', r#"{"\u0061ud":"https://evil.example","#, 1);
    let rows = [
        ("another issuer", changed("iss", "https://other.example".into()), "token.issuer"),
        ("another audience", changed("aud", "https://api.example".into()), "token.audience"),
        ("two audiences", changed("aud", json!([HSM_ES256, "https://api.example"])), "token.audience"),
        ("a longer life", changed("exp", (now() + 901).into()), "token.lifetime"),
        ("a life without end", changed("exp", Value::Null), "token.times"),
        ("a token for later", changed("iat", (now() + 3600).into()), "token.times"),
        ("a token valid before", changed("nbf", 0.into()), "token.times"),
        ("a claim that is not the key's", changed("admin", true.into()), "token.claim"),
        ("a bound key", changed("cnf", json!({ "jkt": "x" })), "token.claim"),
        ("another client", changed("client_id", "x".into()), "token.claim"),
        ("a claim twice", twice, "token.malformed"),
        ("a claim twice, in disguise", hidden, "token.malformed"),
        ("not JSON", "{".to_owned(), "token.malformed"),
        ("not an object", "[]".to_owned(), "token.malformed"),
        ("nothing", String::new(), "token.malformed"),
    ];
    rows.map(|(what, payload, slug)| (what, "es256", payload, slug)).to_vec()
}

fn key_cases() -> Vec<SignatureCase> {
    vec![
        ("another group's key", "theirs", token_claims(now()).to_string(), "key.forbidden"),
        ("a key that is not there", "nobody", token_claims(now()).to_string(), "key.forbidden"),
        ("the root", "vouchsafe:root", token_claims(now()).to_string(), "key.forbidden"),
        ("another key's audience", "eddsa", token_claims(now()).to_string(), "token.algorithm"),
    ]
}

/// Tier `hsm`: tokens that a thief of the credential can't have signed.
#[test]
fn yields_only_signatures_within_key_limits() {
    let gateway = GatewaySetup::initialized().start();
    let (status, answer, input) = sign_text(&gateway, "es256", &token_claims(now()).to_string());
    assert_eq!(status, 200, "{answer}");
    let signature = from_base64url(answer["signature"].as_str().expect("a signature")).expect("base64url");
    let jwks = gateway.ask("/v1/keys", None).json();
    let key = &jwks["groups"][0]["token_keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["name"] == "es256")
        .expect("the key")["jwk"];
    assert!(keys::verifies(&json!({ "keys": [key] }), key["kid"].as_str().expect("a kid"), &input, &signature));
    for (what, key, payload, slug) in [claims_cases(), key_cases()].concat() {
        let before = refusals(&gateway).len();
        let (status, answer, _) = sign_text(&gateway, key, &payload);
        assert_eq!((status, &answer), (403, &json!({ "error": slug })), "{what}");
        let log = refusals(&gateway);
        assert_eq!(log.len(), before + 1, "{what} is not in the log");
        assert_eq!(log[before]["slug"], slug, "{what}");
    }
}

#[test]
fn lists_only_key_groups_of_the_credential() {
    let gateway = GatewaySetup::initialized().start();
    let theirs = gateway.ask_as(&gateway.setup.other_credential, "/v1/keys", None).json();
    let names: Vec<_> = theirs["groups"].as_array().expect("groups").iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["other"], "a credential sees other groups");
}

#[test]
fn limits_rate_of_each_key() {
    let setup = GatewaySetup::initialized();
    // `es256` is the third [[key]].
    let mut limited = setup;
    for (from, to) in [
        ("name = \"es256\"", "# here\nname = \"es256\""),
        (
            "# here\nname = \"es256\"\ngroup = \"default\"\nalgorithm = \"ES256\"\naudiences = [\"https://hsm-es256.example\"]\nlifetime_max = 900\nclaims = [\"ref\", \"repository\"]\nrequests_per_second = 1000\nrequests_per_day = 100000",
            "name = \"es256\"\ngroup = \"default\"\nalgorithm = \"ES256\"\naudiences = [\"https://hsm-es256.example\"]\nlifetime_max = 900\nrequests_per_second = 1000\nrequests_per_day = 2",
        ),
    ] {
        limited = limited.change(from, to);
    }
    let gateway = limited.start();
    for expected in [200, 200, 429, 429] {
        let (status, answer) = sign(&gateway, "es256", &token_claims(now()));
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(refusals(&gateway).last().expect("a line")["slug"], "key.rate");
}
