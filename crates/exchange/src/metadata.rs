//! The metadata documents (RFC 8414 §2, OpenID Connect Discovery 1.0 §3).

use crate::request::{GRANT_JWT_BEARER, GRANT_TOKEN_EXCHANGE, TOKEN_TYPE_JWT};
use crate::settings::Settings;
use serde_json::{Value, json};

/// How long metadata may be cached, in seconds.
pub const MAX_AGE_SECONDS: u64 = 300;

/// The algorithms of a proof of possession (RFC 9449 §5.1): all that verify subject tokens.
pub const PROOF_ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "ES384", "RS256"];

/// Client authentication is optional: credentials are accepted and ignored.
const OPTIONAL_CLIENT_AUTH: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

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
        "dpop_signing_alg_values_supported": PROOF_ALGORITHMS,
        "revocation_endpoint": format!("{base}/revoke"),
        "revocation_endpoint_auth_methods_supported": OPTIONAL_CLIENT_AUTH,
        "status_list_aggregation_endpoint": format!("{base}/status"),
        "introspection_endpoint": format!("{base}/introspect"),
        // An access token type of the IANA registry, which RFC 8414 §2 allows: callers send a token of this broker.
        "introspection_endpoint_auth_methods_supported": ["Bearer"],
    })
}
