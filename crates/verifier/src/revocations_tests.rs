use ring::signature::EcdsaKeyPair;
use serde_json::{Map, Value, json};

use super::*;
use crate::tests::{ISSUER, NOW, encode, jwks, pair, sign};

/// The cases that every verifier passes.
fn cases() -> Value {
    serde_json::from_str(include_str!("../../../clients/revocation-cases.json")).unwrap()
}

/// The value with its times, which are seconds from now.
fn timed(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let time = |(name, value): (&String, &Value)| {
        let value = match (name.as_str(), value) {
            ("iat" | "exp" | "since" | "until" | "began_at", Value::Number(_)) => {
                json!(value.as_i64().unwrap() + NOW as i64)
            }
            (_, Value::Object(exactly)) if exactly.contains_key("exactly") => exactly["exactly"].clone(),
            ("rules", Value::Array(rules)) => rules.iter().map(timed).collect(),
            _ => value.clone(),
        };
        (name.clone(), value)
    };
    Value::Object(members.iter().map(time).collect())
}

fn claims(began_at: i64, seq: u64) -> Map<String, Value> {
    let claims =
        json!({ "iss": ISSUER, "iat": 0, "exp": 15, "began_at": began_at, "seq": seq, "rules": [], "tokens": [] });
    claims.as_object().unwrap().clone()
}

/// A document whose header has these members too; without those that are null.
fn document(key: &EcdsaKeyPair, header: &Value, claims: &Map<String, Value>) -> String {
    let mut members = json!({ "alg": "ES256", "kid": "k", "typ": REVOCATIONS_TYP });
    for (name, value) in header.as_object().into_iter().flatten() {
        members[name] = value.clone();
    }
    members.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let claims = timed(&Value::Object(claims.clone()));
    let input = format!("{}.{}", encode(members.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    format!("{input}.{}", encode(&sign(key, input.as_bytes())))
}

fn rules() -> Rules<'static> {
    Rules::access_token(ISSUER, "https://api.example")
}

fn verified(document: &str, keys: &Keys) -> Result<RevocationList, VerificationError> {
    RevocationList::verify(document, keys, &rules(), NOW)
}

fn token(of: &Value) -> VerifiedToken {
    let kid = of["kid"].as_str().unwrap().to_owned();
    VerifiedToken { algorithm: "ES256", kid, pinned: None, claims: timed(of), expires: NOW + 300 }
}

#[test]
fn matches_as_the_broker_does() {
    let (key, cases) = (pair(), cases());
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    for case in cases["matching"].as_array().unwrap() {
        let mut claims = claims(-3600, 1);
        for name in ["rules", "tokens", "began_at"] {
            if let Some(value) = case.get(name) {
                claims[name] = value.clone();
            }
        }
        let mut of = cases["token"].clone();
        for (name, value) in case["token"].as_object().into_iter().flatten() {
            of[name] = value.clone();
        }
        let list = verified(&document(&key, &Value::Null, &claims), &keys).unwrap();
        assert_eq!(json!(list.revokes(&token(&of))), case["revoked"], "{case}");
    }
}

#[test]
fn accepts_only_documents_of_the_broker() {
    let (key, stranger, cases) = (pair(), pair(), cases());
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    for case in cases["documents"].as_array().unwrap() {
        let mut claims = claims(-3600, 1);
        for (name, value) in case["claims"].as_object().into_iter().flatten() {
            claims.insert(name.clone(), value.clone());
        }
        if let Some(name) = case["without"].as_str() {
            claims.remove(name);
        }
        let key = if case["key"] == "stranger" { &stranger } else { &key };
        let text = case["raw"].as_str().map_or_else(|| document(key, &case["header"], &claims), str::to_owned);
        let outcome = verified(&text, &keys).map(drop);
        assert_eq!(json!(outcome.is_ok()), case["accepted"], "{case} {outcome:?}");
        let is_of_lists = |error: VerificationError| {
            matches!(error.check, Check::Revocations | Check::Key | Check::Signature | Check::Token)
        };
        assert!(outcome.err().is_none_or(is_of_lists), "{case}");
    }
}

#[test]
fn lists_never_go_back() {
    let (key, cases) = (pair(), cases());
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    for case in cases["sequences"].as_array().unwrap() {
        let mut revocations = Revocations::default();
        for (list, accepted) in case["lists"].as_array().unwrap().iter().zip(case["accepted"].as_array().unwrap()) {
            let claims = claims(list[0].as_i64().unwrap(), list[1].as_u64().unwrap());
            let outcome = revocations.store(&document(&key, &Value::Null, &claims), &keys, &rules(), NOW);
            assert_eq!(json!(outcome.is_ok()), *accepted, "{case}");
            if let Err(error) = outcome {
                assert_eq!(error.reason, "list of revocations: its sequence went back");
            }
        }
    }
}

#[test]
fn accepts_nothing_without_a_recent_list() {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let token = token(&cases()["token"]);
    let mut revocations = Revocations::default();
    let stale = |revocations: &Revocations, now: u64| match revocations.check(&token, &rules(), now) {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.check, Check::Revocations);
            assert_eq!(error.reason, "list of revocations: there is none that is recent enough");
            true
        }
    };
    assert!(stale(&revocations, NOW));
    revocations.store(&document(&key, &Value::Null, &claims(-3600, 1)), &keys, &rules(), NOW).unwrap();
    // 15 s, and the leeway of 5 s.
    for (seconds, expected) in [(0, false), (19, false), (20, true)] {
        assert_eq!(stale(&revocations, NOW + seconds), expected, "{seconds}");
    }
    let older = document(&key, &Value::Null, &claims(-3600, 0));
    assert!(revocations.store(&older, &keys, &rules(), NOW).is_err());
    assert!(!stale(&revocations, NOW + 19), "an older list changes nothing");
    assert!(stale(&revocations, NOW + 20), "and bridges no outage");
}

