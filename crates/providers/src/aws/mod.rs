//! AWS outbound identity federation: tokens from `sts:GetWebIdentityToken`, with one issuer per account.
//!
//! AWS's claims are in one object, whose name is a URL. The caller chooses `request_tags`, IAM sets `principal_tags`:
//! they remain two attributes. `ou_path` is a string in the documentation and an array in tokens, so both are accepted.
//! The caller chooses between ES384 and RS256.

mod claims;

pub use claims::CLAIMS;

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay};

/// Cedar entity type of an IAM principal.
pub const ENTITY_TYPE: &str = "Aws::Principal";

pub const PROVIDER: Provider = Provider {
    name: "aws",
    principal: PrincipalType::Type(ENTITY_TYPE),
    claims: CLAIMS,
    algorithms: ALGORITHMS,
    default_algorithms: &["ES384", "RS256"],
    max_token_age_seconds: 3600,
    replay: Replay::Allow,
    profile: Profile::Jwt,
    tenancy: None,
    open_issuers: &[],
    tenant_claims: &[],
    shared_issuers: &[],
    never_issuers: &[],
    // The principal that assumes a role sets the session's source identity.
    chosen_by_caller: &["request_tags", "source_identity"],
    plain_claims: &["aws_account", "org_id"],
    workload_claims: &[&["principal_arn"]],
    names_with_ids: &[],
};
