use serde_json::json;

use super::*;
use crate::providers::{
    AttributeValue, ClaimType, DeclaredClaim, INTEGER_MAX, github, gitlab, kubernetes,
};
use crate::template::TemplateError;
use crate::{IssuerError, IssuerRecord};

fn github_issuer(subject_template: Option<&str>) -> TrustedIssuer {
    TrustedIssuer::try_from(IssuerRecord {
        name: "github".to_owned(),
        provider: "github".to_owned(),
        subject_template: subject_template.map(str::to_owned),
        ..testkit::issuer_record()
    })
    .unwrap()
}

/// What GitHub documents, with made-up values.
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
    verify(
        &mint(claims),
        &github_issuer(subject_template),
        &keys(),
        NOW,
    )
    .map(VerifiedSubject::into_subject)
}

#[test]
fn turns_githubs_claims_into_attributes() {
    let subject = verify_github(&github_claims(), None).unwrap();
    assert_eq!(subject.entity_type, "GitHub::Workflow");
    assert_eq!(
        subject.entity_id,
        "repo:octo-org/octo-repo:ref:refs/heads/main"
    );
    let value_of = |name: &str| {
        subject
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)
            .map(|a| &a.value)
    };
    assert_eq!(
        value_of("repository_id"),
        Some(&AttributeValue::Text("123456".to_owned()))
    );
    // Empty is not absent.
    assert_eq!(
        value_of("head_ref"),
        Some(&AttributeValue::Text(String::new()))
    );
    assert_eq!(value_of("environment"), None);
    // Registered claims and unknown ones are no attributes.
    assert_eq!((value_of("aud"), value_of("jti")), (None, None));
}

/// The `sub` of repositories made since July 2026, of older ones, and of organizations that
/// customise it (peers §5.1, 31): none is parsed.
#[test]
fn takes_githubs_subject_as_it_is() {
    for sub in [
        "repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main",
        "repo:octo-org/octo-repo:environment:Production%3AV1",
        "repository_owner:monalisa",
        "job_workflow_ref:octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
    ] {
        let mut claims = github_claims();
        claims["sub"] = sub.into();
        let subject = verify_github(&claims, None).unwrap();
        assert_eq!(
            (subject.sub.as_str(), subject.entity_id.as_str()),
            (sub, sub)
        );
        assert!(subject.attributes.contains(&crate::Attribute {
            name: "repository".to_owned(),
            value: AttributeValue::Text("octo-org/octo-repo".to_owned())
        }));
    }
}

