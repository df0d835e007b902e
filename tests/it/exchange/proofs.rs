//! Proofs of possession at the token endpoint (RFC 9449): what each check refuses, and what a proof binds.

use rusqlite::Connection;
use serde_json::{Value, json};
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BOUND, BROKER, DEPLOY};
use vouchsafe_harness::exchange::{Form, TYPE_JWT, Want, bad, check, refused};
use vouchsafe_harness::http::{Request, Response};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::now;
use vouchsafe_harness::proof::{Proof, public, thumbprint};

const AGE_SECONDS_MAX: u64 = 60;
const AHEAD_SECONDS_MAX: u64 = 10;
const JTI_BYTES_MAX: usize = 256;
const PROOF_BYTES_MAX: usize = 4 * 1024;
/// Attempts to send one request within a single second.
const CLOCK_TRIES_MAX: usize = 100;

const ALGORITHM: Want = invalid("proof.algorithm_not_allowed");
const CLAIM: Want = invalid("proof.claim_invalid");
const EXPIRED: Want = invalid("proof.expired");
const KEY: Want = invalid("proof.key_invalid");
const MALFORMED: Want = invalid("proof.malformed");
const METHOD: Want = invalid("proof.method_mismatch");
const NOT_YET: Want = invalid("proof.not_yet_valid");
const SIGNATURE: Want = invalid("proof.signature_invalid");
const TOO_LARGE: Want = invalid("proof.too_large");
const TYPE: Want = invalid("proof.type_not_allowed");
const URL: Want = invalid("proof.url_mismatch");
const KEY_MISMATCH: Want = invalid("proof.key_mismatch");
const PREDATES: Want = invalid("proof.predates_store");
const REPEATED: Want = invalid("proof.repeated");
const BY_AUDIENCE: Want = invalid("proof.required_by_audience");
const BY_TOKEN: Want = invalid("proof.required_by_token");
const SPENT: Want = invalid("proof.spent");

const fn invalid(slug: &'static str) -> Want {
    refused(400, "invalid_dpop_proof", slug)
}

pub fn wants() -> Vec<Want> {
    let judged = cases().into_iter().map(|case| case.want);
    judged.chain([KEY_MISMATCH, PREDATES, BY_AUDIENCE, BY_TOKEN, SPENT]).collect()
}

/// The `dpop` headers of a request, made for the second in which they are judged.
struct Case {
    name: String,
    want: Want,
    make: Box<dyn Fn(u64) -> Vec<String>>,
}

fn headers(name: impl Into<String>, want: Want, make: impl Fn(u64) -> Vec<String> + 'static) -> Case {
    Case { name: name.into(), want, make: Box::new(make) }
}

fn proof(name: impl Into<String>, want: Want, change: impl Fn(Proof, u64) -> Proof + 'static) -> Case {
    headers(name, want, move |now| {
        let valid = Proof::by(Key::stranger("ES256")).claim("iat", json!(now));
        vec![change(valid, now).sign()]
    })
}

fn header(name: &'static str, value: Value, want: Want) -> Case {
    proof(format!("{name} {value}"), want, move |proof, _| proof.header(name, value.clone()))
}

