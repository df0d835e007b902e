//! The documented claims of a GitHub Actions token.
//!
//! Every one is a string, numeric ids and `ref_protected` included. The default bundle's
//! `entity GitHub::Workflow` has exactly these attributes. Custom `repo_property_*` claims are not
//! in it: their names are the organization's, so no schema can know them.

use crate::providers::claim::ClaimType::Text;
use crate::providers::claim::DeclaredClaim;

/// Claims of a GitHub Actions token in alphabetical order; the required ones are in the tokens of
/// every supported Enterprise Server too.
pub const CLAIMS: &[DeclaredClaim] = &[
    DeclaredClaim::required("actor", Text),
    DeclaredClaim::optional("actor_id", Text),
    DeclaredClaim::optional("base_ref", Text),
    DeclaredClaim::optional("check_run_id", Text),
    DeclaredClaim::optional("enterprise", Text),
    DeclaredClaim::optional("enterprise_id", Text),
    DeclaredClaim::optional("environment", Text),
    DeclaredClaim::optional("environment_node_id", Text),
    DeclaredClaim::required("event_name", Text),
    DeclaredClaim::optional("head_ref", Text),
    DeclaredClaim::optional("issuer_scope", Text),
    DeclaredClaim::optional("job_workflow_ref", Text),
    DeclaredClaim::optional("job_workflow_sha", Text),
    DeclaredClaim::required("ref", Text),
    DeclaredClaim::optional("ref_protected", Text),
    DeclaredClaim::optional("ref_type", Text),
    DeclaredClaim::required("repository", Text),
    DeclaredClaim::required("repository_id", Text),
    DeclaredClaim::required("repository_owner", Text),
    DeclaredClaim::required("repository_owner_id", Text),
    DeclaredClaim::optional("repository_visibility", Text),
    DeclaredClaim::optional("run_attempt", Text),
    DeclaredClaim::required("run_id", Text),
    DeclaredClaim::optional("run_number", Text),
    DeclaredClaim::optional("runner_environment", Text),
    DeclaredClaim::optional("sha", Text),
    DeclaredClaim::required("workflow", Text),
    DeclaredClaim::optional("workflow_ref", Text),
    DeclaredClaim::optional("workflow_sha", Text),
];