/// Absent, empty and wrongly typed are three things, and none grants (peers §5.1, 13).
#[test]
fn rejects_github_claims_that_are_absent_empty_or_wrongly_typed() {
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
        assert_eq!(
            with(None),
            if claim.required { Err(missing) } else { Ok(()) },
            "{name} absent"
        );
        assert_eq!(
            with(Some("".into())),
            if claim.required {
                Err(invalid.clone())
            } else {
                Ok(())
            },
            "{name} empty"
        );
        for value in [json!(null), json!(1), json!(true), json!(["x"]), json!({})] {
            assert_eq!(
                with(Some(value.clone())),
                Err(invalid.clone()),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn lists_githubs_claims_once_and_in_order() {
    assert!(github::CLAIMS.is_sorted_by(|a, b| a.name < b.name));
    assert!(
        github::CLAIMS
            .iter()
            .all(|claim| claim.claim_type == ClaimType::Text)
    );
}

fn check_declared(
    claim_type: ClaimType,
    value: Value,
    expected: Result<AttributeValue, TokenError>,
) {
    let record = IssuerRecord {
        claims: vec![DeclaredClaim::required("c", claim_type)],
        ..testkit::issuer_record()
    };
    let issuer = TrustedIssuer::try_from(record).unwrap();
    let token = mint(&claims_with("c", Some(value.clone())));
    let outcome =
        verify(&token, &issuer, &keys(), NOW).map(|verified| verified.into_subject().attributes);
    let expected = expected.map(|value| {
        vec![crate::Attribute {
            name: "c".to_owned(),
            value,
        }]
    });
    assert_eq!(outcome, expected, "{claim_type:?} {value}");
}

#[test]
fn types_the_claims_that_an_oidc_issuer_declares() {
    let texts = |texts: &[&str]| {
        AttributeValue::TextSet(texts.iter().map(|text| (*text).to_owned()).collect())
    };
    for (claim_type, value, expected) in [
        (
            ClaimType::Text,
            json!("x"),
            Ok(AttributeValue::Text("x".to_owned())),
        ),
        (ClaimType::Text, json!(""), Err(invalid("c"))),
        (ClaimType::Text, json!(1), Err(invalid("c"))),
        (ClaimType::Text, json!(["x"]), Err(invalid("c"))),
        (
            ClaimType::Boolean,
            json!(false),
            Ok(AttributeValue::Boolean(false)),
        ),
        (ClaimType::Boolean, json!("true"), Err(invalid("c"))),
        (ClaimType::Boolean, json!(1), Err(invalid("c"))),
        (
            ClaimType::Integer,
            json!(-5),
            Ok(AttributeValue::Integer(-5)),
        ),
        (
            ClaimType::Integer,
            json!(INTEGER_MAX),
            Ok(AttributeValue::Integer(INTEGER_MAX)),
        ),
        (
            ClaimType::Integer,
            json!(-INTEGER_MAX),
            Ok(AttributeValue::Integer(-INTEGER_MAX)),
        ),
        (
            ClaimType::Integer,
            json!(INTEGER_MAX + 1),
            Err(invalid("c")),
        ),
        (
            ClaimType::Integer,
            json!(-INTEGER_MAX - 1),
            Err(invalid("c")),
        ),
        (ClaimType::Integer, json!(u64::MAX), Err(invalid("c"))),
        (ClaimType::Integer, json!(1.0), Err(invalid("c"))),
        (ClaimType::Integer, json!("5"), Err(invalid("c"))),
        (
            ClaimType::TextSet,
            json!(["a", "b"]),
            Ok(texts(&["a", "b"])),
        ),
        (ClaimType::TextSet, json!([]), Ok(texts(&[]))),
        (ClaimType::TextSet, json!("a"), Err(invalid("c"))),
        (ClaimType::TextSet, json!(["a", 1]), Err(invalid("c"))),
        (ClaimType::TextSet, json!([["a"]]), Err(invalid("c"))),
    ] {
        check_declared(claim_type, value, expected);
    }
}

#[test]
fn makes_the_subject_from_the_template() {
    let template = Some("repo:{repository_id}:{ref}");
    let subject = verify_github(&github_claims(), template).unwrap();
    assert_eq!(subject.subject, "repo:123456:refs/heads/main");
    assert_eq!(subject.sub, "repo:octo-org/octo-repo:ref:refs/heads/main");
    let whole = verify_github(&github_claims(), Some("x-{sub}")).unwrap();
    assert_eq!(
        whole.subject,
        "x-repo:octo-org/octo-repo:ref:refs/heads/main"
    );
}

#[test]
fn rejects_subjects_that_a_template_makes_unacceptable() {
    let template = Some("{environment}");
    let with = |environment: Value| {
        let mut claims = github_claims();
        claims["environment"] = environment;
        verify_github(&claims, template).map(|subject| subject.subject)
    };
    assert_eq!(
        verify_github(&github_claims(), template),
        Err(missing("environment"))
    );
    assert_eq!(with(json!("prod")), Ok("prod".to_owned()));
    assert_eq!(with(json!("")), Err(invalid("sub")));
    assert_eq!(with(json!("a\nb")), Err(invalid("sub")));
    assert_eq!(with(json!("e".repeat(1024))), Ok("e".repeat(1024)));
    assert_eq!(with(json!("e".repeat(1025))), Err(invalid("sub")));
}

fn check_record(change: impl FnOnce(&mut IssuerRecord), expected: Result<(), IssuerError>) {
    let mut record = testkit::issuer_record();
    change(&mut record);
    assert_eq!(TrustedIssuer::try_from(record).map(|_| ()), expected);
}

#[test]
fn rejects_issuer_records_that_make_no_sense() {
    check_record(|_| {}, Ok(()));
    check_record(|record| record.name.clear(), Err(IssuerError::Name));
    check_record(|record| record.issuer.clear(), Err(IssuerError::Name));
    // No audience must never mean any audience (peers §5.1, 14).
    check_record(
        |record| record.audiences.clear(),
        Err(IssuerError::Audiences),
    );
    check_record(
        |record| record.audiences.push(String::new()),
        Err(IssuerError::Audiences),
    );
    check_record(
        |record| record.algorithms.clear(),
        Err(IssuerError::Algorithms),
    );
    check_record(
        |record| record.algorithms.push("none".to_owned()),
        Err(IssuerError::Algorithms),
    );
    check_record(
        |record| record.algorithms.push("HS256".to_owned()),
        Err(IssuerError::Algorithms),
    );
    check_record(|record| record.leeway_seconds = 60, Ok(()));
    check_record(
        |record| record.leeway_seconds = 61,
        Err(IssuerError::Leeway),
    );
    check_record(
        |record| record.provider = "jenkins".to_owned(),
        Err(IssuerError::Provider),
    );
    let declared = || vec![DeclaredClaim::required("c", ClaimType::Integer)];
    check_record(
        |record| (record.provider, record.claims) = ("github".to_owned(), declared()),
        Err(IssuerError::Provider),
    );
    let not_text = Err(IssuerError::SubjectTemplate(TemplateError::UnknownClaim));
    check_record(
        |record| (record.claims, record.subject_template) = (declared(), Some("{c}".to_owned())),
        not_text,
    );
    check_record(
        |record| record.subject_template = Some("{repository}".to_owned()),
        not_text,
    );
    check_record(
        |record| record.subject_template = Some("{sub}".to_owned()),
        Ok(()),
    );
}

/// What GitLab documents, with made-up values.
fn gitlab_claims() -> Value {
    let mut claims = testkit::claims();
    for (name, value) in [
        (
            "sub",
            json!("project_path:my-group/my-project:ref_type:branch:ref:main"),
        ),
        (
            "ci_config_ref_uri",
            json!("gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main"),
        ),
        (
            "ci_config_sha",
            json!("714a629c0b401fdce83e847fc9589983fc6f46bc"),
        ),
        ("deployment_tier", json!("production")),
        ("environment", json!("production")),
        ("environment_action", json!("start")),
        ("environment_protected", json!("true")),
        ("groups_direct", json!(["my-group/sub", "other"])),
        ("job_id", json!("302")),
        ("job_namespace_id", json!("72")),
        ("job_namespace_path", json!("my-group")),
        ("job_project_id", json!("20")),
        ("job_project_path", json!("my-group/my-project")),
        ("namespace_id", json!("72")),
        ("namespace_path", json!("my-group")),
        ("pipeline_id", json!("574")),
        ("pipeline_source", json!("push")),
        ("project_id", json!("20")),
        ("project_path", json!("my-group/my-project")),
        ("project_visibility", json!("private")),
        ("ref", json!("main")),
        ("ref_path", json!("refs/heads/main")),
        ("ref_protected", json!("true")),
        ("ref_type", json!("branch")),
        ("runner_environment", json!("gitlab-hosted")),
        ("runner_id", json!(1)),
        ("sha", json!("714a629c0b401fdce83e847fc9589983fc6f46bc")),
        ("user_access_level", json!("maintainer")),
        ("user_email", json!("user@example.com")),
        ("user_id", json!("1")),
        (
            "user_identities",
            json!([{ "provider": "github", "extern_uid": "2435223452345" }]),
        ),
        ("user_login", json!("sample-user")),
    ] {
        claims[name] = value;
    }
    claims
}

fn verify_gitlab(claims: &Value) -> Result<Subject, TokenError> {
    let issuer = TrustedIssuer::try_from(IssuerRecord {
        name: "gitlab".to_owned(),
        provider: "gitlab".to_owned(),
        ..testkit::issuer_record()
    })
    .unwrap();
    verify(&mint(claims), &issuer, &keys(), NOW).map(VerifiedSubject::into_subject)
}

#[test]
fn turns_every_claim_of_gitlab_into_an_attribute() {
    let subject = verify_gitlab(&gitlab_claims()).unwrap();
    assert_eq!(subject.entity_type, "GitLab::Job");
    assert_eq!(
        subject.entity_id,
        "project_path:my-group/my-project:ref_type:branch:ref:main"
    );
    let names: Vec<&str> = subject
        .attributes
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let listed: Vec<&str> = gitlab::CLAIMS
        .iter()
        .map(|claim| claim.name.as_ref())
        .collect();
    assert_eq!(names, listed, "each, and nothing else");
    assert!(gitlab::CLAIMS.is_sorted_by(|a, b| a.name < b.name));
    let value = |name: &str| {
        subject
            .attributes
            .iter()
            .find(|one| one.name == name)
            .map(|one| &one.value)
    };
    assert_eq!(value("runner_id"), Some(&AttributeValue::Integer(1)));
    assert_eq!(
        value("project_id"),
        Some(&AttributeValue::Text("20".to_owned()))
    );
    let groups = ["my-group/sub", "other"].map(str::to_owned).to_vec();
    assert_eq!(
        value("groups_direct"),
        Some(&AttributeValue::TextSet(groups))
    );
}

/// Absent, `null`, empty and wrongly typed are four things here.
#[test]
fn rejects_gitlab_claims_that_are_absent_empty_or_wrongly_typed_and_takes_null_where_gitlab_sends_it()
 {
    for claim in gitlab::CLAIMS {
        let name = claim.name.to_string();
        let with = |value: Option<Value>| {
            let mut claims = gitlab_claims();
            match value {
                Some(value) => claims[&name] = value,
                None => drop(claims.as_object_mut().unwrap().remove(&name)),
            }
            verify_gitlab(&claims).map(|subject| subject.attributes.len())
        };
        let missing = Err(TokenError::ClaimMissing(ClaimName(claim.name.clone())));
        let invalid = Err(TokenError::ClaimInvalid(ClaimName(claim.name.clone())));
        let (all, one_less) = (Ok(gitlab::CLAIMS.len()), Ok(gitlab::CLAIMS.len() - 1));
        let absent = if claim.required { &missing } else { &one_less };
        assert_eq!(&with(None), absent, "{name} absent");
        let null = if claim.nullable { &one_less } else { &invalid };
        assert_eq!(&with(Some(json!(null))), null, "{name} null");
        let empty = match claim.claim_type {
            ClaimType::Text if !claim.required => &all,
            ClaimType::Text | ClaimType::Integer | ClaimType::TextSet | ClaimType::Boolean => {
                &invalid
            }
        };
        assert_eq!(&with(Some("".into())), empty, "{name} empty");
        for value in [json!(1.5), json!(true), json!([1]), json!({})] {
            assert_eq!(&with(Some(value.clone())), &invalid, "{name} {value}");
        }
        // Numbers are no text and text is no number: `runner_id` alone is one.
        let number = if claim.claim_type == ClaimType::Integer {
            &all
        } else {
            &invalid
        };
        assert_eq!(&with(Some(json!(7))), number, "{name} 7");
        let text = if claim.claim_type == ClaimType::Text {
            &all
        } else {
            &invalid
        };
        assert_eq!(&with(Some(json!("7"))), text, "{name} \"7\"");
    }
}

/// What Kubernetes documents for a token projected into a pod.
fn kubernetes_claims() -> Value {
    let mut claims = testkit::claims();
    claims["sub"] = json!("system:serviceaccount:kube-system:coredns");
    claims["kubernetes.io"] = json!({
        "namespace": "kube-system",
        "node": { "name": "127.0.0.1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced" },
        "pod": { "name": "coredns-69cbfb9798-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33" },
        "serviceaccount": { "name": "coredns", "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af" },
        "warnafter": 1_700_081_020
    });
    claims
}

fn verify_kubernetes(change: impl FnOnce(&mut Value)) -> Result<Subject, TokenError> {
    let issuer = TrustedIssuer::try_from(IssuerRecord {
        name: "cluster".to_owned(),
        provider: "kubernetes".to_owned(),
        ..testkit::issuer_record()
    })
    .unwrap();
    let mut claims = kubernetes_claims();
    change(&mut claims);
    verify(&mint(&claims), &issuer, &keys(), NOW).map(VerifiedSubject::into_subject)
}

#[test]
fn turns_the_private_claims_of_kubernetes_into_flat_attributes() {
    let subject = verify_kubernetes(|_| ()).unwrap();
    assert_eq!(subject.entity_type, "Kubernetes::ServiceAccount");
    assert_eq!(
        subject.entity_id,
        "system:serviceaccount:kube-system:coredns"
    );
    let found: Vec<(&str, &AttributeValue)> = subject
        .attributes
        .iter()
        .map(|one| (one.name.as_str(), &one.value))
        .collect();
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    assert_eq!(
        found,
        [
            ("namespace", &text("kube-system")),
            ("node_name", &text("127.0.0.1")),
            ("node_uid", &text("58456cb0-dd00-45ed-b797-5578fdceaced")),
            ("pod_name", &text("coredns-69cbfb9798-jv9gn")),
            ("pod_uid", &text("778a530c-b3f4-47c0-9cd5-ab018fb64f33")),
            ("service_account_name", &text("coredns")),
            (
                "service_account_uid",
                &text("a087d5a0-e1dd-43ec-93ac-f13d89cd13af")
            ),
        ]
    );
    assert!(kubernetes::CLAIMS.is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn rejects_kubernetes_claims_that_are_absent_or_no_object_on_the_way_to_a_value() {
    let missing = |name: &'static str| TokenError::ClaimMissing(ClaimName(name.into()));
    let invalid = |name: &'static str| TokenError::ClaimInvalid(ClaimName(name.into()));
    let check = |change: fn(&mut Value), expected: Result<usize, TokenError>| {
        let found = verify_kubernetes(change).map(|subject| subject.attributes.len());
        assert_eq!(found, expected);
    };
    check(
        |it| drop(it.as_object_mut().unwrap().remove("kubernetes.io")),
        Err(missing("namespace")),
    );
    check(
        |it| it["kubernetes.io"] = json!({}),
        Err(missing("namespace")),
    );
    check(
        |it| it["kubernetes.io"] = json!(null),
        Err(invalid("namespace")),
    );
    check(
        |it| it["kubernetes.io"] = json!("x"),
        Err(invalid("namespace")),
    );
    check(
        |it| it["kubernetes.io"] = json!([]),
        Err(invalid("namespace")),
    );
    check(
        |it| it["kubernetes.io"]["namespace"] = json!(""),
        Err(invalid("namespace")),
    );
    check(
        |it| it["kubernetes.io"]["namespace"] = json!(1),
        Err(invalid("namespace")),
    );
    check(
        |it| it["kubernetes.io"]["serviceaccount"] = json!({}),
        Err(missing("service_account_name")),
    );
    check(
        |it| it["kubernetes.io"]["serviceaccount"]["uid"] = json!(null),
        Err(invalid("service_account_uid")),
    );
    check(
        |it| it["kubernetes.io"]["pod"] = json!(null),
        Err(invalid("pod_name")),
    );
    check(
        |it| it["kubernetes.io"]["pod"] = json!("a"),
        Err(invalid("pod_name")),
    );
    check(|it| it["kubernetes.io"]["pod"] = json!({}), Ok(5));
    check(
        |it| it["kubernetes.io"]["secret"] = json!({ "name": "s", "uid": "u" }),
        Ok(9),
    );
    // Claims of the same names at the top are others.
    check(
        |it| {
            it["namespace"] = it["kubernetes.io"]["namespace"].take();
            drop(
                it["kubernetes.io"]
                    .as_object_mut()
                    .unwrap()
                    .remove("namespace"),
            );
        },
        Err(missing("namespace")),
    );
}

/// A token from a secret, as clusters made them before 1.24 (peers §5.1).
#[test]
fn rejects_kubernetes_tokens_of_the_old_kind() {
    let found = verify_kubernetes(|it| {
        *it = json!({
            "iss": it["iss"], "aud": it["aud"], "exp": it["exp"], "iat": it["iat"],
            "sub": "system:serviceaccount:default:mytestaccount",
            "kubernetes.io/serviceaccount/namespace": "default",
            "kubernetes.io/serviceaccount/service-account.name": "mytestaccount",
        });
    });
    assert_eq!(
        found.map(|_| ()),
        Err(TokenError::ClaimMissing(ClaimName("namespace".into())))
    );
    for name in ["exp", "aud"] {
        let found = verify_kubernetes(|it| drop(it.as_object_mut().unwrap().remove(name)));
        assert_eq!(
            found.map(|_| ()),
            Err(TokenError::ClaimMissing(ClaimName(name.into())))
        );
    }
}
