//! What each kind of issuer says about a workload: one folder per provider, made to be copied.
//!
//! A provider is a table of claims with their types, a Cedar entity type and the token types it
//! uses. The entity id is `sub` for all: unique within an issuer, and never parsed. Absent, empty
//! and wrongly typed are different things: an absent optional claim is an absent attribute, an empty
//! optional one an empty attribute; a required claim that is absent or empty, or any claim of another
//! type, refuses the token.

mod attribute;
mod claim;
pub mod github;
pub mod gitlab;
pub mod kubernetes;
pub mod oidc;

use vouchsafe_jose::JsonObject;

pub use attribute::{Attribute, AttributeValue, INTEGER_MAX};
pub use claim::{ClaimType, DeclaredClaim};

use crate::error::TokenError;

/// Accepted `typ` values where a provider does not say otherwise, compared without case (RFC 7515
/// §4.1.9); an absent `typ` is accepted too. Typed tokens of other protocols (`at+jwt`,
/// `dpop+jwt`, `logout+jwt`, `secevent+jwt`, `wit+jwt`…) are thereby refused (RFC 8725 §3.11).
const PLAIN_TYPES: [&str; 2] = ["JOSE", "JWT"];

/// A kind of issuer.
#[derive(Debug)]
pub(crate) enum Provider {
    Github,
    Gitlab,
    Kubernetes,
    Oidc(Vec<DeclaredClaim>),
}

impl Provider {
    /// The provider of this name; only `oidc` has its claims declared.
    pub(crate) fn named(name: &str, declared: &[DeclaredClaim]) -> Option<Self> {
        match name {
            github::NAME if declared.is_empty() => Some(Self::Github),
            gitlab::NAME if declared.is_empty() => Some(Self::Gitlab),
            kubernetes::NAME if declared.is_empty() => Some(Self::Kubernetes),
            oidc::NAME => Some(Self::Oidc(declared.to_vec())),
            _ => None,
        }
    }

    fn claims(&self) -> &[DeclaredClaim] {
        match self {
            Self::Github => github::CLAIMS,
            Self::Gitlab => gitlab::CLAIMS,
            Self::Kubernetes => kubernetes::CLAIMS,
            Self::Oidc(declared) => declared,
        }
    }

    pub(crate) fn entity_type(&self, issuer_name: &str) -> String {
        match self {
            Self::Github => github::ENTITY_TYPE.to_owned(),
            Self::Gitlab => gitlab::ENTITY_TYPE.to_owned(),
            Self::Kubernetes => kubernetes::ENTITY_TYPE.to_owned(),
            Self::Oidc(_) => oidc::entity_type(issuer_name),
        }
    }

    pub(crate) fn accepts_type(&self, typ: Option<&str>) -> bool {
        match self {
            Self::Github | Self::Gitlab | Self::Kubernetes | Self::Oidc(_) => {
                typ.is_none_or(|typ| {
                    PLAIN_TYPES
                        .iter()
                        .any(|plain| plain.eq_ignore_ascii_case(typ))
                })
            }
        }
    }

    /// Whether a subject template may name this claim.
    pub(crate) fn is_text_claim(&self, name: &str) -> bool {
        let declared =
            |claim: &DeclaredClaim| claim.name == name && claim.claim_type == ClaimType::Text;
        name == "sub" || self.claims().iter().any(declared)
    }

    /// The claims of the table, typed.
    pub(crate) fn attributes(&self, claims: &JsonObject) -> Result<Vec<Attribute>, TokenError> {
        self.claims()
            .iter()
            .filter_map(|claim| attribute::read(claim, claims).transpose())
            .collect()
    }
}
