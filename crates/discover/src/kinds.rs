//! The kinds of secrets, and how each is recognized.

/// A kind of long-lived secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its stable name.
    pub code: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// The view of an audience whose tokens the same service accepts instead.
    pub view: Option<&'static str>,
    /// What replaces it.
    pub instead: &'static str,
    /// Names of variables that usually have one.
    pub(crate) names: &'static [&'static str],
    /// How such secrets look.
    pub(crate) shapes: &'static [Shape],
}

/// How a secret looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A word with this prefix, followed by at least this many letters, digits, `-`, `_` or `.`.
    Prefix(&'static str, usize),
    /// A line that contains this.
    Contains(&'static str),
}

use Shape::{Contains, Prefix};

const OWN_LOGIN: &str = "its own trust in the platform's token, without a broker";

pub(crate) const KINDS: [Kind; 13] = [
    Kind {
        code: "aws-access-key",
        what: "AWS access key",
        view: Some("aws"),
        instead: "`vouchsafe credential aws`, or a token file",
        names: &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        shapes: &[Prefix("AKIA", 16)],
    },
    Kind {
        code: "azure-client-secret",
        what: "client secret of an Azure application",
        view: Some("azure"),
        instead: "a federated credential and a token file",
        names: &["ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET", "AZURE_CREDENTIALS"],
        shapes: &[],
    },
    Kind {
        code: "databricks-token",
        what: "Databricks token",
        view: Some("databricks"),
        instead: "a federation policy of a service principal",
        names: &["DATABRICKS_CLIENT_SECRET", "DATABRICKS_TOKEN"],
        shapes: &[Prefix("dapi", 32)],
    },
    Kind {
        code: "github-token",
        what: "personal access token of GitHub",
        view: None,
        instead: "the job's `GITHUB_TOKEN`, or a GitHub App",
        names: &["GH_PAT", "GITHUB_PAT", "PERSONAL_ACCESS_TOKEN"],
        shapes: &[Prefix("ghp_", 36), Prefix("github_pat_", 36)],
    },
    Kind {
        code: "gitlab-token",
        what: "personal or project access token of GitLab",
        view: None,
        instead: "the job's `CI_JOB_TOKEN`",
        names: &["GITLAB_ACCESS_TOKEN", "GITLAB_TOKEN"],
        shapes: &[Prefix("glpat-", 20)],
    },
    Kind {
        code: "google-service-account-key",
        what: "key of a Google service account",
        view: Some("gcp"),
        instead: "workload identity federation and `vouchsafe credential google`",
        names: &["GCLOUD_SERVICE_KEY", "GCP_CREDENTIALS", "GCP_SA_KEY", "GOOGLE_CREDENTIALS", "credentials_json"],
        shapes: &[Contains("\"private_key_id\"")],
    },
    Kind {
        code: "kubernetes-token",
        what: "token or kubeconfig of a Kubernetes service account",
        view: Some("kubernetes"),
        instead: "`vouchsafe credential kubectl`",
        names: &["KUBECONFIG_DATA", "KUBE_CONFIG", "KUBE_CONFIG_DATA", "KUBE_TOKEN"],
        shapes: &[Contains("type: kubernetes.io/service-account-token")],
    },
    Kind {
        code: "package-registry-token",
        what: "token of a package registry",
        view: None,
        instead: OWN_LOGIN,
        names: &[
            "CARGO_REGISTRY_TOKEN",
            "NODE_AUTH_TOKEN",
            "NPM_TOKEN",
            "NUGET_API_KEY",
            "PYPI_TOKEN",
            "TWINE_PASSWORD",
        ],
        shapes: &[Prefix("npm_", 36), Prefix("pypi-AgE", 32)],
    },
    Kind {
        code: "private-key",
        what: "private key",
        view: None,
        instead: "nothing here; keep it in an HSM, or use certificates that expire",
        names: &["DEPLOY_KEY", "SSH_PRIVATE_KEY"],
        shapes: &[
            Contains("-----BEGIN PRIVATE KEY-----"),
            Contains("-----BEGIN RSA PRIVATE KEY-----"),
            Contains("-----BEGIN EC PRIVATE KEY-----"),
            Contains("-----BEGIN OPENSSH PRIVATE KEY-----"),
        ],
    },
    Kind {
        code: "registry-password",
        what: "password of a container registry",
        view: None,
        instead: "`vouchsafe credential docker`, if the registry accepts the broker's tokens",
        names: &["DOCKERHUB_TOKEN", "DOCKER_AUTH_CONFIG", "DOCKER_PASSWORD", "REGISTRY_PASSWORD"],
        shapes: &[Prefix("dckr_pat_", 20), Contains("type: kubernetes.io/dockerconfigjson")],
    },
    Kind {
        code: "snowflake-password",
        what: "password or key of a Snowflake user",
        view: Some("snowflake"),
        instead: "a service user with workload identity",
        names: &["SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY"],
        shapes: &[],
    },
    Kind {
        code: "static-api-token",
        what: "API token",
        view: None,
        instead: "nothing here, unless the service accepts the broker's tokens",
        names: &["CLOUDFLARE_API_TOKEN", "SLACK_BOT_TOKEN"],
        shapes: &[Prefix("xoxb-", 20)],
    },
    Kind {
        code: "vault-token",
        what: "token of Vault or OpenBao",
        view: Some("vault"),
        instead: "a role of its JWT auth method",
        names: &["BAO_TOKEN", "VAULT_SECRET_ID", "VAULT_TOKEN"],
        shapes: &[Prefix("hvs.", 24)],
    },
];
