//! Probes: signatures of a version, verified as an API would, with the keys that brokers publish.

use crate::client::Http;
use crate::client::gateway::Gateway;
use crate::client::http::origin;
use crate::client::text::without_user_info;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::admin::{KeyListing, Listing, ProbeOutcome, ProbeRequest};
use vouchsafe_gateway::{Counters, Verdict, judge};
use vouchsafe_verifier::{Keys, verify_signature};

/// The JWK Sets that verifiers use.
pub struct Verifiers {
    http: Http,
    jwks_uris: Vec<String>,
}

impl Verifiers {
    /// Takes URLs of brokers, or of single hosts of a broker, since several may serve one issuer.
    pub fn new(http: Http, urls: &[String]) -> Result<Self, Failure> {
        let jwks_uris = urls.iter().map(|url| jwks_uri(url));
        Ok(Self { jwks_uris: jwks_uris.collect::<Result<_, _>>()?, http })
    }

    pub fn uris(&self) -> &[String] {
        &self.jwks_uris
    }

    /// Fetches the JWK Set that each broker publishes now.
    pub fn jwks(&self) -> Result<Vec<Vec<u8>>, Failure> {
        self.jwks_uris.iter().map(|uri| self.fetch(uri)).collect()
    }

    pub fn fetch(&self, uri: &str) -> Result<Vec<u8>, Failure> {
        let reply = self.http.get(uri, None)?;
        if !reply.is_success() {
            return Err(reply.unexpected(uri));
        }
        Ok(reply.body)
    }
}

fn jwks_uri(url: &str) -> Result<String, Failure> {
    let web = origin(url).is_some_and(|(scheme, _)| matches!(scheme.as_str(), "http" | "https"));
    if !web || url.contains(['?', '#']) {
        let shown = without_user_info(url);
        return Err(Failure::usage(format!("--broker `{shown}` is not a URL such as https://broker.example")));
    }
    let url = url.strip_suffix('/').unwrap_or(url);
    Ok(format!("{url}/.well-known/jwks.json"))
}

/// The versions of a key that are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub canary: u64,
    pub active: u64,
}

pub fn key<'l>(listing: &'l Listing, name: &str) -> Result<&'l KeyListing, Failure> {
    let key = listing.keys.iter().find(|key| key.name == name);
    key.ok_or_else(|| {
        Failure::refused(format!("the gateway has no key `{name}`"))
            .hint("`vouchsafe keys list` shows the gateway's keys")
    })
}

/// The canary and the active version, if the key has both.
pub fn pair(key: &KeyListing) -> Option<Pair> {
    let in_state = |state: &str| key.versions.iter().find(|it| it.state == state);
    Some(Pair { canary: in_state("canary")?.version, active: in_state("active")?.version })
}

pub fn figures(key: &KeyListing, version: u64) -> Counters {
    let found = key.versions.iter().find(|it| it.version == version);
    found.map(|it| it.figures.into()).unwrap_or_default()
}

pub fn verdict(key: &KeyListing, pair: Pair) -> Verdict {
    judge(figures(key, pair.canary), figures(key, pair.active))
}

/// Lets `gateway` sign a probe with `version`, verifies it with each of `jwks`, and reports the outcome to the gateway.
pub fn run(gateway: &Gateway, name: &str, version: u64, jwks: &[Vec<u8>]) -> Result<(), Failure> {
    let request = ProbeRequest { key: name.to_owned(), version };
    let answer = match gateway.probe(&request) {
        Ok(answer) => answer,
        // The gateway has counted the missing or wrong signature itself.
        Err(error) if error.slug == "hsm.unavailable" => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let verified =
        jwks.iter().all(|set| Keys::parse(set).and_then(|keys| verify_signature(&answer.probe, &keys)).is_ok());
    gateway.probe_outcome(&ProbeOutcome { key: name.to_owned(), version, verified })
}
