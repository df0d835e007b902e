//! JWT-SVIDs (SPIFFE JWT-SVID specification).

use std::rc::Rc;

use serde_json::json;
use vouchsafe_jose::KeyUse;

use super::*;
use crate::IssuerError;

const SUB: &str = "spiffe://example.org/ns/prod/sa/payments";

fn record() -> IssuerRecord {
    IssuerRecord {
        name: "spire".to_owned(),
        issuer: "spiffe://example.org".to_owned(),
        provider: "spiffe".to_owned(),
        algorithms: vec!["ES256".to_owned(), "RS256".to_owned()],
        ..testkit::issuer_record()
    }
}

/// A SPIFFE bundle: JWT authorities, and a key for X.509-SVIDs under the same kind of name.
fn bundle(key_use: &str) -> TrustedKeys {
    let jwk = |alg: &str, key_use: &str| {
        let mut jwk = TestKey::issuer(alg).jwk(alg);
        jwk["use"] = key_use.into();
        jwk
    };
    let keys = json!([jwk("ES256", key_use), jwk("RS256", "x509-svid")]);
    let document = json!({ "keys": keys, "spiffe_sequence": 1, "spiffe_refresh_hint": 300 });
    let set =
        vouchsafe_jose::KeySet::parse(document.to_string().as_bytes(), KeyUse::JwtSvid, &vouchsafe_crypto::Software)
            .unwrap();
    TrustedKeys::new(Rc::new(set), "bundle", NOW.plus(1))
}

fn svid() -> Value {
    json!({ "sub": SUB, "aud": [testkit::BROKER], "iat": testkit::NOW, "exp": testkit::NOW + 300 })
}

fn verify_svid(header: &str, change: impl FnOnce(&mut Value)) -> Result<Subject, TokenError> {
    let mut claims = svid();
    change(&mut claims);
    let token = mint_raw(&TestKey::issuer("ES256"), header, claims.to_string());
    let issuer = TrustedIssuer::try_from(record()).unwrap();
    verify(&token, &issuer, &bundle("jwt-svid"), NOW).map(VerifiedSubject::into_subject)
}

const HEADER: &str = r#"{"alg":"ES256","kid":"ES256","typ":"JWT"}"#;

fn check_svid(change: impl FnOnce(&mut Value), expected: Result<(), TokenError>) {
    assert_eq!(verify_svid(HEADER, change).map(|_| ()), expected);
}

#[test]
fn verifies_workload_by_its_trust_domain() {
    let subject = verify_svid(HEADER, |_| ()).unwrap();
    assert_eq!(subject.iss, "spiffe://example.org");
    assert_eq!((subject.name.as_str(), subject.principal.id.as_str()), (SUB, SUB));
    assert_eq!(subject.principal.entity_type, "Spiffe::Workload");
    let found: Vec<(String, AttributeValue)> =
        subject.principal.attributes.into_iter().map(|one| (one.name, one.value)).collect();
    let text = |name: &str, value: &str| (name.to_owned(), AttributeValue::Text(value.to_owned()));
    assert_eq!(
        found,
        [text("path", "/ns/prod/sa/payments"), text("spiffe_id", SUB), text("trust_domain", "example.org"),]
    );
}

#[test]
fn names_iss_before_the_trust_domain() {
    let of = |claims: Value| issuers(&mint_raw(&TestKey::issuer("ES256"), HEADER, claims.to_string()));
    let domain = "spiffe://example.org".to_owned();
    assert_eq!(of(svid()), Ok(vec![domain.clone()]));
    let iss = "https://spire.example".to_owned();
    assert_eq!(of(json!({ "iss": iss, "sub": SUB })), Ok(vec![iss, domain]));
    for sub in ["spiffe://example.org", "spiffe://example.org/../a", "x", ""] {
        assert_eq!(of(json!({ "sub": sub })), Err(missing("iss")), "{sub}");
    }
    assert_eq!(of(json!({ "iss": 1, "sub": SUB })), Err(invalid("iss")));
}

#[test]
fn rejects_other_trust_domains_and_invalid_ids() {
    let with = |sub: Value| verify_svid(HEADER, |claims| claims["sub"] = sub).map(|_| ());
    for other in ["spiffe://example.com/a", "spiffe://sub.example.org/a", "spiffe://example.org.evil/a"] {
        assert_eq!(with(other.into()), Err(TokenError::IssuerUntrusted), "{other}");
    }
    // Without an `iss`, such a token names no issuer.
    let with = |sub: Value| {
        let change = |claims: &mut Value| {
            claims["iss"] = "https://spire.example".into();
            claims["sub"] = sub;
        };
        verify_svid(HEADER, change).map(|_| ())
    };
    for no_id in [
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://EXAMPLE.org/a",
        "spiffe://example.org//a",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/a?b",
        "https://example.org/a",
        "payments",
    ] {
        assert_eq!(with(no_id.into()), Err(invalid("sub")), "{no_id}");
    }
    check_svid(
        |claims| {
            drop(claims.as_object_mut().unwrap().remove("sub"));
            claims["iss"] = "https://spire.example".into();
        },
        Err(missing("sub")),
    );
    assert_eq!(with(json!([SUB])), Err(invalid("sub")));
}

