//! What a command demands of a token that a broker issued, and tokens that no verifier may accept.

use super::base64url::{decode, encode};
use vouchsafe_verifier::{ACCESS_TOKEN_TYP, Algorithm, JWT_TYP, PinnedRoot, Rules};

/// Rules for any token of a broker, by this machine's clock alone.
pub fn rules<'a>(issuer: &'a str, audience: &'a str, root: Option<&'a PinnedRoot>) -> Rules<'a> {
    Rules {
        algorithms: &[Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256],
        typs: &[ACCESS_TOKEN_TYP, JWT_TYP],
        leeway_seconds: 0,
        root,
        ..Rules::access_token(issuer, audience)
    }
}

/// Flips one bit of a JWS's signature, keeping its encoding canonical; `None` if it is not a JWS.
pub fn corrupt_signature(token: &str) -> Option<String> {
    let (signing_input, signature) = token.rsplit_once('.')?;
    signing_input.split_once('.')?;
    let mut signature = decode(signature)?;
    let middle = signature.len() / 2;
    *signature.get_mut(middle)? ^= 1;
    Some(format!("{signing_input}.{}", encode(&signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrupts_only_signatures() {
        assert_eq!(corrupt_signature("a.b.AAAA").as_deref(), Some("a.b.AAEA"));
        for text in ["a.b", "a.b.", "a.b.!", ""] {
            assert_eq!(corrupt_signature(text), None, "{text}");
        }
    }
}
