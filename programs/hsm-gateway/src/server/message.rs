//! The client of a request, and the reply to it.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use std::net::IpAddr;
use vouchsafe_gateway::CertificateDigest;

pub type Reply = Response<Full<Bytes>>;

/// The client of a connection.
#[derive(Clone, Copy)]
pub struct Peer {
    pub address: IpAddr,
    /// The client's certificate, if it presented one.
    pub certificate: Option<CertificateDigest>,
}
