//! A hostile guest in the broker's place: it gets nothing from the signer beyond the signer's own configuration.

use serde_json::{Value, json};
use std::process::Command;
use vouchsafe_harness::broker::{Broker, Folder, Setup, repository};
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY};
use vouchsafe_harness::http::Request;
use vouchsafe_harness::jwt::Issued;

/// Attempts to send one request within a single second.
const CLOCK_TRIES_MAX: usize = 100;
const LIFETIME_SECONDS_MAX: u64 = 900;
const EXTRA_CLAIMS_MAX: usize = 32;
const VARIABLES: [&str; 11] = [
    "issuer",
    "development",
    "signer_root",
    "signer_algorithms",
    "signer_audiences",
    "signer_lifetime_max",
    "signer_epoch",
    "signer_group",
    "signer_generation",
    "trusted_proxies",
    "forwarded_header",
];

/// Builds the guest if its source changed.
fn guest() -> String {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--profile",
            "component",
            "--target",
            "wasm32-wasip2",
            "-p",
            "vouchsafe-guest-hostile",
        ])
        .current_dir(repository())
        .status()
        .expect("cargo starts");
    assert!(built.success(), "building the guest failed: run scripts/toolchain");
    component("vouchsafe_guest_hostile")
}

fn component(name: &str) -> String {
    repository().join(format!("target/wasm32-wasip2/component/{name}.wasm")).display().to_string()
}

pub fn start() -> Broker {
    let declared = VARIABLES.map(|name| format!("{name} = {{ required = true }}\n")).concat();
    let passed = VARIABLES.map(|name| format!("{name} = \"{{{{ {name} }}}}\"\n")).concat();
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"hostile\"\n[variables]\n{declared}\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hostile\"\n\
         [component.hostile]\nsource = \"{}\"\n[component.hostile.variables]\n{passed}\
         [component.hostile.dependencies]\n\
         \"vouchsafe:signer@0.1.0\" = {{ component = \"signer-local\", inherit_configuration = [\"variables\"] }}\n\
         [component.signer-local]\nsource = \"{}\"\n",
        guest(),
        component("vouchsafe_signer_local"),
    );
    Setup::application(Folder::new(), &manifest)
        .with_root()
        .variable("signer_algorithms", "ES256")
        .variable("signer_audiences", &format!("{API} {DEPLOY}"))
        .variable("signer_lifetime_max", &LIFETIME_SECONDS_MAX.to_string())
        .variable("signer_group", "default")
        .variable("signer_generation", "1")
        .variable("trusted_proxies", "")
        .variable("forwarded_header", "")
        .start()
}

/// The request of an honest broker.
pub fn honest() -> Value {
    json!({
        "issuer": BROKER, "subject": "main:someone", "audience": API, "tier": "delegated", "algorithm": "ES256",
        "token_type": "access-token", "issued_at_offset": 0, "lifetime_seconds": 300, "jti": "decision",
        "scopes": ["read"], "extra_claims": [["repository", "\"octo-org/octo-repo\""]],
    })
}

/// The signer's answer to `asked`, for which guest and signer saw the same second.
pub fn ask(broker: &Broker, asked: &Value) -> Value {
    for _ in 0..CLOCK_TRIES_MAX {
        let response = broker.send(&Request::post("/sign", "application/json", asked.to_string()));
        assert_eq!(response.status, 200, "{}", response.text());
        let body = response.json();
        if body["before"] == body["after"] {
            return body["answer"].clone();
        }
    }
    panic!("every request spanned two seconds");
}

/// Changed members of a request, and the reason for the refusal; none if it signs.
type Row = (Value, Option<Value>);

fn refused(reason: &str) -> Option<Value> {
    Some(json!({ "refused": reason }))
}

fn issuer_audience_and_times() -> Vec<Row> {
    vec![
        (json!({}), None),
        (json!({ "audience": DEPLOY }), None),
        (json!({ "issuer": "https://other.example" }), refused("issuer is not the signer's own")),
        (json!({ "issuer": format!("{BROKER}/") }), refused("issuer is not the signer's own")),
        (json!({ "issuer": "" }), refused("issuer is not the signer's own")),
        (json!({ "audience": "https://bank.example" }), refused("the audience is beyond `signer_audiences`")),
        (json!({ "audience": "*" }), refused("the audience is beyond `signer_audiences`")),
        (json!({ "audience": format!("{API} {DEPLOY}") }), refused("the audience is beyond `signer_audiences`")),
        (json!({ "audience": "" }), refused("audience is empty, too long or contains unprintable characters")),
        (json!({ "lifetime_seconds": LIFETIME_SECONDS_MAX }), None),
        (json!({ "lifetime_seconds": LIFETIME_SECONDS_MAX + 1 }), refused("lifetime is outside the signer's range")),
        (json!({ "lifetime_seconds": u64::MAX }), refused("lifetime is outside the signer's range")),
        (json!({ "lifetime_seconds": 0 }), refused("lifetime is outside the signer's range")),
        (json!({ "issued_at_offset": 15 }), None),
        (json!({ "issued_at_offset": 16 }), refused("iat is too far from the signer's clock")),
        (json!({ "issued_at_offset": -15 }), None),
        (json!({ "issued_at_offset": -16 }), refused("iat is too far from the signer's clock")),
    ]
}

