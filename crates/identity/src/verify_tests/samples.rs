//! One token of each further provider with every documented claim, and what invalidates it.

use serde_json::json;
use vouchsafe_providers::{PROVIDERS, Provider};

use super::*;

const PLAIN: [&str; 7] = ["aws", "azure", "buildkite", "circleci", "github", "google", "terraform"];

/// The claims that the platforms document, with made-up values.
fn sample(provider: &str) -> Value {
    let own = match provider {
        "aws" => json!({
            "sub": "arn:aws:iam::123456789012:role/batch",
            "https://sts.amazonaws.com/": {
                "aws_account": "123456789012", "org_id": "o-anih79mrvn",
                "ou_path": ["o-anih79mrvn/r-amv9/ou-amv9-ndi0nlgq/"],
                "original_session_exp": "2027-12-28T10:45:29Z",
                "principal_id": "arn:aws:iam::123456789012:role/batch",
                "principal_tags": { "environment": "production", "team": "payments" },
                "request_tags": { "workload": "ingest" }, "source_region": "us-west-2",
                "source_identity": "admin", "ec2_role_delivery": "2.0",
                "ec2_instance_source_vpc": "vpc-1", "ec2_instance_source_private_ipv4": "172.31.1.146",
                "ec2_source_instance_arn": "arn:aws:ec2:us-west-2:123456789012:instance/i-1",
                "lambda_source_function_arn": "arn:aws:lambda:us-west-2:123456789012:function:ingest",
            },
        }),
        "azure" => json!({
            "sub": "644d9b8a-b07e-46e8-b81e-bd3a4c997ce9", "aio": "E2BgYDDg", "uti": "yO3F62CS",
            "appid": "16f36118-217b-4e7c-9250-69321b4c0742", "appidacr": "2",
            "azp": "16f36118-217b-4e7c-9250-69321b4c0742", "azpacr": "2", "app_displayname": "payments",
            "idp": "https://sts.windows.net/0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec/", "idtyp": "app",
            "oid": "644d9b8a-b07e-46e8-b81e-bd3a4c997ce9", "roles": ["Deploy"],
            "tid": "0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec", "ver": "1.0",
            "xms_mirid": "/subscriptions/28af6932/resourcegroups/a/providers/b/userAssignedIdentities/c",
        }),
        "buildkite" => json!({
            "sub": "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f31820:step:",
            "agent_id": "a-1", "build_branch": "main", "build_commit": "9f31820", "build_id": "b-1",
            "build_number": 175, "build_source": "webhook", "build_tag": null, "cluster_id": "c-1",
            "cluster_name": "linux", "job_id": "j-1", "organization_id": "o-1",
            "organization_slug": "acme", "pipeline_id": "p-1", "pipeline_slug": "app",
            "queue_id": null, "queue_key": "default", "runner_environment": "self-hosted",
            "step_key": null,
        }),
        "circleci" => json!({
            "sub": "org/o-1/project/p-1/user/u-1/vcs-origin/github.com/a/b/vcs-ref/refs/heads/main",
            "oidc.circleci.com/context-ids": ["c-1"], "oidc.circleci.com/job-id": "j-1",
            "oidc.circleci.com/org-id": "o-1", "oidc.circleci.com/pipeline-definition-id": "d-1",
            "oidc.circleci.com/pipeline-id": "i-1", "oidc.circleci.com/project-id": "p-1",
            "oidc.circleci.com/ssh-rerun": false, "oidc.circleci.com/vcs-origin": "github.com/a/b",
            "oidc.circleci.com/vcs-ref": "refs/heads/main", "oidc.circleci.com/workflow-id": "w-1",
        }),
        "github" => json!({
            "sub": "repo:octo-org@65/octo-repo@123456:environment:Production%3AV1",
            "actor": "octocat", "actor_id": "12", "base_ref": "", "check_run_id": "1",
            "enterprise": "octo-ent", "enterprise_id": "3", "environment": "Production:V1",
            "environment_node_id": "EN_1", "event_name": "push", "head_ref": "", "issuer_scope": "enterprise",
            "job_workflow_ref": "octo-org/automation/.github/workflows/a.yml@refs/heads/main",
            "job_workflow_sha": "c0ffee", "ref": "refs/heads/main", "ref_protected": "true",
            "ref_type": "branch", "repository": "octo-org/octo-repo", "repository_id": "123456",
            "repository_owner": "octo-org", "repository_owner_id": "65",
            "repository_visibility": "private", "run_attempt": "2", "run_id": "1000",
            "run_number": "10", "runner_environment": "github-hosted", "sha": "c0ffee",
            "workflow": "deploy", "workflow_sha": "c0ffee",
            "workflow_ref": "octo-org/octo-repo/.github/workflows/b.yml@refs/heads/main",
        }),
        "google" => json!({
            "sub": "110987294251917851298", "azp": "110987294251917851298",
            "email": "1-compute@developer.gserviceaccount.com", "email_verified": true,
            "google": { "compute_engine": {
                "instance_confidentiality": 1, "instance_creation_timestamp": 1_595_155_766,
                "instance_id": "4340508760561261530", "instance_name": "vm", "license_id": ["1"],
                "project_id": "example", "project_number": 716_149_158_341_u64, "zone": "us-central1-a",
            } },
        }),
        _ => json!({
            "sub": "organization:my-org:project:Default Project:workspace:w:run_phase:apply",
            "terraform_full_workspace": "organization:my-org:project:Default Project:workspace:w",
            "terraform_organization_id": "org-1", "terraform_organization_name": "my-org",
            "terraform_project_id": "prj-1", "terraform_project_name": "Default Project",
            "terraform_run_id": "run-1", "terraform_run_phase": "apply",
            "terraform_workspace_id": "ws-1", "terraform_workspace_name": "w",
        }),
    };
    let mut claims = testkit::claims();
    let members = claims.as_object_mut().unwrap();
    members.extend(own.as_object().unwrap().clone());
    claims
}

