//! Platforms that give a job or function its own token: by a service on the machine, a command, a file or a variable.

mod command;
mod fly;
mod services;

use super::http::Http;
use super::raw_token::{read_file, validate, variable};
use std::path::Path;
use vouchsafe_cli::Failure;

/// Where docs/providers/kubernetes.md mounts the projected token.
pub const KUBERNETES_TOKEN: &str = "/var/run/secrets/vouchsafe/token";

/// A platform with a token of its own for each job or function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// `aws sts get-web-identity-token`
    Aws,
    /// A managed identity: App Service, Functions, Container Apps, or a virtual machine
    Azure,
    /// A service connection of Azure Pipelines; map SYSTEM_ACCESSTOKEN
    AzurePipelines,
    /// BITBUCKET_STEP_OIDC_TOKEN, in a step with `oidc: true`
    Bitbucket,
    /// `buildkite-agent oidc request-token`
    Buildkite,
    /// `circleci run oidc get`
    Circleci,
    /// The token service of a Codefresh build
    Codefresh,
    /// The API socket of a Fly.io machine
    Fly,
    /// GitHub Actions, with `permissions: id-token: write`; also Forgejo's
    Github,
    /// VOUCHSAFE_ID_TOKEN, from the job's `id_tokens:`
    Gitlab,
    /// The metadata server of Compute Engine, Cloud Run, Cloud Functions or GKE
    Google,
    /// The projected volume at /var/run/secrets/vouchsafe/token
    Kubernetes,
    /// SEMAPHORE_OIDC_TOKEN
    Semaphore,
    /// SPACELIFT_OIDC_TOKEN
    Spacelift,
    /// `spire-agent api fetch jwt`, at SPIFFE_ENDPOINT_SOCKET
    Spiffe,
    /// TFC_WORKLOAD_IDENTITY_TOKEN of HCP Terraform
    Terraform,
    /// VERCEL_OIDC_TOKEN of a build
    Vercel,
}

impl Platform {
    /// The name for `--from`.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Gets a token for `audience`, or with the audience that the platform has set.
    pub fn token(self, http: &Http, audience: &str) -> Result<String, Failure> {
        match self {
            Self::Aws => command::aws(audience),
            Self::Azure => services::azure(http, audience),
            Self::AzurePipelines => services::azure_pipelines(http),
            Self::Bitbucket => from_variable("BITBUCKET_STEP_OIDC_TOKEN", "give the step `oidc: true`"),
            Self::Buildkite => command::buildkite(audience),
            Self::Circleci => command::circleci(audience),
            Self::Codefresh => services::codefresh(http, audience),
            Self::Fly => fly::token(audience),
            Self::Github => services::github(http, audience),
            Self::Gitlab => from_variable(
                "VOUCHSAFE_ID_TOKEN",
                "declare it in the job, with the broker's URL as its audience: \
                 `id_tokens: {VOUCHSAFE_ID_TOKEN: {aud: https://broker.example}}`; --subject-token-env takes another name",
            ),
            Self::Google => services::google(http, audience),
            Self::Kubernetes => validate(&read_file(Path::new(KUBERNETES_TOKEN))?),
            Self::Semaphore => from_variable("SEMAPHORE_OIDC_TOKEN", "Semaphore sets it in every job"),
            Self::Spacelift => from_variable("SPACELIFT_OIDC_TOKEN", "Spacelift sets it in every run"),
            Self::Spiffe => command::spiffe(audience),
            Self::Terraform => from_variable(
                "TFC_WORKLOAD_IDENTITY_TOKEN",
                "set the workspace variable TFC_WORKLOAD_IDENTITY_AUDIENCE to the broker's URL",
            ),
            Self::Vercel => from_variable(
                "VERCEL_OIDC_TOKEN",
                "only builds have it; a function finds its token in the header `x-vercel-oidc-token` of each request",
            ),
        }
    }
}

fn from_variable(name: &str, hint: &str) -> Result<String, Failure> {
    match variable(name) {
        Some(token) => validate(&token),
        None => Err(Failure::usage(format!("environment variable {name} is not set")).hint(hint)),
    }
}
