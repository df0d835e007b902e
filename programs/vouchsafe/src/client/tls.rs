//! Trust in servers: the system's certificate authorities or those of a file, and what is wrong with a certificate.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use vouchsafe_cli::Failure;
use vouchsafe_cli::files::read_text;
use x509_cert::der::Decode as _;

/// Longest file of certificates; the system's have about 300 KiB.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest wait for a server's certificate when it is fetched once more, to name its issuer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
const TRUST_HINT: &str = "name the authority's certificate with --ca FILE, or in SSL_CERT_FILE; a proxy that inspects TLS has an authority of its own";

/// The certificate authorities of the file `ca`; without one, the system's.
pub fn roots(ca: Option<&Path>) -> Result<RootCerts, Failure> {
    match ca {
        Some(path) => Ok(RootCerts::new_with_certs(&certificates(path)?)),
        None => system_roots(),
    }
}

/// The system's certificate authorities, and those of the file `ca`.
pub fn system_roots_and(ca: Option<&Path>) -> Result<RootCerts, Failure> {
    let Some(path) = ca else {
        return system_roots();
    };
    let found = rustls_native_certs::load_native_certs().certs;
    let mut all = certificates(path)?;
    all.extend(found.iter().map(|der| Certificate::from_der(der).to_owned()));
    Ok(RootCerts::new_with_certs(&all))
}

/// The authorities of `SSL_CERT_FILE` and `SSL_CERT_DIR` if one is set, or else those of the system's store. On a
/// machine without a store, as in a minimal container, Mozilla's.
fn system_roots() -> Result<RootCerts, Failure> {
    let found = rustls_native_certs::load_native_certs();
    if !found.certs.is_empty() {
        let all: Vec<_> = found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        return Ok(RootCerts::new_with_certs(&all));
    }
    let is_set = |name: &&str| std::env::var_os(name).is_some();
    match ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(is_set) {
        Some(name) => {
            let why = found.errors.first().map_or("no certificate found".to_owned(), ToString::to_string);
            Err(Failure::usage(format!("{name}: {why}")))
        }
        None => Ok(RootCerts::WebPki),
    }
}

/// The certificates of a PEM file.
pub fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let text = read_text(path, PEM_BYTES_MAX)?;
    let items = parse_pem(text.as_bytes()).filter_map(Result::ok);
    let found: Vec<_> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(Failure::file(path, "no certificate found"));
    }
    Ok(found)
}

/// The configuration of a client that is no HTTP client.
#[cfg(feature = "host")]
pub fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let mut trusted = rustls::RootCertStore::empty();
    let found = match ca {
        Some(path) => certificates(path)?.iter().map(|it| CertificateDer::from(it.der().to_vec())).collect(),
        None => rustls_native_certs::load_native_certs().certs,
    };
    let (added, _) = trusted.add_parsable_certificates(found);
    if added == 0 {
        return Err(Failure::usage("no certificate authority is known").hint(TRUST_HINT));
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Failure::refused(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(trusted).with_no_client_auth()))
}

