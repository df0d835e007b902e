//! Addresses of databases, and what is refused about them.

use crate::outbound::Network;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

const SCHEME: &str = "postgres";
const PORT: u16 = 5432;
/// Set unless the address sets them: a commit is confirmed once it is durable, and no statement runs for ever.
const OPTIONS: [(&str, &str); 3] =
    [("synchronous_commit", "on"), ("statement_timeout", "2000"), ("idle_in_transaction_session_timeout", "2000")];

/// A checked address.
pub struct Address {
    /// What the server gets: user, password, database, options.
    pub config: Config,
    /// Names or addresses with ports, in order.
    pub hosts: Vec<(String, u16)>,
    /// Whether the address demands TLS. Without it, only loopback addresses are connected to.
    pub tls: bool,
}

impl Address {
    /// Parses `text`, which may contain a password: no error repeats it.
    pub fn parse(text: &str, network: &Network) -> Result<Self, String> {
        let mut config: Config = text.parse().map_err(|_| "the address is invalid".to_owned())?;
        // The client library would connect there, past the allow-list, which has names.
        if !config.get_hostaddrs().is_empty() {
            return Err("the address contains `hostaddr`, which is not supported; use `host`".to_owned());
        }
        let hosts = hosts(&config)?;
        for (host, port) in &hosts {
            if !network.allows(SCHEME, host, *port) {
                return Err(format!("`{SCHEME}://{host}:{port}` is not in allowed_outbound_hosts"));
            }
        }
        let tls = config.get_ssl_mode() == SslMode::Require;
        let mut options = config.get_options().unwrap_or_default().to_owned();
        for (name, value) in OPTIONS {
            if !options.contains(name) {
                options.push_str(&format!(" -c {name}={value}"));
            }
        }
        config.options(options);
        if config.get_application_name().is_none() {
            config.application_name("vouchsafe");
        }
        Ok(Self { config, hosts, tls })
    }
}

fn hosts(config: &Config) -> Result<Vec<(String, u16)>, String> {
    let ports = config.get_ports();
    let mut hosts = Vec::new();
    for (index, host) in config.get_hosts().iter().enumerate() {
        // As in libpq, one port is for all hosts.
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        match host {
            Host::Tcp(name) => hosts.push((name.clone(), port)),
            #[cfg(unix)]
            Host::Unix(_) => return Err("the address names a Unix socket, which is not supported".to_owned()),
        }
    }
    if hosts.is_empty() { Err("the address has no host".to_owned()) } else { Ok(hosts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_manifest::HostPattern;

    fn parse(text: &str) -> Result<Address, String> {
        let mut network = Network::to_any_database(None).expect("a network");
        network.allowed = ["postgres://db.internal:5432", "postgres://127.0.0.1:*"]
            .map(|pattern| HostPattern::parse(pattern).expect("a pattern"))
            .into();
        Address::parse(text, &network)
    }

    #[test]
    fn refuses_addresses_past_the_allow_list() {
        for (text, expected) in [
            ("host=db.internal user=u", Ok(())),
            ("postgres://u:secret@db.internal/d", Ok(())),
            ("postgres://u@DB.internal:5432/d", Ok(())),
            ("host=127.0.0.1 port=1", Ok(())),
            ("host=db.internal,127.0.0.1 port=5432,1", Ok(())),
            (
                "postgres://u:secret@db.internal:5433/d",
                Err("`postgres://db.internal:5433` is not in allowed_outbound_hosts"),
            ),
            ("host=db.internal,evil.example", Err("`postgres://evil.example:5432` is not in allowed_outbound_hosts")),
            (
                "host=db.internal hostaddr=192.0.2.1",
                Err("the address contains `hostaddr`, which is not supported; use `host`"),
            ),
            ("hostaddr=192.0.2.1", Err("the address contains `hostaddr`, which is not supported; use `host`")),
            ("host=/run/postgresql", Err("the address names a Unix socket, which is not supported")),
            ("user=u", Err("the address has no host")),
            ("port=secret", Err("the address is invalid")),
        ] {
            assert_eq!(parse(text).map(drop), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn commits_are_durable_unless_the_address_says_otherwise() {
        for (text, expected) in [
            (
                "host=127.0.0.1",
                " -c synchronous_commit=on -c statement_timeout=2000 -c idle_in_transaction_session_timeout=2000",
            ),
            (
                "host=127.0.0.1 options='-c synchronous_commit=remote_apply -c statement_timeout=5000'",
                "-c synchronous_commit=remote_apply -c statement_timeout=5000 -c idle_in_transaction_session_timeout=2000",
            ),
        ] {
            let address = parse(text).expect(text);
            assert_eq!(address.config.get_options(), Some(expected), "{text}");
        }
    }

    #[test]
    fn only_sslmode_require_demands_tls() {
        for (mode, expected) in [("disable", false), ("prefer", false), ("require", true)] {
            let address = parse(&format!("host=127.0.0.1 sslmode={mode}")).expect(mode);
            assert_eq!(address.tls, expected, "{mode}");
        }
    }
}
