//! When keys were last used, by the audit records.

use crate::commands::audit::database::Database;
use std::collections::BTreeMap;
use vouchsafe_cli::Failure;
use vouchsafe_host::Application;

/// Last uses in Unix seconds.
#[derive(Default)]
pub struct Uses {
    by_kid: BTreeMap<String, u64>,
    by_issuer: BTreeMap<String, u64>,
    by_audience: BTreeMap<String, u64>,
    /// The logs of audit records, each by its name.
    pub logs: Vec<u64>,
}

impl Uses {
    /// Reads the store of the application; nothing if it has no database here.
    pub fn read(application: &Application) -> Result<Self, Failure> {
        let Some(path) = application.database().map_err(crate::commands::serve::failure)? else {
            return Ok(Self::default());
        };
        let database = Database::read(&path)?;
        let by = |column: &str| {
            let sql =
                format!("SELECT {column}, max(decided_at_ms) / 1000 FROM audit WHERE outcome = 'issued' GROUP BY 1");
            let rows = || -> rusqlite::Result<BTreeMap<String, u64>> {
                let mut statement = database.connection.prepare(&sql)?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
                rows.map(|row| row.map(|(name, at)| (name, u64::try_from(at).unwrap_or(0)))).collect()
            };
            rows().map_err(|error| database.failed(&error))
        };
        let logs = database.column::<i64>("SELECT DISTINCT log FROM log_leaves ORDER BY log")?;
        Ok(Self {
            by_kid: by("kid")?,
            by_issuer: by("issuer_name")?,
            by_audience: by("audience")?,
            logs: logs.into_iter().filter_map(|log| u64::try_from(log).ok()).collect(),
        })
    }

    pub fn of_kid(&self, kid: &str) -> Option<u64> {
        self.by_kid.get(kid).copied()
    }

    pub fn of_issuer(&self, name: &str) -> Option<u64> {
        self.by_issuer.get(name).copied()
    }

    pub fn of_audience(&self, id: &str) -> Option<u64> {
        self.by_audience.get(id).copied()
    }
}
