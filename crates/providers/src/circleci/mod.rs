//! CircleCI: `$CIRCLE_OIDC_TOKEN_V2` and tokens of `circleci run oidc get`.
//!
//! Each organization has an issuer of its own, `https://oidc.circleci.com/org/<id>`; at the root one
//! signs for all, and an issuer's file must pin the organization. Claims have names of a host and a
//! path, which become attributes of plain names. A job has its token from its start to its end.

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
    tenancy: Some(Tenancy {
        claims: &["org_id"],
        own_issuer_contains: Some("/org/"),
    }),
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &["https://oidc.circleci.com"],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &[
        "job_id",
        "org_id",
        "pipeline_definition_id",
        "pipeline_id",
        "project_id",
        "workflow_id",
    ],
    workload_claims: &[&["project_id"]],
    names_with_ids: &[("vcs_origin", &["project_id", "org_id"])],
};
