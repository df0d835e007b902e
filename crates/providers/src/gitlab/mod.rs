//! GitLab CI/CD ID tokens, on gitlab.com and self-managed instances.
//!
//! `sub` is never parsed: project paths and branches may contain its separators. Policies match the claims of
//! [`CLAIMS`], preferably the numeric ids, which survive renames and transfers.
//!
//! Two pitfalls are handled here: a claim that does not apply may be `null`, which counts as absent, and
//! `ref_protected` may be empty, which differs from `"false"`. A job keeps its tokens from start to end, so they may be
//! reused.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay};

/// Cedar entity type of a job.
pub const ENTITY_TYPE: &str = "GitLab::Job";

pub const PROVIDER: Provider = Provider {
    name: "gitlab",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::Jwt,
    tenancy: None,
    open_issuers: &["https://gitlab.com"],
    tenant_claims: &[
        "job_namespace_id",
        "job_namespace_path",
        "job_project_id",
        "job_project_path",
        "namespace_id",
        "namespace_path",
        "project_id",
        "project_path",
    ],
    shared_issuers: &["https://gitlab.com"],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &[
        "job_id",
        "job_namespace_id",
        "job_project_id",
        "namespace_id",
        "pipeline_id",
        "project_id",
        "user_id",
    ],
    workload_claims: &[&["project_id"], &["job_project_id"]],
    names_with_ids: &[
        ("job_namespace_path", &["job_namespace_id", "job_project_id"]),
        ("job_project_path", &["job_project_id", "job_namespace_id"]),
        ("namespace_path", &["namespace_id", "project_id"]),
        ("project_path", &["project_id", "namespace_id"]),
    ],
};
