//! Making proofs (RFC 9449 §4.2).

use crate::request::{self, Request, TYP};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use vouchsafe_crypto::{Crypto, Entropy, PrivateNumbers, SigningKey};
use vouchsafe_types::UnixSeconds;

/// A P-256 key that makes proofs with ES256. It has no `Debug`, and erases itself when dropped.
pub struct ProofKey {
    key: Box<dyn SigningKey>,
    x: String,
    y: String,
}

/// When a proof is made, and for what beyond its request.
#[derive(Clone, Copy)]
pub struct Made<'a> {
    pub at: UnixSeconds,
    /// Unique for this key: at least 96 random bits.
    pub jti: &'a str,
    /// The nonce that the server gave last (RFC 9449 §8), if it gave one.
    pub nonce: Option<&'a str>,
}

impl ProofKey {
    /// The key of a random `scalar`. None for the few numbers that are no key.
    #[must_use]
    pub fn from_scalar(scalar: &[u8; 32], crypto: &dyn Crypto) -> Option<Self> {
        let key = crypto.signing_key(PrivateNumbers::P256(scalar))?;
        // An uncompressed point (SEC 1 §2.3.3): 0x04, x, y.
        let (x, y) = key.public_key().get(1..)?.split_at_checked(32)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Some(Self { key, x, y })
    }

    /// The thumbprint (RFC 7638) that tokens for this key have in `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, self.x, self.y);
        URL_SAFE_NO_PAD.encode(Sha256::digest(members))
    }

    /// A proof for `request`: the value of its `DPoP` header. None without randomness.
    #[must_use]
    pub fn prove(&self, request: Request<'_>, made: &Made<'_>, entropy: &Entropy) -> Option<String> {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y });
        let header = json!({ "typ": TYP, "alg": "ES256", "jwk": jwk });
        let mut claims = json!({ "jti": made.jti, "htm": request.method, "htu": request.url, "iat": made.at.0 });
        if let (Some(token), Some(members)) = (request.access_token, claims.as_object_mut()) {
            members.insert("ath".to_owned(), request::hash(token).into());
        }
        if let (Some(nonce), Some(members)) = (made.nonce, claims.as_object_mut()) {
            members.insert("nonce".to_owned(), nonce.into());
        }
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let input = format!("{header}.{claims}");
        let signature = self.key.sign(input.as_bytes(), entropy)?;
        Some(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_crypto::{ENTROPY_BYTES, Software};
    use vouchsafe_jose::SelfSignedJws;

    const REQUEST: Request<'_> = Request { method: "GET", url: "https://api.example/a", access_token: None };

    fn claims(access_token: Option<&str>, nonce: Option<&str>) -> serde_json::Value {
        let key = ProofKey::from_scalar(&[7; 32], &Software).unwrap();
        let made = Made { at: UnixSeconds(1_800_000_000), jti: "j1", nonce };
        let request = Request { access_token, ..REQUEST };
        let proof = key.prove(request, &made, &Entropy::from_bytes([1; ENTROPY_BYTES])).unwrap();
        let jws = SelfSignedJws::verify(&proof, TYP, &Software).unwrap();
        assert_eq!(jws.thumbprint(), key.thumbprint());
        serde_json::from_slice(jws.payload()).unwrap()
    }

    #[test]
    fn names_request_and_time() {
        let expected = json!({ "jti": "j1", "htm": "GET", "htu": "https://api.example/a", "iat": 1_800_000_000 });
        assert_eq!(claims(None, None), expected);
    }

    /// The token and the hash of RFC 9449 §7.1, figures 12 and 13.
    #[test]
    fn hashes_the_access_token() {
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(claims(Some(token), None)["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }

    #[test]
    fn repeats_the_nonce() {
        assert_eq!(claims(None, Some("n1"))["nonce"], "n1");
    }

    #[test]
    fn has_no_key_for_zero() {
        assert!(ProofKey::from_scalar(&[0; 32], &Software).is_none());
    }
}
