use serde_json::json;

use super::*;
use crate::claims::{JTI_BYTES_MAX, SUB_BYTES_MAX};

#[test]
fn compares_issuer_byte_for_byte() {
    for iss in [
        "https://issuer.example/",
        "https://issuer.exampl",
        "https://issuer.examplf",
        "https://ISSUER.example",
        "http://issuer.example",
        "https://issuer.example.attacker.example",
        "https://issuer.example@attacker.example",
        "https://issuer.example ",
        "",
        "*",
        testkit::BROKER,
    ] {
        check_claim("iss", Some(iss.into()), Err(TokenError::IssuerUntrusted));
    }
}

/// Rust's `jsonwebtoken` accepts an array of issuers that contains the right one.
#[test]
fn rejects_non_string_issuers() {
    check_claim("iss", None, Err(missing("iss")));
    for iss in [json!([testkit::ISSUER]), json!(null), json!(1), json!({})] {
        check_claim("iss", Some(iss), Err(invalid("iss")));
    }
}

/// String, array or missing: each has admitted foreign tokens somewhere (regressions.md, row 5).
#[test]
fn accepts_only_the_exact_audience() {
    check_claim("aud", Some(testkit::BROKER.into()), Ok(()));
    check_claim("aud", Some("https://other-name.example".into()), Ok(()));
    check_claim("aud", Some(json!([testkit::BROKER])), Ok(()));
    check_claim("aud", None, Err(missing("aud")));
    for aud in [
        json!(""),
        json!("*"),
        json!("https://broker.example/"),
        json!("https://broker.exampl"),
        json!("https://Broker.example"),
        json!("https://broker.example https://other.example"),
        json!("https://someone.example"),
        json!([]),
        json!([""]),
        json!([testkit::BROKER, testkit::BROKER]),
        json!([testkit::BROKER, "https://someone.example"]),
        json!(["https://someone.example"]),
    ] {
        check_claim("aud", Some(aud), Err(TokenError::AudienceMismatch));
    }
    for aud in [
        json!(null),
        json!(true),
        json!(1),
        json!({}),
        json!([[testkit::BROKER]]),
        json!([testkit::BROKER, 1]),
        json!([null]),
    ] {
        check_claim("aud", Some(aud), Err(invalid("aud")));
    }
}

#[test]
fn bounds_the_subject() {
    check_claim("sub", None, Err(missing("sub")));
    for sub in [json!(null), json!(1), json!(["workload"]), json!({}), json!("")] {
        check_claim("sub", Some(sub), Err(invalid("sub")));
    }
    for control in ["a\nb", "a\0", "\u{7f}", "a\u{85}b", "\u{1b}[0m"] {
        check_claim("sub", Some(control.into()), Err(invalid("sub")));
    }
    for hidden in ["a\u{202e}b", "a\u{2066}b", "a\u{200b}", "a\u{2028}b", "a\u{2029}b", "\u{feff}a"] {
        check_claim("sub", Some(hidden.into()), Err(invalid("sub")));
    }
    check_claim("sub", Some("organization:a b:é".into()), Ok(()));
    check_claim("sub", Some("s".into()), Ok(()));
    check_claim("sub", Some("s".repeat(SUB_BYTES_MAX).into()), Ok(()));
    check_claim("sub", Some("s".repeat(SUB_BYTES_MAX + 1).into()), Err(invalid("sub")));
}

#[test]
fn bounds_the_token_id() {
    check_claim("jti", None, Ok(()));
    check_claim("jti", Some("j".into()), Ok(()));
    check_claim("jti", Some("j".repeat(JTI_BYTES_MAX).into()), Ok(()));
    for jti in [json!(""), json!("j".repeat(JTI_BYTES_MAX + 1)), json!(1), json!(null), json!(["j"])] {
        check_claim("jti", Some(jti), Err(invalid("jti")));
    }
}

#[test]
fn separates_issuers_of_one_provider() {
    let record = IssuerRecord {
        name: "second".to_owned(),
        issuer: "https://second.example".to_owned(),
        ..testkit::issuer_record()
    };
    let second = TrustedIssuer::try_from(record).unwrap();
    assert_eq!(verify(&mint(&testkit::claims()), &second, &keys(), NOW), Err(TokenError::IssuerUntrusted));
    let own = mint(&claims_with("iss", Some("https://second.example".into())));
    let verified = verify(&own, &second, &keys(), NOW).unwrap().into_subject();
    assert_eq!(
        (verified.principal.issuer_name.as_str(), verified.principal.entity_type.as_str()),
        ("second", "Oidc::Second")
    );
}
