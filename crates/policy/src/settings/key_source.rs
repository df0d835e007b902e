//! `keys` of an issuer file: discovery, a JWKS URL, or a key set that is part of the bundle.

use crate::bundle::files::{BundleFiles, utf8};
use crate::calendar::parse_unix_seconds;
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::NAME_BYTES_MAX;
use crate::settings::records::{KeySource, PinnedKeys};
use crate::settings::toml_file::TomlFile;
use crate::settings::url;
use vouchsafe_providers::Profile;

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysEntry {
    discovery: Option<bool>,
    jwks_uri: Option<Spanned<String>>,
    /// The name of a file in `issuers/`.
    pinned: Option<Spanned<String>>,
    expires: Option<Spanned<String>>,
    /// The name of a file in `/credentials`.
    bearer_file: Option<Spanned<String>>,
}

/// The key source of an issuer file; absent means discovery.
pub(crate) fn key_source(
    file: &mut TomlFile<'_>,
    entry: Option<&Spanned<KeysEntry>>,
    profile: Profile,
    development: bool,
    files: &BundleFiles,
) -> KeySource {
    let Some(entry) = entry else {
        if profile == Profile::JwtSvid {
            file.refuse(0..0, BundleError::TrustDomainWithoutKeys);
        }
        return KeySource::Discovery;
    };
    let KeysEntry { discovery, jwks_uri, pinned, expires, bearer_file } = entry.get_ref();
    if pinned.is_some() && bearer_file.is_some() {
        file.refuse(entry.span(), BundleError::KeysAmbiguous);
    }
    match (discovery, jwks_uri, pinned, expires) {
        (Some(true), None, None, None) if profile == Profile::JwtSvid => {
            file.refuse(entry.span(), BundleError::TrustDomainWithoutKeys);
            KeySource::Discovery
        }
        (Some(true), None, None, None) => KeySource::Discovery,
        (None, Some(uri), None, None) => {
            if let Some(reason) = url::refusal(uri.get_ref(), development) {
                file.refuse(uri.span(), BundleError::UrlRefused { key: "jwks_uri", reason });
            }
            KeySource::JwksUri(uri.get_ref().clone())
        }
        (None, None, Some(pinned), Some(expires)) => pinned_keys(file, pinned, expires, files),
        _ => {
            file.refuse(entry.span(), BundleError::KeysAmbiguous);
            KeySource::Discovery
        }
    }
}

/// The name of the file with the bearer token for fetching the issuer's keys.
pub(crate) fn credential_file(file: &mut TomlFile<'_>, entry: Option<&Spanned<KeysEntry>>) -> Option<String> {
    let name = entry?.get_ref().bearer_file.as_ref()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let text = name.get_ref();
    // Neither a path out of the folder nor one of the links with which Kubernetes replaces its volumes.
    if !(1..=NAME_BYTES_MAX).contains(&text.len()) || text.starts_with('.') || !text.bytes().all(allowed) {
        file.refuse(name.span(), BundleError::CredentialNameInvalid);
    }
    Some(text.clone())
}

fn pinned_keys(
    file: &mut TomlFile<'_>,
    pinned: &Spanned<String>,
    expires: &Spanned<String>,
    files: &BundleFiles,
) -> KeySource {
    let expires_at = parse_unix_seconds(expires.get_ref());
    if expires_at.is_none() {
        file.refuse(expires.span(), BundleError::ExpiryInvalid);
    }
    let path = pinned_path(pinned.get_ref());
    let document = match files.content(&path) {
        Some(content) => jwks_document(&path, content),
        None => Err(Diagnostic::of_file(&path, BundleError::FileMissing)),
    };
    let document = document.unwrap_or_else(|diagnostic| {
        file.diagnostics.push(diagnostic);
        String::new()
    });
    KeySource::Pinned(PinnedKeys { document, expires: expires_at.unwrap_or(0) })
}

/// The path of the file that `pinned` names.
fn pinned_path(name: &str) -> String {
    format!("issuers/{name}")
}

/// Reads a JWK Set. Only its outer structure is checked here; the identity component checks every key.
fn jwks_document(path: &str, content: &[u8]) -> Result<String, Diagnostic> {
    let text = utf8(path, content)?;
    let document: serde_json::Value =
        serde_json::from_str(text).map_err(|_| Diagnostic::of_file(path, BundleError::KeysNotJwks))?;
    match document.get("keys").and_then(serde_json::Value::as_array) {
        Some(keys) if !keys.is_empty() => Ok(text.to_owned()),
        _ => Err(Diagnostic::of_file(path, BundleError::KeysNotJwks)),
    }
}

/// The issuer files that name a credential, in path order. They require a host to mount `/credentials`.
#[must_use]
pub fn with_credentials(files: &BundleFiles) -> Vec<&str> {
    let names_one = |content: &[u8]| {
        let table: toml::Table = toml::from_str(std::str::from_utf8(content).ok()?).ok()?;
        table.get("keys")?.get("bearer_file").map(|_| ())
    };
    files
        .iter()
        .filter(|(path, _)| path.starts_with("issuers/") && path.ends_with(".toml"))
        .filter_map(|(path, content)| names_one(content).map(|()| path))
        .collect()
}

/// The path of the pinned key file that an issuer file names, if any.
pub(crate) fn pinned_path_in(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    let table: toml::Table = toml::from_str(text).ok()?;
    Some(pinned_path(table.get("keys")?.get("pinned")?.as_str()?))
}
