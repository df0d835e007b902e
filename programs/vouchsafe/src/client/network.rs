//! Options of every command that talks to a broker.

use super::duration;
use super::http::{Http, Settings};
use super::retry::{Limits, RETRIES_DEFAULT};
use super::tls;
use std::path::PathBuf;
use std::time::Duration;
use ureq::tls::TlsConfig;
use vouchsafe_cli::Failure;

/// Options for connections.
#[derive(clap::Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Trust only the certificate authorities in this file (PEM) [default: those of SSL_CERT_FILE, or the system's].
    #[arg(long, env = "VOUCHSAFE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How often to try again if the server can't be reached, or answers with 429, 502, 503 or 504.
    #[arg(long, env = "VOUCHSAFE_RETRIES", value_name = "N", default_value_t = RETRIES_DEFAULT)]
    retries: u32,
    /// How long the command may take, with its retries.
    #[arg(long, env = "VOUCHSAFE_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = duration::parse_positive)]
    timeout: Duration,
}

impl NetworkArgs {
    /// For a program that sends something now and then: the system's authorities, and retries for this long.
    #[cfg(feature = "host")]
    pub fn unattended(timeout: Duration) -> Self {
        Self { ca: None, retries: u32::MAX, timeout }
    }

    /// The client for these options; its time begins now.
    pub fn http(&self) -> Result<Http, Failure> {
        Http::new(Settings {
            tls: TlsConfig::builder().root_certs(tls::roots(self.ca.as_deref())?).build(),
            retries: Some(Limits { retries: self.retries, timeout: self.timeout }),
            ..Settings::default()
        })
    }
}
