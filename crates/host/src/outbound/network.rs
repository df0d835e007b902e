//! What guests may reach.

use super::failure::Failure;
use super::log_lines::LogLines;
use crate::metrics::Metrics;
use crate::networks::Networks;
use crate::proxy::Proxy;
use crate::tls::Tls;
use http::Uri;
use std::net::IpAddr;
use std::sync::Arc;
use vouchsafe_manifest::HostPattern;

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
