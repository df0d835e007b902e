//! The configuration of a signer with gateways.

use std::fmt;

use vouchsafe_signer::{Config, Error, Fault, Variable, Variables};
use vouchsafe_url::{HostCase, Origin};
use zeroize::Zeroizing;

use crate::credential::CredentialDigest;
use crate::rules::KeyAlgorithm;

/// Most gateways that can be configured.
pub const GATEWAYS_MAX: usize = 8;
const URL_BYTES_MAX: usize = 256;

/// A checked configuration.
pub struct GatewayConfig {
    pub(crate) signer: Config,
    /// Origins of the gateways, in the order of preference.
    pub(crate) urls: Vec<String>,
    pub(crate) credential: Zeroizing<String>,
    /// Algorithms of tier `hsm`; empty if the tier is not offered.
    pub(crate) hsm_algorithms: Vec<KeyAlgorithm>,
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatewayConfig({:?}, {:?}, ..)", self.signer, self.urls)
    }
}

impl GatewayConfig {
    /// Reads the variables. Errors name the variable but never contain its value.
    ///
    /// # Errors
    /// [`Error::Misconfigured`].
    pub fn parse(variables: &Variables) -> Result<Self, Error> {
        let signer = Config::parse(variables)?;
        let fail = |variable| move |fault| Error::Misconfigured { variable, fault };
        let urls = urls(&variables.gateway_urls, signer.development()).map_err(fail(Variable::GatewayUrls))?;
        let credential = credential(&variables.gateway_token).map_err(fail(Variable::GatewayToken))?;
        let hsm_algorithms =
            algorithms(&variables.signer_hsm_algorithms).map_err(fail(Variable::SignerHsmAlgorithms))?;
        Ok(Self { signer, urls, credential, hsm_algorithms })
    }
}

fn urls(text: &str, development: bool) -> Result<Vec<String>, Fault> {
    let mut found = Vec::new();
    for url in text.split_ascii_whitespace() {
        let url = url.strip_suffix('/').unwrap_or(url);
        if !is_origin(url, development) {
            return Err(Fault::NotHttpsUrl);
        }
        if found.iter().any(|known| known == url) {
            return Err(Fault::Repeated);
        }
        found.push(url.to_owned());
    }
    match found.len() {
        0 => Err(Fault::Empty),
        1..=GATEWAYS_MAX => Ok(found),
        _ => Err(Fault::OutOfRange { min: 1, max: GATEWAYS_MAX as u64 }),
    }
}

/// Whether `url` may receive the credential: `https://host[:port]`, or in development `http://` on loopback.
fn is_origin(url: &str, development: bool) -> bool {
    let origin = Origin::split(url, HostCase::Any).filter(|(_, path)| path.is_empty());
    url.len() <= URL_BYTES_MAX && origin.is_some_and(|(it, _)| it.is_https() || development && it.is_loopback())
}

fn credential(text: &Zeroizing<String>) -> Result<Zeroizing<String>, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    match CredentialDigest::of(text) {
        Some(_) => Ok(text.clone()),
        None => Err(Fault::NotBase64Url),
    }
}

fn algorithms(text: &str) -> Result<Vec<KeyAlgorithm>, Fault> {
    let mut found = Vec::new();
    for name in text.split_ascii_whitespace() {
        let algorithm = KeyAlgorithm::from_name(name).ok_or(Fault::UnknownAlgorithm)?;
        if found.contains(&algorithm) {
            return Err(Fault::Repeated);
        }
        found.push(algorithm);
    }
    Ok(found)
}
