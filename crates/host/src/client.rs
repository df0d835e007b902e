//! Requests of the host itself by the rules for guests: the same allow-list, blocked networks and TLS settings.
//!
//! `vouchsafe doctor` uses it to find out what a guest would, with the reason of a failure.

use crate::application::Application;
use crate::error::HostError;
use crate::grants;
use crate::outbound::{Network, Timeouts, send};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use std::time::Duration;
use wasmtime_wasi_http::Error;

/// A client with the network of an application.
pub struct Client(Network);

/// A response with any status.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    pub message: String,
    /// What to do about it, if known.
    pub fix: Option<String>,
}

impl Application {
    /// A client that may reach what the application may reach.
    pub fn client(&self) -> Result<Client, HostError> {
        grants::network(self).map(Client)
    }
}

impl Client {
    /// Requests `url`, within `timeout` for each of connection, head and body, and reads at most `bytes_max` bytes.
    pub async fn get(
        &self,
        url: &str,
        headers: HeaderMap,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let uri: Uri = url.parse().map_err(|_| self.describe(&Uri::default(), &Error::HttpRequestUriInvalid))?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::get(uri.clone()).header(http::header::HOST, host);
        if let Some(own) = request.headers_mut() {
            own.extend(headers);
        }
        let empty = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        let request = request.body(empty).map_err(|_| self.describe(&uri, &Error::HttpRequestUriInvalid))?;
        // The body is bounded as a whole, below.
        let between_bytes = timeout.saturating_mul(2);
        let timeouts = Timeouts { connect: timeout, first_byte: timeout, between_bytes };
        let (response, _) = send(&self.0, request, timeouts).await.map_err(|error| self.describe(&uri, &error))?;
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(timeout, Limited::new(body, bytes_max).collect()).await;
        let failed = |message| ClientError { message, fix: None };
        let body = body.map_err(|_| failed("no complete answer in time".to_owned()))?;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => failed(format!("the answer has more than {bytes_max} bytes")),
            false => failed(format!("the answer breaks off: {error}")),
        })?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes().into() })
    }

    fn describe(&self, uri: &Uri, error: &Error) -> ClientError {
        let host = uri.host().unwrap_or_default();
        let (message, fix) = match error {
            Error::HttpRequestDenied => (
                "the manifest does not allow this host".to_owned(),
                Some("add it to `allowed_outbound_hosts`".to_owned()),
            ),
            Error::DestinationIpProhibited => (
                format!("`{host}` resolves to an address that `block_networks` blocks"),
                Some(
                    "if this server may be asked, name networks in `block_networks` that do not contain it".to_owned(),
                ),
            ),
            Error::DestinationNotFound => {
                (format!("`{host}` has no address"), Some("check the name, and this machine's DNS".to_owned()))
            }
            Error::Connect(error) => (format!("no connection: {error}"), None),
            Error::ConnectionTimeout => ("no connection in time".to_owned(), None),
            Error::ConnectionReadTimeout => ("no answer in time".to_owned(), None),
            Error::Tls(error) => describe_tls(host, error),
            other => (other.to_string(), None),
        };
        ClientError { message, fix }
    }
}

fn describe_tls(host: &str, error: &std::io::Error) -> (String, Option<String>) {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(cause)) = cause else {
        return (format!("no TLS connection: {error}"), None);
    };
    match cause {
        UnknownIssuer => (
            "its certificate is from an unknown CA".to_owned(),
            Some(format!(
                "if the CA is your own, add `[[client_tls]]` with `hosts = [\"{host}\"]` and `ca_roots_file` to the \
                 runtime config file"
            )),
        ),
        Expired | ExpiredContext { .. } => (
            "its certificate has expired".to_owned(),
            Some("renew it, or correct the clock of this machine".to_owned()),
        ),
        NotValidForName | NotValidForNameContext { .. } => (
            format!("its certificate is not for `{host}`"),
            Some("check the issuer's URL, and what answers at its address".to_owned()),
        ),
        other => (format!("its certificate is not accepted: {other}"), None),
    }
}