fn claim(name: &'static str, value: Value, want: Want) -> Case {
    let shown: String = value.to_string().chars().take(40).collect();
    proof(format!("{name} {shown}"), want, move |proof, _| proof.claim(name, value.clone()))
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn keys_and_types() -> Vec<Case> {
    let jwk = || public(&Key::stranger("ES256"));
    let mut cases = vec![
        header("typ", Value::Null, TYPE),
        header("typ", json!("JWT"), TYPE),
        header("typ", json!("dpop+jwt+wrong"), TYPE),
        header("alg", Value::Null, MALFORMED),
        header("alg", json!("none"), ALGORITHM),
        header("alg", json!("HS256"), ALGORITHM),
        header("alg", json!("EdDSA"), ALGORITHM),
        header("crit", json!(["x"]), MALFORMED),
        header("x-unknown", json!({}), Want::Issued),
        header("jwk", Value::Null, KEY),
        header("jwk", json!({}), KEY),
        header("jwk", json!({ "kty": "oct", "k": "AAAA" }), KEY),
        header("jwk", with(jwk(), "d", json!("AAAA")), KEY),
        header("jwk", with(jwk(), "x", jwk()["y"].clone()), KEY),
        header("jwk", with(jwk(), "use", json!("enc")), KEY),
        header("jwk", with(jwk(), "kid", json!("x")), Want::Issued),
        header("jwk", public(&Key::issuer("ES256")), SIGNATURE),
    ];
    for alg in ["ES256", "EdDSA", "ES384", "RS256"] {
        cases.push(headers(format!("a key for {alg}"), Want::Issued, |_| vec![Proof::by(Key::stranger(alg)).sign()]));
    }
    cases
}

fn claims() -> Vec<Case> {
    let at = |name: &str, want, shift: fn(u64) -> u64| {
        proof(name, want, move |proof, now| proof.claim("iat", json!(shift(now))))
    };
    let url = |url: &str, want| claim("htu", json!(url), want);
    let mut cases = vec![
        at("as old as allowed", Want::Issued, |now| now - AGE_SECONDS_MAX),
        at("older than allowed", EXPIRED, |now| now - AGE_SECONDS_MAX - 1),
        at("as far ahead as allowed", Want::Issued, |now| now + AHEAD_SECONDS_MAX),
        at("further ahead than allowed", NOT_YET, |now| now + AHEAD_SECONDS_MAX + 1),
        claim("jti", json!("x".repeat(JTI_BYTES_MAX)), Want::Issued),
        claim("jti", json!("x".repeat(JTI_BYTES_MAX + 1)), CLAIM),
        claim("jti", json!(""), CLAIM),
        claim("htm", json!("PUT"), METHOD),
        claim("htm", json!("post"), METHOD),
        url("http://127.0.0.1:3999/token?a=b#c", Want::Issued),
        url("HTTP://127.0.0.1:3999/token", Want::Issued),
        url("http://127.0.0.1:3999/introspect", URL),
        url("http://127.0.0.1:3999/token/", URL),
        url("http://127.0.0.1/token", URL),
        url("https://127.0.0.1:3999/token", URL),
        url("http://localhost:3999/token", URL),
        // Nothing says otherwise: no nonce was given out, and the times of tokens mean nothing here.
        claim("nonce", json!("x"), Want::Issued),
        claim("exp", json!(1), Want::Issued),
        claim("ath", json!("x"), Want::Issued),
    ];
    for name in ["jti", "htm", "htu", "iat"] {
        cases.push(claim(name, Value::Null, CLAIM));
        cases.push(claim(name, json!({}), CLAIM));
    }
    cases
}

fn headers_and_forms() -> Vec<Case> {
    let valid = || Proof::by(Key::stranger("ES256")).sign();
    vec![
        headers("no proof", Want::Issued, |_| Vec::new()),
        headers("two proofs", REPEATED, move |_| vec![valid(), valid()]),
        headers("one proof twice", REPEATED, move |_| vec![valid(); 2]),
        headers("two proofs in one header", MALFORMED, move |_| vec![format!("{}, {}", valid(), valid())]),
        headers("an empty header", MALFORMED, |_| vec![String::new()]),
        headers("not a JWS", MALFORMED, |_| vec!["x".to_owned()]),
        headers("a changed claim", SIGNATURE, |_| {
            let proof = Proof::by(Key::stranger("ES256"));
            let (signed, other) = (proof.sign(), proof.claim("jti", json!("other")).sign());
            let (signed, other): (Vec<_>, Vec<_>) = (signed.split('.').collect(), other.split('.').collect());
            vec![format!("{}.{}.{}", signed[0], other[1], signed[2])]
        }),
        headers("as long as allowed", MALFORMED, |_| vec!["x".repeat(PROOF_BYTES_MAX)]),
        headers("longer than allowed", TOO_LARGE, |_| vec!["x".repeat(PROOF_BYTES_MAX + 1)]),
    ]
}

fn cases() -> Vec<Case> {
    [keys_and_types(), claims(), headers_and_forms()].into_iter().flatten().collect()
}

/// A broker, its issuer, and a store that is older than any proof.
struct Scene {
    issuer: Issuer,
    setup: Setup,
    broker: Broker,
}

impl Scene {
    fn new() -> Self {
        let issuer = Issuer::honest();
        let setup = Setup::trusting(&issuer);
        let broker = setup.start();
        let database = Connection::open(setup.database()).expect("opens");
        let aged = database.execute("UPDATE meta SET value = value - 3600 WHERE name = 'created_at'", []);
        assert_eq!(aged, Ok(1));
        Self { issuer, setup, broker }
    }

    /// A subject token that nobody has used.
    fn token(&self) -> String {
        jwt::mint("RS256", &self.issuer.claims(now()))
    }

    /// A request for `audience` with a new subject token.
    fn form(&self, audience: &str) -> Form {
        Form::of(&self.token()).set("audience", audience)
    }
}

fn proven(form: &Form, proofs: &[String]) -> Request {
    proofs.iter().fold(form.request(), |request, proof| request.with("dpop", proof))
}

fn expect(broker: &Broker, form: &Form, proofs: &[String], want: Want) -> Response {
    let secret = form.get("subject_token");
    let response = check(broker, &proven(form, proofs), &secret, want);
    response.unwrap_or_else(|reason| panic!("{proofs:?}: {reason}"))
}

fn issued(response: &Response) -> (Value, Issued) {
    let body = response.json();
    let token = Issued::parse(body["access_token"].as_str().expect("a token"));
    (body, token)
}

#[test]
fn judges_each_proof() {
    let scene = Scene::new();
    let failure = |case: &Case| {
        for _ in 0..CLOCK_TRIES_MAX {
            let before = now();
            let (form, proofs) = (scene.form(API), (case.make)(before));
            let outcome = check(&scene.broker, &proven(&form, &proofs), &form.get("subject_token"), case.want);
            // Counts only if broker and test saw the same second, so that both sides of a limit are exact.
            if now() == before {
                return outcome.err().map(|reason| format!("- {}: {reason}", case.name));
            }
        }
        Some(format!("- {}: every request spanned two seconds", case.name))
    };
    let failures: Vec<_> = cases().iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    scene.broker.assert_healthy();
}

#[test]
fn binds_a_token_to_the_key_of_its_proof() {
    let scene = Scene::new();
    for alg in ["ES256", "EdDSA", "ES384", "RS256"] {
        let jkt = thumbprint(&public(&Key::stranger(alg)));
        let proof = Proof::by(Key::stranger(alg)).sign();
        let response = expect(&scene.broker, &scene.form(API), &[proof], Want::Issued);
        let (body, token) = issued(&response);
        assert_eq!(body["token_type"], "DPoP");
        assert_eq!(token.claims["cnf"], json!({ "jkt": jkt }));
        assert!(token.verifies(&scene.broker.jwks()));
        // No nonces.
        assert_eq!(response.header("dpop-nonce"), None);
    }
    let form = scene.form(API).and("requested_token_type", TYPE_JWT);
    let proof = Proof::by(Key::stranger("ES256")).sign();
    let (body, token) = issued(&expect(&scene.broker, &form, &[proof], Want::Issued));
    assert_eq!((&body["token_type"], token.claims["cnf"]["jkt"].is_string()), (&json!("N_A"), true));
    let (body, token) = issued(&expect(&scene.broker, &scene.form(API), &[], Want::Issued));
    assert_eq!((&body["token_type"], &token.claims["cnf"]), (&json!("Bearer"), &Value::Null));
    let form = scene.form(API).as_assertion();
    let proof = Proof::by(Key::stranger("ES256")).sign();
    let response = scene.broker.send(&proven(&form, &[proof]));
    assert_eq!(response.json()["token_type"], "DPoP", "both grants: {}", response.text());
}

#[test]
fn publishes_the_algorithms_that_it_verifies() {
    let scene = Scene::new();
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let algorithms = scene.broker.get(path).json()["dpop_signing_alg_values_supported"].clone();
        assert_eq!(algorithms, json!(["ES256", "EdDSA", "ES384", "RS256"]), "{path}");
    }
}

