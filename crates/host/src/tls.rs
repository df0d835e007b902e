//! TLS settings of outbound connections: the public roots, or a private root for configured hosts.

use crate::config::ClientTls;
use crate::error::HostError;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use vouchsafe_serve::tls::{add_roots, read_certificates};

/// TLS settings by host. For hosts that are not listed, the public roots are trusted.
pub struct Tls {
    public: Arc<ClientConfig>,
    by_host: BTreeMap<String, Arc<ClientConfig>>,
}

impl Tls {
    /// Reads the certificates of every `[[client_tls]]` that names `component`.
    pub fn new(settings: &[ClientTls], component: &str) -> Result<Self, HostError> {
        let mut by_host = BTreeMap::new();
        for setting in settings.iter().filter(|setting| setting.component_ids.iter().any(|id| id == component)) {
            let config = Arc::new(client_config(setting)?);
            for host in &setting.hosts {
                by_host.insert(host.to_ascii_lowercase(), Arc::clone(&config));
            }
        }
        let public = Arc::new(builder()?.with_root_certificates(public_roots()).with_no_client_auth());
        Ok(Self { public, by_host })
    }

    /// Settings for a connection to `host`.
    pub fn of(&self, host: &str) -> Arc<ClientConfig> {
        Arc::clone(self.by_host.get(&host.to_ascii_lowercase()).unwrap_or(&self.public))
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder() -> Result<Builder, HostError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HostError::configuration(format!("TLS: {error}")))
}

fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() }
}

fn client_config(setting: &ClientTls) -> Result<ClientConfig, HostError> {
    // As with Spin, a file replaces the public roots unless they are requested as well.
    let with_public = setting.ca_use_webpki_roots.unwrap_or(setting.ca_roots_file.is_none());
    let mut roots = if with_public { public_roots() } else { RootCertStore::empty() };
    if let Some(path) = &setting.ca_roots_file {
        add_roots(&mut roots, path).map_err(|error| in_setting("ca_roots_file", &error))?;
    }
    let builder = builder()?.with_root_certificates(roots);
    match (&setting.client_cert_file, &setting.client_private_key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let wrong =
                |error: &dyn Display| in_setting("client_private_key_file", &format!("{}: {error}", key.display()));
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(&error))?;
            let chain = read_certificates(certificate).map_err(|error| in_setting("client_cert_file", &error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| wrong(&error))
        }
        _ => Err(HostError::configuration(
            "client_tls: client_cert_file and client_private_key_file must be set together",
        )),
    }
}

fn in_setting(setting: &str, error: &dyn Display) -> HostError {
    HostError::configuration(format!("client_tls: {setting}: {error}"))
        .hint("a relative path starts at the directory of the runtime config file")
}

#[cfg(test)]
mod tests;
