//! Why an outbound request failed: a sentence for the log, a label for the metrics, and an error for the guest.

use crate::cause::Cause;
use http::StatusCode;
use rustls::CertificateError;
use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wasmtime_wasi_http::Error;

/// Why one request failed.
#[derive(Debug)]
pub struct Failure {
    pub cause: Cause,
    what: String,
    /// What the guest gets.
    pub error: Error,
}

impl Failure {
    pub fn new(cause: Cause, what: impl Into<String>, error: Error) -> Self {
        Self { cause, what: what.into(), error }
    }

    /// The sentence without a hint.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The sentence for the log, with a hint.
    pub fn text(&self) -> String {
        let hint = self.cause.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!("{}{hint}", self.what)
    }

    pub fn invalid_uri() -> Self {
        Self::new(Cause::InvalidRequest, "the URL is invalid", Error::HttpRequestUriInvalid)
    }

    /// `origin` matches no pattern of the allow-list.
    pub fn host_not_allowed(origin: &str) -> Self {
        let what = format!("`{origin}` is not among the allowed hosts");
        Self::new(Cause::HostNotAllowed, what, Error::HttpRequestDenied)
    }

    /// `address` is in `network`, an entry of `block_networks`.
    pub fn network_blocked(address: IpAddr, network: &str) -> Self {
        let what = format!("the address {address} is in the blocked network `{network}`");
        Self::new(Cause::NetworkBlocked, what, Error::DestinationIpProhibited)
    }

    pub fn name_unknown(host: &str, reason: Option<&io::Error>) -> Self {
        let reason = reason.map_or_else(|| "it has no address".to_owned(), ToString::to_string);
        let error = Error::DnsError { rcode: None, info_code: None };
        Self::new(Cause::Dns, format!("cannot resolve `{host}`: {reason}"), error)
    }

    /// No TCP connection to `address`.
    pub fn not_connected(address: SocketAddr, reason: &io::Error) -> Self {
        let (cause, error) = match reason.kind() {
            ErrorKind::ConnectionRefused => (Cause::ConnectionRefused, Error::ConnectionRefused),
            ErrorKind::TimedOut => (Cause::ConnectTimeout, Error::ConnectionTimeout),
            _ => (Cause::Unreachable, Error::DestinationIpUnroutable),
        };
        Self::new(cause, format!("cannot connect to {address}: {reason}"), error)
    }

    pub fn connect_timeout(after: Duration) -> Self {
        let what = format!("no connection within {} s", after.as_secs_f32());
        Self::new(Cause::ConnectTimeout, what, Error::ConnectionTimeout)
    }

    /// The server sent nothing more for `after`.
    pub fn answer_timeout(after: Duration) -> Self {
        let what = format!("no complete answer within {:.1} s", after.as_secs_f32());
        Self::new(Cause::AnswerTimeout, what, Error::ConnectionReadTimeout)
    }

    /// The TLS handshake with `host` failed.
    pub fn of_tls(host: &str, reason: io::Error) -> Self {
        let fault = reason.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match fault {
            Some(rustls::Error::InvalidCertificate(fault)) => of_certificate(host, fault),
            Some(rustls::Error::AlertReceived(alert)) => {
                let error = Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: None };
                Self::new(Cause::Tls, format!("the server ended the TLS handshake: {alert:?}"), error)
            }
            Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                Self::new(Cause::Tls, "the server does not speak TLS", Error::TlsProtocolError)
            }
            _ => Self::new(Cause::Tls, format!("the TLS handshake failed: {reason}"), Error::TlsProtocolError),
        }
    }

    /// The connection failed after it was set up.
    pub fn interrupted(reason: hyper::Error) -> Self {
        let mut what = format!("the connection failed: {reason}");
        let mut source = reason.source();
        while let Some(error) = source {
            what.push_str(&format!(": {error}"));
            source = error.source();
        }
        let error = match reason {
            // The guest's own body failed: the guest gets its own error back.
            _ if reason.is_user() => Error::Hyper(reason),
            _ if reason.is_parse() => Error::HttpProtocolError,
            _ => Error::ConnectionTerminated,
        };
        Self::new(Cause::Interrupted, what, error)
    }

    /// The connection to the proxy at `proxy` failed for the reason `failure`.
    pub fn of_proxy(proxy: &str, failure: &Self) -> Self {
        let what = format!("proxy {proxy}: {}", failure.what);
        let (cause, error) = match failure.cause {
            Cause::NetworkBlocked => (Cause::NetworkBlocked, Error::DestinationIpProhibited),
            Cause::ConnectTimeout => (Cause::Proxy, Error::ConnectionTimeout),
            _ => (Cause::Proxy, Error::InternalError(Some(what.clone()))),
        };
        Self::new(cause, what, error)
    }

    /// The proxy at `proxy` did not connect to `target`.
    pub fn proxy_refused(proxy: &str, target: &str, status: StatusCode) -> Self {
        let why = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => ": it requires HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
            _ => "",
        };
        let what = format!("proxy {proxy} answered {} to CONNECT {target}{why}", status.as_u16());
        Self::new(Cause::Proxy, what.clone(), Error::InternalError(Some(what)))
    }
}

fn of_certificate(host: &str, fault: &CertificateError) -> Failure {
    let date = |time: &rustls::pki_types::UnixTime| vouchsafe_policy::to_rfc3339(time.as_secs()).unwrap_or_default();
    let (cause, what) = match fault {
        CertificateError::UnknownIssuer => {
            (Cause::UnknownCa, "the server's certificate is not signed by a known CA".to_owned())
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            (Cause::CertificateExpired, format!("the server's certificate expired at {}", date(not_after)))
        }
        CertificateError::Expired => (Cause::CertificateExpired, "the server's certificate has expired".to_owned()),
        CertificateError::NotValidYetContext { not_before, .. } => (
            Cause::CertificateNotYetValid,
            format!("the server's certificate is not valid before {}", date(not_before)),
        ),
        CertificateError::NotValidYet => {
            (Cause::CertificateNotYetValid, "the server's certificate is not valid yet".to_owned())
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (Cause::CertificateName, format!("the server's certificate is not for `{host}`"))
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            (Cause::CertificateInvalid, "the server uses the certificate of a CA as its own".to_owned())
        }
        other => (Cause::CertificateInvalid, format!("the server's certificate is invalid: {other}")),
    };
    // The alert that this side sent (RFC 8446 §6.2), since no other error has a text, which the guest can log.
    let alert = match cause {
        Cause::CertificateExpired => 45,
        Cause::UnknownCa => 48,
        _ => 42,
    };
    let error = Error::TlsAlertReceived { alert_id: Some(alert), alert_message: Some(what.clone()) };
    Failure::new(cause, what, error)
}
