//! TLS of the gateway, optionally with client certificates.

use crate::config::TlsFiles;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use vouchsafe_cli::Failure;
use vouchsafe_cli::files::read_secret;
use vouchsafe_serve::tls::{CertificateError, add_roots, read_certificates};

/// Maximum size of a private key in PEM. A key of RSA-16384 has 12 KiB.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Reads the files of `[tls]` and sets up TLS.
pub fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::usage(format!("TLS: {error}")))?;
    let builder = match &files.client_roots {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            add_roots(&mut roots, path).map_err(certificate_failure)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| file_failure(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = read_secret(&files.key, KEY_BYTES_MAX)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| file_failure(&files.key, &error))?;
    let config = builder
        .with_single_cert(read_certificates(&files.certificate).map_err(certificate_failure)?, key)
        .map_err(|error| file_failure(&files.key, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificate_failure(error: CertificateError) -> Failure {
    Failure::usage(error.to_string())
}

fn file_failure(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}
