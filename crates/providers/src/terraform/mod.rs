//! HCP Terraform and Terraform Enterprise: workload identity tokens of runs.
//!
//! One issuer serves all organizations, so an issuer file must pin one. Plan and apply have separate tokens,
//! distinguished by `terraform_run_phase`. Names may contain spaces, and may change.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay, Tenancy};

/// Cedar entity type of a run.
pub const ENTITY_TYPE: &str = "Terraform::Run";

pub const PROVIDER: Provider = Provider {
    name: "terraform",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::Jwt,
    tenancy: Some(Tenancy {
        claims: &["terraform_organization_id", "terraform_organization_name"],
        own_issuer_contains: None,
    }),
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &["https://app.eu.terraform.io", "https://app.terraform.io"],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &["terraform_organization_id", "terraform_project_id", "terraform_run_id", "terraform_workspace_id"],
    workload_claims: &[&["terraform_workspace_id"]],
    names_with_ids: &[
        ("terraform_full_workspace", &["terraform_workspace_id", "terraform_organization_id"]),
        ("terraform_organization_name", &["terraform_organization_id", "terraform_workspace_id"]),
        ("terraform_project_name", &["terraform_project_id", "terraform_workspace_id"]),
        ("terraform_workspace_name", &["terraform_workspace_id"]),
    ],
};