#[test]
fn rejects_revoked_tokens() {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let mut claims = claims(-3600, 1);
    claims["tokens"] = json!(["j1"]);
    let mut revocations = Revocations::default();
    revocations.store(&document(&key, &Value::Null, &claims), &keys, &rules(), NOW).unwrap();
    let mut of = cases()["token"].clone();
    let error = revocations.check(&token(&of), &rules(), NOW).unwrap_err();
    assert_eq!((error.check, error.reason.as_str()), (Check::Revoked, "the token is revoked"));
    of["jti"] = "j2".into();
    assert_eq!(revocations.check(&token(&of), &rules(), NOW), Ok(()));
    // What no rule could be compared with counts as revoked.
    for name in ["sub", "aud", "jti", "iat"] {
        let mut lacking = of.clone();
        lacking.as_object_mut().unwrap().remove(name);
        assert_eq!(revocations.check(&token(&lacking), &rules(), NOW).unwrap_err().check, Check::Revoked, "{name}");
    }
}

#[test]
fn fetches_every_two_seconds() {
    let mut revocations = Revocations::default();
    assert!(revocations.is_due(1000));
    revocations.attempt(1000);
    for (now, expected) in [(1000, false), (1001, false), (1002, true)] {
        assert_eq!(revocations.is_due(now), expected, "{now}");
    }
}

#[test]
fn length_is_limited() {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let of_length = |bytes: usize| {
        let mut claims = claims(-3600, 1);
        let base = document(&key, &Value::Null, &claims).len();
        claims["tokens"] = json!(["x".repeat((bytes - base) * 3 / 4 - 4)]);
        document(&key, &Value::Null, &claims)
    };
    let longest = of_length(REVOCATIONS_BYTES_MAX);
    assert!((REVOCATIONS_BYTES_MAX - 8..=REVOCATIONS_BYTES_MAX).contains(&longest.len()), "{}", longest.len());
    assert!(verified(&longest, &keys).is_ok());
    assert!(verified(&of_length(REVOCATIONS_BYTES_MAX + 16), &keys).is_err());
}
