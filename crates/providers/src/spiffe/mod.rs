//! SPIFFE JWT-SVIDs, strictly as specified (SPIFFE JWT-SVID §3).
//!
//! The issuer is a trust domain, `spiffe://example.org`, taken from `sub`; `iss` is not used. Its keys come from the
//! trust domain's bundle, whose JWT authorities have the `use` `jwt-svid` and a `kid`. A WIT-SVID (`typ` `wit+jwt`) is
//! bound to a key of its holder and is never accepted as a JWT-SVID. A workload uses one token for its whole lifetime.

mod claims;
mod id;

pub use claims::CLAIMS;
pub use id::{SPIFFE_ID_BYTES_MAX, SpiffeId, SpiffeIdError, TRUST_DOMAIN_BYTES_MAX, is_trust_domain, trust_domain_of};

use crate::provider::{PrincipalType, Profile, Provider, Replay};

/// Cedar entity type of a workload.
pub const ENTITY_TYPE: &str = "Spiffe::Workload";

pub const PROVIDER: Provider = Provider {
    name: "spiffe",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: &["ES256", "ES384", "RS256"],
    default_algorithms: &["ES256", "ES384", "RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::JwtSvid,
    tenancy: None,
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &[],
    never_issuers: &[],
    chosen_by_caller: &[],
    plain_claims: &[],
    workload_claims: &[&["spiffe_id"], &["path"]],
    names_with_ids: &[],
};
