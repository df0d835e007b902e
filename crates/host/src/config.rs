//! Spin's runtime config file, as far as this application uses it.

use crate::error::HostError;
use crate::networks::Networks;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The contents of the file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct RuntimeConfig {
    pub state_dir: Option<PathBuf>,
    #[serde(default)]
    outbound_networking: OutboundNetworking,
    /// Spin's connection pool, which is accepted and ignored: this host pools no connections.
    #[serde(default, rename = "outbound_http")]
    _outbound_http: OutboundHttp,
    #[serde(default)]
    pub client_tls: Vec<ClientTls>,
    #[serde(default)]
    sqlite_database: BTreeMap<String, SqliteDatabase>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct OutboundNetworking {
    #[serde(default)]
    block_networks: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct OutboundHttp {
    #[serde(default, rename = "connection_pooling")]
    _connection_pooling: bool,
}

/// TLS settings for connections to `hosts`. With `ca_roots_file`, the public roots are not trusted for them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    pub component_ids: Vec<String>,
    pub hosts: Vec<String>,
    pub ca_roots_file: Option<PathBuf>,
    pub ca_use_webpki_roots: Option<bool>,
    pub client_cert_file: Option<PathBuf>,
    pub client_private_key_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum SqliteDatabase {
    Spin { path: Option<PathBuf> },
}

impl RuntimeConfig {
    /// Reads the file; paths in it are relative to its directory.
    pub fn read(path: &Path) -> Result<Self, HostError> {
        let fail = |what: String| HostError::configuration(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            fail(error.to_string().trim_end().to_owned())
                .hint("`vouchsafe serve` supports only state_dir, outbound_networking.block_networks, client_tls and sqlite_database")
        })?;
        let base = path.parent().unwrap_or(Path::new(""));
        config.for_each_path(|path| *path = base.join(&*path));
        Ok(config)
    }

    fn for_each_path(&mut self, mut change: impl FnMut(&mut PathBuf)) {
        self.state_dir.iter_mut().for_each(&mut change);
        for tls in &mut self.client_tls {
            [&mut tls.ca_roots_file, &mut tls.client_cert_file, &mut tls.client_private_key_file]
                .into_iter()
                .flatten()
                .for_each(&mut change);
        }
        for SqliteDatabase::Spin { path } in self.sqlite_database.values_mut() {
            path.iter_mut().for_each(&mut change);
        }
    }

    /// Networks that no guest may connect to.
    pub fn blocked_networks(&self) -> Result<Networks, HostError> {
        Networks::parse(&self.outbound_networking.block_networks).map_err(|network| {
            HostError::configuration(format!(
                "block_networks: `{network}` is neither `private` nor a network such as 10.0.0.0/8"
            ))
        })
    }

    /// Paths of the databases that the manifest grants.
    pub fn database_paths(&self, labels: &[String], state: &Path) -> Result<BTreeMap<String, PathBuf>, HostError> {
        let path_of = |label: &String| match (self.sqlite_database.get(label), label.as_str()) {
            (Some(SqliteDatabase::Spin { path: Some(path) }), _) => Ok((label.clone(), path.clone())),
            (_, "default") => Ok((label.clone(), state.join("sqlite.db"))),
            (Some(SqliteDatabase::Spin { path: None }), _) => {
                Ok((label.clone(), state.join(format!("sqlite-{label}.db"))))
            }
            (None, _) => Err(HostError::configuration(format!("database `{label}` is not configured"))
                .hint(format!("add [sqlite_database.{label}] to the runtime config file"))),
        };
        labels.iter().map(path_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<RuntimeConfig, String> {
        let folder = std::env::temp_dir().join(format!("config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("runtime.toml");
        std::fs::write(&path, text).expect("written");
        let config = RuntimeConfig::read(&path).map_err(|failure| failure.message);
        std::fs::remove_dir_all(&folder).expect("removed");
        config
    }

    fn paths(config: &RuntimeConfig, labels: &[&str]) -> Result<Vec<String>, String> {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        let found = config.database_paths(&labels, Path::new("/state"));
        let found = found.map_err(|failure| failure.message)?;
        Ok(found.into_values().map(|path| path.display().to_string()).collect())
    }

    #[test]
    fn resolves_paths_relative_to_the_file() {
        let text = "state_dir = \"state\"\n[outbound_networking]\nblock_networks = [\"private\"]\n\
            [[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"h\"]\nca_roots_file = \"ca.pem\"\n\
            [sqlite_database.default]\ntype = \"spin\"\npath = \"/data/a.db\"\n[sqlite_database.b]\ntype = \"spin\"";
        let config = read("whole", text).expect("reads");
        assert!(config.state_dir.as_ref().is_some_and(|dir| dir.is_absolute() && dir.ends_with("state")));
        assert!(config.client_tls[0].ca_roots_file.as_ref().is_some_and(|file| file.is_absolute()));
        let blocked = config.blocked_networks().expect("networks");
        assert!(blocked.find("10.0.0.1".parse().expect("an address")).is_some());
        assert_eq!(paths(&config, &["default", "b"]), Ok(vec!["/state/sqlite-b.db".into(), "/data/a.db".into()]));
    }

    #[test]
    fn reads_the_shipped_runtime_config() {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/spin-runtime.toml");
        let config = RuntimeConfig::read(Path::new(shipped)).expect("reads");
        let blocked = config.blocked_networks().expect("networks");
        assert!(blocked.find("10.0.0.1".parse().expect("an address")).is_some());
    }

    #[test]
    fn only_default_database_needs_no_configuration() {
        let config = RuntimeConfig::default();
        assert_eq!(paths(&config, &["default"]), Ok(vec!["/state/sqlite.db".into()]));
        assert_eq!(paths(&config, &["other"]), Err("database `other` is not configured".into()));
    }

    #[test]
    fn refuses_unknown_settings() {
        for (name, text, expected) in [
            ("key", "log_dir = \"x\"", "unknown field `log_dir`"),
            ("table", "[key_value_store.default]\ntype = \"spin\"", "unknown field `key_value_store`"),
            ("kind", "[sqlite_database.default]\ntype = \"libsql\"\nurl = \"x\"", "unknown variant `libsql`"),
        ] {
            let message = read(name, text).map(|_| ()).expect_err(name);
            assert!(message.contains(expected), "{message}");
        }
        let config = read("network", "[outbound_networking]\nblock_networks = [\"privat\"]").expect("reads");
        let failure = config.blocked_networks().map(|_| ()).expect_err("no network");
        assert!(failure.message.contains("`privat`"), "{}", failure.message);
    }
}
