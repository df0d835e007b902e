//! Microsoft Entra ID: tokens of managed identities and applications, from an issuer per tenant.
//!
//! Version 1 names the issuer `https://sts.windows.net/<tenant>/`, version 2
//! `https://login.microsoftonline.com/<tenant>/v2.0`: two issuers, of which an issuer's file trusts
//! one. Tokens have no `jti`, and live up to a day.

mod claims;

pub use claims::CLAIMS;

use crate::{ALGORITHMS, Principal, Profile, Provider, Replay};

/// Cedar entity type of a managed identity or an application.
pub const ENTITY_TYPE: &str = "Azure::Workload";

pub const PROVIDER: Provider = Provider {
    name: "azure",
    principal: Principal::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::Jwt,
    tenancy: None,
    open_issuers: &[],
    never_issuers: &["/common/", "/organizations/", "/consumers/", "{tenantid}"],
    chosen_by_caller: &[],
    names_with_ids: &[],
};
