//! GitHub Actions, on github.com and Enterprise Server.
//!
//! `sub` is never parsed: organizations may customize it, and its format changed in 2026. Policies match the claims of
//! [`CLAIMS`], preferably the numeric ids, which survive renames.
//!
//! A job can fetch a new identity token at any time, so single use costs it nothing, and it presents the token within
//! minutes.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay};

/// Cedar entity type of a workflow run.
pub const ENTITY_TYPE: &str = "GitHub::Workflow";

pub const PROVIDER: Provider = Provider {
    name: "github",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 600,
    replay: Replay::SingleUse,
    profile: Profile::Jwt,
    tenancy: None,
    open_issuers: &["https://token.actions.githubusercontent.com"],
    // Anyone may call a public reusable workflow, so `job_workflow_ref` does not identify a tenant.
    tenant_claims: &[
        "enterprise",
        "enterprise_id",
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "workflow_ref",
    ],
    shared_issuers: &["https://token.actions.githubusercontent.com"],
    never_issuers: &[],
    // A workflow file on any branch may use any name.
    chosen_by_caller: &["head_ref", "workflow"],
    plain_claims: &["actor_id", "check_run_id", "enterprise_id", "repository_id", "repository_owner_id", "run_id"],
    workload_claims: &[&["repository_id"]],
    names_with_ids: &[
        ("enterprise", &["enterprise_id"]),
        ("job_workflow_ref", &["repository_id", "repository_owner_id"]),
        ("repository", &["repository_id", "repository_owner_id"]),
        ("repository_owner", &["repository_owner_id", "repository_id"]),
        ("workflow_ref", &["repository_id", "repository_owner_id"]),
    ],
};
