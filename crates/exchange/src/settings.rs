//! The signer's settings, as the broker uses them.

use crate::client_address::{ForwardedHeader, TrustedProxies};
use crate::failure::Failure;
use crate::refusal::{Part, Refusal};
use vouchsafe_types::{Environment, SignerSettings};

/// The signer's settings, with the broker's own ones parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub issuer: String,
    pub development: bool,
    pub epoch_seconds: u64,
    pub algorithms: Vec<String>,
    /// URLs of the signer's backend, from which no issuer document is fetched.
    pub backend_urls: Vec<String>,
    /// The signer's warnings for the operator.
    pub warnings: Vec<String>,
    pub trusted_proxies: TrustedProxies,
    /// The signer's key group.
    pub group: String,
    /// Identifies the signer's root, unless that is in an HSM.
    pub root_fingerprint: Option<String>,
}

impl Settings {
    /// The name under which the store remembers generations.
    #[must_use]
    pub fn generation_of(&self) -> String {
        generation_of(&self.issuer, &self.group)
    }

    /// The URL of the token endpoint.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        self.url("/token")
    }

    /// The URL of an endpoint, as clients know it, whatever a proxy makes of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer.trim_end_matches('/'))
    }

    /// The environment that the bundle is validated against.
    #[must_use]
    pub fn environment(&self) -> Environment {
        Environment { issuer: self.issuer.clone(), development: self.development, epoch_seconds: self.epoch_seconds }
    }
}

pub(crate) fn generation_of(issuer: &str, group: &str) -> String {
    // Unambiguous: neither contains a space.
    format!("{issuer} {group}")
}

impl TryFrom<SignerSettings> for Settings {
    type Error = Failure;

    /// Invalid networks and unknown headers are misconfigurations, like those that the signer reports.
    fn try_from(settings: SignerSettings) -> Result<Self, Failure> {
        let misconfigured = |detail| Failure::new(Refusal::Unavailable(Part::Signer), detail);
        let header = ForwardedHeader::parse(&settings.forwarded_header)
            .map_err(|error| misconfigured(format!("`forwarded_header`: {error}")))?;
        let trusted_proxies = TrustedProxies::parse(&settings.trusted_proxies)
            .map_err(|error| misconfigured(format!("`trusted_proxies`: {error}")))?
            .writing(header);
        Ok(Self {
            issuer: settings.issuer,
            development: settings.development,
            epoch_seconds: settings.epoch_seconds,
            algorithms: settings.algorithms,
            backend_urls: settings.backend_urls,
            warnings: settings.warnings,
            trusted_proxies,
            group: settings.group,
            root_fingerprint: settings.root_fingerprint,
        })
    }
}
