//! Keys and credentials of the broker: from the manifest, its variables and the bundle.

use super::entry::{Entry, State};
use super::uses::Uses;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use vouchsafe_cli::Failure;
use vouchsafe_host::{Application, CREDENTIALS};
use vouchsafe_policy::{Bundle, Client, ClientCredential, Environment, KeySource};
use vouchsafe_providers::client::ISSUER_NAME;
use vouchsafe_signer::{Config, Epoch, Root, Signer, UnixSeconds, Variable, Variables};

/// Epoch of a signer without the variable.
const EPOCH_SECONDS: u64 = 3600;
/// Where an algorithm of epoch keys comes from.
const DERIVED: &str = "derived from the root, in memory";

/// What the entries are made from.
pub struct Source<'a> {
    pub application: &'a Application,
    pub bundle: &'a Bundle,
    pub uses: &'a Uses,
    pub now: u64,
}

pub fn environment(application: &Application) -> Environment {
    Environment {
        issuer: variable(application, "issuer").to_owned(),
        development: variable(application, "development") == "true",
        epoch_seconds: variable(application, "signer_epoch").parse().unwrap_or(EPOCH_SECONDS),
    }
}

fn variable<'a>(application: &'a Application, name: &str) -> &'a str {
    application.resolved.application_variables.get(name).map_or("", String::as_str)
}

impl Source<'_> {
    /// The root with the keys derived from it, or the credential for the gateways that have them.
    pub fn signer(&self) -> Result<Vec<Entry>, Failure> {
        let has = |name: Variable| self.application.manifest.variables().contains_key(name.name());
        if !has(Variable::SignerRoot) {
            let credential = self.of_variable("gateway-credential", Variable::GatewayToken);
            return Ok(if has(Variable::GatewayToken) { vec![credential] } else { Vec::new() });
        }
        let mut variables = Variables::default();
        for each in Variable::LOCAL {
            variables.slot(each).push_str(variable(self.application, each.name()));
        }
        let invalid = |error: vouchsafe_signer::Error| Failure::usage(error.to_string());
        let (config, root) = (Config::parse(&variables).map_err(invalid)?, Root::parse(&variables).map_err(invalid)?);
        let current = Epoch::containing(UnixSeconds(self.now), config.epoch_seconds()).map_err(invalid)?;
        let mut signer = Signer::new(config, root, &vouchsafe_crypto::Software);
        let set = signer.public_keys(1, UnixSeconds(self.now)).map_err(invalid)?;
        let mut entries = self.epoch_keys(&set.document, current);
        let used = entries.iter().filter_map(|entry| entry.used).max();
        let root = self.of_variable("root", Variable::SignerRoot);
        entries.push(Entry { used, ..root });
        entries.extend(self.uses.logs.iter().map(|log| Entry {
            algorithm: Some("EdDSA".to_owned()),
            created: Some(*log),
            activated: Some(*log),
            ..Entry::new("log-key", format!("log/{log}"), DERIVED)
        }));
        Ok(entries)
    }

    /// Those that are published, oldest first, as in the JWK Set.
    fn epoch_keys(&self, document: &str, current: Epoch) -> Vec<Entry> {
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        let keys: Vec<&Value> = document["keys"].as_array().into_iter().flatten().collect();
        let epochs: Vec<Epoch> = current.published().collect();
        let per_epoch = (keys.len() / epochs.len().max(1)).max(1);
        let epochs = epochs.into_iter().flat_map(|epoch| std::iter::repeat_n(epoch, per_epoch));
        let entry = |(key, epoch): (&Value, Epoch)| {
            let text = |name: &str| key[name].as_str().map(str::to_owned);
            let kid = text("kid").unwrap_or_default();
            Entry {
                algorithm: text("alg"),
                state: match epoch.start().cmp(&current.start()) {
                    std::cmp::Ordering::Less => State::Deactivated,
                    std::cmp::Ordering::Equal => State::Active,
                    std::cmp::Ordering::Greater => State::PreActivation,
                },
                created: Some(epoch.publication().0),
                activated: Some(epoch.start()),
                expires: Some(epoch.withdrawal().0),
                used: self.uses.of_kid(&kid),
                id: Some(kid.clone()),
                ..Entry::new("epoch-key", kid, DERIVED)
            }
        };
        keys.into_iter().zip(epochs).map(entry).collect()
    }

    /// A secret variable. When it was made is known if it is in a file of its own.
    fn of_variable(&self, kind: &'static str, variable: Variable) -> Entry {
        let prefix = format!("{}=@", variable.name());
        let flags = &self.application.options.variables;
        let file = flags.iter().find_map(|flag| flag.strip_prefix(&prefix)).map(Path::new);
        let custody = match file {
            Some(file) => format!("file {}", file.display()),
            None => "variable of the host".to_owned(),
        };
        Entry { created: file.and_then(modified), ..Entry::new(kind, variable.name(), custody) }
    }

    /// Pinned keys of issuers, and credentials with which others are fetched.
    pub fn issuers(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        // Clients have entries of their own.
        for issuer in self.bundle.issuers().filter(|issuer| issuer.name != ISSUER_NAME) {
            let used = self.uses.of_issuer(&issuer.name);
            if let KeySource::Pinned(keys) = &issuer.keys {
                let expires = Some(keys.expires);
                entries.push(Entry {
                    expires,
                    used,
                    ..Entry::new("issuer-keys", &issuer.name, "public, in the bundle")
                });
            }
            if let Some(file) = &issuer.credential_file {
                let mounted = self.application.mounted(CREDENTIALS);
                let created = mounted.and_then(|folder| modified(&folder.join(file)));
                let custody = format!("file {CREDENTIALS}/{file}");
                entries.push(Entry { created, used, ..Entry::new("issuer-credential", &issuer.name, custody) });
            }
        }
        entries
    }

    /// Audiences of the broker's own endpoints: whoever gets their tokens administers it.
    pub fn admin_audiences(&self) -> Vec<Entry> {
        let issuer = variable(self.application, "issuer").trim_end_matches('/');
        let own = self
            .bundle
            .audiences()
            .filter(|audience| audience.id.strip_prefix(issuer).is_some_and(|rest| rest.starts_with('/')));
        own.map(|audience| Entry {
            algorithm: Some(audience.algorithm.clone()),
            used: self.uses.of_audience(&audience.id),
            ..Entry::new("admin-audience", &audience.id, "tokens of this broker")
        })
        .collect()
    }
}

