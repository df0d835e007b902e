//! Probes: what a version signs, verified as any API would, with the keys that brokers publish.

use crate::client::Http;
use crate::client::broker::shown;
use crate::client::gateway::Gateway;
use crate::client::http::origin;
use crate::client::jwt::{decode_unverified, verify_signature};
use serde_json::Value;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::admin::{KeyListing, Listing, ProbeOutcome, ProbeRequest};
use vouchsafe_gateway::{Figures, Verdict, judge};

/// Where verifiers get their keys.
pub struct Verifiers {
    http: Http,
    jwks_uris: Vec<String>,
}

impl Verifiers {
    /// Of brokers by their URLs, or of single hosts of one by theirs: several may serve one issuer.
    pub fn new(http: Http, urls: &[String]) -> Result<Self, Failure> {
        let jwks_uris = urls.iter().map(|url| jwks_uri(url));
        Ok(Self {
            jwks_uris: jwks_uris.collect::<Result<_, _>>()?,
            http,
        })
    }

    pub fn uris(&self) -> &[String] {
        &self.jwks_uris
    }

    /// The keys that each broker publishes now.
    pub fn jwks(&self) -> Result<Vec<Value>, Failure> {
        self.jwks_uris.iter().map(|uri| self.fetch(uri)).collect()
    }

    pub fn fetch(&self, uri: &str) -> Result<Value, Failure> {
        let reply = self.http.get(uri, None)?;
        let set = reply.json().filter(|_| reply.is_success());
        set.ok_or_else(|| Failure::unreachable(format!("{uri} is no key set")))
    }
}

fn jwks_uri(url: &str) -> Result<String, Failure> {
    let web = origin(url).is_some_and(|(scheme, _)| matches!(scheme.as_str(), "http" | "https"));
    if !web || url.contains(['?', '#']) {
        return Err(Failure::usage(format!(
            "--broker {} is not a URL such as https://broker.example",
            shown(url)
        )));
    }
    let url = url.strip_suffix('/').unwrap_or(url);
    Ok(format!("{url}/.well-known/jwks.json"))
}

/// Versions of one key that are compared.
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

/// The canary and the active version, where both are there.
pub fn pair(key: &KeyListing) -> Option<Pair> {
    let in_state = |state: &str| key.versions.iter().find(|it| it.state == state);
    Some(Pair {
        canary: in_state("canary")?.version,
        active: in_state("active")?.version,
    })
}

pub fn figures(key: &KeyListing, version: u64) -> Figures {
    let found = key.versions.iter().find(|it| it.version == version);
    found.map(|it| it.figures.into()).unwrap_or_default()
}

pub fn verdict(key: &KeyListing, pair: Pair) -> Verdict {
    judge(figures(key, pair.canary), figures(key, pair.active))
}

/// Has `gateway` sign a probe with `version`, verifies it with each of `jwks`, and tells the gateway.
pub fn probe(gateway: &Gateway, name: &str, version: u64, jwks: &[Value]) -> Result<(), Failure> {
    let request = ProbeRequest {
        key: name.to_owned(),
        version,
    };
    let answer = match gateway.probe(&request) {
        Ok(answer) => answer,
        // The gateway has counted it: a signature that it did not get, or that was wrong.
        Err(refused) if refused.slug == "hsm.unavailable" => return Ok(()),
        Err(refused) => return Err(refused.into()),
    };
    let probe = decode_unverified(&answer.probe);
    let verified =
        probe.is_some_and(|probe| jwks.iter().all(|set| verify_signature(&probe, set).is_ok()));
    gateway.probe_outcome(&ProbeOutcome {
        key: name.to_owned(),
        version,
        verified,
    })
}
