//! The signer's own configuration, the source of every ceiling.

use std::collections::BTreeSet;
use std::fmt;

use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::epoch::{EPOCH_SECONDS_MAX, EPOCH_SECONDS_MIN, WITHDRAWAL_MARGIN_SECONDS};
use crate::error::{Error, Fault, Variable};
use crate::issuer::Issuer;

/// Longest key group name.
pub(crate) const GROUP_BYTES_MAX: usize = 64;
/// Most audiences that can be listed.
pub(crate) const AUDIENCES_MAX: usize = 1024;

const ANY_AUDIENCE: &str = "`signer_audiences` is `*`: the signer signs for every audience that the bundle may ever contain; list the audiences";

/// The raw values of all variables. Each kind of signer reads only the variables on its list.
#[derive(Default)]
pub struct Variables {
    pub development: String,
    pub forwarded_header: String,
    pub gateway_token: Zeroizing<String>,
    pub gateway_urls: String,
    pub issuer: String,
    pub signer_algorithms: String,
    pub signer_audiences: String,
    pub signer_epoch: String,
    pub signer_generation: String,
    pub signer_group: String,
    pub signer_hsm_algorithms: String,
    pub signer_lifetime_max: String,
    pub signer_root: Zeroizing<String>,
    pub trusted_proxies: String,
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(..)")
    }
}

impl Variables {
    /// The place for the value of `variable`.
    pub fn slot(&mut self, variable: Variable) -> &mut String {
        match variable {
            Variable::Development => &mut self.development,
            Variable::ForwardedHeader => &mut self.forwarded_header,
            Variable::GatewayToken => &mut self.gateway_token,
            Variable::GatewayUrls => &mut self.gateway_urls,
            Variable::Issuer => &mut self.issuer,
            Variable::SignerAlgorithms => &mut self.signer_algorithms,
            Variable::SignerAudiences => &mut self.signer_audiences,
            Variable::SignerEpoch => &mut self.signer_epoch,
            Variable::SignerGeneration => &mut self.signer_generation,
            Variable::SignerGroup => &mut self.signer_group,
            Variable::SignerHsmAlgorithms => &mut self.signer_hsm_algorithms,
            Variable::SignerLifetimeMax => &mut self.signer_lifetime_max,
            Variable::SignerRoot => &mut self.signer_root,
            Variable::TrustedProxies => &mut self.trusted_proxies,
        }
    }
}

/// For whom the signer signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audiences {
    Any,
    Listed(BTreeSet<String>),
}

/// A configuration that holds together, of any signer: what it signs, and nothing of its keys' origin.
pub struct Config {
    pub(crate) issuer: Issuer,
    pub(crate) development: bool,
    /// INVARIANT: not empty, sorted, none twice.
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) audiences: Audiences,
    /// INVARIANT: at most `epoch_seconds` - 60, so that I3 can hold.
    pub(crate) lifetime_seconds_max: u64,
    pub(crate) epoch_seconds: u64,
    pub(crate) group: String,
    pub(crate) trusted_proxies: String,
    pub(crate) forwarded_header: String,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({}, ..)", self.issuer.as_str())
    }
}

impl Config {
    /// Reads the variables that every signer has; the first wrong one is named, its value never.
    ///
    /// # Errors
    /// [`Error::Misconfigured`].
    pub fn parse(variables: &Variables) -> Result<Self, Error> {
        let issuer = Issuer::parse(&variables.issuer).map_err(at(Variable::Issuer))?;
        let development = development(&variables.development, &issuer)?;
        let algorithms = algorithms(&variables.signer_algorithms).map_err(at(Variable::SignerAlgorithms))?;
        let audiences = audiences(&variables.signer_audiences).map_err(at(Variable::SignerAudiences))?;
        let epoch_seconds =
            number(&variables.signer_epoch, EPOCH_SECONDS_MIN, EPOCH_SECONDS_MAX).map_err(at(Variable::SignerEpoch))?;
        let longest = epoch_seconds.saturating_sub(WITHDRAWAL_MARGIN_SECONDS);
        let lifetime_seconds_max =
            number(&variables.signer_lifetime_max, 1, longest).map_err(at(Variable::SignerLifetimeMax))?;
        let group = group(&variables.signer_group).map_err(at(Variable::SignerGroup))?;
        Ok(Self {
            issuer,
            development,
            algorithms,
            audiences,
            lifetime_seconds_max,
            epoch_seconds,
            group,
            trusted_proxies: variables.trusted_proxies.clone(),
            forwarded_header: variables.forwarded_header.clone(),
        })
    }

    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    #[must_use]
    pub fn development(&self) -> bool {
        self.development
    }