fn record(provider: &str) -> IssuerRecord {
    IssuerRecord { provider: provider.to_owned(), ..testkit::issuer_record() }
}

fn verify_as(record: IssuerRecord, claims: &Value) -> Result<Subject, TokenError> {
    let issuer = TrustedIssuer::try_from(record).unwrap();
    verify(&mint(claims), &issuer, &keys(), NOW).map(VerifiedSubject::into_subject)
}

/// The member of `claims` that an attribute is read from.
fn member<'c>(claims: &'c mut Value, provider: &Provider, name: &str) -> (&'c mut Value, String) {
    let claim = provider.claims.iter().find(|claim| claim.name == name).unwrap();
    let path: Vec<String> = match claim.source {
        vouchsafe_providers::Source::Path(path) => path.iter().map(|name| (*name).to_owned()).collect(),
        _ => vec![name.to_owned()],
    };
    let (last, way) = path.split_last().unwrap();
    let mut object = claims;
    for name in way {
        object = &mut object[name];
    }
    (object, last.clone())
}

#[test]
fn maps_every_documented_claim() {
    for name in PLAIN {
        let provider = Provider::named(name).unwrap();
        let claims = sample(name);
        let subject = verify_as(record(name), &claims).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(subject.principal.entity_type, provider.entity_type("idp"));
        assert_eq!(Some(subject.principal.id.as_str()), claims["sub"].as_str());
        let found: Vec<&str> = subject.principal.attributes.iter().map(|one| one.name.as_str()).collect();
        let expected: Vec<&str> = provider
            .claims
            .iter()
            .map(|claim| claim.name.as_ref())
            .filter(|claim| {
                let (object, last) = (&mut claims.clone(), claim);
                let (object, last) = member(object, provider, last);
                !object[last].is_null()
            })
            .collect();
        assert_eq!(found, expected, "{name}");
        // Every claim is present, except those that are `null` in the sample.
        let nulls = provider.claims.len() - found.len();
        assert_eq!(nulls, if name == "buildkite" { 3 } else { 0 }, "{name}");
    }
}

/// Absent, empty and wrongly typed claims differ, and none grants access (regressions.md, row 13).
#[test]
fn distinguishes_absent_and_mistyped_claims() {
    for name in PLAIN {
        let provider = Provider::named(name).unwrap();
        for claim in provider.claims {
            let own = |change: &dyn Fn(&mut Value, &str)| {
                let mut claims = sample(name);
                let (object, last) = member(&mut claims, provider, &claim.name);
                change(object, &last);
                verify_as(record(name), &claims).map(|_| ())
            };
            // Errors in claims derived from `sub` are errors of `sub`.
            let wire = match claim.source {
                vouchsafe_providers::Source::Path(["sub"]) => ClaimName("sub".into()),
                _ => ClaimName(claim.name.clone()),
            };
            let absent = own(&|object, last| drop(object.as_object_mut().unwrap().remove(last)));
            let missing = Err(TokenError::ClaimMissing(wire.clone()));
            assert_eq!(absent, if claim.required { missing } else { Ok(()) }, "{name} {}", claim.name);
            let invalid = Err(TokenError::ClaimInvalid(wire));
            for value in [json!(1.5), json!([[]]), json!({ "a": 1 })] {
                let found = own(&|object, last| object[last] = value.clone());
                assert_eq!(found, invalid, "{name} {} {value}", claim.name);
            }
            let null = own(&|object, last| object[last] = Value::Null);
            assert_eq!(null, if claim.nullable { Ok(()) } else { invalid }, "{name} {}", claim.name);
        }
    }
}

