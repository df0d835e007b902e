//! CircleCI: `$CIRCLE_OIDC_TOKEN_V2` and tokens from `circleci run oidc get`.
//!
//! Each organization has its own issuer, `https://oidc.circleci.com/org/<id>`; the issuer at the root serves all of
//! them, so its file must pin the organization. Claim names consist of a host and a path; the attributes have plain
//! names. A job keeps its token from start to end.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay, Tenancy};

/// Cedar entity type of a job.
pub const ENTITY_TYPE: &str = "CircleCi::Job";

pub const PROVIDER: Provider = Provider {
    name: "circleci",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::Jwt,
    tenancy: Some(Tenancy { claims: &["org_id"], own_issuer_contains: Some("/org/") }),
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &["https://oidc.circleci.com"],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &["job_id", "org_id", "pipeline_definition_id", "pipeline_id", "project_id", "workflow_id"],
    workload_claims: &[&["project_id"]],
    names_with_ids: &[("vcs_origin", &["project_id", "org_id"])],
};