    #[must_use]
    pub fn epoch_seconds(&self) -> u64 {
        self.epoch_seconds
    }

    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Warns of ceilings that are off, except in development mode.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        match self.audiences {
            Audiences::Any if !self.development => vec![ANY_AUDIENCE],
            Audiences::Any | Audiences::Listed(_) => Vec::new(),
        }
    }

    /// The variable of this name, which the signer doesn't use.
    #[must_use]
    pub fn trusted_proxies(&self) -> &str {
        &self.trusted_proxies
    }

    /// The variable of this name, which the signer doesn't use.
    #[must_use]
    pub fn forwarded_header(&self) -> &str {
        &self.forwarded_header
    }

    /// Algorithms of epoch keys.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }
}

pub(crate) fn at(variable: Variable) -> impl Fn(Fault) -> Error {
    move |fault| Error::Misconfigured { variable, fault }
}

/// Allows `http` and development mode only for issuers on loopback.
fn development(text: &str, issuer: &Issuer) -> Result<bool, Error> {
    match text {
        "true" if issuer.is_loopback() => Ok(true),
        "true" => Err(at(Variable::Development)(Fault::NotLoopback)),
        "false" if issuer.is_https() => Ok(false),
        "false" => Err(at(Variable::Issuer)(Fault::NotHttpsUrl)),
        "" => Err(at(Variable::Development)(Fault::Empty)),
        _ => Err(at(Variable::Development)(Fault::NotTrueOrFalse)),
    }
}

fn algorithms(text: &str) -> Result<Vec<Algorithm>, Fault> {
    let mut found = BTreeSet::new();
    for name in text.split_ascii_whitespace() {
        let algorithm = Algorithm::from_name(name).ok_or(Fault::UnknownAlgorithm)?;
        if !found.insert(algorithm) {
            return Err(Fault::Repeated);
        }
    }
    if found.is_empty() {
        return Err(Fault::Empty);
    }
    Ok(found.into_iter().collect())
}

fn audiences(text: &str) -> Result<Audiences, Fault> {
    let mut found = BTreeSet::new();
    for audience in text.split_ascii_whitespace() {
        if !found.insert(audience.to_owned()) {
            return Err(Fault::Repeated);
        }
        if found.len() > AUDIENCES_MAX {
            return Err(Fault::OutOfRange { min: 1, max: AUDIENCES_MAX as u64 });
        }
    }
    if found.is_empty() {
        return Err(Fault::Empty);
    }
    match (found.contains("*"), found.len()) {
        (false, _) => Ok(Audiences::Listed(found)),
        (true, 1) => Ok(Audiences::Any),
        // A star next to names would look like a list but allow everything.
        (true, _) => Err(Fault::Malformed),
    }
}

/// Parses decimal digits without sign or space.
pub(crate) fn number(text: &str, min: u64, max: u64) -> Result<u64, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::NotNumber);
    }
    let out_of_range = Fault::OutOfRange { min, max };
    text.parse().ok().filter(|number| (min..=max).contains(number)).ok_or(out_of_range)
}

/// The name of a key group.
fn group(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.len() > GROUP_BYTES_MAX {
        return Err(Fault::WrongLength { min: 1, max: GROUP_BYTES_MAX });
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(Fault::Malformed);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
