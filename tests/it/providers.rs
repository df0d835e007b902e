//! Tokens of each provider, through the shipped components.

use crate::bench;
use serde_json::{Value, json};
use vouchsafe_tests::broker::Setup;
use vouchsafe_tests::bundle::{BROKER, IssuerFile};
use vouchsafe_tests::exchange::{Form, Want, bad, check, refused};
use vouchsafe_tests::issuer::{Issuer, Script};
use vouchsafe_tests::{jwt, now};

type Change = fn(&mut Value);

fn gitlab_claims(issuer: &str, audience: Value) -> Value {
    let now = now();
    json!({
        "iss": issuer, "aud": audience, "iat": now, "nbf": now - 5, "exp": now + 3600, "jti": "235b3a54",
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

#[test]
fn exchanges_tokens_of_gitlab_jobs_and_tells_protected_refs_from_others() {
    let issuer = Issuer::start([("main", Script::honest()), ("gitlab", Script::honest())]);
    let mut files = bench::files(&issuer);
    files.retain(|file| file.name == "main");
    files.push(IssuerFile::new("gitlab", issuer.url("gitlab"), "").of("gitlab"));
    let broker = Setup::broker(&files, &[issuer.origin()]).start();
    let with = |change: Change| {
        let mut claims = gitlab_claims(&issuer.url("gitlab"), json!(BROKER));
        change(&mut claims);
        jwt::mint("RS256", &claims)
    };
    let denied = refused(400, "invalid_target", "policy.denied");
    let cases: [(&str, Change, Want); 7] = [
        ("a job on a protected branch", |_| {}, Want::Issued),
        (
            "again with the same token, as a job does",
            |_| {},
            Want::Issued,
        ),
        (
            "an unprotected branch",
            |it| it["ref_protected"] = json!("false"),
            denied,
        ),
        (
            "an empty flag is not true",
            |it| it["ref_protected"] = json!(""),
            denied,
        ),
        (
            "another project",
            |it| it["project_id"] = json!("21"),
            denied,
        ),
        (
            "a flag that is no text",
            |it| it["ref_protected"] = json!(true),
            bad("token.claim_invalid"),
        ),
        (
            "an id that is a number",
            |it| it["project_id"] = json!(20),
            bad("token.claim_invalid"),
        ),
    ];
    for (name, change, want) in cases {
        let token = with(change);
        let form = Form::of(&token).set("scope", "read");
        check(&broker, &form.request(), &token, want)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    broker.assert_unharmed();
}
