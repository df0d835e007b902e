//! Buildkite Pipelines: tokens from `buildkite-agent oidc request-token`.
//!
//! One issuer serves all organizations, so an issuer file must pin one. Tokens contain ids only if the job requests
//! them (`--claim organization_id`).

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay, Tenancy};

/// Cedar entity type of a job.
pub const ENTITY_TYPE: &str = "Buildkite::Job";

pub const PROVIDER: Provider = Provider {
    name: "buildkite",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 600,
    replay: Replay::SingleUse,
    profile: Profile::Jwt,
    tenancy: Some(Tenancy { claims: &["organization_id", "organization_slug"], own_issuer_contains: None }),
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &["https://agent.buildkite.com"],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &["agent_id", "build_id", "cluster_id", "job_id", "organization_id", "pipeline_id", "queue_id"],
    workload_claims: &[&["pipeline_id"]],
    names_with_ids: &[("organization_slug", &["organization_id", "pipeline_id"]), ("pipeline_slug", &["pipeline_id"])],
};
