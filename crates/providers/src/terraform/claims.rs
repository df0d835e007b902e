//! The claims of a run's workload identity token (HCP Terraform documentation, "Workload identity
//! tokens").
//!
//! The default bundle's `entity Terraform::Run` has exactly these attributes.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::Text;

/// Attributes in alphabetical order; tokens of Terraform Enterprise have the required ones too.
pub const CLAIMS: &[Claim] = &[
    Claim::required("terraform_full_workspace", Text),
    Claim::required("terraform_organization_id", Text),
    Claim::required("terraform_organization_name", Text),
    Claim::optional("terraform_project_id", Text),
    Claim::optional("terraform_project_name", Text),
    Claim::required("terraform_run_id", Text),
    Claim::required("terraform_run_phase", Text),
    Claim::required("terraform_workspace_id", Text),
    Claim::required("terraform_workspace_name", Text),
];
