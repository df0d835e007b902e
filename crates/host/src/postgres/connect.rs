//! Makes and checks connections.

use super::address::Address;
use super::timelines::Timelines;
use super::tls::Tls;
use crate::outbound::Network;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Statement};

/// Longest time to connect to one of several hosts: less than half of what a guest waits, so that the next one is tried
/// in time.
const ATTEMPT_MAX: Duration = Duration::from_millis(450);
/// Longest time that sent bytes stay unacknowledged, in milliseconds: after that, the other host or the network is gone.
const UNACKNOWLEDGED_MAX_MS: u32 = 3_000;
/// Which server answers: its history, or nothing on one that can't be written.
const SERVER: &str = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN system_identifier::text END, \
    CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END, \
    current_setting('transaction_read_only') FROM pg_control_system()";

/// Why there is no connection. Of the address it contains only hosts.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// Makes the connections of a pool.
pub struct Connector {
    address: Address,
    network: Arc<Network>,
    timelines: Arc<Timelines>,
    /// The host that accepted writes last, which is tried first.
    preferred: AtomicUsize,
}

/// A connection, and the statements that were prepared on it.
pub struct Connection {
    pub client: Client,
    task: JoinHandle<()>,
    system: String,
    timeline: u32,
    prepared: HashMap<String, Statement>,
}

impl Drop for Connection {
    /// Closes the connection even if the server doesn't answer any more.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Prepares `sql`, once.
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Connector {
    pub fn new(address: Address, network: Arc<Network>, timelines: Arc<Timelines>) -> Self {
        Self { address, network, timelines, preferred: AtomicUsize::new(0) }
    }

    async fn connect_to(&self, host: &str, port: u16) -> Result<Connection, Refused> {
        let refused = |error: &dyn std::fmt::Display| Refused(format!("{host}:{port}: {error}"));
        let stream = self.open(host, port).await.map_err(|error| refused(&error))?;
        let mut config = self.address.config.clone();
        let (client, task) = if self.address.tls {
            let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|error| refused(&error))?;
            let tls = Tls { config: self.network.tls.of(host), name };
            start(config.ssl_mode(SslMode::Require), stream, tls).await
        } else {
            start(config.ssl_mode(SslMode::Disable), stream, NoTls).await
        }
        .map_err(|error| refused(&describe(&error)))?;
        // From here on, the task ends with the connection.
        let mut connection = Connection { client, task, system: String::new(), timeline: 0, prepared: HashMap::new() };
        let (system, timeline) = writable_server(&connection.client).await.map_err(|error| refused(&error))?;
        if !self.timelines.admit(&system, timeline) {
            return Err(refused(&format!("is a former primary, at timeline {timeline}: stop it")));
        }
        (connection.system, connection.timeline) = (system, timeline);
        Ok(connection)
    }

    /// ORDER: resolved addresses are checked before the connection, which goes to a checked one.
    async fn open(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port)).await.map_err(|error| error.to_string())?;
        let mut last = "the name has no address".to_owned();
        for address in found {
            self.network.check(address.ip()).map_err(|failure| failure.text())?;
            if !self.address.tls && !address.ip().is_loopback() {
                return Err(format!(
                    "{} is not on loopback, so the address must contain `sslmode=require`",
                    address.ip()
                ));
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // For latency, and for a fast end: the connection works without them.
                    let _works_without = stream.set_nodelay(true);
                    let _works_without = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MAX_MS);
                    return Ok(stream);
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = Refused;

    async fn create(&self) -> Result<Connection, Refused> {
        let hosts = &self.address.hosts;
        let first = self.preferred.load(Relaxed);
        let mut reasons = Vec::new();
        let order = (0..hosts.len()).cycle().skip(first).take(hosts.len());
        for index in order {
            let Some((host, port)) = hosts.get(index) else {
                continue;
            };
            let attempt = self.connect_to(host, *port);
            let connected = if hosts.len() == 1 {
                attempt.await
            } else {
                let late = |_| Err(Refused(format!("{host}:{port}: no answer within {} ms", ATTEMPT_MAX.as_millis())));
                timeout(ATTEMPT_MAX, attempt).await.unwrap_or_else(late)
            };
            match connected {
                Ok(connection) => {
                    self.preferred.store(index, Relaxed);
                    return Ok(connection);
                }
                Err(Refused(reason)) => reasons.push(reason),
            }
        }
        Err(Refused(reasons.join("; ")))
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Refused> {
        if connection.client.is_closed() {
            Err(RecycleError::message("closed"))
        } else if self.timelines.admit(&connection.system, connection.timeline) {
            Ok(())
        } else {
            Err(RecycleError::message("to a former primary"))
        }
    }
}

/// Logs in, and spawns the task that runs the connection.
async fn start<T>(config: &Config, stream: TcpStream, tls: T) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error>
where
    T: tokio_postgres::tls::TlsConnect<TcpStream>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, tls).await?;
    // Its result repeats what the client's calls report.
    Ok((client, tokio::spawn(async move { drop(connection.await) })))
}

/// The system identifier and timeline of a server that accepts writes.
async fn writable_server(client: &Client) -> Result<(String, u32), String> {
    let answer = client.simple_query(SERVER).await.map_err(|error| describe(&error))?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let column = |index: usize| row.and_then(|row| row.get(index));
    match (column(0), column(1), column(2)) {
        (Some(system), Some(timeline), Some("off")) => {
            let timeline = u32::from_str_radix(timeline, 16).map_err(|_| "unknown timeline".to_owned())?;
            Ok((system.to_owned(), timeline))
        }
        _ => Err("does not accept writes".to_owned()),
    }
}

/// An error without the details of a database error, which can quote data.
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(code) = error.code() {
        return format!("SQLSTATE {}", code.code());
    }
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(address: &str) -> String {
        let network = Arc::new(Network::to_any_database(None).expect("a network"));
        let address = Address::parse(address, &network).expect(address);
        let connector = Connector::new(address, network, Arc::default());
        connector.create().await.map(drop).expect_err("nothing listens there").to_string()
    }

    #[tokio::test]
    async fn connects_without_tls_to_loopback_only() {
        for mode in ["", " sslmode=disable", " sslmode=prefer"] {
            assert_eq!(
                refusal(&format!("host=192.0.2.1{mode}")).await,
                "192.0.2.1:5432: 192.0.2.1 is not on loopback, so the address must contain `sslmode=require`"
            );
            let loopback = refusal(&format!("host=127.0.0.1 port=1{mode}")).await;
            assert!(loopback.starts_with("127.0.0.1:1: Connection refused"), "{loopback}");
        }
    }

    #[tokio::test]
    async fn tries_every_host() {
        let both = refusal("host=127.0.0.1,192.0.2.1 port=1").await;
        let (one, other) = both.split_once("; ").expect("two reasons");
        assert!(one.starts_with("127.0.0.1:1: Connection refused"), "{one}");
        assert!(other.starts_with("192.0.2.1:1: 192.0.2.1 is not on loopback"), "{other}");
    }
}
