use super::*;
use crate::rules::tests::{AUDIENCE, ISSUER, rules};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const KID: &str = "4oazcEnfedU8UZsOdS2GAUyGX45U9SFfJYNsR4K6N1E";

fn header() -> Value {
    json!({ "alg": "ES256", "kid": KID, "typ": "at+jwt" })
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "github:repo", "aud": AUDIENCE, "exp": NOW + 900, "iat": NOW, "nbf": NOW - 5,
        "jti": "AAECAwQFBgcICQoLDA0ODw", "client_id": "github:repo", "scope": "read write",
        "ref": "refs/heads/main", "repository": "octo-org/octo-repo",
    })
}

fn encode(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

#[track_caller]
fn check_text(text: String, expected: Result<(), Refusal>) {
    let rules = rules("");
    let rule = rules.keys().next().unwrap();
    let request = SignRequest { key: "deploy".into(), signing_input: text.clone(), workload: None };
    let found = SigningInput::check(request, rule, |kid| kid == KID, NOW);
    assert_eq!(found.map(|it| assert_eq!(it.signed_by(rule, KID), text)), expected, "{text}");
}

#[track_caller]
fn check(change: impl FnOnce(&mut Value), expected: Result<(), TokenError>) {
    let mut claims = claims();
    change(&mut claims);
    let text = format!("{}.{}", encode(&header().to_string()), encode(&claims.to_string()));
    check_text(text, expected.map_err(Refusal::Token));
}

#[track_caller]
fn check_header_text(header: &str, expected: Result<(), Refusal>) {
    check_text(format!("{}.{}", encode(header), encode(&claims().to_string())), expected);
}

#[test]
fn signs_input_of_the_signer() {
    check(|_| {}, Ok(()));
    check(
        |claims| {
            claims.as_object_mut().unwrap().remove("scope");
        },
        Ok(()),
    );
    check(|claims| claims["aud"] = "https://two.example".into(), Ok(()));
    for value in [json!(7), json!(true), json!("x"), json!(["a", "b"]), json!([])] {
        check(|claims| claims["ref"] = value, Ok(()));
    }
    check_header_text(&header().to_string().replace("at+jwt", "JWT"), Ok(()));
}

#[test]
fn refuses_another_issuer_audience_or_longer_life() {
    for iss in [json!("https://evil.example"), json!("https://broker.example/"), json!([ISSUER]), json!(null)] {
        check(|claims| claims["iss"] = iss, Err(TokenError::Issuer));
    }
    for aud in [
        json!("https://api.example"),
        json!([AUDIENCE]),
        json!([AUDIENCE, "https://api.example"]),
        json!("https://deploy.example/"),
        json!(""),
        json!(7),
    ] {
        check(|claims| claims["aud"] = aud, Err(TokenError::Audience));
    }
    for (exp, expected) in [
        (NOW + 900, Ok(())),
        (NOW + 901, Err(TokenError::Lifetime)),
        (NOW + 1, Ok(())),
        (NOW, Err(TokenError::Lifetime)),
        (NOW - 1, Err(TokenError::Lifetime)),
        (u64::MAX, Err(TokenError::Lifetime)),
    ] {
        check(|claims| claims["exp"] = exp.into(), expected);
    }
}

#[test]
fn rejects_times_far_from_the_gateways() {
    for (iat, expected) in
        [(NOW - 45, Ok(())), (NOW + 45, Ok(())), (NOW - 46, Err(TokenError::Times)), (NOW + 46, Err(TokenError::Times))]
    {
        check(
            |claims| {
                claims["iat"] = iat.into();
                claims["nbf"] = (iat - 5).into();
                claims["exp"] = (iat + 900).into();
            },
            expected,
        );
    }
    for nbf in [NOW - 4, NOW - 6, NOW, NOW + 600] {
        check(|claims| claims["nbf"] = nbf.into(), Err(TokenError::Times));
    }
    for name in ["iat", "nbf", "exp"] {
        for value in [json!(null), json!("1800000000"), json!(1.8e9), json!(-1), json!([NOW])] {
            check(|claims| claims[name] = value, Err(TokenError::Times));
        }
        check(
            |claims| {
                claims.as_object_mut().unwrap().remove(name);
            },
            Err(TokenError::Times),
        );
    }
}

/// RFC 9449 §6.1.
#[test]
fn accepts_a_thumbprint_and_no_other_confirmation() {
    let jkt = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    check(|claims| claims["cnf"] = json!({ "jkt": jkt }), Ok(()));
    for cnf in [
        json!(null),
        json!(jkt),
        json!({}),
        json!({ "jkt": null }),
        json!({ "jkt": "x" }),
        json!({ "jkt": format!("{jkt}A") }),
        json!({ "jkt": jkt, "kid": "x" }),
        json!({ "x5t#S256": jkt }),
        json!([{ "jkt": jkt }]),
    ] {
        check(|claims| claims["cnf"] = cnf, Err(TokenError::Claim));
    }
}

/// RFC 8693 §4.1.
#[test]
fn accepts_actors_in_the_form_of_the_signer() {
    let actor = |sub: &str| json!({ "iss": "https://a.example", "sub": sub });
    let chain = |actors: usize| {
        (1..actors).fold(actor("first"), |act, _| json!({ "iss": "https://a.example", "sub": "next", "act": act }))
    };
    let bytes = |bytes: usize| actor(&"s".repeat(bytes - "https://a.example".len()));
    for act in [actor("x"), chain(ACTORS_MAX), bytes(ACTORS_BYTES_MAX)] {
        check(|claims| claims["act"] = act, Ok(()));
    }
    for act in [
        json!(null),
        json!("x"),
        json!([actor("x")]),
        json!({}),
        json!({ "sub": "x" }),
        json!({ "iss": "x" }),
        actor(""),
        actor("a\nb"),
        json!({ "iss": 1, "sub": "x" }),
        json!({ "iss": "i", "sub": "x", "client_id": "x" }),
        json!({ "iss": "i", "sub": "x", "act": null }),
        json!({ "iss": "i", "sub": "x", "act": { "sub": "x" } }),
        json!({ "iss": "i", "sub": "x", "act": actor("x"), "admin": true }),
        chain(ACTORS_MAX + 1),
        bytes(ACTORS_BYTES_MAX + 1),
    ] {
        check(|claims| claims["act"] = act, Err(TokenError::Claim));
    }
}

#[test]
fn accepts_a_short_transaction_id() {
    check(|claims| claims["txn"] = json!("t".repeat(TXN_BYTES_MAX)), Ok(()));
    for txn in [json!("t".repeat(TXN_BYTES_MAX + 1)), json!(""), json!("a\n"), json!(1), json!(null)] {
        check(|claims| claims["txn"] = txn, Err(TokenError::Claim));
    }
}

#[test]
fn accepts_an_index_of_the_issuers_list() {
    let status = |uri: &str, index: Value| json!({ "status_list": { "idx": index, "uri": uri } });
    let uri = status_list_url(ISSUER, "1790000000-7");
    for index in [0, 16_383] {
        check(|claims| claims["status"] = status(&uri, json!(index)), Ok(()));
    }
    for other in [
        status(&uri, json!(16_384)),
        status(&uri, json!(-1)),
        status(&uri, json!("1")),
        status("https://other.example/status/1790000000-7", json!(1)),
        status(&status_list_url(ISSUER, "x"), json!(1)),
        status(&format!("{uri}/a"), json!(1)),
        json!({ "status_list": { "idx": 1 } }),
        json!({ "status_list": { "idx": 1, "uri": uri, "admin": true } }),
        json!({ "status_list": { "idx": 1, "uri": uri }, "admin": true }),
        json!("x"),
        json!(null),
    ] {
        check(|claims| claims["status"] = other, Err(TokenError::Claim));
    }
}

#[test]
fn rejects_unknown_claims() {
    for (name, value) in [
        ("admin", json!(true)),
        ("cnf", json!({ "jkt": "x" })),
        ("act", json!({ "sub": "x" })),
        ("roles", json!(["admin"])),
        ("Sub", json!("x")),
        ("", json!("x")),
        ("ref", json!(null)),
        ("ref", json!(1.5)),
        ("ref", json!({ "a": 1 })),
        ("ref", json!([1])),
        ("ref", json!("x".repeat(4_097))),
    ] {
        check(|claims| claims[name] = value, Err(TokenError::Claim));
    }
    for name in ["sub", "jti", "client_id"] {
        for value in [json!(null), json!(""), json!(7), json!("a\nb"), json!("x".repeat(1_281))] {
            check(|claims| claims[name] = value, Err(TokenError::Claim));
        }
        check(
            |claims| {
                claims.as_object_mut().unwrap().remove(name);
            },
            Err(TokenError::Claim),
        );
    }
    let subject = |text: &'static str| {
        move |claims: &mut Value| {
            claims["sub"] = text.into();
            claims["client_id"] = text.into();
        }
    };
    check(subject("a \u{e9}b"), Ok(()));
    for text in ["a\nb", "a\u{202e}b", "a\u{2066}b", "\u{200b}", "a\u{2028}", "\u{feff}a"] {
        check(subject(text), Err(TokenError::Claim));
    }
    check(|claims| claims["client_id"] = "another".into(), Err(TokenError::Claim));
    for scope in [
        json!(""),
        json!(" read"),
        json!("read  write"),
        json!("read\twrite"),
        json!("a\"b"),
        json!("read read"),
        json!(["read"]),
    ] {
        check(|claims| claims["scope"] = scope, Err(TokenError::Claim));
    }
    let many = |count: usize| (0..count).map(|it| it.to_string()).collect::<Vec<_>>().join(" ");
    check(|claims| claims["scope"] = many(32).into(), Ok(()));
    check(|claims| claims["scope"] = many(33).into(), Err(TokenError::Claim));
}

