//! Public keys as JWKs (RFC 7517, RFC 7518 §6.2 and §6.3, RFC 8037 §2) and their thumbprints (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::algorithm::Algorithm;

/// A public key as a JWK. Its members need no JSON escaping, because all are base64, base64url or constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    members: Members,
    kid: String,
    /// A certificate of this key: DER in base64.
    certificate: Option<String>,
}

/// The public key of an epoch, for certifying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurvePoint {
    /// The 32 bytes of RFC 8032 §5.1.5.
    Ed25519([u8; 32]),
    /// The coordinates.
    P256 { x: [u8; 32], y: [u8; 32] },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Members {
    Ed25519 { x: String },
    P256 { x: String, y: String },
    Rsa { n: String, e: String },
}

impl PublicJwk {
    /// From the 32 bytes of RFC 8032 §5.1.5.
    #[must_use]
    pub fn ed25519(x: &[u8]) -> Self {
        Self::with_thumbprint(Members::Ed25519 { x: URL_SAFE_NO_PAD.encode(x) })
    }

    /// From coordinates of 32 bytes each.
    #[must_use]
    pub fn p256(x: &[u8], y: &[u8]) -> Self {
        Self::with_thumbprint(Members::P256 { x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) })
    }

    /// From big-endian modulus and exponent; leading zeros are dropped (RFC 7518 §2).
    #[must_use]
    pub fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self::with_thumbprint(Members::Rsa {
            n: URL_SAFE_NO_PAD.encode(without_zeros(n)),
            e: URL_SAFE_NO_PAD.encode(without_zeros(e)),
        })
    }

    /// Uses as `kid` the thumbprint: SHA-256 over the required members in lexicographic order (RFC 7638 §3).
    fn with_thumbprint(members: Members) -> Self {
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(members.required().as_bytes()));
        Self { members, kid, certificate: None }
    }

    /// Adds a certificate of this key, in DER, as `x5c` (RFC 7517 §4.7). The caller ensures that it is for this key.
    #[must_use]
    pub fn with_certificate(self, der: &[u8]) -> Self {
        Self { certificate: Some(STANDARD.encode(der)), ..self }
    }

    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// The public point, unless this is an RSA key.
    #[must_use]
    pub fn curve_point(&self) -> Option<CurvePoint> {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok();
        match &self.members {
            Members::Ed25519 { x } => bytes(x).map(CurvePoint::Ed25519),
            Members::P256 { x, y } => Some(CurvePoint::P256 { x: bytes(x)?, y: bytes(y)? }),
            Members::Rsa { .. } => None,
        }
    }

    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The only algorithm that the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.members {
            Members::Ed25519 { .. } => Algorithm::EdDsa.name(),
            Members::P256 { .. } => Algorithm::Es256.name(),
            Members::Rsa { .. } => "RS256",
        }
    }

    /// The JWK as JSON, ready for a JWK Set.
    #[must_use]
    pub fn to_json(&self) -> String {
        let alg = self.algorithm();
        let kid = &self.kid;
        let certificate = self.certificate.as_ref();
        let chain = certificate.map(|it| format!(r#","x5c":["{it}"]"#));
        let chain = chain.unwrap_or_default();
        let tail = format!(r#""kid":"{kid}","use":"sig","alg":"{alg}"{chain}}}"#);
        match &self.members {
            Members::Ed25519 { x } => format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}",{tail}"#),
            Members::P256 { x, y } => {
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}",{tail}"#)
            }
            Members::Rsa { n, e } => format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}",{tail}"#),
        }
    }
}

impl Members {
    fn required(&self) -> String {
        match self {
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Self::P256 { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        }
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.2 and A.3.
    #[test]
    fn names_an_ed25519_key_by_its_thumbprint() {
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
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

    /// RFC 7638 §3.1, with a zero in front that a PKCS#11 module may add.
    #[test]
    fn names_an_rsa_key_by_its_thumbprint() {
        let n = concat!(
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_",
            "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2",
            "QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6W",
            "eZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        );
        let modulus = [vec![0], URL_SAFE_NO_PAD.decode(n).unwrap()].concat();
        let jwk = PublicJwk::rsa(&modulus, &[1, 0, 1]);
        assert_eq!(jwk.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(
            jwk.to_json(),
            format!(
                r#"{{"kty":"RSA","n":"{n}","e":"AQAB","kid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","use":"sig","alg":"RS256"}}"#
            )
        );
    }
}
