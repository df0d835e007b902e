//! JWK thumbprints with SHA-256 (RFC 7638).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use vouchsafe_json::{Json, JsonObject};

/// The thumbprint of a key that [`crate::PublicKey::from_jwk`] accepts: over the required members in lexicographic order
/// (RFC 7638 §3.2, RFC 8037 §2).
///
/// INVARIANT: equal for equal keys. Such a key has one spelling: its coordinates and numbers are canonical base64url of fixed
/// or minimal length, so nothing in them needs JSON escaping either.
pub(crate) fn of(jwk: &JsonObject) -> String {
    let required: &[&str] = match jwk.get("kty").and_then(Json::as_text) {
        Some("EC") => &["crv", "kty", "x", "y"],
        Some("RSA") => &["e", "kty", "n"],
        _ => &["crv", "kty", "x"],
    };
    let member = |name: &&str| {
        let value = jwk.get(name).and_then(Json::as_text).unwrap_or_default();
        format!(r#""{name}":"{value}""#)
    };
    let members: Vec<_> = required.iter().map(member).collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 §3.1, RFC 8037 appendix A.3.
    #[test]
    fn agrees_with_the_examples_of_the_rfcs() {
        let check = |jwk: &str, expected: &str| {
            assert_eq!(of(&JsonObject::parse(jwk.as_bytes()).unwrap()), expected);
        };
        check(
            r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#,
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        );
        check(
            r#"{"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kty":"OKP","crv":"Ed25519"}"#,
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        );
    }
}
