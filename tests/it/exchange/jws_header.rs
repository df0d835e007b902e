//! Tokens whose protected header tries to choose how they are verified.

use ring::hmac;
use serde_json::{Value, json};
use vouchsafe_harness::cases::{Fixture, TokenCase, case, header};
use vouchsafe_harness::exchange::{Want, bad};
use vouchsafe_harness::jwt::{base64url, mint_raw};
use vouchsafe_harness::keys::Key;

const ALGORITHM: Want = bad("token.algorithm_not_allowed");
const MALFORMED: Want = bad("token.malformed");
const KID_BYTES_MAX: usize = 256;

/// Valid claims under a changed header, signed with the issuer's RS256 key.
fn with(name: impl Into<String>, want: Want, more: Value) -> TokenCase {
    case(name, want, move |fixture| mint_raw(&Key::issuer("RS256"), header(&more), fixture.claims().to_string()))
}

/// Valid claims under a header with `alg` and `kid`, signed with `key`.
fn by(name: impl Into<String>, want: Want, alg: &'static str, kid: &'static str, key: fn(&str) -> Key) -> TokenCase {
    case(name, want, move |fixture| {
        mint_raw(&key(alg), json!({ "alg": alg, "kid": kid, "typ": "JWT" }).to_string(), fixture.claims().to_string())
    })
}

fn none() -> impl Iterator<Item = TokenCase> {
    ["none", "None", "NONE", "nOnE", "none ", " none", "no\u{6e}e\u{0}", "", "NULL", "false"].into_iter().flat_map(
        |alg| {
            let token = move |fixture: &Fixture| {
                let header = json!({ "alg": alg, "kid": "RS256" }).to_string();
                format!("{}.{}", base64url(header), base64url(fixture.claims().to_string()))
            };
            [
                case(format!("alg {alg:?} without a signature"), ALGORITHM, move |fixture| token(fixture) + "."),
                case(format!("alg {alg:?} with a signature"), ALGORITHM, move |fixture| {
                    token(fixture) + ".c2lnbmF0dXJl"
                }),
            ]
        },
    )
}

fn hs256() -> impl Iterator<Item = TokenCase> {
    let encodings = Key::issuer("RS256").public_encodings("RS256").into_iter();
    encodings.flat_map(|(encoding, secret)| {
        [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)].map(|(alg, mac)| {
            let secret = secret.clone();
            case(format!("{alg} with the public key as {encoding}"), ALGORITHM, move |fixture| {
                let header = json!({ "alg": alg, "kid": "RS256" }).to_string();
                let input = format!("{}.{}", base64url(header), base64url(fixture.claims().to_string()));
                let tag = hmac::sign(&hmac::Key::new(mac, &secret), input.as_bytes());
                format!("{input}.{}", base64url(tag))
            })
        })
    })
}

fn algorithms() -> Vec<TokenCase> {
    let mut cases: Vec<_> = none().chain(hs256()).collect();
    for alg in [
        "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "Ed25519", "Ed448", "rs256", "RS256 ", "dir", "RSA-OAEP",
    ] {
        cases.push(with(format!("alg {alg:?}"), ALGORITHM, json!({ "alg": alg })));
    }
    for (alg, name) in
        [(json!(null), "null"), (json!(["RS256"]), "an array"), (json!(256), "a number"), (json!({}), "an object")]
    {
        cases.push(with(format!("an alg that is {name}"), MALFORMED, json!({ "alg": alg })));
    }
    cases
}

