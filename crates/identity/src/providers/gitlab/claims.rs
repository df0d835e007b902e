//! The documented claims of a GitLab ID token (GitLab documentation, "ID token authentication").
//!
//! Ids are strings, but for `runner_id`; protection flags are strings too. The default bundle's
//! `entity GitLab::Job` has exactly these attributes. `user_identities` is not in it: its value is
//! a list of objects that users choose to reveal, and says nothing of the job.

use crate::providers::claim::ClaimType::{Integer, Text, TextSet};
use crate::providers::claim::DeclaredClaim;

/// Claims of a GitLab ID token in alphabetical order; the required ones are in the tokens of every
/// GitLab since 15.7, which was the first to have ID tokens.
pub const CLAIMS: &[DeclaredClaim] = &[
    DeclaredClaim::nullable("ci_config_ref_uri", Text),
    DeclaredClaim::nullable("ci_config_sha", Text),
    DeclaredClaim::optional("deployment_tier", Text),
    DeclaredClaim::optional("environment", Text),
    DeclaredClaim::optional("environment_action", Text),
    DeclaredClaim::optional("environment_protected", Text),
    DeclaredClaim::optional("groups_direct", TextSet),
    DeclaredClaim::required("job_id", Text),
    DeclaredClaim::optional("job_namespace_id", Text),
    DeclaredClaim::optional("job_namespace_path", Text),
    DeclaredClaim::optional("job_project_id", Text),
    DeclaredClaim::optional("job_project_path", Text),
    DeclaredClaim::required("namespace_id", Text),
    DeclaredClaim::required("namespace_path", Text),
    DeclaredClaim::required("pipeline_id", Text),
    DeclaredClaim::required("pipeline_source", Text),
    DeclaredClaim::required("project_id", Text),
    DeclaredClaim::required("project_path", Text),
    DeclaredClaim::optional("project_visibility", Text),
    DeclaredClaim::required("ref", Text),
    DeclaredClaim::optional("ref_path", Text),
    DeclaredClaim::optional("ref_protected", Text),
    DeclaredClaim::required("ref_type", Text),
    DeclaredClaim::nullable("runner_environment", Text),
    DeclaredClaim::nullable("runner_id", Integer),
    DeclaredClaim::optional("sha", Text),
    DeclaredClaim::optional("user_access_level", Text),
    DeclaredClaim::optional("user_email", Text),
    DeclaredClaim::required("user_id", Text),
    DeclaredClaim::required("user_login", Text),
];