#[test]
fn separates_aws_request_and_principal_tags() {
    let mut claims = sample("aws");
    let object = &mut claims["https://sts.amazonaws.com/"];
    object["request_tags"] = json!({ "environment": "production" });
    object["principal_tags"] = json!({ "environment": "test" });
    let subject = verify_as(record("aws"), &claims).unwrap();
    let tags = |name: &str| {
        let one = subject.principal.attributes.iter().find(|one| one.name == name).unwrap();
        one.value.clone()
    };
    let set = |text: &str| AttributeValue::TextSet(vec![text.to_owned()]);
    assert_eq!(tags("request_tags"), set("environment=production"));
    assert_eq!(tags("principal_tags"), set("environment=test"));
    // A name that would look like another tag.
    claims["https://sts.amazonaws.com/"]["request_tags"] = json!({ "environment=production": "" });
    let refused = verify_as(record("aws"), &claims).map(|_| ());
    assert_eq!(refused, Err(invalid("request_tags")));
}

/// AWS documents a string and sends an array.
#[test]
fn accepts_both_forms_of_aws_ou_path() {
    let of = |value: Value| {
        let mut claims = sample("aws");
        claims["https://sts.amazonaws.com/"]["ou_path"] = value;
        verify_as(record("aws"), &claims).map(|subject| {
            let one = subject.principal.attributes.into_iter().find(|one| one.name == "ou_path");
            one.map(|one| one.value)
        })
    };
    assert_eq!(of(json!("o-1/r-1/")), of(json!(["o-1/r-1/"])));
    assert!(of(json!("o-1/r-1/")).is_ok());
}

#[test]
fn accepts_only_the_required_tenant() {
    let of = |name: &str, values: &[&str], change: fn(&mut Value)| {
        let require = vec![RequiredClaim {
            name: name.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }];
        let mut claims = sample("buildkite");
        change(&mut claims);
        verify_as(IssuerRecord { require, ..record("buildkite") }, &claims).map(|_| ())
    };
    let mismatch = |name: &'static str| Err(TokenError::ClaimMismatch(ClaimName(name.into())));
    assert_eq!(of("organization_id", &["o-1"], |_| ()), Ok(()));
    assert_eq!(of("organization_id", &["o-0", "o-1"], |_| ()), Ok(()));
    for other in ["o-2", "O-1", "o-1 ", "o-", "o-11", "*", ""] {
        assert_eq!(of("organization_id", &[other], |_| ()), mismatch("organization_id"), "{other}");
    }
    // An optional claim must be present if the issuer's file requires a value.
    assert_eq!(
        of("organization_id", &["o-1"], |claims| drop(claims.as_object_mut().unwrap().remove("organization_id"))),
        Err(missing("organization_id"))
    );
    assert_eq!(of("organization_id", &[""], |claims| claims["organization_id"] = "".into()), Ok(()));
    let sub = sample("buildkite")["sub"].as_str().unwrap().to_owned();
    assert_eq!(of("sub", &[&sub], |_| ()), Ok(()));
    assert_eq!(of("sub", &["organization:acme"], |_| ()), mismatch("sub"));
}

#[test]
fn rejects_records_requiring_incomparable_claims() {
    for (name, values) in [("build_number", vec!["175"]), ("iss", vec!["a"]), ("x", vec!["a"]), ("job_id", vec![])] {
        let require =
            vec![RequiredClaim { name: name.to_owned(), values: values.into_iter().map(str::to_owned).collect() }];
        let outcome = TrustedIssuer::try_from(IssuerRecord { require, ..record("buildkite") });
        assert_eq!(outcome.err(), Some(crate::IssuerError::RequiredClaim), "{name}");
    }
}

/// RFC 9449 §6.1: whoever presents the token must prove possession of the key.
#[test]
fn names_the_key_of_a_bound_token() {
    let jkt = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    let thumbprint = |cnf: Value| {
        let verified = verify(&mint(&claims_with("cnf", Some(cnf))), &issuer(), &keys(), NOW)?;
        Ok(verified.into_subject().key_thumbprint)
    };
    assert_eq!(thumbprint(json!({ "jkt": jkt })), Ok(Some(jkt.to_owned())));
    // Other confirmations (RFC 7800 §3.1) need proofs that nothing here verifies.
    for cnf in [
        json!({ "jkt": "a" }),
        json!({ "jkt": jkt, "kid": "a" }),
        json!({ "x5t#S256": jkt }),
        json!({ "jwk": {} }),
        json!({}),
        json!(null),
        json!(""),
        json!(jkt),
    ] {
        assert_eq!(thumbprint(cnf), Err(invalid("cnf")));
    }
}

#[test]
fn covers_every_provider_with_a_sample() {
    let elsewhere = ["gitlab", "kubernetes", "oidc", "spiffe"];
    let all: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
    let mut tested: Vec<&str> = PLAIN.into_iter().chain(elsewhere).collect();
    tested.sort_unstable();
    assert_eq!(all, tested);
}
