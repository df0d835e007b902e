//! The claims of a CircleCI job's token (CircleCI documentation, "OpenID Connect tokens").
//!
//! The default bundle's `entity CircleCi::Job` has exactly these attributes.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::{Boolean, Text, TextSet};

/// Attributes in alphabetical order; tokens of CircleCI server have the required ones too.
pub const CLAIMS: &[Claim] = &[
    Claim::optional("context_ids", TextSet).at(&["oidc.circleci.com/context-ids"]),
    Claim::optional("job_id", Text).at(&["oidc.circleci.com/job-id"]),
    Claim::optional("org_id", Text).at(&["oidc.circleci.com/org-id"]),
    Claim::optional("pipeline_definition_id", Text).at(&["oidc.circleci.com/pipeline-definition-id"]),
    Claim::optional("pipeline_id", Text).at(&["oidc.circleci.com/pipeline-id"]),
    Claim::required("project_id", Text).at(&["oidc.circleci.com/project-id"]),
    Claim::optional("ssh_rerun", Boolean).at(&["oidc.circleci.com/ssh-rerun"]),
    Claim::optional("vcs_origin", Text).at(&["oidc.circleci.com/vcs-origin"]),
    Claim::optional("vcs_ref", Text).at(&["oidc.circleci.com/vcs-ref"]),
    Claim::optional("workflow_id", Text).at(&["oidc.circleci.com/workflow-id"]),
];
