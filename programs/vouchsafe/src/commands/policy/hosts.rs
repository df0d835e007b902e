//! Checks that a manifest allows exactly the hosts that a bundle's issuers need, and mounts their credentials.

use http::Uri;
use std::path::Path;
use vouchsafe_cli::Failure;
use vouchsafe_manifest::{HostPattern, Manifest};
use vouchsafe_policy::{Bundle, Issuer, KeySource};
use vouchsafe_policy_tools::report::{Item, Severity};

/// Where the credentials that issuer files name are mounted.
pub const CREDENTIALS: &str = "/credentials";

/// The origin from which an issuer's keys are fetched.
struct Origin {
    issuer: String,
    scheme: String,
    host: String,
    port: u16,
    development: bool,
}

/// Compares `allowed_outbound_hosts` of the manifest in `path` with what `bundle` needs.
///
/// A discovery document can name a JWKS URL on another host, which is not known here. Hosts of development issuers
/// may be missing unless `development` or the manifest's default of that variable enables development.
pub fn compare(path: &Path, bundle: &Bundle, development: bool) -> Result<Vec<Item>, Failure> {
    let file = path.display().to_string();
    let manifest = read(path)?;
    let default = manifest.variables().get("development");
    let development = development || default.is_some_and(|it| it.default.as_deref() == Some("true"));
    let mounted = manifest.files().iter().any(|mount| mount.destination == CREDENTIALS);
    let needed: Vec<Origin> = bundle.issuers_of_all_environments().filter_map(origin).collect();
    let mut items = match mounted {
        true => Vec::new(),
        false => missing_credentials(&file, bundle, development),
    };
    let patterns = patterns(&file, &manifest, &mut items);
    let allows = |pattern: &HostPattern, origin: &Origin| pattern.allows(&origin.scheme, &origin.host, origin.port);
    for origin in needed.iter().filter(|it| development || !it.development) {
        if !patterns.iter().any(|(_, pattern)| allows(pattern, origin)) {
            let Origin { issuer, scheme, host, port, .. } = origin;
            let message = format!("issuer `{issuer}` needs `{scheme}://{host}:{port}` in `allowed_outbound_hosts`");
            items.push(item(&file, Severity::Error, "host-missing", message, "add it"));
        }
    }
    // The signer needs the hosts of its gateways, which a variable contains.
    let has_gateways = manifest.variables().contains_key("gateway_urls");
    for (text, pattern) in &patterns {
        // The store needs its database.
        let is_database = text.starts_with("postgres://");
        if !has_gateways && !is_database && !needed.iter().any(|origin| allows(pattern, origin)) {
            let message = format!("no issuer needs `{text}` of `allowed_outbound_hosts`");
            let fix = "remove it, so that the component can reach only what it needs";
            items.push(item(&file, Severity::Warning, "host-unused", message, fix));
        }
    }
    Ok(items)
}

/// The manifest in `path`.
pub fn read(path: &Path) -> Result<Manifest, Failure> {
    let file = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read `{file}`: {error}")))?;
    Manifest::parse(&text).map_err(|error| Failure::usage(format!("{file}: {error}")))
}

/// The hosts of the manifest that only development issuers need.
pub fn for_development<'m>(manifest: &'m Manifest, bundle: &Bundle) -> Vec<&'m str> {
    let needed: Vec<Origin> = bundle.issuers_of_all_environments().filter_map(origin).collect();
    let is_for_development = |text: &&str| {
        let pattern = HostPattern::parse(text);
        let needs = |origin: &&Origin| {
            pattern.as_ref().is_ok_and(|pattern| pattern.allows(&origin.scheme, &origin.host, origin.port))
        };
        let mut needing = needed.iter().filter(needs).peekable();
        needing.peek().is_some() && needing.all(|origin| origin.development)
    };
    manifest.allowed_outbound_hosts().iter().map(String::as_str).filter(is_for_development).collect()
}

/// The hosts that the manifest allows. Adds an item for each that cannot be compared.
fn patterns<'m>(file: &str, manifest: &'m Manifest, items: &mut Vec<Item>) -> Vec<(&'m str, HostPattern)> {
    let mut patterns = Vec::new();
    for text in manifest.allowed_outbound_hosts() {
        // The value of a variable is not known here.
        if text.contains("{{") {
            let message = format!("`{text}` contains a variable and is not compared");
            let fix = "compare it by hand";
            items.push(item(file, Severity::Warning, "host-variable", message, fix));
            continue;
        }
        match HostPattern::parse(text) {
            Ok(pattern) => patterns.push((text.as_str(), pattern)),
            Err(error) => {
                let fix = "write `https://` and a host name";
                items.push(item(file, Severity::Error, "host-invalid", error.to_string(), fix));
            }
        }
    }
    patterns
}

/// Errors about issuers whose credential is not mounted.
fn missing_credentials(file: &str, bundle: &Bundle, development: bool) -> Vec<Item> {
    let issuers = bundle.issuers_of_all_environments();
    let with_credential =
        issuers.filter(|issuer| issuer.credential_file.is_some() && (development || !issuer.development));
    let missing = |issuer: &Issuer| {
        let name = &issuer.name;
        let message = format!("issuer `{name}` reads `bearer_file` from `{CREDENTIALS}`, which `files` does not mount");
        let fix = "add `{ source = \"FOLDER\", destination = \"/credentials\" }` to `files`";
        item(file, Severity::Error, "credentials-missing", message, fix)
    };
    with_credential.map(missing).collect()
}

pub(super) fn item(file: &str, severity: Severity, code: &'static str, message: String, fix: &str) -> Item {
    Item { severity, code, file: file.to_owned(), in_bundle: false, place: None, message, fix: Some(fix.to_owned()) }
}

/// None for pinned keys, which are not fetched.
fn origin(issuer: &Issuer) -> Option<Origin> {
    let url = match &issuer.keys {
        KeySource::Discovery => &issuer.issuer,
        KeySource::JwksUri(uri) => uri,
        KeySource::Pinned(_) => return None,
    };
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    Some(Origin {
        issuer: issuer.name.clone(),
        scheme,
        host: uri.host()?.to_owned(),
        port,
        development: issuer.development,
    })
}
