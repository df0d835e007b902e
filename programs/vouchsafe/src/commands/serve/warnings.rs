//! Warnings about a manifest that lacks something for the bundle. The broker starts anyway, but refuses the tokens of
//! the issuers in question; operators should not learn that from their users.

use crate::client::text::sanitize;
use crate::commands::policy::hosts;
use std::path::Path;
use vouchsafe_host::readable_warning;
use vouchsafe_manifest::{Manifest, Resolved};
use vouchsafe_policy::{Bundle, Environment, folder};

/// Finds what the manifest lacks; one text with a hint per warning. Invalid bundles are left to the broker, which
/// refuses them.
pub fn warnings(path: &Path, manifest: &Manifest, policies: Option<&Path>, resolved: &Resolved) -> Vec<String> {
    let base = path.parent().unwrap_or(Path::new(""));
    let source = |destination: &str| {
        let mut mounts = manifest.files().iter();
        let mount = mounts.find(|mount| mount.destination == destination)?;
        Some(base.join(&mount.source))
    };
    let policies = policies.map(Path::to_owned).or_else(|| source("/policies"));
    let files = policies.and_then(|policies| folder::read(&policies).ok());
    let variable = |name: &str| resolved.application_variables.get(name).cloned();
    let development = variable("development").as_deref() == Some("true");
    let environment = Environment {
        issuer: variable("issuer").unwrap_or_default(),
        development,
        // The length of an epoch is irrelevant here.
        epoch_seconds: u64::MAX,
    };
    let Some(bundle) = files.and_then(|files| Bundle::load(&files, &environment).ok()) else {
        return Vec::new();
    };
    let items = hosts::compare(path, &bundle, development).unwrap_or_default();
    let missing = |code: &str| matches!(code, "host-missing" | "credentials-missing");
    let items = items.iter().filter(|item| missing(item.code));
    let mut warnings: Vec<String> = items
        .map(|item| {
            let fix = item.fix.as_deref().unwrap_or_default();
            format!("warning: {}: {}\nhint: {fix}", item.file, item.message)
        })
        .collect();
    if let Some(folder) = source(hosts::CREDENTIALS) {
        warnings.extend(bundle.issuers().filter_map(|issuer| {
            let file = folder.join(issuer.credential_file.as_ref()?);
            let (name, shown) = (&issuer.name, file.display());
            if file.exists() {
                return readable_warning(&file, &format!("the credential of issuer `{name}`"));
            }
            Some(format!(
                "warning: issuer `{name}` reads `bearer_file` from `{shown}`, which does not exist\n\
                 hint: create it; until then, the keys of this issuer can't be fetched"
            ))
        }));
    }
    warnings
}

/// Reads the warnings in the application's answer to `/readyz`. Applications may send anything, so each text is made
/// safe for a terminal.
pub fn of_ready(body: &[u8]) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Ready {
        #[serde(default)]
        warnings: Vec<String>,
    }
    let ready: Option<Ready> = serde_json::from_slice(body).ok();
    let warnings = ready.map(|ready| ready.warnings).unwrap_or_default();
    warnings.iter().map(|text| sanitize(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::{of_ready, warnings};
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use vouchsafe_manifest::Manifest;

    /// Warnings for the repository's application with this bundle, after replacing `from` by `to` in its manifest.
    fn of(policies: &str, from: &str, to: &str) -> Vec<String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(repository.join("spin.toml")).expect("the manifest");
        assert!(text.contains(from), "{text}");
        let folder = std::env::temp_dir().join(format!("vouchsafe-warnings-{}-{}", std::process::id(), to.len()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("spin.toml");
        std::fs::write(&path, text.replace(from, to)).expect("a manifest");
        let manifest = Manifest::parse(&text.replace(from, to)).expect("a manifest");
        let given = [("issuer", "https://broker.example"), ("signer_root", "x")];
        let given: BTreeMap<String, String> = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let resolved = manifest.resolve(&given).expect("resolved");
        let found = warnings(&path, &manifest, Some(&repository.join(policies)), &resolved);
        std::fs::remove_dir_all(&folder).expect("removed");
        found
    }

    #[test]
    fn reads_warnings_of_ready_application() {
        let ready = br#"{"status":"ready","warnings":["one","two\u001b[2J"]}"#;
        assert_eq!(of_ready(ready), ["one", "two\u{fffd}[2J"]);
        for other in ["ok\n", "", "{}", "[]", r#"{"warnings":"text"}"#] {
            assert_eq!(of_ready(other.as_bytes()), [""; 0], "{other}");
        }
    }

    #[test]
    fn complete_manifest_has_no_warnings() {
        assert_eq!(of("policies", "/policies\"", "/policies\""), [""; 0]);
    }

    #[test]
    fn names_issuer_whose_host_is_missing() {
        let found = of("policies", "https://token.actions.githubusercontent.com", "https://other.example");
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = "issuer `github` needs `https://token.actions.githubusercontent.com:443` in \
                        `allowed_outbound_hosts`\nhint: add it";
        assert!(found[0].ends_with(expected), "{found:?}");
    }

    /// Writes a bundle to `folder` whose only issuer reads a credential.
    fn bundle_with_credential(folder: &Path) {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::fs::create_dir_all(folder.join("issuers")).expect("a folder");
        for name in ["bundle.toml", "schema.cedarschema"] {
            std::fs::copy(repository.join("policies").join(name), folder.join(name)).expect("copied");
        }
        let issuer = "issuer = \"https://token.actions.githubusercontent.com\"\nprovider = \"github\"\n\
                      [keys]\ndiscovery = true\nbearer_file = \"github-token\"\n";
        std::fs::write(folder.join("issuers/github.toml"), issuer).expect("an issuer");
    }

    #[test]
    fn names_credentials_not_mounted_or_missing() {
        let folder = std::env::temp_dir().join(format!("vouchsafe-credentials-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let bundle = folder.join("policies");
        bundle_with_credential(&bundle);
        let bundle = bundle.display().to_string();
        let credentials = folder.join("credentials");
        std::fs::create_dir_all(&credentials).expect("a folder");
        let mount = |source: &str| {
            format!(
                "files = [{{ source = \"policies\", destination = \"/policies\" }}, \
                 {{ source = \"{source}\", destination = \"/credentials\" }}]"
            )
        };
        let none = "files = [{ source = \"policies\", destination = \"/policies\" }]";
        let unmounted = of(&bundle, none, none);
        assert_eq!(unmounted.len(), 1, "{unmounted:?}");
        assert!(unmounted[0].contains("/credentials"), "{unmounted:?}");
        let mounted = mount(&credentials.display().to_string());
        let file = credentials.join("github-token");
        assert_eq!(
            of(&bundle, none, &mounted),
            [format!(
                "warning: issuer `github` reads `bearer_file` from `{}`, which does not exist\n\
                 hint: create it; until then, the keys of this issuer can't be fetched",
                file.display()
            )]
        );
        std::fs::write(&file, "secret").expect("written");
        let set = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        set(0o600);
        assert_eq!(of(&bundle, none, &mounted), [""; 0]);
        set(0o644);
        let shown = file.display();
        assert_eq!(
            of(&bundle, none, &mounted),
            [format!(
                "warning: {shown} holds the credential of issuer `github` and is readable by other users (mode 0644)\n\
                 hint: chmod 600 {shown}"
            )]
        );
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn leaves_missing_bundle_to_the_broker() {
        assert_eq!(of("no-such-folder", "https://token.actions", "https://x"), [""; 0]);
    }
}
