//! Tokens of each provider, through the built components.

use serde_json::{Value, json};
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::{BROKER, IssuerFile};
use vouchsafe_harness::exchange::{Form, Want, bad, check, refused};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::{jwt, now};

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

/// Presents each token, for [`API`], to a broker that trusts an issuer of this provider.
///
/// [`API`]: vouchsafe_harness::bundle::API
fn exchange(provider: &'static str, claims: fn(&str) -> Value, cases: &[(&str, Change, Want)]) {
    exchange_with(provider, "", claims, cases);
}

/// Adds further lines to the issuer's file.
fn exchange_with(provider: &'static str, more: &str, claims: fn(&str) -> Value, cases: &[(&str, Change, Want)]) {
    let issuer = Issuer::start([("main", Script::honest()), ("tokens", Script::honest())]);
    let mut files = issuer.files();
    files.retain(|file| file.name == "main");
    files.push(IssuerFile::new("tokens", issuer.url("tokens"), more).of(provider));
    let broker = Setup::broker(&files, &[issuer.origin()]).start();
    for (name, change, want) in cases {
        let mut claims = claims(&issuer.url("tokens"));
        change(&mut claims);
        let token = jwt::mint("RS256", &claims);
        let form = Form::of(&token).set("scope", "read");
        check(&broker, &form.request(), &token, *want).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    broker.assert_healthy();
}

const DENIED: Want = refused(400, "invalid_target", "policy.denied");
const INVALID: Want = bad("token.claim_invalid");
const MISSING: Want = bad("token.claim_missing");

#[test]
fn accepts_gitlab_jobs_on_protected_refs_only() {
    let cases: [(&str, Change, Want); 7] = [
        ("a job on a protected branch", |_| {}, Want::Issued),
        ("again, as a job does with its one token", |_| {}, Want::Issued),
        ("an unprotected branch", |it| it["ref_protected"] = json!("false"), DENIED),
        ("an empty flag is not true", |it| it["ref_protected"] = json!(""), DENIED),
        ("another project", |it| it["project_id"] = json!("21"), DENIED),
        ("a flag that is not a string", |it| it["ref_protected"] = json!(true), INVALID),
        ("an id that is a number", |it| it["project_id"] = json!(20), INVALID),
    ];
    exchange("gitlab", gitlab_claims, &cases);
}

#[test]
fn accepts_kubernetes_pods_and_rejects_legacy_tokens() {
    let cases: [(&str, Change, Want); 7] = [
        ("a pod, whose token names its audience in an array and lives a year", |_| {}, Want::Issued),
        ("again, as a pod does with its mounted token", |_| {}, Want::Issued),
        (
            "a token for the API server too",
            |it| it["aud"] = json!([BROKER, "https://kubernetes.default.svc"]),
            bad("token.audience_mismatch"),
        ),
        ("another namespace", |it| it["kubernetes.io"]["namespace"] = json!("default"), DENIED),
        (
            "a token bound to no pod",
            |it| drop(it["kubernetes.io"].as_object_mut().expect("an object").remove("pod")),
            DENIED,
        ),
        ("a namespace that is not a string", |it| it["kubernetes.io"]["namespace"] = json!(["build"]), INVALID),
        (
            "a token without the private claims",
            |it| drop(it.as_object_mut().expect("an object").remove("kubernetes.io")),
            MISSING,
        ),
    ];
    exchange("kubernetes", kubernetes_claims, &cases);
}

const MISMATCH: Want = bad("token.claim_mismatch");

/// `own` and the claims that every token has.
fn claims_of(issuer: &str, own: Value) -> Value {
    let now = now();
    let mut claims = json!({
        "iss": issuer, "aud": BROKER, "iat": now, "nbf": now, "exp": now + 300, "jti": "j-1",
    });
    let members = claims.as_object_mut().expect("an object");
    members.extend(own.as_object().expect("an object").clone());
    claims
}

fn remove(claims: &mut Value, name: &str) {
    claims.as_object_mut().expect("an object").remove(name);
}

#[test]
fn accepts_aws_iam_tags_but_not_request_tags() {
    fn claims(issuer: &str) -> Value {
        let own = json!({
            "sub": "arn:aws:iam::123456789012:role/batch",
            "https://sts.amazonaws.com/": {
                "aws_account": "123456789012", "ou_path": ["o-1/r-1/"],
                "principal_tags": { "environment": "production" }, "request_tags": {},
            },
        });
        claims_of(issuer, own)
    }
    const AWS: &str = "https://sts.amazonaws.com/";
    let cases: [(&str, Change, Want); 6] = [
        ("a role with the tag", |_| {}, Want::Issued),
        (
            "a caller who says so",
            |it| {
                it[AWS]["request_tags"] = it[AWS]["principal_tags"].take();
                it[AWS]["principal_tags"] = json!({});
            },
            DENIED,
        ),
        (
            "a tag that would look like another",
            |it| it[AWS]["request_tags"] = json!({ "environment=production": "" }),
            INVALID,
        ),
        ("another account", |it| it[AWS]["aws_account"] = json!("210987654321"), MISMATCH),
        ("an account that is a number", |it| it[AWS]["aws_account"] = json!(123_456_789_012_u64), INVALID),
        ("none of AWS's claims", |it| remove(it, AWS), MISSING),
    ];
    exchange_with("aws", "require = { aws_account = \"123456789012\" }\n", claims, &cases);
}

/// AWS signs with ES384 if the caller asks for it.
#[test]
fn accepts_tokens_signed_with_es384() {
    let issuer = Issuer::honest();
    let files = [IssuerFile::new("main", issuer.url("main"), "algorithms = [\"ES384\"]\n")];
    let broker = Setup::broker(&files, &[issuer.origin()]).start();
    let claims = issuer.claims(now());
    let token = jwt::mint("ES384", &claims);
    check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("it is issued");
    let (input, _) = token.rsplit_once('.').expect("three parts");
    let forged = format!("{input}.{}", jwt::base64url([1; 96]));
    let refused = bad("token.signature_invalid");
    check(&broker, &Form::of(&forged).request(), &forged, refused).expect("it is refused");
    let other = jwt::mint("RS256", &claims);
    let refused = bad("token.algorithm_not_allowed");
    check(&broker, &Form::of(&other).request(), &other, refused).expect("it is refused");
    broker.assert_healthy();
}

#[test]
fn accepts_azure_managed_identities() {
    fn claims(issuer: &str) -> Value {
        let own = json!({ "sub": "644d9b8a", "oid": "644d9b8a", "tid": "0e3e2e88", "ver": "2.0" });
        claims_of(issuer, own)
    }
    let cases: [(&str, Change, Want); 4] = [
        ("the identity", |_| {}, Want::Issued),
        ("a token without an id", |it| remove(it, "jti"), Want::Issued),
        ("another identity", |it| it["oid"] = json!("aaaaaaaa"), DENIED),
        ("no tenant", |it| remove(it, "tid"), MISSING),
    ];
    exchange("azure", claims, &cases);
}

#[test]
fn accepts_one_buildkite_organization_only() {
    fn claims(issuer: &str) -> Value {
        let own = json!({
            "sub": "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3:step:",
            "organization_slug": "acme", "organization_id": "o-1", "pipeline_slug": "app",
            "pipeline_id": "p-1", "build_number": 175, "build_branch": "main", "build_tag": null,
            "build_commit": "9f3", "step_key": null, "job_id": "j", "agent_id": "a",
        });
        claims_of(issuer, own)
    }
    let cases: [(&str, Change, Want); 5] = [
        ("a job of the organization", |_| {}, Want::Issued),
        ("the same pipeline id in another organization", |it| it["organization_id"] = json!("o-2"), MISMATCH),
        ("an organization that only has its name", |it| remove(it, "organization_id"), MISSING),
        ("another branch", |it| it["build_branch"] = json!("topic"), DENIED),
        ("a number that is text", |it| it["build_number"] = json!("175"), INVALID),
    ];
    exchange_with("buildkite", "require = { organization_id = \"o-1\" }\n", claims, &cases);
}

#[test]
fn distinguishes_circleci_forks_and_ssh_reruns() {
    fn claims(issuer: &str) -> Value {
        let own = json!({
            "sub": "org/o-1/project/p-1/user/u-1", "oidc.circleci.com/org-id": "o-1",
            "oidc.circleci.com/project-id": "p-1", "oidc.circleci.com/context-ids": ["c-1"],
            "oidc.circleci.com/vcs-origin": "github.com/a/b", "oidc.circleci.com/ssh-rerun": false,
        });
        claims_of(issuer, own)
    }
    let cases: [(&str, Change, Want); 5] = [
        ("a job of the project", |_| {}, Want::Issued),
        (
            "a build of a fork, with the upstream's organization",
            |it| it["oidc.circleci.com/vcs-origin"] = json!("github.com/evil/b"),
            DENIED,
        ),
        ("a job with a shell", |it| it["oidc.circleci.com/ssh-rerun"] = json!(true), DENIED),
        ("another organization", |it| it["oidc.circleci.com/org-id"] = json!("o-2"), MISMATCH),
        (
            "the default audience, which is the organization",
            |it| it["aud"] = json!("o-1"),
            bad("token.audience_mismatch"),
        ),
    ];
    exchange_with("circleci", "require = { org_id = \"o-1\" }\n", claims, &cases);
}

#[test]
fn accepts_google_service_accounts_but_not_people() {
    fn claims(issuer: &str) -> Value {
        let own = json!({
            "sub": "1109872942", "azp": "1109872942", "email": "builder@example.iam", "email_verified": true,
            "google": { "compute_engine": { "project_id": "example", "project_number": 716_149_158_341_u64 } },
        });
        claims_of(issuer, own)
    }
    let cases: [(&str, Change, Want); 4] = [
        ("the account", |_| {}, Want::Issued),
        (
            "a person who signed in with Google",
            |it| {
                it["email"] = json!("mallory@gmail.com");
                it["sub"] = json!("42");
            },
            MISMATCH,
        ),
        ("an account that was deleted and made again", |it| it["sub"] = json!("42"), DENIED),
        (
            "a project's number as text",
            |it| it["google"]["compute_engine"]["project_number"] = json!("716149158341"),
            INVALID,
        ),
    ];
    exchange_with("google", "require = { email = \"builder@example.iam\" }\n", claims, &cases);
}

#[test]
fn accepts_terraform_applies_but_not_plans() {
    fn claims(issuer: &str) -> Value {
        let own = json!({
            "sub": "organization:my-org:project:Default Project:workspace:w:run_phase:apply",
            "terraform_full_workspace": "organization:my-org:project:Default Project:workspace:w",
            "terraform_organization_id": "org-1", "terraform_organization_name": "my-org",
            "terraform_run_id": "run-1", "terraform_run_phase": "apply",
            "terraform_workspace_id": "ws-1", "terraform_workspace_name": "w",
        });
        claims_of(issuer, own)
    }
    let cases: [(&str, Change, Want); 3] = [
        ("an apply, whose subject holds spaces", |_| {}, Want::Issued),
        ("a plan", |it| it["terraform_run_phase"] = json!("plan"), DENIED),
        ("another organization", |it| it["terraform_organization_id"] = json!("org-2"), MISMATCH),
    ];
    let more = "require = { terraform_organization_id = \"org-1\" }\n";
    exchange_with("terraform", more, claims, &cases);
}

/// Changes to a JWT-SVID, and the algorithm that signs it.
fn svid_cases() -> Vec<(&'static str, &'static str, Change, Want)> {
    let untrusted = bad("token.issuer_untrusted");
    vec![
        ("a workload", "ES256", |_| {}, Want::Issued),
        ("without iat", "ES256", |it| remove(it, "iat"), Want::Issued),
        ("with an issuer that nobody trusts", "ES256", |it| it["iss"] = json!("https://spire.example"), Want::Issued),
        ("another workload", "ES256", |it| it["sub"] = json!("spiffe://example.org/ns/prod/sa/other"), DENIED),
        (
            "another trust domain",
            "ES256",
            |it| it["sub"] = json!("spiffe://example.com/ns/prod/sa/payments"),
            untrusted,
        ),
        ("the trust domain itself", "ES256", |it| it["sub"] = json!("spiffe://example.org"), MISSING),
        ("a path that climbs", "ES256", |it| it["sub"] = json!("spiffe://example.org/../ns/prod/sa/payments"), MISSING),
        ("our own issuer", "ES256", |it| it["iss"] = json!(BROKER), untrusted),
        ("bound to a key", "ES256", |it| it["cnf"] = json!({ "jwk": {} }), INVALID),
        ("an algorithm that no JWT-SVID has", "EdDSA", |_| {}, bad("token.algorithm_not_allowed")),
        ("the key for X.509-SVIDs", "RS256", |_| {}, bad("token.key_unusable")),
    ]
}

/// A SPIFFE trust domain that publishes its bundle at a separate URL.
#[test]
fn checks_trust_domain_of_jwt_svids() {
    let key = |alg: &str, key_use: &str| {
        let mut jwk = Key::issuer(alg).jwk(alg);
        jwk["use"] = json!(key_use);
        remove(&mut jwk, "alg");
        jwk
    };
    let bundle = vec![key("ES256", "jwt-svid"), key("RS256", "x509-svid"), key("EdDSA", "jwt-svid")];
    let issuer = Issuer::start([("main", Script::honest()), ("bundle", Script::Keys(bundle))]);
    let mut files = issuer.files();
    files.retain(|file| file.name == "main");
    let keys = format!("keys = {{ jwks_uri = \"{}/jwks\" }}\n", issuer.url("bundle"));
    files.push(IssuerFile::new("spire", "spiffe://example.org", keys).of("spiffe"));
    let broker = Setup::broker(&files, &[issuer.origin()]).start();
    let now = now();
    let svid = json!({
        "sub": "spiffe://example.org/ns/prod/sa/payments", "aud": [BROKER], "exp": now + 300, "iat": now,
    });
    for (name, alg, change, want) in svid_cases() {
        let mut claims = svid.clone();
        change(&mut claims);
        let token = jwt::mint(alg, &claims);
        let form = Form::of(&token).set("scope", "read");
        check(&broker, &form.request(), &token, want).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    // The trust domain's keys sign only for itself: a token that names another issuer of the bundle must verify
    // with that issuer's keys.
    let mut claims = issuer.claims(now);
    claims["sub"] = svid["sub"].clone();
    let forged = jwt::mint_raw(
        &Key::stranger("ES256"),
        json!({ "alg": "ES256", "kid": "ES256" }).to_string(),
        claims.to_string(),
    );
    let refused = bad("token.signature_invalid");
    check(&broker, &Form::of(&forged).request(), &forged, refused).expect("it is refused");
    broker.assert_healthy();
}

/// Outcomes that only these tests reach, for the list of slugs.
pub fn wants() -> [Want; 1] {
    [MISMATCH]
}
