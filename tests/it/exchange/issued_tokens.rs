//! The complete response to a successful exchange, and its audit record.

use rusqlite::Connection;
use serde_json::{Value, json};
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY, EDDSA, IssuerFile};
use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::{Form, TYPE_ACCESS, TYPE_JWT, Want, bad, check};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::now;

const UPSTREAM: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";
const SUBJECT: &str = "main:repo:octo-org/octo-repo:ref:refs/heads/main";

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Response and token of a successful request for `audience` with further parameters.
fn exchange(fixture: &Fixture, audience: &str, more: &[(&str, &str)]) -> (Value, Issued) {
    let token = fixture.token();
    let form = Form::of(&token).set("audience", audience);
    let form = more.iter().fold(form, |form, (name, value)| form.and(name, value));
    let response = check(&fixture.broker, &form.request(), &token, Want::Issued).expect("issued");
    let body = response.json();
    let issued = Issued::parse(body["access_token"].as_str().expect("a token"));
    (body, issued)
}

#[test]
fn issues_only_verified_claims() {
    let fixture = Fixture::start();
    let (body, issued) = exchange(&fixture, API, &[]);
    assert_eq!(names(&body), ["access_token", "expires_in", "issued_token_type", "token_type"]);
    assert_eq!((&body["issued_token_type"], &body["token_type"]), (&json!(TYPE_ACCESS), &json!("Bearer")));
    assert_eq!(names(&issued.header), ["alg", "kid", "typ"]);
    assert_eq!((&issued.header["alg"], &issued.header["typ"]), (&json!("ES256"), &json!("at+jwt")));
    assert_eq!(names(&issued.claims), ["aud", "client_id", "exp", "iat", "iss", "jti", "nbf", "sub"]);
    for (name, value) in [("iss", BROKER), ("sub", SUBJECT), ("client_id", SUBJECT), ("aud", API)] {
        assert_eq!(issued.claims[name], value, "{name}");
    }
    let (iat, exp, nbf) = (issued.number("iat"), issued.number("exp"), issued.number("nbf"));
    assert_eq!((iat - nbf, body["expires_in"].as_u64()), (5, Some(exp - iat)));
    assert!(issued.claims["jti"].as_str().is_some_and(|jti| jti.len() >= 22), "128 bits");
    assert!(issued.verifies(&fixture.broker.jwks()));
}

#[test]
fn follows_request_and_audience_file() {
    let fixture = Fixture::start();
    let (body, issued) = exchange(&fixture, API, &[("scope", "write read write")]);
    assert_eq!((&body["scope"], &issued.claims["scope"]), (&json!("write read"), &json!("write read")));
    let (body, issued) = exchange(&fixture, API, &[("requested_token_type", TYPE_JWT)]);
    assert_eq!((&body["issued_token_type"], &body["token_type"]), (&json!(TYPE_JWT), &json!("N_A")));
    assert_eq!(issued.header["typ"], "JWT");
    let (_, issued) = exchange(&fixture, DEPLOY, &[]);
    assert_eq!(issued.claims["ref"], "refs/heads/main");
    assert_eq!(issued.claims["repository"], "octo-org/octo-repo");
    assert_eq!(issued.claims.as_object().map(serde_json::Map::len), Some(10));
    let (_, issued) = exchange(&fixture, EDDSA, &[]);
    assert_eq!(issued.header["alg"], "EdDSA");
    assert!(issued.verifies(&fixture.broker.jwks()));
    let (body, issued) = exchange(&fixture, API, &[("requested_expires_in", "7")]);
    assert_eq!((body["expires_in"].as_u64(), issued.number("exp") - issued.number("iat")), (Some(7), 7));
}

