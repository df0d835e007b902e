//! The store of a broker on PostgreSQL, for reading and pruning audit records.

use super::record::Record;
use crate::commands::serve::failure;
use serde_json::{Map, Value};
use std::path::Path;
use tokio::runtime::Runtime;
use vouchsafe_cli::{Failure, files};
use vouchsafe_host::admin::{Admin, NEEDED};

/// Longest address.
const ADDRESS_BYTES_MAX: u64 = 4096;

/// A connection, and the runtime that drives it while there is a statement.
pub struct Postgres {
    admin: Admin,
    runtime: Runtime,
}

impl Postgres {
    /// The address that `source` is, or that the file it names contains; `None` if it is the path of a database.
    pub fn address(source: &str) -> Result<Option<String>, Failure> {
        let is_address = |text: &str| text.starts_with("postgres://") || text.starts_with("postgresql://");
        match source.strip_prefix('@') {
            _ if is_address(source) => Ok(Some(source.to_owned())),
            Some(path) => {
                let text = files::read_text(Path::new(path), ADDRESS_BYTES_MAX)?;
                let text = text.trim_end();
                if is_address(text) {
                    return Ok(Some(text.to_owned()));
                }
                Err(Failure::file(Path::new(path), "not the address of a PostgreSQL database"))
            }
            None => Ok(None),
        }
    }

    pub fn connect(address: &str) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::refused(format!("cannot start the async runtime: {error}")))?;
        let (admin, version) = runtime.block_on(async {
            let admin = Admin::connect(address, None).await.map_err(failure)?;
            let version = admin.schema_version().await.map_err(failure)?;
            Ok::<_, Failure>((admin, version))
        })?;
        if version != NEEDED {
            return Err(Failure::refused(format!("the schema has version {version}; version {NEEDED} is needed"))
                .hint("run `vouchsafe store migrate --apply`"));
        }
        Ok(Self { admin, runtime })
    }

    /// The rows of a query whose result has a column `seq`, or none of that name.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Record>, Failure> {
        let sql = format!("SELECT row_to_json(found)::text FROM ({sql}) AS found");
        Ok(self.query(&sql)?.iter().map(|text| record(text)).collect())
    }

    /// The next rows of the cursor `page`, as objects.
    pub fn fetch(&mut self, rows: u32) -> Result<Vec<Record>, Failure> {
        Ok(self.query(&format!("FETCH {rows} FROM page"))?.iter().map(|text| record(text)).collect())
    }

    /// The first column of every row.
    pub fn query(&mut self, sql: &str) -> Result<Vec<String>, Failure> {
        self.runtime.block_on(self.admin.query(sql)).map_err(failure)
    }
}

fn record(text: &str) -> Record {
    let columns: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let seq = columns.get("seq").and_then(Value::as_u64).unwrap_or(0);
    Record { seq, columns }
}
