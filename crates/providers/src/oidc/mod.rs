//! Any OpenID Connect issuer, with the claims that its file declares.

use crate::provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay};

pub const PROVIDER: Provider = Provider {
    name: "oidc",
    principal: PrincipalType::OfIssuer,
    claims: &[],
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
    plain_claims: &[],
    workload_claims: &[],
    names_with_ids: &[],
};

/// Cedar entity type of an issuer's principals: `my-idp` gives `Oidc::MyIdp`. A name that starts with a digit is
/// prefixed with an underscore, because Cedar identifiers cannot start with one.
#[must_use]
pub fn entity_type(issuer_name: &str) -> String {
    let leading = if issuer_name.starts_with(|first: char| first.is_ascii_digit()) { "_" } else { "" };
    let words = issuer_name.split('-').map(capitalized).collect::<String>();
    format!("Oidc::{leading}{words}")
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_entity_type_from_issuer_name() {
        for (name, expected) in [
            ("idp", "Oidc::Idp"),
            ("my-idp", "Oidc::MyIdp"),
            ("idp-2", "Oidc::Idp2"),
            ("-a--b-", "Oidc::AB"),
            ("2idp", "Oidc::_2idp"),
        ] {
            assert_eq!(entity_type(name), expected);
        }
    }
}