#[test]
fn records_exactly_the_decisions_on_verified_tokens() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let broker = setup.start();
    let mut claims = issuer.claims(now());
    let send = |claims: &Value, form: &dyn Fn(Form) -> Form| {
        let response = broker.send(&form(Form::of(&jwt::mint("RS256", claims))).request());
        (response.json(), broker.line("token"))
    };
    let (body, line) = send(&claims, &|form| form.and("scope", "read"));
    let issued = Issued::parse(body["access_token"].as_str().expect("a token"));
    let (unverified, _) = send(&json!({ "iss": issuer.url("main") }), &|form| form);
    assert!(unverified["decision_id"].is_null(), "{unverified}");
    let (unknown, _) = send(&claims, &|form| form.set("audience", "https://unknown.example"));
    claims["repository_id"] = json!("999");
    let (denied, _) = send(&claims, &|form| form);

    let database = Connection::open(setup.database()).expect("opens");
    let mut statement = database
        .prepare(
            "SELECT decision_id, outcome, slug, determining_rules, audience, scopes, issuer_name, subject, kid, \
             bundle_digest FROM audit ORDER BY seq",
        )
        .expect("a table");
    let rows: Vec<Vec<String>> = statement
        .query_map([], |row| (0..10).map(|index| row.get(index)).collect())
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("text");
    let digest = line["bundle"].as_str().expect("a digest");
    let (id, kid) = (issued.claims["jti"].as_str().expect("a jti"), issued.kid());
    let decision = |body: &Value| body["decision_id"].as_str().expect("a decision").to_owned();
    let common = ["main", UPSTREAM];
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    assert_eq!(rows.len(), 3, "{rows:#?}");
    assert_eq!(rows[0][..6], [id, "issued", "issued", "[\"main-api\"]", API, "[\"read\"]"]);
    assert_eq!(rows[0][6..], [common[0], common[1], &kid, digest]);
    assert_eq!(
        rows[1][..5],
        [decision(&unknown).as_str(), "refused", "audience.unknown", "[]", "https://unknown.example"]
    );
    assert_eq!(rows[2][..6], [decision(&denied).as_str(), "refused", "policy.denied", "[]", API, "[]"]);
    assert_eq!(rows[2][6..], [common[0], common[1], "", digest]);
}

/// Each instance draws its own randomness from its first request on.
#[test]
fn never_repeats_jti_across_instances() {
    const INSTANCES: usize = 24;
    const RANDOM_BYTES: usize = 16;
    let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
    let broker = Setup::trusting(&issuer).argument("--max-instance-reuse-count").argument("1").start();
    // The same token for all, so that only the instance differs.
    let token = jwt::mint("RS256", &issuer.claims(now()));
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..INSTANCES {
        let response = check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("issued");
        let body = response.json();
        let issued = Issued::parse(body["access_token"].as_str().expect("a token"));
        let id = issued.claims["jti"].as_str().expect("a jti").to_owned();
        let bytes = jwt::from_base64url(&id).expect("base64url");
        assert_eq!(bytes.len(), RANDOM_BYTES, "{id}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), INSTANCES);
}

const ALGORITHMS: &str = "algorithms = [\"RS256\", \"ES256\", \"ES384\", \"EdDSA\"]\n";

/// With the components that Spin runs, which verify and sign in WebAssembly.
#[test]
fn issues_tokens_with_arithmetic_in_wasm() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let files = [IssuerFile::new("main", issuer.url("main"), ALGORITHMS)];
    let broker = Setup::broker(&files, &[issuer.origin()]).argument("--wasm-crypto").start();
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        for audience in [API, EDDSA] {
            let token = jwt::mint(algorithm, &jwt::claims(&issuer.url("main"), BROKER, now()));
            let form = Form::of(&token).set("audience", audience);
            let response = check(&broker, &form.request(), &token, Want::Issued).expect(algorithm);
            let issued = Issued::parse(response.json()["access_token"].as_str().expect("a token"));
            assert!(issued.verifies(&broker.jwks()), "{algorithm} for {audience}");
        }
        let forged = jwt::mint(algorithm, &jwt::claims(&issuer.url("main"), BROKER, now()));
        let (input, signature) = forged.rsplit_once('.').expect("a signature");
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let forged = format!("{input}.{first}{}", &signature[1..]);
        check(&broker, &Form::of(&forged).request(), &forged, bad("token.signature_invalid")).expect(algorithm);
    }
    broker.assert_healthy();
}
