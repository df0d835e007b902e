//! What guests may reach.

use super::failure::Failure;
use super::log_lines::LogLines;
use crate::config::RuntimeConfig;
use crate::error::HostError;
use crate::metrics::Metrics;
use crate::networks::Networks;
use crate::proxy::Proxy;
use crate::tls::Tls;
use http::Uri;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use vouchsafe_manifest::HostPattern;

/// The component whose `client_tls` settings apply to commands.
const ROOT: &str = "broker";

/// What guests may reach, and how.
pub struct Network {
    pub allowed: Vec<HostPattern>,
    pub blocked: Networks,
    pub proxy: Proxy,
    pub tls: Tls,
    pub metrics: Arc<Metrics>,
    pub lines: LogLines,
}

impl Network {
    /// For commands that connect to one database, which their user names.
    pub fn to_any_database(runtime_config: Option<&Path>) -> Result<Self, HostError> {
        let runtime = runtime_config.map_or_else(|| Ok(RuntimeConfig::default()), RuntimeConfig::read)?;
        let any = HostPattern::parse("postgres://*:*");
        let allowed = vec![any.map_err(|error| HostError::configuration(error.to_string()))?];
        Ok(Self {
            allowed,
            blocked: Networks::default(),
            proxy: Proxy::from_environment()?,
            tls: Tls::new(&runtime.client_tls, ROOT)?,
            metrics: Arc::new(Metrics::default()),
            lines: LogLines::default(),
        })
    }

    pub fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.allowed.iter().any(|pattern| pattern.allows(scheme, host, port))
    }

    /// The host's name in metrics: only names in the manifest, so that guests can't create unlimited series.
    pub fn label(&self, uri: &Uri) -> String {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let known = self.allowed.iter().any(|pattern| pattern.exact_host() == Some(host.as_str()));
        if known { host } else { "other".to_owned() }
    }

    /// Refuses blocked addresses.
    pub fn check(&self, address: IpAddr) -> Result<(), Failure> {
        self.blocked.find(address).map_or(Ok(()), |network| Err(Failure::network_blocked(address, &network)))
    }
}