#[test]
fn rejects_trailing_and_malformed_bytes() {
    let malformed = || Err(TokenError::Malformed.into());
    let (head, payload) = (encode(&header().to_string()), encode(&claims().to_string()));
    for text in [
        String::new(),
        ".".to_owned(),
        head.clone(),
        format!("{head}.{payload}."),
        format!("{head}.{payload}.AAAA"),
        format!("{head}={}.{payload}", ""),
        format!(" {head}.{payload}"),
        format!("{head}.{payload}\n"),
        format!("{head}.{}", encode("[]")),
        format!("{head}.{}", encode("")),
        format!("{head}.{}", encode(&format!("{}x", claims()))),
        format!("{head}.{}", encode(&format!("\u{feff}{}", claims()))),
        format!("{head}.{}", URL_SAFE_NO_PAD.encode(b"{\"iss\":\"\xff\"}")),
    ] {
        check_text(text, malformed());
    }
    let claims = claims().to_string();
    for twin in [r#"{"aud":"https://evil.example","#, r#"{"\u0061ud":"https://evil.example","#] {
        let twice = claims.replacen('{', twin, 1);
        check_text(format!("{head}.{}", encode(&twice)), malformed());
    }
    let deep = claims.replacen('{', &format!("{{\"ref\":{}{},", "[".repeat(8), "]".repeat(8)), 1);
    check_text(format!("{head}.{}", encode(&deep)), malformed());
    let long = "A".repeat(SIGNING_INPUT_BYTES_MAX + 1);
    check_text(long, malformed());
}

