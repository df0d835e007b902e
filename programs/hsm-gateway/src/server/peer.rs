//! The client of a connection.

use std::net::IpAddr;
use vouchsafe_gateway::CertificateDigest;

/// The client of a connection.
#[derive(Clone, Copy)]
pub struct Peer {
    pub address: IpAddr,
    /// The client's certificate, if it presented one.
    pub certificate: Option<CertificateDigest>,
}
