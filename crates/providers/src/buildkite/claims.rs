//! The claims of a Buildkite agent's token (Buildkite documentation, "Buildkite agent oidc").
//!
//! Ids and cluster names are present only if the job requests them. Tags for AWS sessions are not attributes. The
//! default bundle's `entity Buildkite::Job` has exactly these attributes.

use crate::claim::Claim;
use vouchsafe_types::ClaimType::{Integer, Text};

/// Attributes in alphabetical order; claims that do not apply to a build are `null`.
pub const CLAIMS: &[Claim] = &[
    Claim::required("agent_id", Text),
    Claim::required("build_branch", Text),
    Claim::required("build_commit", Text),
    Claim::optional("build_id", Text),
    Claim::required("build_number", Integer),
    Claim::optional("build_source", Text),
    Claim::nullable("build_tag", Text),
    Claim::nullable("cluster_id", Text),
    Claim::nullable("cluster_name", Text),
    Claim::required("job_id", Text),
    Claim::optional("organization_id", Text),
    Claim::required("organization_slug", Text),
    Claim::optional("pipeline_id", Text),
    Claim::required("pipeline_slug", Text),
    Claim::nullable("queue_id", Text),
    Claim::nullable("queue_key", Text),
    Claim::optional("runner_environment", Text),
    Claim::nullable("step_key", Text),
];
