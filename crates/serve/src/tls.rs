//! PEM files with certificates, for servers and clients.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use std::path::{Path, PathBuf};

/// Why a PEM file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{}: no certificate found", path.display())]
    Empty { path: PathBuf },
    #[error("{}: {reason}", path.display())]
    Pem { path: PathBuf, reason: pem::Error },
    #[error("{}: {reason}", path.display())]
    Root { path: PathBuf, reason: rustls::Error },
}

/// Reads all certificates of a PEM file, of which there must be at least one.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(certificates) if certificates.is_empty() => Err(CertificateError::Empty { path: path.to_owned() }),
        Ok(certificates) => Ok(certificates),
        Err(reason) => Err(CertificateError::Pem { path: path.to_owned(), reason }),
    }
}

/// Adds all certificates of a PEM file to `roots`.
pub fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), CertificateError> {
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|reason| CertificateError::Root { path: path.to_owned(), reason })?;
    }
    Ok(())
}
