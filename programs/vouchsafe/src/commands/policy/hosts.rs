//! Whether a manifest lets the broker reach the hosts that a bundle's issuers need, and no others, and
//! see their credentials.

use crate::commands::Failure;
use http::Uri;
use std::path::Path;
use vouchsafe_manifest::{HostPattern, Manifest};
use vouchsafe_policy::{Bundle, Issuer, KeySource};
use vouchsafe_policy_tools::report::{Item, Severity};

/// Where the credentials are that issuer files name.
pub const CREDENTIALS: &str = "/credentials";

/// An origin that an issuer's keys are fetched from.
struct Origin {
    issuer: String,
    scheme: String,
    host: String,
    port: u16,
    development: bool,
}

/// Compares `allowed_outbound_hosts` of the manifest in `path` with what `bundle` needs.
///
/// A discovery document may name a JWKS URL on yet another host, which no file here tells. Hosts of
/// issuers that are for development only may be missing where neither `development` nor the
/// manifest's default of that variable turns development on.
pub fn compare(path: &Path, bundle: &Bundle, development: bool) -> Result<Vec<Item>, Failure> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read `{file}`: {error}")))?;
    let manifest =
        Manifest::parse(&text).map_err(|error| Failure::usage(format!("{file}: {error}")))?;
    let default = manifest.variables().get("development");
    let development =
        development || default.is_some_and(|it| it.default.as_deref() == Some("true"));
    let mounted = manifest
        .files()
        .iter()
        .any(|mount| mount.destination == CREDENTIALS);
    let needed: Vec<Origin> = bundle
        .issuers_of_all_environments()
        .filter_map(origin)
        .collect();
    let with_credential = bundle
        .issuers_of_all_environments()
        .filter(|issuer| issuer.credential_file.is_some() && (development || !issuer.development));
    let mut items = Vec::new();
    for issuer in with_credential.filter(|_| !mounted) {
        let name = &issuer.name;
        let message = format!(
            "issuer `{name}` reads `bearer_file` from `{CREDENTIALS}`, where `files` mounts nothing"
        );
        let fix = "add `{ source = \"FOLDER\", destination = \"/credentials\" }` to `files`";
        items.push(item(
            &file,
            Severity::Error,
            "credentials-missing",
            message,
            fix,
        ));
    }
    let mut patterns = Vec::new();
    for text in manifest.allowed_outbound_hosts() {
        // What a variable will hold is not known here.
        if text.contains("{{") {
            let message = format!("`{text}` holds a variable and is not compared");
            let fix = "compare it by hand";
            items.push(item(
                &file,
                Severity::Warning,
                "host-variable",
                message,
                fix,
            ));
            continue;
        }
        match HostPattern::parse(text) {
            Ok(pattern) => patterns.push((text, pattern)),
            Err(error) => {
                let fix = "write `https://` and a host's name";
                items.push(item(
                    &file,
                    Severity::Error,
                    "host-invalid",
                    error.to_string(),
                    fix,
                ));
            }
        }
    }
    let allows = |pattern: &HostPattern, origin: &Origin| {
        pattern.allows(&origin.scheme, &origin.host, origin.port)
    };
    for origin in needed.iter().filter(|it| development || !it.development) {
        if !patterns.iter().any(|(_, pattern)| allows(pattern, origin)) {
            let Origin {
                issuer,
                scheme,
                host,
                port,
                ..
            } = origin;
            let message = format!(
                "issuer `{issuer}` needs `{scheme}://{host}:{port}` in `allowed_outbound_hosts`"
            );
            items.push(item(
                &file,
                Severity::Error,
                "host-missing",
                message,
                "add it",
            ));
        }
    }
    for (text, pattern) in &patterns {
        if !needed.iter().any(|origin| allows(pattern, origin)) {
            let message = format!("no issuer needs `{text}` of `allowed_outbound_hosts`");
            let fix = "remove it: the component reaches nothing that it does not need";
            items.push(item(&file, Severity::Warning, "host-unused", message, fix));
        }
    }
    Ok(items)
}

fn item(file: &str, severity: Severity, code: &'static str, message: String, fix: &str) -> Item {
    Item {
        severity,
        code,
        file: file.to_owned(),
        in_bundle: false,
        place: None,
        message,
        fix: Some(fix.to_owned()),
    }
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
    let port = uri
        .port_u16()
        .unwrap_or(if scheme == "http" { 80 } else { 443 });
    Some(Origin {
        issuer: issuer.name.clone(),
        scheme,
        host: uri.host()?.to_owned(),
        port,
        development: issuer.development,
    })
}
