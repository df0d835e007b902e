use serde_json::json;

use super::*;
use crate::IssuerError;
use crate::template::TemplateError;
use vouchsafe_providers::{INTEGER_MAX, github};

fn github_issuer(subject_template: Option<&str>) -> TrustedIssuer {
    TrustedIssuer::try_from(IssuerRecord {
        name: "github".to_owned(),
        provider: "github".to_owned(),
        subject_template: subject_template.map(str::to_owned),
        ..testkit::issuer_record()
    })
    .unwrap()
}

/// The claims that GitHub documents, with made-up values.
fn github_claims() -> Value {
    let mut claims = testkit::claims();
    for (name, value) in [
        ("sub", "repo:octo-org/octo-repo:ref:refs/heads/main"),
        ("actor", "octocat"),
        ("actor_id", "12"),
        ("base_ref", ""),
        ("event_name", "push"),
        ("head_ref", ""),
        ("ref", "refs/heads/main"),
        ("ref_protected", "false"),
        ("repository", "octo-org/octo-repo"),
        ("repository_id", "123456"),
        ("repository_owner", "octo-org"),
        ("repository_owner_id", "65"),
        ("run_id", "1000"),
        ("workflow", "deploy"),
    ] {
        claims[name] = value.into();
    }
    claims
}

fn verify_github(claims: &Value, subject_template: Option<&str>) -> Result<Subject, TokenError> {
    verify(&mint(claims), &github_issuer(subject_template), &keys(), NOW).map(VerifiedSubject::into_subject)
}

#[test]
fn maps_github_claims_to_attributes() {
    let subject = verify_github(&github_claims(), None).unwrap();
    assert_eq!(subject.principal.entity_type, "GitHub::Workflow");
    assert_eq!(subject.principal.id, "repo:octo-org/octo-repo:ref:refs/heads/main");
    let value_of =
        |name: &str| subject.principal.attributes.iter().find(|attribute| attribute.name == name).map(|a| &a.value);
    assert_eq!(value_of("repository_id"), Some(&AttributeValue::Text("123456".to_owned())));
    // Empty differs from absent.
    assert_eq!(value_of("head_ref"), Some(&AttributeValue::Text(String::new())));
    assert_eq!(value_of("environment"), None);
    // Registered and unknown claims do not become attributes.
    assert_eq!((value_of("aud"), value_of("jti")), (None, None));
}

/// The `sub` of repositories created since July 2026, of older ones, and of organizations that customize it (peers
/// §5.1, 31): none is parsed.
#[test]
fn keeps_github_subject_unparsed() {
    for sub in [
        "repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main",
        "repo:octo-org/octo-repo:environment:Production%3AV1",
        "repository_owner:monalisa",
        "job_workflow_ref:octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
    ] {
        let mut claims = github_claims();
        claims["sub"] = sub.into();
        let subject = verify_github(&claims, None).unwrap();
        assert_eq!((subject.name.as_str(), subject.principal.id.as_str()), (sub, sub));
        assert!(subject.principal.attributes.contains(&Attribute {
            name: "repository".to_owned(),
            value: AttributeValue::Text("octo-org/octo-repo".to_owned())
        }));
    }
}

/// Absent, empty and wrongly typed claims differ, and none grants access (regressions.md, row 13).
#[test]
fn rejects_absent_empty_or_mistyped_github_claims() {
    for claim in github::CLAIMS {
        let name = claim.name.to_string();
        let with = |value: Option<Value>| {
            let mut claims = github_claims();
            match value {
                Some(value) => claims[&name] = value,
                None => drop(claims.as_object_mut().unwrap().remove(&name)),
            }
            verify_github(&claims, None).map(|_| ())
        };
        let missing = TokenError::ClaimMissing(ClaimName(claim.name.clone()));
        let invalid = TokenError::ClaimInvalid(ClaimName(claim.name.clone()));
        assert_eq!(with(None), if claim.required { Err(missing) } else { Ok(()) }, "{name} absent");
        assert_eq!(with(Some("".into())), if claim.required { Err(invalid.clone()) } else { Ok(()) }, "{name} empty");
        for value in [json!(null), json!(1), json!(true), json!(["x"]), json!({})] {
            assert_eq!(with(Some(value.clone())), Err(invalid.clone()), "{name} {value}");
        }
    }
}

#[test]
fn lists_github_claims_once_in_order() {
    assert!(github::CLAIMS.is_sorted_by(|a, b| a.name < b.name));
    assert!(github::CLAIMS.iter().all(|claim| claim.claim_type == ClaimType::Text));
}

fn check_declared(claim_type: ClaimType, value: Value, expected: Result<AttributeValue, TokenError>) {
    let record = IssuerRecord { claims: vec![declared("c", claim_type, true)], ..testkit::issuer_record() };
    let issuer = TrustedIssuer::try_from(record).unwrap();
    let token = mint(&claims_with("c", Some(value.clone())));
    let outcome = verify(&token, &issuer, &keys(), NOW).map(|verified| verified.into_subject().principal.attributes);
    let expected = expected.map(|value| vec![Attribute { name: "c".to_owned(), value }]);
    assert_eq!(outcome, expected, "{claim_type:?} {value}");
}

