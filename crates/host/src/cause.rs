//! Why outbound requests fail, as metrics show it.

/// The kind of a failure, as metrics show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    AnswerTimeout,
    CertificateExpired,
    CertificateInvalid,
    CertificateName,
    CertificateNotYetValid,
    ConnectTimeout,
    ConnectionRefused,
    Dns,
    HostNotAllowed,
    Interrupted,
    InvalidRequest,
    NetworkBlocked,
    Proxy,
    Tls,
    UnknownCa,
    Unreachable,
}

impl Cause {
    /// Value of the label `cause`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnswerTimeout => "answer_timeout",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateInvalid => "certificate_invalid",
            Self::CertificateName => "certificate_name",
            Self::CertificateNotYetValid => "certificate_not_yet_valid",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::Dns => "dns",
            Self::HostNotAllowed => "host_not_allowed",
            Self::Interrupted => "interrupted",
            Self::InvalidRequest => "invalid_request",
            Self::NetworkBlocked => "network_blocked",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::UnknownCa => "unknown_ca",
            Self::Unreachable => "unreachable",
        }
    }

    /// Value of the label `outcome`.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::HostNotAllowed | Self::NetworkBlocked => "denied",
            Self::AnswerTimeout | Self::ConnectTimeout => "timed_out",
            _ => "failed",
        }
    }

    /// What an operator can do about it.
    pub fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::CertificateInvalid => "the server's operator must replace the certificate",
            Self::CertificateExpired | Self::CertificateNotYetValid => {
                "compare the certificate with this machine's clock"
            }
            Self::ConnectionRefused => "nothing listens there: check the port in the URL, and whether the server runs",
            Self::Dns => "check the name in the URL, and this machine's resolver (/etc/resolv.conf)",
            Self::HostNotAllowed => "add it to allowed_outbound_hosts of the manifest",
            Self::NetworkBlocked => "change block_networks in the runtime config file",
            Self::Proxy => "check HTTPS_PROXY and NO_PROXY",
            Self::UnknownCa => "set ca_roots_file in a [[client_tls]] of the runtime config file",
            _ => return None,
        })
    }
}
