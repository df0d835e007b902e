//! Who requests a token, and which.

use vouchsafe_providers::Attribute;

/// A verified principal, as the identity component returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub entity_type: String,
    /// Unique only within its issuer.
    pub id: String,
    pub issuer_name: String,
    pub attributes: Vec<Attribute>,
}

/// The requested token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub audience: String,
    pub scopes: Vec<String>,
    pub requested_lifetime_seconds: u64,
    /// Known only behind a configured trusted proxy.
    pub client_ip: Option<String>,
    pub proof_of_possession: bool,
}