#[test]
fn types_declared_oidc_claims() {
    let texts = |texts: &[&str]| AttributeValue::TextSet(texts.iter().map(|text| (*text).to_owned()).collect());
    for (claim_type, value, expected) in [
        (ClaimType::Text, json!("x"), Ok(AttributeValue::Text("x".to_owned()))),
        (ClaimType::Text, json!(""), Err(invalid("c"))),
        (ClaimType::Text, json!(1), Err(invalid("c"))),
        (ClaimType::Text, json!(["x"]), Err(invalid("c"))),
        (ClaimType::Boolean, json!(false), Ok(AttributeValue::Boolean(false))),
        (ClaimType::Boolean, json!("true"), Err(invalid("c"))),
        (ClaimType::Boolean, json!(1), Err(invalid("c"))),
        (ClaimType::Integer, json!(-5), Ok(AttributeValue::Integer(-5))),
        (ClaimType::Integer, json!(INTEGER_MAX), Ok(AttributeValue::Integer(INTEGER_MAX))),
        (ClaimType::Integer, json!(-INTEGER_MAX), Ok(AttributeValue::Integer(-INTEGER_MAX))),
        (ClaimType::Integer, json!(INTEGER_MAX + 1), Err(invalid("c"))),
        (ClaimType::Integer, json!(-INTEGER_MAX - 1), Err(invalid("c"))),
        (ClaimType::Integer, json!(u64::MAX), Err(invalid("c"))),
        (ClaimType::Integer, json!(1.0), Err(invalid("c"))),
        (ClaimType::Integer, json!("5"), Err(invalid("c"))),
        (ClaimType::TextSet, json!(["a", "b"]), Ok(texts(&["a", "b"]))),
        (ClaimType::TextSet, json!([]), Ok(texts(&[]))),
        (ClaimType::TextSet, json!("a"), Err(invalid("c"))),
        (ClaimType::TextSet, json!(["a", 1]), Err(invalid("c"))),
        (ClaimType::TextSet, json!([["a"]]), Err(invalid("c"))),
    ] {
        check_declared(claim_type, value, expected);
    }
}

#[test]
fn fills_subject_template() {
    let template = Some("repo:{repository_id}:{ref}");
    let subject = verify_github(&github_claims(), template).unwrap();
    assert_eq!(subject.name, "repo:123456:refs/heads/main");
    assert_eq!(subject.principal.id, "repo:octo-org/octo-repo:ref:refs/heads/main");
    let whole = verify_github(&github_claims(), Some("x-{sub}")).unwrap();
    assert_eq!(whole.name, "x-repo:octo-org/octo-repo:ref:refs/heads/main");
}

#[test]
fn rejects_invalid_templated_subjects() {
    let template = Some("{environment}");
    let with = |environment: Value| {
        let mut claims = github_claims();
        claims["environment"] = environment;
        verify_github(&claims, template).map(|subject| subject.name)
    };
    assert_eq!(verify_github(&github_claims(), template), Err(missing("environment")));
    assert_eq!(with(json!("prod")), Ok("prod".to_owned()));
    assert_eq!(with(json!("")), Err(invalid("sub")));
    assert_eq!(with(json!("a\nb")), Err(invalid("sub")));
    assert_eq!(with(json!("a\u{202e}b")), Err(invalid("sub")));
    assert_eq!(with(json!("e".repeat(1024))), Ok("e".repeat(1024)));
    assert_eq!(with(json!("e".repeat(1025))), Err(invalid("sub")));
}

fn check_record(change: impl FnOnce(&mut IssuerRecord), expected: Result<(), IssuerError>) {
    let mut record = testkit::issuer_record();
    change(&mut record);
    assert_eq!(TrustedIssuer::try_from(record).map(|_| ()), expected);
}

#[test]
fn rejects_invalid_issuer_records() {
    check_record(|_| {}, Ok(()));
    check_record(|record| record.name.clear(), Err(IssuerError::Name));
    check_record(|record| record.issuer.clear(), Err(IssuerError::Name));
    // No audience must never mean any audience (regressions.md, row 14).
    check_record(|record| record.audiences.clear(), Err(IssuerError::Audiences));
    check_record(|record| record.audiences.push(String::new()), Err(IssuerError::Audiences));
    check_record(|record| record.algorithms.clear(), Err(IssuerError::Algorithms));
    check_record(|record| record.algorithms.push("none".to_owned()), Err(IssuerError::Algorithms));
    check_record(|record| record.algorithms.push("HS256".to_owned()), Err(IssuerError::Algorithms));
    check_record(|record| record.leeway_seconds = 60, Ok(()));
    check_record(|record| record.leeway_seconds = 61, Err(IssuerError::Leeway));
    check_record(|record| record.provider = "jenkins".to_owned(), Err(IssuerError::Provider));
    let declared = || vec![declared("c", ClaimType::Integer, true)];
    check_record(
        |record| (record.provider, record.claims) = ("github".to_owned(), declared()),
        Err(IssuerError::Provider),
    );
    let not_text = Err(IssuerError::SubjectTemplate(TemplateError::UnknownClaim));
    check_record(|record| (record.claims, record.subject_template) = (declared(), Some("{c}".to_owned())), not_text);
    check_record(|record| record.subject_template = Some("{repository}".to_owned()), not_text);
    check_record(|record| record.subject_template = Some("{sub}".to_owned()), Ok(()));
}