#[test]
fn audience_may_require_a_proof() {
    let scene = Scene::new();
    let refused = expect(&scene.broker, &scene.form(BOUND), &[], BY_AUDIENCE);
    assert!(refused.json()["decision_id"].is_string(), "on record: {}", refused.text());
    let proof = || Proof::by(Key::stranger("ES256")).sign();
    expect(&scene.broker, &scene.form(BOUND), &[proof()], Want::Issued);
    // Policies see whether there is a proof.
    let database = Connection::open(scene.setup.database()).expect("opens");
    let mut statement = database.prepare("SELECT cedar_request FROM audit ORDER BY seq").expect("prepares");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("runs");
    let contexts: Vec<Value> =
        rows.map(|row| serde_json::from_str::<Value>(&row.expect("a row")).expect("JSON")["context"].clone()).collect();
    let seen: Vec<_> = contexts.iter().map(|context| context["proof_of_possession"].clone()).collect();
    assert_eq!(seen, [json!(false), json!(true)]);
    // A caller without a permit does not learn what the audience requires.
    let mut stranger = scene.issuer.claims(now());
    stranger["repository_id"] = json!("999");
    let form = Form::of(&jwt::mint("RS256", &stranger)).set("audience", BOUND);
    expect(&scene.broker, &form, &[], refused_target());
}

fn refused_target() -> Want {
    refused(400, "invalid_target", "policy.denied")
}

/// `wso2#23358` never checked `jti`; `attesto#18` let anybody use up the `jti` of another key.
#[test]
fn accepts_each_proof_once() {
    let scene = Scene::new();
    let jti = json!("one for two keys");
    let by = |alg: &str| Proof::by(Key::stranger(alg)).claim("jti", jti.clone()).sign();
    let other = by("EdDSA");
    expect(&scene.broker, &scene.form(API), std::slice::from_ref(&other), Want::Issued);
    let proof = by("ES256");
    expect(&scene.broker, &scene.form(API), std::slice::from_ref(&proof), Want::Issued);
    expect(&scene.broker, &scene.form(API), std::slice::from_ref(&proof), SPENT);
    // Another signature, or other times, make no other proof.
    expect(&scene.broker, &scene.form(API), &[by("ES256")], SPENT);
    drop(scene.broker);
    let broker = scene.setup.start();
    for proof in [proof, other] {
        let form = Form::of(&jwt::mint("RS256", &scene.issuer.claims(now())));
        expect(&broker, &form, &[proof], SPENT);
    }
}