fn signers() -> Vec<TokenCase> {
    type Row = (&'static str, Want, &'static str, &'static str, fn(&str) -> Key);
    let forged = bad("token.signature_invalid");
    let unusable = bad("token.key_unusable");
    let unknown = bad("token.key_unknown");
    let rows: [Row; 12] = [
        ("RS256 by the issuer", Want::Issued, "RS256", "RS256", Key::issuer),
        ("ES256 by the issuer", Want::Issued, "ES256", "ES256", Key::issuer),
        ("EdDSA by the issuer", Want::Issued, "EdDSA", "EdDSA", Key::issuer),
        ("RS256 by a stranger", forged, "RS256", "RS256", Key::stranger),
        ("ES256 by a stranger", forged, "ES256", "ES256", Key::stranger),
        ("EdDSA by a stranger", forged, "EdDSA", "EdDSA", Key::stranger),
        ("a kid of another key type", unusable, "RS256", "ES256", Key::issuer),
        ("an ES256 token with the RSA key's kid", unusable, "ES256", "RS256", Key::issuer),
        ("an EdDSA token with the P-256 key's kid", unusable, "EdDSA", "ES256", Key::issuer),
        ("an unknown kid", unknown, "RS256", "rs256", Key::issuer),
        ("a kid that is a path", unknown, "RS256", "../../dev/null", Key::issuer),
        ("a kid that is SQL", unknown, "RS256", "' OR 1=1 --", Key::issuer),
    ];
    let mut cases: Vec<_> = rows.into_iter().map(|(name, want, alg, kid, key)| by(name, want, alg, kid, key)).collect();
    // `other` lists only RS256, but publishes the same three keys.
    for alg in ["ES256", "EdDSA"] {
        cases.push(case(format!("{alg}, which the issuer does not list"), ALGORITHM, move |fixture| {
            let mut claims = fixture.claims();
            claims["iss"] = json!(fixture.issuer.url("other"));
            vouchsafe_harness::jwt::mint(alg, &claims)
        }));
    }
    cases
}

/// The token carries its own key or points to one; both are signed with the stranger's key.
fn own_keys() -> Vec<TokenCase> {
    type Members = fn(&Fixture) -> Value;
    let members: [(&str, Members); 6] = [
        ("jwk", |_| json!({ "jwk": Key::stranger("RS256").jwk("RS256") })),
        ("jku", |fixture| json!({ "jku": format!("{}/jwks", fixture.canary.url("keys")) })),
        ("x5u", |fixture| json!({ "x5u": format!("{}/jwks", fixture.canary.url("keys")) })),
        ("x5c", |_| json!({ "x5c": ["MIIBszCCAVmgAwIBAgIUB"] })),
        ("x5t", |_| json!({ "x5t": "dGh1bWJwcmludA", "x5t#S256": "dGh1bWJwcmludA" })),
        ("a kid that is a URL", |fixture| json!({ "jku": fixture.canary.origin(), "x5u": fixture.canary.origin() })),
    ];
    let sign = |fixture: &Fixture, members: Members, key: Key, drop_kid: bool| {
        let mut header: Value = serde_json::from_str(&header(&members(fixture))).expect("JSON");
        if drop_kid {
            header.as_object_mut().expect("an object").remove("kid");
        }
        mint_raw(&key, header.to_string(), fixture.claims().to_string())
    };
    let forged = bad("token.signature_invalid");
    members
        .into_iter()
        .flat_map(|(name, members)| {
            [
                case(format!("{name} that would verify a forged token"), forged, move |fixture| {
                    sign(fixture, members, Key::stranger("RS256"), false)
                }),
                case(format!("{name} without a kid"), forged, move |fixture| {
                    sign(fixture, members, Key::stranger("RS256"), true)
                }),
                case(format!("{name} on a valid token, ignored"), Want::Issued, move |fixture| {
                    sign(fixture, members, Key::issuer("RS256"), false)
                }),
            ]
        })
        .collect()
}

fn processing() -> Vec<TokenCase> {
    let critical = bad("token.critical_header");
    let typed = bad("token.type_not_allowed");
    let mut cases = vec![
        with("crit", critical, json!({ "crit": ["exp"], "exp": 1 })),
        with("crit of b64", critical, json!({ "crit": ["b64"], "b64": true })),
        with("an empty crit", critical, json!({ "crit": [] })),
        with("a crit that is null", critical, json!({ "crit": null })),
        with("b64 false", critical, json!({ "b64": false })),
        with("b64 true", critical, json!({ "b64": true })),
        with("zip", critical, json!({ "zip": "DEF" })),
        with("typ jwt", Want::Issued, json!({ "typ": "jwt" })),
        with("typ JOSE", Want::Issued, json!({ "typ": "JOSE" })),
        with("a typ that is a number", MALFORMED, json!({ "typ": 1 })),
        with("a typ that is null", MALFORMED, json!({ "typ": null })),
        with("a kid that is a number", MALFORMED, json!({ "kid": 1 })),
        with("a kid that is null", MALFORMED, json!({ "kid": null })),
        with("a kid at the limit", bad("token.key_unknown"), json!({ "kid": "k".repeat(KID_BYTES_MAX) })),
        with("a kid over the limit", MALFORMED, json!({ "kid": "k".repeat(KID_BYTES_MAX + 1) })),
        with("members nobody knows", Want::Issued, json!({ "x": { "y": [1] } })),
    ];
    for typ in ["at+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "wit+jwt", "application/jwt", "JWE", ""] {
        cases.push(with(format!("typ {typ:?}"), typed, json!({ "typ": typ })));
    }
    cases
}

fn texts() -> Vec<TokenCase> {
    let text = |name: &str, header: &'static str| {
        case(name, MALFORMED, move |fixture: &Fixture| {
            mint_raw(&Key::issuer("RS256"), header, fixture.claims().to_string())
        })
    };
    vec![
        text("alg twice", r#"{"alg":"none","alg":"RS256","kid":"RS256"}"#),
        text("alg twice, once in escapes", r#"{"alg":"RS256","\u0061lg":"none","kid":"RS256"}"#),
        text("no alg", r#"{"kid":"RS256"}"#),
        text("an array for a header", r#"["RS256"]"#),
        text("no JSON for a header", "RS256"),
        text("an empty object", "{}"),
        text("text behind the header", r#"{"alg":"RS256","kid":"RS256"} x"#),
    ]
}

pub fn cases() -> Vec<TokenCase> {
    [algorithms(), signers(), own_keys(), processing(), texts()].into_iter().flatten().collect()
}

#[test]
fn ignores_header_parameters_that_choose_verification() {
    Fixture::start().run(cases());
}
