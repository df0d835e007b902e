use miniz_oxide::deflate::compress_to_vec_zlib;
use ring::signature::EcdsaKeyPair;
use serde_json::{Map, Value, json};

use super::*;
use crate::tests::{ISSUER, NOW, encode, jwks, pair, sign};

const URI: &str = "https://broker.example/status/1790000000-7";

fn wrong(reason: impl ToString) -> VerificationError {
    VerificationError::new(Check::Revocations, format!("status list: {}", reason.to_string()))
}

fn compressed(bytes: &[u8]) -> String {
    encode(&compress_to_vec_zlib(bytes, 9))
}

/// A list of two bytes in which only the token at index 3 is revoked.
fn claims() -> Map<String, Value> {
    let list = json!({ "bits": 1, "lst": compressed(&[0b1000, 0]) });
    let claims = json!({ "iss": ISSUER, "sub": URI, "iat": NOW, "exp": NOW + 30, "ttl": 2, "status_list": list });
    claims.as_object().unwrap().clone()
}

fn document(key: &EcdsaKeyPair, header: &Value, claims: &Map<String, Value>) -> String {
    let mut members = json!({ "alg": "ES256", "kid": "k", "typ": STATUS_LIST_TYP });
    for (name, value) in header.as_object().into_iter().flatten() {
        members[name] = value.clone();
    }
    let claims = Value::Object(claims.clone());
    let input = format!("{}.{}", encode(members.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    format!("{input}.{}", encode(&sign(key, input.as_bytes())))
}

fn rules() -> Rules<'static> {
    Rules::access_token(ISSUER, "https://api.example")
}

fn token(uri: &str, index: impl Into<Value>) -> VerifiedToken {
    let status = json!({ "status_list": { "uri": uri, "idx": index.into() } });
    VerifiedToken {
        algorithm: "ES256",
        kid: "k".to_owned(),
        pinned: None,
        claims: json!({ "status": status }),
        expires: NOW + 300,
    }
}

/// Why a list with this claim is refused; null removes the claim.
fn check_claim(name: &str, value: Value, expected: Result<(), &str>) {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let mut claims = claims();
    claims.insert(name.to_owned(), value);
    claims.retain(|_, value| !value.is_null());
    let outcome = StatusList::verify(&document(&key, &json!({}), &claims), URI, &keys, &rules(), NOW);
    let expected = expected.map_err(wrong);
    assert_eq!(outcome.map(drop), expected, "{name}");
}

fn check_list(list: Value, expected: Result<(), &str>) {
    check_claim("status_list", list, expected);
}

#[test]
fn agrees_with_the_vectors_of_the_draft() {
    let file: Value = serde_json::from_str(include_str!("../../../clients/status-list-vectors.json")).unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        let object = json!({ "bits": vector["bits"], "lst": vector["lst"] }).to_string();
        let statuses = Statuses::parse(&JsonObject::parse(object.as_bytes()).unwrap()).unwrap();
        let entries = vector["entries"].as_u64().unwrap();
        for index in 0..entries {
            let expected = vector["nonzero"].get(index.to_string()).map_or(0, |value| value.as_u64().unwrap());
            assert_eq!(statuses.get(index).map(u64::from), Some(expected), "{index} of {}", vector["bits"]);
        }
        assert_eq!(statuses.get(entries), None, "{}", vector["bits"]);
        assert_eq!(statuses.get(u64::MAX), None);
    }
}

