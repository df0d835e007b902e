//! Where records go.

mod file;
mod syslog;
mod webhook;

use super::format::Format;
use super::signals::Signal;
use crate::client::http::{Http, Settings};
use crate::client::tls;
use crate::commands::audit::record::Record;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::tls::TlsConfig;
use vouchsafe_cli::Failure;

/// Longest time for a request, as Standard Webhooks recommends.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

pub enum Sink {
    File(PathBuf),
    Syslog(Box<syslog::Receiver>),
    Webhook(Box<webhook::Receiver>),
}

/// What all sinks need.
pub struct Options<'a> {
    pub ca: Option<&'a Path>,
    pub secret_file: Option<&'a Path>,
}

impl Sink {
    /// The sink with this address.
    pub fn parse(text: &str, options: &Options<'_>) -> Result<Self, Failure> {
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(PathBuf::from(path)));
        }
        if let Some(authority) = text.strip_prefix("syslog+tls://") {
            return syslog::Receiver::new(authority, options.ca).map(|it| Self::Syslog(Box::new(it)));
        }
        let is_plain = text.starts_with("http://") && crate::client::http::is_loopback(text);
        if text.starts_with("https://") || is_plain {
            let secrets = options.secret_file.ok_or_else(|| {
                Failure::usage(format!("--to {text} needs --secret-file"))
                    .hint("make one: echo \"whsec_$(openssl rand -base64 32)\"")
            })?;
            let http = Http::new(Settings {
                attempt_timeout: ATTEMPT_TIMEOUT,
                tls: TlsConfig::builder().root_certs(tls::roots(options.ca)?).build(),
                ..Settings::default()
            })?;
            let receiver = webhook::Receiver::new(text, webhook::Secrets::read(secrets)?, http);
            return Ok(Self::Webhook(Box::new(receiver)));
        }
        Err(Failure::usage(format!("`{text}` is not a sink"))
            .hint("use file:PATH, syslog+tls://HOST:PORT or https://HOST/PATH"))
    }

    /// Whether it gets signals rather than records.
    pub fn takes_signals(&self) -> bool {
        matches!(self, Self::Webhook(_))
    }

    /// Sends records; returns when they have arrived.
    pub fn send(&self, records: &[&Record], format: Format) -> Result<(), Failure> {
        match self {
            _ if records.is_empty() => Ok(()),
            Self::File(path) => file::append(path, records.iter().map(|record| format.line(&record.columns))),
            Self::Syslog(receiver) => receiver.send(records, format),
            Self::Webhook(_) => Ok(()),
        }
    }

    /// Sends a signal; returns when it has arrived.
    pub fn signal(&self, signal: &Signal, now: u64) -> Result<(), Failure> {
        match self {
            Self::Webhook(receiver) => receiver.send(signal, now),
            Self::File(_) | Self::Syslog(_) => Ok(()),
        }
    }
}