/// §3: `iss` is allowed but not used.
#[test]
fn accepts_any_string_issuer_claim() {
    check_svid(|claims| claims["iss"] = "https://spire.example".into(), Ok(()));
    check_svid(|claims| claims["iss"] = json!(["spiffe://example.org"]), Err(invalid("iss")));
}

#[test]
fn accepts_only_specified_types() {
    for (typ, expected) in [
        ("JWT", Ok(())),
        ("JOSE", Ok(())),
        ("jwt", Err(TokenError::TypeNotAllowed)),
        ("wit+jwt", Err(TokenError::TypeNotAllowed)),
        ("at+jwt", Err(TokenError::TypeNotAllowed)),
        ("", Err(TokenError::TypeNotAllowed)),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"ES256","typ":"{typ}"}}"#);
        assert_eq!(verify_svid(&header, |_| ()).map(|_| ()), expected, "{typ}");
    }
    assert!(verify_svid(r#"{"alg":"ES256","kid":"ES256"}"#, |_| ()).is_ok());
    assert!(verify_svid(r#"{"alg":"ES256"}"#, |_| ()).is_ok(), "a token need not name its key");
}

#[test]
fn rejects_additional_header_parameters() {
    for more in [r#""x5t":"a""#, r#""jku":"https://a.example""#, r#""cty":"JWT""#, r#""nonce":"1""#] {
        let header = format!(r#"{{"alg":"ES256","kid":"ES256",{more}}}"#);
        let expected = Err(TokenError::Malformed(Malformed::HeaderMember));
        assert_eq!(verify_svid(&header, |_| ()).map(|_| ()), expected, "{more}");
    }
}

/// §4: the bundle also has keys for other uses.
#[test]
fn ignores_keys_with_another_use() {
    let issuer = TrustedIssuer::try_from(record()).unwrap();
    let token = mint_raw(&TestKey::issuer("ES256"), HEADER, svid().to_string());
    for (key_use, expected) in [
        ("jwt-svid", Ok(())),
        ("sig", Err(TokenError::KeyUnusable)),
        ("x509-svid", Err(TokenError::KeyUnusable)),
        ("wit-svid", Err(TokenError::KeyUnusable)),
    ] {
        let found = verify(&token, &issuer, &bundle(key_use), NOW).map(|_| ());
        assert_eq!(found, expected, "{key_use}");
    }
    let x509 = mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256"}"#, svid().to_string());
    let found = verify(&x509, &issuer, &bundle("jwt-svid"), NOW).map(|_| ());
    assert_eq!(found, Err(TokenError::KeyUnusable));
}

#[test]
fn rejects_key_bound_svids() {
    check_svid(|claims| claims["cnf"] = json!({ "jwk": {} }), Err(invalid("cnf")));
}

/// Both sides of the remaining lifetime of a token without `iat`.
#[test]
fn bounds_lifetime_of_token_without_iat() {
    let bound = testkit::TOKEN_AGE_SECONDS + testkit::LEEWAY_SECONDS;
    for (left, expected) in [(300, Ok(None)), (bound, Ok(None)), (bound + 1, Err(TokenError::TooOld))] {
        let found = verify_svid(HEADER, |claims| {
            drop(claims.as_object_mut().unwrap().remove("iat"));
            claims["exp"] = (testkit::NOW + left).into();
        });
        assert_eq!(found.map(|subject| subject.iat), expected, "{left}");
    }
    check_svid(|claims| claims["exp"] = (testkit::NOW - testkit::LEEWAY_SECONDS).into(), Err(TokenError::Expired));
    check_svid(|claims| drop(claims.as_object_mut().unwrap().remove("exp")), Err(missing("exp")));
    check_svid(|claims| drop(claims.as_object_mut().unwrap().remove("aud")), Err(missing("aud")));
    check_svid(|claims| claims["aud"] = json!([testkit::BROKER, "b"]), Err(TokenError::AudienceMismatch));
}

#[test]
fn rejects_records_without_trust_domain() {
    for issuer in ["https://example.org", "spiffe://", "spiffe://example.org/", "spiffe://Example.org"] {
        let outcome = TrustedIssuer::try_from(IssuerRecord { issuer: issuer.to_owned(), ..record() });
        assert_eq!(outcome.err(), Some(IssuerError::TrustDomain), "{issuer}");
    }
}

/// The IDs of the public corpus, if it is available beside the repository.
#[test]
fn agrees_with_spiffe_id_test_corpus() {
    let folder = std::env::var_os("VOUCHSAFE_CORPORA").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        std::path::PathBuf::from,
    );
    let Ok(text) = std::fs::read(folder.join("spiffe/spiffe_id_cases.json")) else {
        println!("the corpus is not available: nothing was compared");
        return;
    };
    let corpus: Value = serde_json::from_slice(&text).unwrap();
    let cases = corpus["cases"].as_array().unwrap();
    assert!(cases.len() > 500, "{}", cases.len());
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let found = vouchsafe_providers::spiffe::SpiffeId::parse(id);
        // The corpus also accepts a trust domain's own ID, which does not identify a workload.
        let valid = found.is_ok() || found == Err(vouchsafe_providers::spiffe::SpiffeIdError::PathMissing);
        assert_eq!(Some(valid), case["valid"].as_bool(), "{case}");
    }
}
