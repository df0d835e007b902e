//! Proofs of possession (RFC 9449), by a key that exists only while this process runs.

use super::base64url;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_crypto::{ENTROPY_BYTES, Entropy, Software};
use vouchsafe_dpop::{Made, ProofKey, Request, UnixSeconds};
use zeroize::Zeroizing;

const JTI_BYTES: usize = 16;

/// Makes proofs with one key.
pub struct Prover(ProofKey);

impl Prover {
    pub fn generate() -> Result<Self, Failure> {
        loop {
            let scalar = Zeroizing::new(random::<32>()?);
            // One number in 2^32 is no key.
            if let Some(key) = ProofKey::from_scalar(&scalar, &Software) {
                return Ok(Self(key));
            }
        }
    }

    /// A new proof for `request`, which presents `access_token` if it is not to the broker.
    pub fn prove(&self, request: Request<'_>, access_token: Option<&str>) -> Result<String, Failure> {
        let jti = base64url::encode(&random::<JTI_BYTES>()?);
        let made = Made { at: UnixSeconds(clock::unix_seconds()?), jti: &jti, access_token };
        let entropy = Entropy::from_bytes(random::<ENTROPY_BYTES>()?);
        self.0.prove(request, &made, &entropy).ok_or_else(|| Failure::refused("no random bytes for a signature"))
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], Failure> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Failure::refused(format!("no random bytes: {error}")))?;
    Ok(bytes)
}

/// The request to an API that a token is for, as `METHOD URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    method: String,
    url: String,
}

impl ApiRequest {
    /// Parses `METHOD URL`; query and fragment of the URL are dropped, as a proof leaves them out (RFC 9449 §4.2).
    pub fn parse(text: &str) -> Result<Self, String> {
        let (method, url) =
            text.split_once(' ').ok_or("must be a method and a URL, such as \"GET https://api.example/a\"")?;
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err("the method must be in capital letters, such as GET".to_owned());
        }
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let is_http = url.starts_with("https://") || url.starts_with("http://");
        if !is_http || url.contains(char::is_whitespace) {
            return Err("the URL must begin with https:// or http:// and have no white space".to_owned());
        }
        Ok(Self { method: method.to_owned(), url: url.to_owned() })
    }

    pub fn as_request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request<'_> = Request { method: "POST", url: "https://broker.example/token" };

    #[test]
    fn each_proof_verifies_and_differs() {
        let prover = Prover::generate().unwrap();
        let now = UnixSeconds(clock::unix_seconds().unwrap());
        let verify = |proof: &str| vouchsafe_dpop::verify(proof, REQUEST, now, &Software).unwrap();
        let proofs = [(); 2].map(|()| verify(&prover.prove(REQUEST, None).unwrap()));
        assert_eq!(proofs[0].key_thumbprint, proofs[1].key_thumbprint);
        assert_ne!(proofs[0].jti, proofs[1].jti);
        let other = Prover::generate().unwrap().prove(REQUEST, None).unwrap();
        assert_ne!(verify(&other).key_thumbprint, proofs[0].key_thumbprint);
    }

    #[test]
    fn reads_method_and_url() {
        let parsed = |text: &str| ApiRequest::parse(text).map(|request| format!("{} {}", request.method, request.url));
        assert_eq!(parsed("GET https://api.example/a?b=c#d"), Ok("GET https://api.example/a".to_owned()));
        assert_eq!(parsed("POST http://127.0.0.1:8080"), Ok("POST http://127.0.0.1:8080".to_owned()));
        for wrong in [
            "",
            "GET",
            "https://api.example",
            "get https://api.example",
            "GET ftp://api.example",
            "GET  https://a",
            "GET https://a b",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
