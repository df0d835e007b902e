//! The documented claims of a GitLab ID token (GitLab documentation, "ID token authentication").
//!
//! Ids are strings, except for `runner_id`; protection flags are strings too. The default bundle's `entity GitLab::Job`
//! has exactly these attributes. `user_identities` is excluded: it lists objects that users choose to reveal, and says
//! nothing about the job.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::{Integer, Text, TextSet};

/// Claims of a GitLab ID token in alphabetical order; tokens of every GitLab since 15.7, the first with ID tokens, have
/// the required ones.
pub const CLAIMS: &[Claim] = &[
    Claim::nullable("ci_config_ref_uri", Text),
    Claim::nullable("ci_config_sha", Text),
    Claim::optional("deployment_tier", Text),
    Claim::optional("environment", Text),
    Claim::optional("environment_action", Text),
    Claim::optional("environment_protected", Text),
    Claim::optional("groups_direct", TextSet),
    Claim::required("job_id", Text),
    Claim::optional("job_namespace_id", Text),
    Claim::optional("job_namespace_path", Text),
    Claim::optional("job_project_id", Text),
    Claim::optional("job_project_path", Text),
    Claim::required("namespace_id", Text),
    Claim::required("namespace_path", Text),
    Claim::required("pipeline_id", Text),
    Claim::required("pipeline_source", Text),
    Claim::required("project_id", Text),
    Claim::required("project_path", Text),
    Claim::optional("project_visibility", Text),
    Claim::required("ref", Text),
    Claim::optional("ref_path", Text),
    Claim::optional("ref_protected", Text),
    Claim::required("ref_type", Text),
    Claim::nullable("runner_environment", Text),
    Claim::nullable("runner_id", Integer),
    Claim::optional("sha", Text),
    Claim::optional("user_access_level", Text),
    Claim::optional("user_email", Text),
    Claim::required("user_id", Text),
    Claim::required("user_login", Text),
];
