//! Microsoft Entra ID: tokens of managed identities and applications, with one issuer per tenant.
//!
//! The issuer is `https://sts.windows.net/<tenant>/` in version 1 and `https://login.microsoftonline.com/<tenant>/v2.0`
//! in version 2; an issuer file trusts one of them. Tokens have no `jti`, and live up to a day.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay};

/// Cedar entity type of a managed identity or an application.
pub const ENTITY_TYPE: &str = "Azure::Workload";

pub const PROVIDER: Provider = Provider {
    name: "azure",
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
    shared_issuers: &[
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad",
        "https://login.microsoftonline.com/common",
        "https://login.microsoftonline.com/consumers",
        "https://login.microsoftonline.com/organizations",
        "https://sts.windows.net/common",
    ],
    // The second one is the tenant of all personal Microsoft accounts.
    never_issuers: &[
        "/common/",
        "/9188040d-6c67-4c5b-b112-36a304b66dad/",
        "/organizations/",
        "/consumers/",
        "{tenantid}",
    ],
    chosen_by_caller: &[],
    plain_claims: &["appid", "azp", "oid", "tid"],
    workload_claims: &[&["oid"]],
    names_with_ids: &[],
};
