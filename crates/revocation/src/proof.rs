//! The proof of possession of a request that presents a token which is bound to a key (RFC 9449 §7).

use vouchsafe_exchange::client_address::TrustedProxies;
use vouchsafe_exchange::proof::{only, require_nonce};
use vouchsafe_exchange::refusal::ProofFault;
use vouchsafe_exchange::replay::proof_use;
use vouchsafe_types::{Consumption, VerifiedProof};

use crate::answer::Refused;
use crate::limits::FIELD_BYTES_MAX;
use crate::ports::Ports;

/// Longest method, in bytes, inclusive.
const METHOD_BYTES_MAX: usize = 32;

/// The request that a proof must be for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub method: String,
    pub url: String,
}

/// What a reverse proxy says about its client's request: every value of each header.
#[derive(Debug, Clone, Default)]
pub struct ForwardedRequest {
    /// The proxy's address and port as the host saw them.
    pub peer: String,
    /// `x-forwarded-method`.
    pub method: Vec<String>,
    /// `x-forwarded-proto`.
    pub scheme: Vec<String>,
    /// `x-forwarded-host`, with the port if it is not the scheme's.
    pub host: Vec<String>,
    /// `x-forwarded-uri`: path and query.
    pub uri: Vec<String>,
}

impl ForwardedRequest {
    /// The client's request.
    ///
    /// INVARIANT: none unless a trusted proxy states each part of it exactly once. Whoever could add a header could have a
    /// proof count for another request than that which the API gets.
    pub(crate) fn target(&self, trusted: &TrustedProxies) -> Option<Target> {
        if !trusted.has_sent(&self.peer) {
            return None;
        }
        let parts = (&*self.method, &*self.scheme, &*self.host, &*self.uri);
        let ([method], [scheme], [host], [uri]) = parts else { return None };
        let path = uri.split(['?', '#']).next()?;
        let is_method =
            (1..=METHOD_BYTES_MAX).contains(&method.len()) && method.bytes().all(|it| it.is_ascii_graphic());
        let is_host = (1..=FIELD_BYTES_MAX).contains(&host.len())
            && host.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it));
        let is_path = path.starts_with('/') && path.len() <= FIELD_BYTES_MAX;
        let is_known = matches!(scheme.as_str(), "http" | "https") && is_method && is_host && is_path;
        is_known.then(|| Target { method: method.clone(), url: format!("{scheme}://{host}{path}") })
    }
}

/// Verifies that the proof in `headers`, the values of the `dpop` headers, is for the request to `target` that presents
/// `token`, by the key with the thumbprint that the token names.
///
/// ORDER: after the token, so that nobody without a valid one can have a signature verified with a key of their choice.
pub(crate) async fn verify(
    ports: &impl Ports,
    headers: &[String],
    target: Option<&Target>,
    token: &str,
    thumbprint: &str,
) -> Result<VerifiedProof, Refused> {
    let proof = only(headers).map_err(Refused::proof)?.ok_or_else(|| Refused::proof(ProofFault::RequiredByToken))?;
    let Target { method, url } = target.ok_or_else(Refused::request_unknown)?;
    let verified = ports.verify_proof(proof, method, url, token).map_err(|error| Refused::proof(error.into()))?;
    if verified.key_thumbprint != thumbprint {
        return Err(Refused::proof(ProofFault::KeyMismatch));
    }
    if let Some(nonces) = ports.proof_nonces().await? {
        require_nonce(&verified, &nonces).map_err(Refused::proof)?;
    }
    Ok(verified)
}

/// Uses `proof`, which counts once (RFC 9449 §11.1).
pub(crate) async fn consume(ports: &impl Ports, proof: &VerifiedProof) -> Result<(), Refused> {
    match ports.consume(proof_use(proof)).await? {
        Consumption::Fresh => Ok(()),
        Consumption::PredatesStore => Err(Refused::proof(ProofFault::PredatesStore)),
        Consumption::Spent => Err(Refused::proof(ProofFault::Spent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ForwardedRequest {
        let one = |text: &str| vec![text.to_owned()];
        ForwardedRequest {
            peer: "10.0.0.1:5000".to_owned(),
            method: one("GET"),
            scheme: one("https"),
            host: one("api.example"),
            uri: one("/a/b?c=d"),
        }
    }

    fn check(request: &ForwardedRequest, expected: Option<&str>) {
        let trusted = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let target = request.target(&trusted).map(|target| format!("{} {}", target.method, target.url));
        assert_eq!(target.as_deref(), expected, "{request:?}");
    }

    #[test]
    fn takes_the_request_from_trusted_proxies_only() {
        check(&request(), Some("GET https://api.example/a/b"));
        for peer in ["192.0.2.1:5000", "", "10.0.0.1, 192.0.2.1"] {
            check(&ForwardedRequest { peer: peer.to_owned(), ..request() }, None);
        }
        assert_eq!(request().target(&TrustedProxies::default()), None);
    }

    #[test]
    fn needs_each_part_exactly_once() {
        let parts: [fn(&mut ForwardedRequest) -> &mut Vec<String>; 4] =
            [|it| &mut it.method, |it| &mut it.scheme, |it| &mut it.host, |it| &mut it.uri];
        for part in parts {
            let mut without = request();
            part(&mut without).clear();
            check(&without, None);
            let mut twice = request();
            let repeated = part(&mut twice)[0].clone();
            part(&mut twice).push(repeated);
            check(&twice, None);
        }
    }

    #[test]
    fn refuses_parts_that_are_none() {
        let check_part = |change: fn(&mut ForwardedRequest, String), text: &str, expected: Option<&str>| {
            let mut request = request();
            change(&mut request, text.to_owned());
            check(&request, expected);
        };
        for method in ["", "GET ", "G\u{e9}T", &"x".repeat(METHOD_BYTES_MAX + 1)] {
            check_part(|it, text| it.method = vec![text], method, None);
        }
        check_part(|it, text| it.method = vec![text], "M-SEARCH", Some("M-SEARCH https://api.example/a/b"));
        for scheme in ["", "HTTPS", "ftp", "https,http"] {
            check_part(|it, text| it.scheme = vec![text], scheme, None);
        }
        for host in ["", "api.example/", "user@api.example", "a, b", "api.example?", &"x".repeat(FIELD_BYTES_MAX + 1)] {
            check_part(|it, text| it.host = vec![text], host, None);
        }
        check_part(|it, text| it.host = vec![text], "[::1]:8080", Some("GET https://[::1]:8080/a/b"));
        for uri in ["", "a", "?a", "https://api.example/a", &format!("/{}", "x".repeat(FIELD_BYTES_MAX))] {
            check_part(|it, text| it.uri = vec![text], uri, None);
        }
        check_part(|it, text| it.uri = vec![text], "/", Some("GET https://api.example/"));
    }
}
