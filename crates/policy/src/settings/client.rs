//! `clients/<id>.toml`: software that asks about tokens and cannot get one of a platform.

use crate::bundle::files::BundleFiles;
use crate::bundle::layout::Layout;
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::{CLIENT_SECRETS_MAX, LEEWAY_SECONDS_DEFAULT};
use crate::settings::issuer::algorithms as algorithms_of;
use crate::settings::records::{
    Client, ClientCredential, Environment, Issuer, KeySource, PinnedKeys, ReplayMode, RequiredClaim,
};
use crate::settings::toml_file::TomlFile;
use sha2::{Digest, Sha256};
use vouchsafe_providers::client::{ENTITY_TYPE, ISSUER_NAME, PROVIDER};
use vouchsafe_types::Principal;

/// What stands before the hash of a secret.
const HASH_PREFIX: &str = "sha256:";
/// Members of a JWK that only private and symmetric keys have (RFC 7518 §6).
const SECRET_MEMBERS: [&str; 7] = ["d", "dp", "dq", "k", "p", "q", "qi"];

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientFile {
    /// `sha256:` and the lowercase hexadecimal SHA-256 of each secret, as `vouchsafe client secret` prints it.
    secrets: Option<Spanned<Vec<String>>>,
    /// A JWK Set with the client's public keys, as JSON.
    jwks: Option<Spanned<String>>,
    /// Accepted JWS algorithms of the client's assertions.
    algorithms: Option<Spanned<Vec<String>>>,
}

/// Reads the client file `path`, whose name without `.toml` is the client's `id`.
pub(crate) fn read(
    path: &str,
    id: &str,
    files: &BundleFiles,
    environment: &Environment,
) -> Result<Client, Vec<Diagnostic>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, ClientFile) = TomlFile::parse(path, content).map_err(|diagnostic| vec![diagnostic])?;
    let ClientFile { secrets, jwks, algorithms } = entries;
    let credential = match (secrets, jwks) {
        (Some(secrets), None) if algorithms.is_none() => ClientCredential::Secret(hashes(&mut file, &secrets)),
        (None, Some(jwks)) => {
            let document = document(&mut file, &jwks);
            let algorithms = algorithms_of(&mut file, algorithms.as_ref(), &PROVIDER);
            // RFC 7523 §3: `iss` and `sub` are the client's id.
            let require = vec![RequiredClaim { name: "sub".to_owned(), values: vec![id.to_owned()] }];
            let issuer = Issuer { algorithms, require, ..issuer(id, environment, document) };
            ClientCredential::Key(issuer.record())
        }
        _ => {
            file.refuse(0..0, BundleError::ClientCredentialAmbiguous);
            ClientCredential::Secret(Vec::new())
        }
    };
    let principal = Principal {
        entity_type: ENTITY_TYPE.to_owned(),
        id: id.to_owned(),
        issuer_name: ISSUER_NAME.to_owned(),
        attributes: Vec::new(),
    };
    file.finish(Client { principal, credential })
}

/// The issuer that all clients are in. Nothing verifies by its record: each client has its own credential.
pub(crate) fn issuer_of(clients: &[Client], environment: &Environment) -> Issuer {
    let mut hash = Sha256::new();
    for client in clients {
        // Tells credentials apart, so that comparisons of bundles show a change.
        hash.update(format!("{client:?}"));
    }
    let document = format!("sha256:{}", base16ct::lower::encode_string(&hash.finalize()));
    issuer(ISSUER_NAME, environment, document)
}

/// Refuses an issuer file with the name of the clients' issuer.
pub(crate) fn check_name(layout: &Layout<'_>) -> Option<Diagnostic> {
    let (path, _) = layout.issuers.iter().find(|(_, name)| *name == ISSUER_NAME)?;
    (!layout.clients.is_empty()).then(|| Diagnostic::of_file(path, BundleError::IssuerIsClients))
}

/// The issuer `url` of tokens that are verified with pinned keys.
fn issuer(url: &str, environment: &Environment, document: String) -> Issuer {
    Issuer {
        name: ISSUER_NAME.to_owned(),
        issuer: url.to_owned(),
        provider: &PROVIDER,
        // The broker's issuer URL, and not that of an endpoint (draft-ietf-oauth-rfc7523bis).
        audiences: vec![environment.issuer.clone()],
        algorithms: PROVIDER.default_algorithms.iter().map(|name| (*name).to_owned()).collect(),
        keys: KeySource::Pinned(PinnedKeys { document, expires: u64::MAX }),
        credential_file: None,
        keys_max_age_seconds: 0,
        stale_keys_max_seconds: 0,
        max_token_age_seconds: PROVIDER.max_token_age_seconds,
        leeway_seconds: LEEWAY_SECONDS_DEFAULT,
        replay: ReplayMode::SingleUse,
        claims: Vec::new(),
        require: Vec::new(),
        subject_template: None,
        allow_act: false,
        development: false,
    }
}

/// The hashes, without their prefix.
fn hashes(file: &mut TomlFile<'_>, entry: &Spanned<Vec<String>>) -> Vec<String> {
    if entry.get_ref().is_empty() {
        file.refuse(entry.span(), BundleError::Empty("secrets"));
    }
    file.check_list("secrets", entry, CLIENT_SECRETS_MAX);
    let is_hash = |text: &&str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let hash = |text: &String| text.strip_prefix(HASH_PREFIX).filter(is_hash).map(str::to_owned);
    let hashes: Option<Vec<String>> = entry.get_ref().iter().map(hash).collect();
    hashes.unwrap_or_else(|| {
        file.refuse(entry.span(), BundleError::ClientSecretInvalid);
        Vec::new()
    })
}

/// The JWK Set. Only its outer structure is checked here; the identity component checks every key.
fn document(file: &mut TomlFile<'_>, entry: &Spanned<String>) -> String {
    let document: Option<serde_json::Value> = serde_json::from_str(entry.get_ref()).ok();
    let keys = document.as_ref().and_then(|document| document.get("keys")?.as_array());
    match keys {
        Some(keys) if !keys.is_empty() => {
            let is_secret = |key: &serde_json::Value| SECRET_MEMBERS.iter().any(|member| key.get(member).is_some());
            if keys.iter().any(is_secret) {
                file.refuse(entry.span(), BundleError::ClientKeySecret);
            }
        }
        _ => file.refuse(entry.span(), BundleError::KeysNotJwks),
    }
    entry.get_ref().clone()
}
