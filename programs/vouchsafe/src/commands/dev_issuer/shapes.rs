//! What the tokens of each platform contain, with made-up values that agree with one another.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The platform whose tokens a minted token resembles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    Aws,
    Azure,
    Buildkite,
    Circleci,
    /// Only `sub` and the registered time claims
    Free,
    #[default]
    Github,
    Gitlab,
    Google,
    Kubernetes,
    Spiffe,
    Terraform,
}

impl Shape {
    /// As on the command line and in `POST /mint`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Buildkite => "buildkite",
            Self::Circleci => "circleci",
            Self::Free => "free",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Google => "google",
            Self::Kubernetes => "kubernetes",
            Self::Spiffe => "spiffe",
            Self::Terraform => "terraform",
        }
    }

    /// The claims besides `iss`, `aud`, `jti` and the times.
    pub fn claims(self) -> Map<String, Value> {
        let claims = match self {
            Self::Aws => aws(),
            Self::Azure => azure(),
            Self::Buildkite => buildkite(),
            Self::Circleci => circleci(),
            Self::Free => json!({ "sub": "developer" }),
            Self::Github => github(),
            Self::Gitlab => gitlab(),
            Self::Google => google(),
            Self::Kubernetes => kubernetes(),
            Self::Spiffe => json!({ "sub": "spiffe://example.org/ns/prod/sa/payments" }),
            Self::Terraform => terraform(),
        };
        match claims {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

fn aws() -> Value {
    json!({
        "sub": "arn:aws:iam::123456789012:role/batch",
        "https://sts.amazonaws.com/": {
            "aws_account": "123456789012",
            "lambda_source_function_arn": "arn:aws:lambda:us-west-2:123456789012:function:ingest",
            "org_id": "o-anih79mrvn",
            "ou_path": ["o-anih79mrvn/r-amv9/ou-amv9-ndi0nlgq/"],
            "principal_id": "arn:aws:iam::123456789012:role/batch",
            "principal_tags": { "environment": "production" },
            "request_tags": { "workload": "ingest" },
            "source_region": "us-west-2",
        },
    })
}

/// A managed identity, version 1.
fn azure() -> Value {
    json!({
        "sub": "644d9b8a-b07e-46e8-b81e-bd3a4c997ce9",
        "appid": "16f36118-217b-4e7c-9250-69321b4c0742",
        "appidacr": "2",
        "idp": "https://sts.windows.net/0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec/",
        "idtyp": "app",
        "oid": "644d9b8a-b07e-46e8-b81e-bd3a4c997ce9",
        "tid": "0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec",
        "ver": "1.0",
    })
}

/// With the claims that `vouchsafe token --from buildkite` requests.
fn buildkite() -> Value {
    json!({
        "sub": "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:",
        "agent_id": "0184990a-4774-4f2e-ad7a-3c1f2e7c4b1a",
        "build_branch": "main",
        "build_commit": "9f3182061f1e2cca4702c368cbc039b7dc9d4485",
        "build_number": 175,
        "build_source": "ui",
        "build_tag": null,
        "job_id": "0184990a-477b-4fa8-9968-496074483cee",
        "organization_id": "0184990a-477b-4fa8-9968-496074483cee",
        "organization_slug": "acme",
        "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
        "pipeline_slug": "app",
        "runner_environment": "self-hosted",
        "step_key": null,
    })
}

fn circleci() -> Value {
    json!({
        "sub": "org/c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2/project/ecc458d2-fbdc-4d9a-93c4-ac065ed3c3ca/user/9e9fabe7-2d0a-4b3e-8f0e-0b0a4f7c5d11",
        "oidc.circleci.com/job-id": "b4c6a7a0-8b0e-4b7e-9d3c-1f6a5e2d7c90",
        "oidc.circleci.com/org-id": "c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2",
        "oidc.circleci.com/pipeline-id": "5d1f8c36-2f8a-4c6b-9a0e-7e3b1d4c5f62",
        "oidc.circleci.com/project-id": "ecc458d2-fbdc-4d9a-93c4-ac065ed3c3ca",
        "oidc.circleci.com/ssh-rerun": false,
        "oidc.circleci.com/vcs-origin": "github.com/octo-org/octo-repo",
        "oidc.circleci.com/vcs-ref": "refs/heads/main",
        "oidc.circleci.com/workflow-id": "e1c2d3f4-5a6b-4c7d-8e9f-0a1b2c3d4e5f",
    })
}

/// GitHub sends every claim except times as text, even ids and counters.
fn github() -> Value {
    json!({
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "actor": "octocat",
        "actor_id": "583231",
        "base_ref": "",
        "event_name": "push",
        "head_ref": "",
        "job_workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
        "ref": "refs/heads/main",
        "ref_protected": "true",
        "ref_type": "branch",
        "repository": "octo-org/octo-repo",
        "repository_id": "123456",
        "repository_owner": "octo-org",
        "repository_owner_id": "654321",
        "repository_visibility": "private",
        "run_attempt": "1",
        "run_id": "1700000001",
        "run_number": "42",
        "runner_environment": "github-hosted",
        "sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
        "workflow": "deploy",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
        "workflow_sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
    })
}

/// Only `runner_id` is a number.
fn gitlab() -> Value {
    json!({
        "sub": "project_path:my-group/my-project:ref_type:branch:ref:main",
        "ci_config_ref_uri": "gitlab.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "job_id": "302",
        "job_namespace_id": "72",
        "job_namespace_path": "my-group",
        "job_project_id": "20",
        "job_project_path": "my-group/my-project",
        "namespace_id": "72",
        "namespace_path": "my-group",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "project_id": "20",
        "project_path": "my-group/my-project",
        "project_visibility": "private",
        "ref": "main",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "ref_type": "branch",
        "runner_environment": "gitlab-hosted",
        "runner_id": 1,
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "user_email": "user@example.com",
        "user_id": "1",
        "user_login": "sample-user",
    })
}

/// A service account on Compute Engine, with `format=full`.
fn google() -> Value {
    json!({
        "sub": "110987294251917851298",
        "azp": "110987294251917851298",
        "email": "builder@example-project.iam.gserviceaccount.com",
        "email_verified": true,
        "google": { "compute_engine": {
            "instance_creation_timestamp": 1_595_155_766,
            "instance_id": "4340508760561261530",
            "instance_name": "builder",
            "project_id": "example-project",
            "project_number": 716_149_158_341_u64,
            "zone": "us-central1-a",
        } },
    })
}

fn kubernetes() -> Value {
    json!({
        "sub": "system:serviceaccount:payments:deployer",
        "kubernetes.io": {
            "namespace": "payments",
            "node": { "name": "node-1", "uid": "58456cb0-dd00-45ed-b797-5578fdceaced" },
            "pod": { "name": "deployer-69cbfb9798-jv9gn", "uid": "778a530c-b3f4-47c0-9cd5-ab018fb64f33" },
            "serviceaccount": { "name": "deployer", "uid": "a087d5a0-e1dd-43ec-93ac-f13d89cd13af" },
        },
    })
}

fn terraform() -> Value {
    json!({
        "sub": "organization:my-org:project:default:workspace:prod:run_phase:apply",
        "terraform_full_workspace": "organization:my-org:project:default:workspace:prod",
        "terraform_organization_id": "org-GRNbCjYNpBB6NEH9",
        "terraform_organization_name": "my-org",
        "terraform_project_id": "prj-vegSA59s1XPwMr2t",
        "terraform_project_name": "default",
        "terraform_run_id": "run-W2sGgVRZ2Q8wYkJ8",
        "terraform_run_phase": "apply",
        "terraform_workspace_id": "ws-mbsd5E3Ktt5Rg2Xm",
        "terraform_workspace_name": "prod",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;
    use vouchsafe_providers::{ClaimType, PROVIDERS, Provider, Source};

    fn at<'c>(claims: &'c Value, path: &[&str]) -> Option<&'c Value> {
        path.iter().try_fold(claims, |value, name| value.get(name))
    }

    fn has_type(value: &Value, claim_type: ClaimType) -> bool {
        match claim_type {
            ClaimType::Boolean => value.is_boolean(),
            ClaimType::Integer => value.is_i64() || value.is_u64(),
            ClaimType::Text => value.is_string(),
            ClaimType::TextMap => value.is_object(),
            ClaimType::TextSet => value.is_array(),
            ClaimType::TextOrSet => value.is_string() || value.is_array(),
        }
    }

    #[track_caller]
    fn check(provider: &Provider, shape: Shape) {
        let claims = Value::from(shape.claims());
        for claim in provider.claims {
            let value = match claim.source {
                Source::Claim => claims.get(&*claim.name),
                Source::Path(path) => at(&claims, path),
                Source::SpiffePath | Source::SpiffeTrustDomain => claims.get("sub"),
            };
            let is_valid = match value {
                None => !claim.required,
                Some(Value::Null) => claim.nullable,
                Some(value) => has_type(value, claim.claim_type),
            };
            assert!(is_valid, "{}: {}: {value:?}", provider.name, claim.name);
        }
    }

    #[test]
    fn resembles_every_provider_with_documented_claims() {
        for provider in PROVIDERS.iter().filter(|provider| !provider.declares_claims()) {
            let shape = Shape::from_str(provider.name, false);
            check(provider, shape.unwrap_or_else(|_| panic!("no shape {}", provider.name)));
        }
    }

    #[test]
    fn has_one_name_everywhere() {
        for shape in Shape::value_variants() {
            assert_eq!(shape.to_possible_value().unwrap().get_name(), shape.name());
            assert_eq!(Shape::deserialize(Value::from(shape.name())).unwrap(), *shape);
        }
    }
}
