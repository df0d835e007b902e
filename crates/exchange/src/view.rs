//! The documents of a view: what its relying parties need to verify tokens.

use crate::settings::Settings;
use serde_json::{Value, json};
use vouchsafe_types::{Preset, View};

/// OpenID Connect Discovery 1.0 §3, with what verifiers read. Tokens are requested at the broker itself.
///
/// There is no authorization endpoint; `id_token` is what the issuers of platforms name, and what clouds expect.
#[must_use]
pub fn openid_configuration(settings: &Settings, view: View) -> String {
    let Preset { algorithms, .. } = view.preset();
    let issuer = view.issuer(&settings.issuer);
    let algorithms: Vec<_> = settings.algorithms.iter().filter(|it| algorithms.contains(&it.as_str())).collect();
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "cnf"],
    })
    .to_string()
}

/// The keys of `document`, a JWK Set of the signer, whose algorithm the view's relying parties accept. Without
/// certificates, which some of them refuse. None if it is no JWK Set.
#[must_use]
pub fn key_set(document: &str, view: View) -> Option<String> {
    let Preset { algorithms, .. } = view.preset();
    let mut set: Value = serde_json::from_str(document).ok()?;
    let keys = set.get_mut("keys")?.as_array_mut()?;
    keys.retain(|key| key.get("alg").and_then(Value::as_str).is_some_and(|alg| algorithms.contains(&alg)));
    for key in keys.iter_mut().filter_map(Value::as_object_mut) {
        key.remove("x5c");
    }
    Some(set.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = r#"{"keys":[
        {"kty":"EC","crv":"P-256","x":"a","y":"b","kid":"1","use":"sig","alg":"ES256","x5c":["c"]},
        {"kty":"OKP","crv":"Ed25519","x":"d","kid":"2","use":"sig","alg":"EdDSA"},
        {"kty":"RSA","n":"e","e":"AQAB","kid":"3","use":"sig","alg":"RS256"},
        {"kty":"EC","kid":"4"}]}"#;

    fn kids(view: View) -> Vec<String> {
        let set: Value = serde_json::from_str(&key_set(KEYS, view).unwrap()).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn key_set_has_only_accepted_algorithms() {
        assert_eq!(kids(View::Aws), ["1", "3"]);
        assert_eq!(kids(View::Azure), ["3"]);
        assert_eq!(kids(View::Vault), ["1", "2", "3"]);
    }

    #[test]
    fn key_set_has_no_certificates() {
        let set: Value = serde_json::from_str(&key_set(KEYS, View::Gcp).unwrap()).unwrap();
        assert_eq!(
            set["keys"][0],
            json!({ "kty": "EC", "crv": "P-256", "x": "a", "y": "b", "kid": "1", "use": "sig", "alg": "ES256" })
        );
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for document in ["", "[]", "{}", r#"{"keys":{}}"#] {
            assert_eq!(key_set(document, View::Aws), None, "{document}");
        }
    }
}