#[test]
fn spends_no_proof_on_a_refused_request() {
    let scene = Scene::new();
    let proof = Proof::by(Key::stranger("ES256")).sign();
    let refused_scope = refused(400, "invalid_scope", "scope.not_offered");
    expect(&scene.broker, &scene.form(API).and("scope", "admin"), std::slice::from_ref(&proof), refused_scope);
    let mut expired = scene.issuer.claims(now());
    expired["exp"] = json!(now() - 300);
    let expired = jwt::mint("RS256", &expired);
    expect(&scene.broker, &Form::of(&expired), std::slice::from_ref(&proof), bad("token.expired"));
    expect(&scene.broker, &scene.form(API), &[proof], Want::Issued);
}

/// A proof leaves a single-use token as it is: used once, with either proof.
#[test]
fn counts_uses_of_the_token_too() {
    let scene = Scene::new();
    let token = jwt::mint("RS256", &scene.issuer.claims(now()));
    let form = Form::of(&token).set("audience", DEPLOY);
    let proof = || Proof::by(Key::stranger("ES256")).sign();
    expect(&scene.broker, &form, &[proof()], Want::Issued);
    expect(&scene.broker, &form, &[proof()], bad("replay.spent"));
    expect(&scene.broker, &form, &[], bad("replay.spent"));
}

/// The use of a proof from before may be lost (I4).
#[test]
fn rejects_proof_older_than_store() {
    let issuer = Issuer::honest();
    let broker = Setup::trusting(&issuer).start();
    let proof = Proof::by(Key::stranger("ES256")).claim("iat", json!(now() - 30)).sign();
    let form = Form::of(&jwt::mint("RS256", &issuer.claims(now())));
    expect(&broker, &form, &[proof], PREDATES);
}

/// `kc#50963`: an exchange that stripped the binding of its subject token made a stolen token useful.
#[test]
fn bound_subject_token_stays_bound() {
    let scene = Scene::new();
    let jkt = thumbprint(&public(&Key::stranger("ES256")));
    let bound = |jkt: &str| {
        let mut claims = scene.issuer.claims(now());
        claims["cnf"] = json!({ "jkt": jkt });
        Form::of(&jwt::mint("RS256", &claims))
    };
    expect(&scene.broker, &bound(&jkt), &[], BY_TOKEN);
    expect(&scene.broker, &bound(&jkt), &[Proof::by(Key::stranger("EdDSA")).sign()], KEY_MISMATCH);
    let proof = Proof::by(Key::stranger("ES256")).sign();
    let (body, token) = issued(&expect(&scene.broker, &bound(&jkt), &[proof], Want::Issued));
    assert_eq!((&body["token_type"], &token.claims["cnf"]["jkt"]), (&json!("DPoP"), &json!(jkt)));
    expect(&scene.broker, &bound("x"), &[], bad("token.claim_invalid"));
}

/// `kc#39332`, `bluesky-social/pds#163` and others took the URL from headers that a client or a proxy writes.
#[test]
fn takes_its_url_from_the_configuration() {
    let scene = Scene::new();
    let forwarded = |proof: String| {
        let request = proven(&scene.form(API), &[proof]);
        request.with("x-forwarded-host", "evil.example").with("x-forwarded-proto", "https")
    };
    let token = scene.token();
    let elsewhere = Proof::by(Key::stranger("ES256")).claim("htu", json!("https://evil.example/token")).sign();
    check(&scene.broker, &forwarded(elsewhere), &token, URL).expect("refused");
    let here = Proof::by(Key::stranger("ES256")).claim("htu", json!(format!("{BROKER}/token"))).sign();
    check(&scene.broker, &forwarded(here), &token, Want::Issued).expect("issued");
}

/// No proof remains on disk or in the log (I6).
#[test]
fn keeps_no_proof() {
    let scene = Scene::new();
    let proof = Proof::by(Key::stranger("ES256")).sign();
    expect(&scene.broker, &scene.form(API), std::slice::from_ref(&proof), Want::Issued);
    let request = proven(&scene.form(API), std::slice::from_ref(&proof));
    check(&scene.broker, &request, &proof, SPENT).expect("neither in the answer nor in the log");
    let signature = proof.rsplit('.').next().expect("a signature");
    let found = std::process::Command::new("grep")
        .args(["-rlaF", signature])
        .arg(scene.setup.folder.join("state"))
        .output()
        .expect("grep");
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
}
