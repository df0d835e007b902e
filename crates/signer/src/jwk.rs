//! Public keys as JWK (RFC 7517, RFC 7518 §6.2, RFC 8037 §2) and their thumbprints (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::key::Algorithm;

/// A public key; its members need no JSON escaping, since all of them are base64url or constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicJwk {
    members: Members,
    kid: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Members {
    Ed25519 { x: String },
    P256 { x: String, y: String },
}

impl PublicJwk {
    pub(crate) fn ed25519(x: &[u8]) -> Self {
        Self::with_thumbprint(Members::Ed25519 {
            x: URL_SAFE_NO_PAD.encode(x),
        })
    }

    pub(crate) fn p256(x: &[u8], y: &[u8]) -> Self {
        Self::with_thumbprint(Members::P256 {
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// `kid` is the thumbprint: SHA-256 over the required members in lexicographic order
    /// (RFC 7638 §3).
    fn with_thumbprint(members: Members) -> Self {
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(members.required().as_bytes()));
        Self { members, kid }
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// A member of the JWK Set.
    pub(crate) fn to_json(&self) -> String {
        let alg = self.members.algorithm().name();
        let kid = &self.kid;
        let tail = format!(r#""kid":"{kid}","use":"sig","alg":"{alg}"}}"#);
        match &self.members {
            Members::Ed25519 { x } => format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}",{tail}"#),
            Members::P256 { x, y } => {
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}",{tail}"#)
            }
        }
    }
}

impl Members {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519 { .. } => Algorithm::EdDsa,
            Self::P256 { .. } => Algorithm::Es256,
        }
    }

    fn required(&self) -> String {
        match self {
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Self::P256 { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.2 and A.3.
    #[test]
    fn names_an_ed25519_key_by_its_thumbprint() {
        let x = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        let jwk = PublicJwk::ed25519(&x);
        assert_eq!(jwk.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(
            jwk.to_json(),
            concat!(
                r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","#,
                r#""kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","use":"sig","alg":"EdDSA"}"#
            )
        );
    }
}
