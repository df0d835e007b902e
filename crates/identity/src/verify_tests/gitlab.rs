//! Tokens of GitLab CI/CD.

use serde_json::json;

use super::*;
use vouchsafe_providers::gitlab;

/// The claims that GitLab documents, with made-up values.
fn gitlab_claims() -> Value {
    let mut claims = testkit::claims();
    for (name, value) in [
        ("sub", json!("project_path:my-group/my-project:ref_type:branch:ref:main")),
        ("ci_config_ref_uri", json!("gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main")),
        ("ci_config_sha", json!("714a629c0b401fdce83e847fc9589983fc6f46bc")),
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
        ("user_identities", json!([{ "provider": "github", "extern_uid": "2435223452345" }])),
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
fn maps_every_gitlab_claim_to_an_attribute() {
    let subject = verify_gitlab(&gitlab_claims()).unwrap();
    assert_eq!(subject.principal.entity_type, "GitLab::Job");
    assert_eq!(subject.principal.id, "project_path:my-group/my-project:ref_type:branch:ref:main");
    let names: Vec<&str> = subject.principal.attributes.iter().map(|one| one.name.as_str()).collect();
    let listed: Vec<&str> = gitlab::CLAIMS.iter().map(|claim| claim.name.as_ref()).collect();
    assert_eq!(names, listed, "exactly the documented claims");
    assert!(gitlab::CLAIMS.is_sorted_by(|a, b| a.name < b.name));
    let value = |name: &str| subject.principal.attributes.iter().find(|one| one.name == name).map(|one| &one.value);
    assert_eq!(value("runner_id"), Some(&AttributeValue::Integer(1)));
    assert_eq!(value("project_id"), Some(&AttributeValue::Text("20".to_owned())));
    let groups = ["my-group/sub", "other"].map(str::to_owned).to_vec();
    assert_eq!(value("groups_direct"), Some(&AttributeValue::TextSet(groups)));
}

/// Absent, `null`, empty and wrongly typed claims differ here.
#[test]
fn accepts_null_but_rejects_mistyped_gitlab_claims() {
    for claim in gitlab::CLAIMS {
        let name = claim.name.to_string();
        let with = |value: Option<Value>| {
            let mut claims = gitlab_claims();
            match value {
                Some(value) => claims[&name] = value,
                None => drop(claims.as_object_mut().unwrap().remove(&name)),
            }
            verify_gitlab(&claims).map(|subject| subject.principal.attributes.len())
        };
        let missing = Err(TokenError::ClaimMissing(ClaimName(claim.name.clone())));
        let invalid = Err(TokenError::ClaimInvalid(ClaimName(claim.name.clone())));
        let (all, one_less) = (Ok(gitlab::CLAIMS.len()), Ok(gitlab::CLAIMS.len() - 1));
        let absent = if claim.required { &missing } else { &one_less };
        assert_eq!(&with(None), absent, "{name} absent");
        let null = if claim.nullable { &one_less } else { &invalid };
        assert_eq!(&with(Some(json!(null))), null, "{name} null");
        let empty = match claim.claim_type {
            ClaimType::TextMap | ClaimType::TextOrSet => unreachable!("GitLab has none"),
            ClaimType::Text if !claim.required => &all,
            ClaimType::Text | ClaimType::Integer | ClaimType::TextSet | ClaimType::Boolean => &invalid,
        };
        assert_eq!(&with(Some("".into())), empty, "{name} empty");
        for value in [json!(1.5), json!(true), json!([1]), json!({})] {
            assert_eq!(&with(Some(value.clone())), &invalid, "{name} {value}");
        }
        // Numbers are not strings, and strings are not numbers: only `runner_id` is a number.
        let number = if claim.claim_type == ClaimType::Integer { &all } else { &invalid };
        assert_eq!(&with(Some(json!(7))), number, "{name} 7");
        let text = if claim.claim_type == ClaimType::Text { &all } else { &invalid };
        assert_eq!(&with(Some(json!("7"))), text, "{name} \"7\"");
    }
}