/// The credentials of the bundle's clients.
pub fn clients(bundle: &Bundle) -> Vec<Entry> {
    let custody = |credential: &ClientCredential| match credential {
        ClientCredential::Key(_) => "its holder; the public key in the bundle",
        ClientCredential::Secret(_) => "its holder; a hash in the bundle",
    };
    let entry = |client: &Client| Entry::new("client", &client.principal.id, custody(&client.credential));
    bundle.clients().iter().map(entry).collect()
}

/// Files with a secret each.
pub fn secret_files(kind: &'static str, paths: &[PathBuf]) -> Result<Vec<Entry>, Failure> {
    let entry = |path: &PathBuf| {
        path.metadata().map_err(|error| Failure::file(path, error))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Entry { created: modified(path), ..Entry::new(kind, name, format!("file {}", path.display())) })
    };
    paths.iter().map(entry).collect()
}

/// When a file was last written, in Unix seconds.
fn modified(path: &Path) -> Option<u64> {
    let since = path.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use vouchsafe_policy::folder;

    #[test]
    fn lists_each_client_once() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
        let mut files = folder::read(Path::new(dir)).expect("reads");
        let client = format!("secrets = [\"sha256:{}\"]\n", "0".repeat(64));
        files.add("clients/apache.toml", client.into_bytes()).expect("adds");
        let environment =
            Environment { issuer: "https://broker.example".to_owned(), development: true, epoch_seconds: 3600 };
        let bundle = Bundle::load(&files, &environment).expect("loads");
        let entries = clients(&bundle);
        let found: Vec<_> = entries.iter().map(|it| (it.kind, it.name.as_str(), it.expires)).collect();
        assert_eq!(found, [("client", "apache", None)]);
        assert!(bundle.issuers().any(|issuer| issuer.name == ISSUER_NAME), "which `issuers` leaves out");
    }
}
