//! Kubernetes service account tokens, as projected into pods (TokenRequest API).
//!
//! The members of the private `kubernetes.io` object become flat attributes ([`CLAIMS`]). `sub` is never parsed. Legacy
//! tokens from secrets have neither `exp` nor `aud` nor that object, and are refused for each of the three. A pod uses
//! one token until it is rotated.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay};

/// Cedar entity type of a service account.
pub const ENTITY_TYPE: &str = "Kubernetes::ServiceAccount";

pub const PROVIDER: Provider = Provider {
    name: "kubernetes",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::Jwt,
    tenancy: None,
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &[],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &["namespace", "node_uid", "pod_uid", "secret_uid", "service_account_uid"],
    workload_claims: &[&["service_account_uid"], &["namespace", "service_account_name"]],
    names_with_ids: &[],
};