#[test]
fn checks_each_claim() {
    check_claim("ttl", json!(null), Ok(()));
    check_claim("iss", json!("https://other.example"), Err("`iss` is not `https://broker.example`"));
    for sub in [json!(null), json!("https://broker.example/status/1790000000-8"), json!(format!("{URI}/"))] {
        check_claim("sub", sub, Err("`sub` is not `https://broker.example/status/1790000000-7`"));
    }
    check_claim("iat", json!(NOW + 5), Ok(()));
    check_claim("iat", json!(NOW + 6), Err("`iat` is in the future"));
    check_claim("exp", json!(NOW + 60), Ok(()));
    check_claim("exp", json!(NOW + 61), Err("it is valid for more than 60 s"));
    check_claim("exp", json!(NOW - 4), Ok(()));
    check_claim("exp", json!(NOW - 5), Err("expired"));
    for name in ["iat", "exp", "status_list"] {
        for value in [json!(null), json!("1"), json!(-1)] {
            check_claim(name, value, Err(&format!("`{name}` is missing or invalid")));
        }
    }
}

#[test]
fn checks_the_list() {
    let lst = compressed(&[0, 0]);
    for bits in [1, 2, 4, 8] {
        check_list(json!({ "bits": bits, "lst": lst }), Ok(()));
    }
    for bits in [json!(null), json!(0), json!(3), json!(16), json!("1")] {
        check_list(json!({ "bits": bits, "lst": lst }), Err("`bits` is missing or invalid"));
    }
    for lst in [json!(null), json!(1), json!("eNrb="), json!("a+b")] {
        check_list(json!({ "bits": 1, "lst": lst }), Err("`lst` is missing or invalid"));
    }
    let not_zlib = "`lst` is not a zlib stream, or inflates to more than 1 MiB";
    let truncated = lst.get(..lst.len() - 4).unwrap();
    let wrong_checksum = format!("{truncated}AAAA");
    for lst in ["", "AAAA", truncated, &wrong_checksum] {
        check_list(json!({ "bits": 1, "lst": lst }), Err(not_zlib));
    }
}

/// List inflation: a few KB that decompress to much more.
#[test]
fn bounds_what_a_list_inflates_to() {
    let largest = compressed(&vec![0; STATUS_LIST_INFLATED_BYTES_MAX]);
    assert!(largest.len() < STATUS_LIST_BYTES_MAX / 8);
    check_list(json!({ "bits": 1, "lst": largest }), Ok(()));
    let larger = compressed(&vec![0; STATUS_LIST_INFLATED_BYTES_MAX + 1]);
    check_list(json!({ "bits": 1, "lst": larger }), Err("`lst` is not a zlib stream, or inflates to more than 1 MiB"));
    let bomb = compressed(&vec![0; 4 * STATUS_LIST_INFLATED_BYTES_MAX]);
    check_list(json!({ "bits": 1, "lst": bomb }), Err("`lst` is not a zlib stream, or inflates to more than 1 MiB"));
}

/// Whatever is signed by the broker for another purpose is no list, and a list is no token.
#[test]
fn document_is_no_token_and_no_token_a_document() {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let verify = |document: &str| StatusList::verify(document, URI, &keys, &rules(), NOW).map(drop);
    for typ in ["at+jwt", "JWT", "vouchsafe-revocations+jwt", "application/statuslist+jwt", "statuslist+cwt"] {
        let outcome = verify(&document(&key, &json!({ "typ": typ }), &claims()));
        assert_eq!(outcome, Err(wrong("`typ` is not statuslist+jwt")), "{typ}");
    }
    let list = document(&key, &json!({}), &claims());
    assert_eq!(verify(&list), Ok(()));
    assert_eq!(crate::verify(&list, &keys, &rules(), NOW).unwrap_err().check, Check::Token);
    let by_another = document(&pair(), &json!({}), &claims());
    assert_eq!(verify(&by_another).unwrap_err().check, Check::Signature);
    let unknown = document(&key, &json!({ "kid": "other" }), &claims());
    assert_eq!(verify(&unknown).unwrap_err().check, Check::Key);
    let oversized = format!("{}.a.b", "a".repeat(STATUS_LIST_BYTES_MAX));
    assert_eq!(verify(&oversized).unwrap_err().check, Check::Revocations);
}

