//! Certificates in files.

use super::entry::{Entry, State};
use crate::client::tls;
use std::path::PathBuf;
use vouchsafe_cli::Failure;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Every certificate of these files.
pub fn of_files(paths: &[PathBuf]) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for path in paths {
        for certificate in tls::certificates(path)? {
            let parsed = Certificate::from_der(certificate.der()).map_err(|error| Failure::file(path, error))?;
            entries.push(entry(&parsed, &path.display().to_string()));
        }
    }
    Ok(entries)
}

fn entry(certificate: &Certificate, place: &str) -> Entry {
    let certificate = certificate.tbs_certificate();
    let subject = certificate.subject().to_string();
    let validity = certificate.validity();
    let created = validity.not_before.to_unix_duration().as_secs();
    let id = certificate.serial_number().to_string();
    Entry {
        id: Some(id),
        state: State::Active,
        created: Some(created),
        activated: Some(created),
        expires: Some(validity.not_after.to_unix_duration().as_secs()),
        certificate: Some((subject.clone(), certificate.issuer().to_string())),
        ..Entry::new("certificate", subject, format!("file {place}"))
    }
}
