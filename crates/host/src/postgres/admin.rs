//! What operators do to a store on PostgreSQL: migrate its schema, and make partitions of its audit records.

use super::address::Address;
use super::connect::{Connection, Connector, describe};
use super::timelines::Timelines;
use crate::error::HostError;
use crate::outbound::Network;
use deadpool::managed::Manager as _;
use std::path::Path;
use std::sync::Arc;
use tokio_postgres::SimpleQueryMessage;
use vouchsafe_store::postgres::schema::{MIGRATIONS, SCHEMA_VERSION, versions_write};

/// So that no migration waits for running statements while others wait for it.
const SESSION: &str = "SET lock_timeout = '5s'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
/// Taken by everything that changes the schema.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('vouchsafe'), hashtext('schema'))";
const HAS_SCHEMA: &str = "SELECT 1 WHERE to_regclass('meta') IS NOT NULL";
const VERSION: &str = "SELECT value FROM meta WHERE name = 'schema'";

/// A connection of an operator, who may own the tables.
pub struct Admin(Connection);

impl Admin {
    /// Connects to `address` by the rules for brokers: with TLS, except on loopback. `runtime_config` names the
    /// certificate authorities.
    pub async fn connect(address: &str, runtime_config: Option<&Path>) -> Result<Self, HostError> {
        let failed = |what: String| HostError::startup(format!("cannot connect to the database: {what}"));
        let network = Arc::new(Network::to_any_database(runtime_config)?);
        let parsed = Address::parse(address, &network).map_err(HostError::configuration)?;
        let connector = Connector::new(parsed, network, Arc::new(Timelines::default()));
        let connection = connector.create().await.map_err(|refused| failed(refused.to_string()))?;
        let admin = Self(connection);
        admin.run(SESSION).await?;
        Ok(admin)
    }

    /// The version of the schema; 0 if there is none.
    pub async fn schema_version(&self) -> Result<u64, HostError> {
        if self.run(HAS_SCHEMA).await?.is_empty() {
            return Ok(0);
        }
        let rows = self.run(VERSION).await?;
        let version = rows.first().and_then(|text| text.parse().ok());
        version.ok_or_else(|| HostError::startup("the table `meta` is not the store's"))
    }

    /// Runs the migrations that are missing, each in a transaction; returns how many.
    pub async fn migrate(&self) -> Result<u64, HostError> {
        let mut migrated = 0_u64;
        for (version, migration) in (1_u64..).zip(MIGRATIONS) {
            self.run("BEGIN").await?;
            self.run(LOCK).await?;
            if self.schema_version().await? < version {
                self.run(migration).await?;
                self.run(&versions_write(version)).await?;
                migrated = migrated.saturating_add(1);
            }
            self.run("COMMIT").await?;
        }
        Ok(migrated)
    }

    /// Makes the partitions of the next `months`; returns how many were missing.
    pub async fn create_partitions(&self, months: u16) -> Result<u64, HostError> {
        let rows = self.run(&format!("SELECT create_partitions({months})")).await?;
        Ok(rows.first().and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// The first column of every row that `sql` returns. INVARIANT: no text from elsewhere is part of `sql`.
    pub async fn query(&self, sql: &str) -> Result<Vec<String>, HostError> {
        self.run(sql).await
    }

    async fn run(&self, sql: &str) -> Result<Vec<String>, HostError> {
        let answer = self.0.client.simple_query(sql).await.map_err(|error| {
            let detail = error.as_db_error().map(|error| format!(" ({})", error.message())).unwrap_or_default();
            HostError::startup(format!("the database refused: {}{detail}", describe(&error)))
        })?;
        let column = |message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        Ok(answer.into_iter().filter_map(column).collect())
    }
}

/// The version of the schema that this program needs.
pub const NEEDED: u64 = SCHEMA_VERSION;
