//! GitLab CI/CD ID tokens, of gitlab.com and of self-managed instances.
//!
//! `sub` is never parsed: a project's path and a branch may hold what separates its parts. Policies
//! match on the claims of [`CLAIMS`], best on the numeric ids, which survive renames and transfers.
//!
//! Two traps of these tokens are met here: a claim that does not apply may be `null` instead of
//! absent (then it is absent), and `ref_protected` may be empty (then it is empty, not `"false"`).
//! A job has each of its tokens from its start to its end, so they may be used again.

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
        (
            "job_namespace_path",
            &["job_namespace_id", "job_project_id"],
        ),
        ("job_project_path", &["job_project_id", "job_namespace_id"]),
        ("namespace_path", &["namespace_id", "project_id"]),
        ("project_path", &["project_id", "namespace_id"]),
    ],
};
