//! Clients that authenticate to the broker (RFC 6749 §2.3): no platform, and no issuer that a file can name.
//!
//! A client with a key signs its assertions itself (RFC 7523 §2.2), so it is verified as an issuer of tokens about itself.

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay};

/// The name of the issuer that all clients are in. No file defines it.
pub const ISSUER_NAME: &str = "clients";
/// The Cedar entity type of clients.
pub const ENTITY_TYPE: &str = "Vouchsafe::Client";

pub static PROVIDER: Provider = Provider {
    name: "client",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: &[],
    algorithms: ALGORITHMS,
    default_algorithms: &["ES256"],
    max_token_age_seconds: 300,
    replay: Replay::SingleUse,
    profile: Profile::ClientAssertion,
    tenancy: None,
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &[],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &[],
    workload_claims: &[],
    names_with_ids: &[],
};
