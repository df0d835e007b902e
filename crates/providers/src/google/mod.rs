//! Google Cloud: identity tokens of service accounts, from the metadata server or the IAM API.
//!
//! One issuer serves all projects and everyone who signs in with Google, so an issuer file must pin a project or an
//! account. A virtual machine's claims are in `google.compute_engine`, and only if the token is requested with
//! `format=full`.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay, Tenancy};

/// Cedar entity type of a service account.
pub const ENTITY_TYPE: &str = "Google::ServiceAccount";

pub const PROVIDER: Provider = Provider {
    name: "google",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::Jwt,
    tenancy: Some(Tenancy { claims: &["email", "project_id", "sub"], own_issuer_contains: None }),
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &["https://accounts.google.com"],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &["instance_id", "unique_id"],
    workload_claims: &[&["unique_id"]],
    names_with_ids: &[("instance_name", &["instance_id"])],
};