fn other_members() -> Vec<Row> {
    vec![
        (json!({ "tier": "hsm" }), Some(json!("tier-unavailable"))),
        (json!({ "algorithm": "EdDSA" }), refused("algorithm is not configured")),
        (json!({ "algorithm": "none" }), refused("algorithm is not configured")),
        (json!({ "algorithm": "HS256" }), refused("algorithm is not configured")),
        (json!({ "subject": "" }), refused("subject is empty, too long or contains unprintable characters")),
        (json!({ "subject": "a\nb" }), refused("subject is empty, too long or contains unprintable characters")),
        (json!({ "subject": "a\u{202e}b" }), refused("subject is empty, too long or contains unprintable characters")),
        (json!({ "subject": "a \u{e9}b" }), None),
        (json!({ "jti": "" }), refused("jti is empty, too long or contains unprintable characters")),
        (json!({ "scopes": ["read write"] }), refused("a scope is malformed or too long")),
        (json!({ "key_thumbprint": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" }), None),
        (
            json!({ "key_thumbprint": "x\"},\"sub\":\"admin" }),
            refused("the thumbprint of a key is not 32 bytes in base64url"),
        ),
    ]
}

fn extra_claims() -> Vec<Row> {
    let extra = |claims: Value| json!({ "extra_claims": claims });
    let not_json = refused("an extra claim is not one strict JSON value");
    let registered = refused("an extra claim has a registered name, ignoring case");
    let bad_name = refused("the name of an extra claim is not 1 to 256 visible ASCII characters");
    let numbered = |count: usize| extra((0..count).map(|index| json!([format!("x{index}"), "1"])).collect());
    let mut table = vec![
        (extra(json!([["x", "1"], ["x", "2"]])), refused("duplicate extra claim, ignoring case")),
        (extra(json!([["", "1"]])), bad_name.clone()),
        (numbered(EXTRA_CLAIMS_MAX), None),
        (numbered(EXTRA_CLAIMS_MAX + 1), refused("too many extra claims")),
        (extra(json!([["\\u0069ss", "1"]])), bad_name.clone()),
        (extra(json!([["x\",\"iss", "1"]])), bad_name.clone()),
        (extra(json!([["\u{17f}ub", "1"]])), bad_name.clone()),
        (extra(json!([["\u{212a}id", "1"]])), bad_name.clone()),
        (extra(json!([["a", "1"], ["A", "2"]])), refused("duplicate extra claim, ignoring case")),
    ];
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "client_id",
        "scope",
        "act",
        "may_act",
        "cnf",
        "SUB",
        "Aud",
        "EXP",
        "jtI",
    ] {
        table.push((extra(json!([[name, "1"]])), registered.clone()));
    }
    for value in
        ["", "x", "1,\"iss\":\"x\"", "1}", "{", "\"a", "nul", "01", "1 2", "{\"a\":1,\"a\":2}", "NaN", "\u{feff}1"]
    {
        table.push((extra(json!([["x", value]])), not_json.clone()));
    }
    table
}

#[test]
fn gets_nothing_beyond_signer_configuration() {
    let broker = start();
    let jwks = broker.get("/jwks").json();
    let mut failures = Vec::new();
    let rows = [issuer_audience_and_times(), other_members(), extra_claims()];
    for (changes, reason) in rows.concat() {
        let mut asked = honest();
        for (name, value) in changes.as_object().expect("an object") {
            asked[name] = value.clone();
        }
        let answer = ask(&broker, &asked);
        let outcome = match (&reason, answer["jwt"].as_str()) {
            (Some(reason), None) if answer == *reason => Ok(()),
            (None, Some(jwt)) => check_token(&Issued::parse(jwt), &asked, &jwks),
            _ => Err(format!("{answer}")),
        };
        if let Err(said) = outcome {
            failures.push(format!("- {changes}: {said}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    broker.assert_healthy();
}

/// Checks that a signed token contains what was requested and nothing else.
fn check_token(token: &Issued, asked: &Value, jwks: &Value) -> Result<(), String> {
    let claims = &token.claims;
    let same = claims["iss"] == asked["issuer"]
        && claims["sub"] == asked["subject"]
        && claims["aud"] == asked["audience"]
        && claims["jti"] == asked["jti"]
        && claims["cnf"]["jkt"] == asked["key_thumbprint"]
        && token.number("exp") - token.number("iat") == asked["lifetime_seconds"].as_u64().unwrap_or_default();
    let extra = asked["extra_claims"].as_array().map_or(0, Vec::len) + usize::from(asked["key_thumbprint"].is_string());
    // iss sub aud exp iat nbf jti client_id scope
    let count = claims.as_object().map_or(0, serde_json::Map::len);
    if same && count == 9 + extra && token.verifies(jwks) { Ok(()) } else { Err(format!("{claims}")) }
}
