//! Recording: which records one statement can write, and what becomes of those that it did not.

use crate::audit_row::AuditRow;
use crate::database::{Database, Dialect, Statement};
use crate::error::{Cause, Error};
use crate::postgres::audit::Verdict;
use crate::{postgres, sqlite};
use vouchsafe_types::Recorded;

/// How often records are judged again because something changed meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// Whether one statement can record both.
pub(crate) fn together(dialect: Dialect) -> fn(&AuditRow, &AuditRow) -> bool {
    match dialect {
        Dialect::Postgres => |one, other| !one.may_count_with(other),
        Dialect::Sqlite => |_, _| true,
    }
}

/// Records all `rows`; none for each that SQLite skipped.
pub(crate) async fn record<D: Database>(database: &D, rows: Vec<AuditRow>) -> Result<Vec<Option<Recorded>>, Error> {
    match D::DIALECT {
        Dialect::Postgres => on_postgres(database, rows).await,
        Dialect::Sqlite => {
            let claims: Vec<_> = rows.iter().map(AuditRow::claim).collect();
            let answer = database.run(sqlite::audit::insert(rows)).await?;
            sqlite::audit::recorded(&claims, answer)
        }
    }
}

async fn on_postgres(database: &impl Database, rows: Vec<AuditRow>) -> Result<Vec<Option<Recorded>>, Error> {
    let mut results = vec![None; rows.len()];
    let mut open: Vec<(usize, AuditRow)> = rows.into_iter().enumerate().collect();
    for _ in 0..ATTEMPTS_MAX {
        let (places, rows): (Vec<usize>, Vec<AuditRow>) = open.into_iter().unzip();
        let claims: Vec<_> = rows.iter().map(AuditRow::claim).collect();
        let answer = database.run(postgres::audit::insert(&rows)).await?;
        let verdicts = postgres::audit::verdicts(&claims, answer)?;
        let raised = rows.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Raise);
        let mut raised = raised.map(|(row, _)| row).peekable();
        if raised.peek().is_some() {
            database.run(postgres::audit::raise(raised)).await?;
        }
        open = Vec::new();
        for ((place, row), verdict) in places.into_iter().zip(rows).zip(verdicts) {
            match verdict {
                Verdict::Raise | Verdict::Stale => open.push((place, row)),
                Verdict::Recorded(recorded) => {
                    if let Some(result) = results.get_mut(place) {
                        *result = Some(recorded);
                    }
                }
            }
        }
        if open.is_empty() {
            return Ok(results);
        }
    }
    Err(Error::Unavailable(Cause::Contention))
}

/// Tells a superseded generation from a revocation, for a record that SQLite skipped; none if it has no generation.
pub(crate) fn superseding(row: &AuditRow) -> Option<Statement> {
    row.generation().map(|(of, number)| sqlite::audit::superseding(of, number))
}
