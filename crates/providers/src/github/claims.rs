//! The documented claims of a GitHub Actions token.
//!
//! All of them are strings, including numeric ids and `ref_protected`. The default bundle's `entity GitHub::Workflow`
//! has exactly these attributes. Custom `repo_property_*` claims are excluded: organizations choose their names, so no
//! schema can list them.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::Text;

/// Claims of a GitHub Actions token in alphabetical order; tokens of every supported Enterprise Server have the
/// required ones too.
pub const CLAIMS: &[Claim] = &[
    Claim::required("actor", Text),
    Claim::optional("actor_id", Text),
    Claim::optional("base_ref", Text),
    Claim::optional("check_run_id", Text),
    Claim::optional("enterprise", Text),
    Claim::optional("enterprise_id", Text),
    Claim::optional("environment", Text),
    Claim::optional("environment_node_id", Text),
    Claim::required("event_name", Text),
    Claim::optional("head_ref", Text),
    Claim::optional("issuer_scope", Text),
    Claim::optional("job_workflow_ref", Text),
    Claim::optional("job_workflow_sha", Text),
    Claim::required("ref", Text),
    Claim::optional("ref_protected", Text),
    Claim::optional("ref_type", Text),
    Claim::required("repository", Text),
    Claim::required("repository_id", Text),
    Claim::required("repository_owner", Text),
    Claim::required("repository_owner_id", Text),
    Claim::optional("repository_visibility", Text),
    Claim::optional("run_attempt", Text),
    Claim::required("run_id", Text),
    Claim::optional("run_number", Text),
    Claim::optional("runner_environment", Text),
    Claim::optional("sha", Text),
    Claim::required("workflow", Text),
    Claim::optional("workflow_ref", Text),
    Claim::optional("workflow_sha", Text),
];