#[test]
fn refuses_another_header() {
    let fault = |fault: TokenError| Err(Refusal::Token(fault));
    let with = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        header.to_string()
    };
    for alg in [json!("none"), json!("EdDSA"), json!("es256"), json!("HS256"), json!(null)] {
        check_header_text(&with("alg", alg), fault(TokenError::Algorithm));
    }
    for typ in [json!("dpop+jwt"), json!("logout+jwt"), json!("at+JWT"), json!(null)] {
        check_header_text(&with("typ", typ), fault(TokenError::Type));
    }
    for (name, value) in [("crit", json!(["exp"])), ("jwk", json!({})), ("b64", json!(false)), ("cty", json!("JWT"))] {
        check_header_text(&with(name, value), fault(TokenError::Type));
    }
    check_header_text(&with("kid", json!(null)), fault(TokenError::Type));
    check_header_text(&with("kid", json!("another")), Err(Refusal::KeyVersion));
    check_header_text(&header().to_string().replacen('{', r#"{"alg":"none","#, 1), fault(TokenError::Malformed));
}

/// The gateway chooses the version; everything but the `kid` comes from the caller.
#[test]
fn header_names_the_signing_version() {
    let rules = rules("");
    let rule = rules.keys().next().unwrap();
    for typ in ["at+jwt", "JWT"] {
        let header = |kid: &str| format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"{typ}"}}"#);
        let payload = encode(&claims().to_string());
        let request = SignRequest {
            key: "deploy".into(),
            signing_input: format!("{}.{payload}", encode(&header(KID))),
            workload: Workload::new("https://issuer.example", "repo"),
        };
        let input = SigningInput::check(request.clone(), rule, |kid| kid == KID, NOW).unwrap();
        let signed = input.signed_by(rule, "another");
        assert_eq!(signed, format!("{}.{payload}", encode(&header("another"))));
        assert_eq!(input.signed_by(rule, KID), request.signing_input);
        assert_eq!((input.audience(), input.workload()), (AUDIENCE, request.workload.as_ref()));
    }
}
