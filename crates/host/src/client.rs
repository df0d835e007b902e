//! Requests of the host itself by the rules for guests: the same allow-list, blocked networks and TLS settings.
//!
//! `vouchsafe doctor` uses it to find out what a guest would, with the reason of a failure.

use crate::application::Application;
use crate::error::HostError;
use crate::grants;
use crate::outbound::{Failure, Network, Timeouts, answer};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use std::time::Duration;

/// A client with the network of an application.
pub struct Client(Network);

/// A response with any status.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why a request got no answer.
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
        let uri: Uri = url.parse().map_err(|_| Failure::invalid_uri())?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::get(uri).header(http::header::HOST, host);
        if let Some(own) = request.headers_mut() {
            own.extend(headers);
        }
        let empty = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        let request = request.body(empty).map_err(|_| Failure::invalid_uri())?;
        let timeouts = Timeouts { connect: timeout, first_byte: timeout, between_bytes: timeout };
        let (response, _, _connection) = answer(&self.0, request, timeouts).await?;
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(timeout, Limited::new(body, bytes_max).collect()).await;
        let failed = |message| ClientError { message, fix: None };
        let body = body.map_err(|_| Failure::answer_timeout(timeout))?;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => failed(format!("the answer has more than {bytes_max} bytes")),
            false => failed(format!("the answer breaks off: {error}")),
        })?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes().into() })
    }
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        Self { message: failure.what().to_owned(), fix: failure.cause.hint().map(str::to_owned) }
    }
}
