//! Proofs of possession (RFC 9449), by a key that exists only while this process runs.

use super::base64url;
use super::reply::Reply;
use std::cell::RefCell;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_crypto::{ENTROPY_BYTES, Entropy, Software};
use vouchsafe_dpop::{Made, NONCE_BYTES_MAX, ProofKey, Request, UnixSeconds};
use zeroize::Zeroizing;

const JTI_BYTES: usize = 16;

/// Makes proofs with one key.
pub struct Prover {
    key: ProofKey,
    /// What the broker gave last (RFC 9449 §8).
    nonce: RefCell<Option<String>>,
}

/// An error of which only the code matters.
#[derive(serde::Deserialize)]
struct ErrorCode {
    error: String,
}

impl Prover {
    pub fn generate() -> Result<Self, Failure> {
        loop {
            let scalar = Zeroizing::new(random::<32>()?);
            // One number in 2^32 is no key.
            if let Some(key) = ProofKey::from_scalar(&scalar, &Software) {
                return Ok(Self { key, nonce: RefCell::new(None) });
            }
        }
    }

    /// A new proof for `request`, with the latest nonce of the broker. An API that asks the broker about the proof takes
    /// that nonce, and others ignore it.
    pub fn prove(&self, request: Request<'_>) -> Result<String, Failure> {
        let jti = base64url::encode(&random::<JTI_BYTES>()?);
        let nonce = self.nonce.borrow();
        let made = Made { at: UnixSeconds(clock::unix_seconds()?), jti: &jti, nonce: nonce.as_deref() };
        let entropy = Entropy::from_bytes(random::<ENTROPY_BYTES>()?);
        self.key.prove(request, &made, &entropy).ok_or_else(|| Failure::refused("no random bytes for a signature"))
    }

    /// Sends a request to the broker with a proof, and once more if the broker asks for a nonce.
    pub fn send<E: From<Failure>>(
        &self,
        request: Request<'_>,
        send: impl Fn(&str) -> Result<Reply, E>,
    ) -> Result<Reply, E> {
        let reply = send(&self.prove(request)?)?;
        match self.learn(&reply) {
            true => {
                let reply = send(&self.prove(request)?)?;
                self.learn(&reply);
                Ok(reply)
            }
            false => Ok(reply),
        }
    }

    /// Keeps the nonce of `reply`, and says whether the request was refused for want of it.
    fn learn(&self, reply: &Reply) -> bool {
        let usable = |nonce: &&String| nonce.len() <= NONCE_BYTES_MAX && nonce.bytes().all(|it| it.is_ascii_graphic());
        let Some(nonce) = reply.nonce.as_ref().filter(usable) else {
            return false;
        };
        self.nonce.replace(Some(nonce.clone()));
        matches!(reply.status, 400 | 401) && reply.json().is_some_and(|it: ErrorCode| it.error == "use_dpop_nonce")
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

    /// The request when it presents `access_token`.
    pub fn with<'a>(&'a self, access_token: &'a str) -> Request<'a> {
        Request { method: &self.method, url: &self.url, access_token: Some(access_token) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request<'_> = Request { method: "POST", url: "https://broker.example/token", access_token: None };

    #[test]
    fn each_proof_verifies_and_differs() {
        let prover = Prover::generate().unwrap();
        let now = UnixSeconds(clock::unix_seconds().unwrap());
        let verify = |proof: &str| vouchsafe_dpop::verify(proof, REQUEST, now, &Software).unwrap();
        let proofs = [(); 2].map(|()| verify(&prover.prove(REQUEST).unwrap()));
        assert_eq!(proofs[0].key_thumbprint, proofs[1].key_thumbprint);
        assert_ne!(proofs[0].jti, proofs[1].jti);
        let other = Prover::generate().unwrap().prove(REQUEST).unwrap();
        assert_ne!(verify(&other).key_thumbprint, proofs[0].key_thumbprint);
    }

    fn reply(status: u16, error: &str, nonce: Option<&str>) -> Reply {
        let body = format!(r#"{{"error":"{error}"}}"#).into_bytes();
        Reply { status, body, nonce: nonce.map(str::to_owned), ..Reply::default() }
    }

    /// The nonces of the proofs that are sent while the broker gives these answers.
    fn nonces_sent(prover: &Prover, answers: Vec<Reply>) -> Vec<Option<String>> {
        let (sent, answers) = (RefCell::new(Vec::new()), RefCell::new(answers.into_iter()));
        let now = UnixSeconds(clock::unix_seconds().unwrap());
        let send = |proof: &str| -> Result<Reply, Failure> {
            sent.borrow_mut().push(vouchsafe_dpop::verify(proof, REQUEST, now, &Software).unwrap().nonce);
            Ok(answers.borrow_mut().next().unwrap())
        };
        prover.send(REQUEST, send).unwrap();
        sent.take()
    }

    /// atproto#3852: a client that went on forever while each answer asked for another nonce.
    #[test]
    fn sends_again_once_with_the_nonce() {
        let some = |nonce: &str| Some(nonce.to_owned());
        let asks = |nonce| reply(400, "use_dpop_nonce", nonce);
        let prover = Prover::generate().unwrap();
        let sent = nonces_sent(&prover, vec![asks(Some("n1")), reply(200, "", Some("n2"))]);
        assert_eq!(sent, [None, some("n1")]);
        // The latest nonce is used from then on.
        assert_eq!(nonces_sent(&prover, vec![reply(200, "", None)]), [some("n2")]);
        assert_eq!(nonces_sent(&prover, vec![asks(Some("n3")), asks(Some("n4"))]), [some("n2"), some("n3")]);
        for answer in [
            asks(None),
            reply(500, "use_dpop_nonce", Some("n5")),
            asks(Some("a b")),
            asks(Some(&"n".repeat(NONCE_BYTES_MAX + 1))),
            reply(400, "invalid_dpop_proof", Some("n5")),
        ] {
            assert_eq!(nonces_sent(&prover, vec![answer]).len(), 1);
        }
        assert_eq!(nonces_sent(&prover, vec![reply(401, "use_dpop_nonce", Some("n6")), reply(200, "", None)]).len(), 2);
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
