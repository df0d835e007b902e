//! The metadata documents (RFC 8414 §2, OpenID Connect Discovery 1.0 §3).

use crate::request::{GRANT_JWT_BEARER, GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_JWT};
use crate::settings::Settings;
use serde_json::{Value, json};

/// How long metadata may be cached, in seconds.
pub const MAX_AGE_SECONDS: u64 = 300;

/// The algorithms of proofs of possession (RFC 9449 §5.1) and of client assertions: all that verify subject tokens.
pub const VERIFIED_ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "ES384", "RS256"];

/// How clients authenticate, where they need not.
const OPTIONAL_CLIENT_AUTH: [&str; 5] =
    ["none", "client_secret_basic", "client_secret_post", "private_key_jwt", "spiffe_jwt"];
/// How callers of introspection do. `Bearer`, an access token type of the IANA registry, which RFC 8414 §2 allows, is for
/// callers that send a token of this broker.
const CLIENT_AUTH: [&str; 5] = ["Bearer", "client_secret_basic", "client_secret_post", "private_key_jwt", "spiffe_jwt"];

/// Metadata for OAuth clients (RFC 8414).
pub fn authorization_server(settings: &Settings) -> String {
    common(settings).to_string()
}

/// Metadata that OIDC verifiers need to find the keys. There is no authorization endpoint, so the only response type is
/// `none`.
pub fn openid_configuration(settings: &Settings) -> String {
    let mut document = common(settings);
    if let Some(members) = document.as_object_mut() {
        members.insert("subject_types_supported".to_owned(), json!(["public"]));
        members.insert("id_token_signing_alg_values_supported".to_owned(), json!(settings.algorithms));
        members.insert(
            "claims_supported".to_owned(),
            json!([
                "iss",
                "sub",
                "aud",
                "exp",
                "iat",
                "nbf",
                "jti",
                "client_id",
                "scope",
                "cnf",
                "act",
                "txn",
                "status"
            ]),
        );
    }
    document.to_string()
}

fn common(settings: &Settings) -> Value {
    let issuer = &settings.issuer;
    let base = issuer.trim_end_matches('/');
    json!({
        "issuer": issuer,
        "token_endpoint": settings.token_endpoint(),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "grant_types_supported": [GRANT_TOKEN_EXCHANGE, GRANT_JWT_BEARER],
        // Grants for other authorization servers (identity chaining).
        "identity_chaining_requested_token_types_supported": [TOKEN_TYPE_JWT],
        "response_types_supported": ["none"],
        "token_endpoint_auth_methods_supported": OPTIONAL_CLIENT_AUTH,
        "token_endpoint_auth_signing_alg_values_supported": VERIFIED_ALGORITHMS,
        "dpop_signing_alg_values_supported": VERIFIED_ALGORITHMS,
        "revocation_endpoint": format!("{base}/revoke"),
        "revocation_endpoint_auth_methods_supported": OPTIONAL_CLIENT_AUTH,
        "revocation_endpoint_auth_signing_alg_values_supported": VERIFIED_ALGORITHMS,
        "status_list_aggregation_endpoint": format!("{base}/status"),
        "introspection_endpoint": format!("{base}/introspect"),
        "introspection_endpoint_auth_methods_supported": CLIENT_AUTH,
        "introspection_endpoint_auth_signing_alg_values_supported": VERIFIED_ALGORITHMS,
        // RFC 9701 §7. The signer uses the first of its algorithms.
        "introspection_signing_alg_values_supported": settings.algorithms.iter().take(1).collect::<Vec<_>>(),
    })
}