#[test]
fn refuses_tokens_by_their_index() {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let mut lists = StatusLists::default();
    lists.store(URI, &document(&key, &json!({}), &claims()), &keys, &rules(), NOW).unwrap();
    let check = |index: Value| lists.check(&token(URI, index), &rules(), NOW);
    for index in [0, 1, 2, 4, 15] {
        assert_eq!(check(json!(index)), Ok(()), "{index}");
    }
    assert_eq!(check(json!(3)).unwrap_err().check, Check::Revoked);
    assert_eq!(check(json!(16)), Err(wrong("it has no such index")));
    for index in [json!(-1), json!(1.5), json!("3"), json!(null), json!([3])] {
        assert_eq!(check(index.clone()).unwrap_err().check, Check::Claims, "{index}");
    }
}

#[test]
fn asks_nobody_but_the_issuer() {
    let lists = StatusLists::default();
    let due = |uri: &str| lists.due(&token(uri, 1), &rules(), 0).map_err(|error| error.check);
    assert_eq!(due(URI), Ok(Some(URI.to_owned())));
    for uri in [
        "https://other.example/status/1-1",
        "https://broker.example.evil.example/status/1-1",
        "https://broker.example/status/",
        "https://broker.example/status/../token",
        "https://broker.example/status/1-1?a=b",
        "https://broker.example/revocations",
        "",
    ] {
        assert_eq!(due(uri), Err(Check::Claims), "{uri}");
    }
    let without = VerifiedToken { claims: json!({ "iss": ISSUER }), ..token(URI, 1) };
    assert_eq!(lists.due(&without, &rules(), 0).unwrap_err().check, Check::Claims);
    assert_eq!(lists.check(&without, &rules(), NOW).unwrap_err().check, Check::Claims);
}

#[test]
fn fails_closed_without_a_recent_list() {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let mut lists = StatusLists::default();
    let none = Err(wrong("there is none that is recent enough"));
    assert_eq!(lists.check(&token(URI, 0), &rules(), NOW), none);
    lists.store(URI, &document(&key, &json!({}), &claims()), &keys, &rules(), NOW).unwrap();
    assert_eq!(lists.check(&token(URI, 0), &rules(), NOW + 34), Ok(()));
    assert_eq!(lists.check(&token(URI, 0), &rules(), NOW + 35), none);
    let other = "https://broker.example/status/1790000000-8";
    assert_eq!(lists.check(&token(other, 0), &rules(), NOW), none);
}

/// A list from before the revocation, which has not expired, is not taken again.
#[test]
fn never_goes_back_to_an_older_list() {
    let key = pair();
    let keys = Keys::parse(&jwks(&key, None)).unwrap();
    let mut lists = StatusLists::default();
    let at = |iat: u64| {
        let mut claims = claims();
        claims.insert("iat".to_owned(), json!(iat));
        document(&key, &json!({}), &claims)
    };
    assert_eq!(lists.store(URI, &at(NOW), &keys, &rules(), NOW), Ok(()));
    assert_eq!(lists.store(URI, &at(NOW - 1), &keys, &rules(), NOW), Err(wrong("it is older than the one before")));
    assert_eq!(lists.store(URI, &at(NOW), &keys, &rules(), NOW), Ok(()));
    assert_eq!(lists.store(URI, &at(NOW + 1), &keys, &rules(), NOW), Ok(()));
}

#[test]
fn fetches_each_list_every_two_seconds() {
    let mut lists = StatusLists::default();
    let due = |lists: &StatusLists, now: u64| lists.due(&token(URI, 1), &rules(), now).unwrap().is_some();
    assert!(due(&lists, 10));
    lists.attempt(URI, 10);
    assert!(!due(&lists, 11));
    assert!(due(&lists, 12));
    for list in 0..STATUS_LISTS_MAX as u64 {
        lists.attempt(&format!("https://broker.example/status/1-{list}"), 100 + list);
    }
    assert_eq!(lists.known.len(), STATUS_LISTS_MAX);
    assert!(!lists.known.contains_key(URI), "the one that was fetched longest ago");
}
