//! Tokens of each provider, through the shipped components.

use crate::bench;
use serde_json::{Value, json};
use vouchsafe_tests::broker::Setup;
use vouchsafe_tests::bundle::{BROKER, IssuerFile};
use vouchsafe_tests::exchange::{Form, Want, bad, check, refused};
use vouchsafe_tests::issuer::{Issuer, Script};
use vouchsafe_tests::{jwt, now};

type Change = fn(&mut Value);

fn gitlab_claims(issuer: &str) -> Value {
    let now = now();
    json!({
        "iss": issuer, "aud": BROKER, "iat": now, "nbf": now - 5, "exp": now + 3600, "jti": "235b3a54",
        "sub": "project_path:my-group/my-project:ref_type:branch:ref:main",
        "namespace_id": "72", "namespace_path": "my-group", "project_id": "20",
        "project_path": "my-group/my-project", "user_id": "1", "user_login": "sample-user",
        "user_email": "sample-user@example.com", "pipeline_id": "574", "pipeline_source": "push",
        "job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main",
        "ref_protected": "true", "runner_id": null, "runner_environment": null,
        "ci_config_ref_uri": null, "ci_config_sha": null, "groups_direct": ["my-group"],
        "user_identities": [{ "provider": "github", "extern_uid": "2435223452345" }],
    })
}

fn kubernetes_claims(issuer: &str) -> Value {
    let now = now();
    json!({
        "iss": issuer, "aud": [BROKER], "iat": now, "nbf": now, "exp": now + 31_536_000,
        "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
        "sub": "system:serviceaccount:build:deployer",
        "kubernetes.io": {
            "namespace": "build",
            "node": { "name": "node-1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced" },
            "pod": { "name": "deployer-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33" },
            "serviceaccount": { "name": "deployer", "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af" },
            "warnafter": now + 3607,
        },
    })
}

/// Presents each token to a broker that trusts an issuer of this provider, for [`API`].
///
/// [`API`]: vouchsafe_tests::bundle::API
fn exchange(provider: &'static str, claims: fn(&str) -> Value, cases: &[(&str, Change, Want)]) {
    let issuer = Issuer::start([("main", Script::honest()), ("tokens", Script::honest())]);
    let mut files = bench::files(&issuer);
    files.retain(|file| file.name == "main");
    files.push(IssuerFile::new("tokens", issuer.url("tokens"), "").of(provider));
    let broker = Setup::broker(&files, &[issuer.origin()]).start();
    for (name, change, want) in cases {
        let mut claims = claims(&issuer.url("tokens"));
        change(&mut claims);
        let token = jwt::mint("RS256", &claims);
        let form = Form::of(&token).set("scope", "read");
        check(&broker, &form.request(), &token, *want)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    broker.assert_unharmed();
}

const DENIED: Want = refused(400, "invalid_target", "policy.denied");
const INVALID: Want = bad("token.claim_invalid");
const MISSING: Want = bad("token.claim_missing");

#[test]
fn exchanges_tokens_of_gitlab_jobs_and_tells_protected_refs_from_others() {
    let cases: [(&str, Change, Want); 7] = [
        ("a job on a protected branch", |_| {}, Want::Issued),
        (
            "again, as a job does with its one token",
            |_| {},
            Want::Issued,
        ),
        (
            "an unprotected branch",
            |it| it["ref_protected"] = json!("false"),
            DENIED,
        ),
        (
            "an empty flag is not true",
            |it| it["ref_protected"] = json!(""),
            DENIED,
        ),
        (
            "another project",
            |it| it["project_id"] = json!("21"),
            DENIED,
        ),
        (
            "a flag that is no text",
            |it| it["ref_protected"] = json!(true),
            INVALID,
        ),
        (
            "an id that is a number",
            |it| it["project_id"] = json!(20),
            INVALID,
        ),
    ];
    exchange("gitlab", gitlab_claims, &cases);
}

#[test]
fn exchanges_tokens_of_kubernetes_pods_and_refuses_those_of_no_pod_or_of_the_old_kind() {
    let cases: [(&str, Change, Want); 7] = [
        (
            "a pod, whose token names its audience in an array and lives a year",
            |_| {},
            Want::Issued,
        ),
        (
            "again, as a pod does with its mounted token",
            |_| {},
            Want::Issued,
        ),
        (
            "a token for the API server too",
            |it| it["aud"] = json!([BROKER, "https://kubernetes.default.svc"]),
            bad("token.audience_mismatch"),
        ),
        (
            "another namespace",
            |it| it["kubernetes.io"]["namespace"] = json!("default"),
            DENIED,
        ),
        (
            "a token bound to no pod",
            |it| {
                drop(
                    it["kubernetes.io"]
                        .as_object_mut()
                        .expect("an object")
                        .remove("pod"),
                )
            },
            DENIED,
        ),
        (
            "a namespace that is no text",
            |it| it["kubernetes.io"]["namespace"] = json!(["build"]),
            INVALID,
        ),
        (
            "a token without the private claims",
            |it| {
                drop(
                    it.as_object_mut()
                        .expect("an object")
                        .remove("kubernetes.io"),
                )
            },
            MISSING,
        ),
    ];
    exchange("kubernetes", kubernetes_claims, &cases);
}