/// The TLS error behind an HTTP error, if it is one.
pub fn error_of(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Says what is wrong, and what to do about it. `issuer` finds out who issued the server's certificate.
pub fn explain(error: &rustls::Error, issuer: impl FnOnce() -> Option<String>) -> (String, Option<&'static str>) {
    const CLOCK: &str = "check this machine's clock; otherwise the server's operator must renew the certificate";
    let rustls::Error::InvalidCertificate(why) = error else {
        let hint = match error {
            rustls::Error::InvalidMessage(_) => Some("the server may not speak TLS at this port"),
            rustls::Error::AlertReceived(_) => {
                Some("the server refused the connection; it may require a client certificate")
            }
            _ => None,
        };
        return (format!("TLS: {error}"), hint);
    };
    match why {
        CertificateError::UnknownIssuer => {
            let by = issuer()
                .map_or("by an unknown authority".to_owned(), |name| format!("by `{name}`, which is unknown here"));
            (format!("the server's certificate is issued {by}"), Some(TRUST_HINT))
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            (format!("the server's certificate expired on {}", date(*not_after)), Some(CLOCK))
        }
        CertificateError::Expired => ("the server's certificate has expired".to_owned(), Some(CLOCK)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (format!("the server's certificate is not valid before {}", date(*not_before)), Some(CLOCK))
        }
        CertificateError::NotValidYet => ("the server's certificate is not valid yet".to_owned(), Some(CLOCK)),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| name_in(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            (
                format!("the server's certificate is for {names}, not for {}", expected.to_str()),
                Some("use the name that the certificate has, or ask the server's operator for one with this name"),
            )
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => (
            "the server uses the certificate of an authority as its own".to_owned(),
            Some(
                "the server's operator must issue a certificate for it from that authority, with basicConstraints CA:FALSE",
            ),
        ),
        other => (format!("the server's certificate is invalid: {other}"), None),
    }
}

/// `DnsName("a.example")` as `a.example`.
fn name_in(presented: &str) -> &str {
    presented.split('"').nth(1).unwrap_or(presented)
}

fn date(time: UnixTime) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

/// Who issued the last certificate that the server at `host` sends. Connects once more, directly, and sends nothing but
/// the start of a handshake; `None` if anything fails.
pub fn issuer_of(host: &str, port: u16) -> Option<String> {
    let seen = Arc::new(Recorder { provider: Arc::new(default_provider()), last: OnceLock::new() });
    let config = ClientConfig::builder_with_provider(Arc::clone(&seen.provider))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let address = (host.trim_matches(['[', ']']), port).to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, LOOK_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(LOOK_TIMEOUT)).ok()?;
    while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
    let certificate = x509_cert::Certificate::from_der(seen.last.get()?).ok()?;
    Some(certificate.tbs_certificate().issuer().to_string())
}

/// Records a server's certificate and trusts nothing.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    last: OnceLock<Vec<u8>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let last = intermediates.last().unwrap_or(end_entity);
        drop(self.last.set(last.to_vec()));
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: CertificateError, expected: &str) {
        let (message, _) = explain(&error.into(), || Some("CN=Corporate CA".to_owned()));
        assert_eq!(message, expected);
    }

    #[test]
    fn names_what_is_wrong_with_a_certificate() {
        let (time, day) = (UnixTime::since_unix_epoch(Duration::ZERO), Duration::from_secs(86_400));
        let next_day = UnixTime::since_unix_epoch(day);
        check(
            CertificateError::UnknownIssuer,
            "the server's certificate is issued by `CN=Corporate CA`, which is unknown here",
        );
        check(
            CertificateError::ExpiredContext { time: next_day, not_after: time },
            "the server's certificate expired on Thu, 01 Jan 1970 00:00:00 GMT",
        );
        check(
            CertificateError::NotValidYetContext { time, not_before: next_day },
            "the server's certificate is not valid before Fri, 02 Jan 1970 00:00:00 GMT",
        );
        let expected = ServerName::try_from("broker.example").unwrap();
        let presented = vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()];
        check(
            CertificateError::NotValidForNameContext { expected: expected.clone(), presented },
            "the server's certificate is for a.example, IpAddress(127.0.0.1), not for broker.example",
        );
        check(
            CertificateError::NotValidForNameContext { expected, presented: Vec::new() },
            "the server's certificate is for no name, not for broker.example",
        );
    }

    #[test]
    fn recognizes_certificate_of_an_authority() {
        let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/host/src/tls/test-certificates/ca.pem");
        let found = certificates(Path::new(authority)).unwrap();
        let der = CertificateDer::from(found[0].der().to_vec());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der.clone()).unwrap();
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        let name = ServerName::try_from("localhost").unwrap();
        let verified = verifier.build().unwrap().verify_server_cert(&der, &[], &name, &[], UnixTime::now());
        let error = verified.map(|_| ()).unwrap_err();
        let (message, hint) = explain(&error, || None);
        assert_eq!(message, "the server uses the certificate of an authority as its own");
        assert!(hint.is_some_and(|hint| hint.ends_with("with basicConstraints CA:FALSE")), "{hint:?}");
    }

    #[test]
    fn hints_at_the_flag_for_unknown_authorities() {
        let (message, hint) = explain(&CertificateError::UnknownIssuer.into(), || None);
        assert_eq!(message, "the server's certificate is issued by an unknown authority");
        assert!(hint.is_some_and(|hint| hint.contains("--ca FILE") && hint.contains("SSL_CERT_FILE")), "{hint:?}");
    }

    #[test]
    fn finds_tls_errors_inside_io_errors() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let error = ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, inner.clone()));
        assert_eq!(error_of(&error), Some(&inner));
        assert_eq!(error_of(&ureq::Error::Rustls(inner.clone())), Some(&inner));
        assert_eq!(error_of(&ureq::Error::HostNotFound), None);
    }
}
