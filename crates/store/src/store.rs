//! The store. Each operation is a sequence of single statements.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future;

use crate::audit;
use crate::audit_row::{AuditRow, GENERATION_OF_BYTES_MAX};
use crate::consume_row::{self, ConsumeRow};
use crate::database::{self, Database, Dialect, Row, Statement};
use crate::deadline::Deadline;
use crate::error::{Cause, Error, Limit};
use crate::group::Group;
use crate::space;
use crate::time::{GAP_SECONDS, SWEEP_MARGIN_SECONDS, UnixMilliseconds};
use crate::{postgres, sqlite, statements};
use vouchsafe_types::{AuditRecord, Consumption, Document, Pointer, Recorded, Space, TokenUse};

/// Longest key of [`Store::consume`].
pub const KEY_BYTES_MAX: usize = 128;
/// Most uses in one call of [`Store::consume_uses`]: of a subject token, of an actor token and of a proof.
pub const USES_PER_CALL_MAX: usize = 3;
/// Longest name of a lease, document or pointer.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest document.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest value of a pointer.
pub const POINTER_BYTES_MAX: usize = 64 * 1024;
/// Longest lease: ten minutes.
pub const LEASE_MS_MAX: u64 = 600_000;

/// One write in this many also sweeps.
pub(crate) const WRITES_PER_SWEEP: u64 = 64;
/// A store on one database connection.
pub struct Store<D: Database> {
    database: D,
    /// Counts writes, to select those that sweep.
    writes: Cell<u64>,
    consuming: Group<Vec<ConsumeRow>, Vec<bool>, D::Alarm>,
    recording: Group<AuditRow, Option<Recorded>, D::Alarm>,
}

impl<D: Database> Store<D> {
    /// Prepares the connection. On SQLite, creates missing tables and marks the creation of a new store; on PostgreSQL,
    /// checks that the schema suits.
    pub async fn open(database: D, now: UnixMilliseconds) -> Result<Self, Error> {
        match D::DIALECT {
            Dialect::Postgres => postgres::open(&database).await?,
            Dialect::Sqlite => sqlite::open(&database, now).await?,
        }
        let store = Self {
            database,
            // Start at the time, so that instances that live for one request sweep too.
            writes: Cell::new(now.0),
            consuming: Group::new(statements::consume_together(D::DIALECT)),
            recording: Group::new(audit::together(D::DIALECT)),
        };
        Ok(store)
    }

    /// Checks that the database can be read and has its creation mark.
    pub async fn ready(&self) -> Result<(), Error> {
        match self.creation_mark().await? {
            Some(_) => Ok(()),
            None => Err(Error::Unavailable(Cause::CreationMarkMissing)),
        }
    }

    /// Checks that the database can be written, and returns the space that [`crate::note_space`] recorded. Writes a small row
    /// at most once a second.
    pub async fn writable(&self, now: UnixMilliseconds) -> Result<Space, Error> {
        space::writable(&self.database, now).await
    }

    /// Uses `key` once out of `uses_max` times. The use is kept at least until `keep_until` (Unix seconds). A key that was used
    /// up under any bound stays used up.
    ///
    /// A token that was issued in the second of the store's creation counts as issued after it. Answers at most one
    /// statement after `deadline`. After an error, the key may or may not be consumed.
    pub async fn consume(
        &self,
        key: &str,
        uses_max: u32,
        issued_at: u64,
        keep_until: u64,
        now: UnixMilliseconds,
        deadline: &mut Deadline<impl Future<Output = ()> + Unpin>,
    ) -> Result<Consumption, Error> {
        let token_use = TokenUse { key: key.to_owned(), uses_max, issued_at, keep_until };
        let consumed = self.consume_uses(vec![token_use], now, deadline).await?;
        consumed.first().copied().ok_or(Error::Unavailable(Cause::UnexpectedRow))
    }

    /// Like [`Self::consume`] for up to [`USES_PER_CALL_MAX`] uses of different keys in one
    /// statement, each whatever becomes of the others.
    /// The answers are in the order of `uses`.
    pub async fn consume_uses(
        &self,
        uses: Vec<TokenUse>,
        now: UnixMilliseconds,
        deadline: &mut Deadline<impl Future<Output = ()> + Unpin>,
    ) -> Result<Vec<Consumption>, Error> {
        within(uses.len(), 1, USES_PER_CALL_MAX, Limit::UsesPerCall)?;
        // One statement of PostgreSQL can't write a row twice.
        let keys: BTreeSet<&str> = uses.iter().map(|token_use| token_use.key.as_str()).collect();
        if keys.len() != uses.len() {
            return Err(Error::Invalid(Limit::UsesEqual));
        }
        let rows = uses.iter().map(|token_use| consume_row(token_use, now)).collect::<Result<Vec<_>, _>>()?;
        self.sweep_in_time(now, deadline).await?;
        let alarm = || self.database.alarm();
        let run = async |calls| self.consume_all(calls).await;
        let fresh = self.consuming.submit(rows, deadline, alarm, run).await?;
        let mut consumed = Vec::with_capacity(uses.len());
        for (token_use, fresh) in uses.iter().zip(fresh) {
            consumed.push(match fresh {
                true => Consumption::Fresh,
                false => self.why_not_fresh(&token_use.key, deadline).await?,
            });
        }
        Ok(consumed)
    }

    /// `Spent` takes precedence, because the second user of a key must learn of the first.
    async fn why_not_fresh(
        &self,
        key: &str,
        deadline: &mut Deadline<impl Future<Output = ()> + Unpin>,
    ) -> Result<Consumption, Error> {
        let found = self.run(statements::is_spent(key));
        let spent = !deadline.limit(found).await?.is_empty();
        Ok(if spent { Consumption::Spent } else { Consumption::PredatesStore })
    }

    /// Appends `record`, which is durable on return, or counts it on an earlier record if there are enough of its kind. Does
    /// neither if a higher generation was already recorded, or if the token is revoked (I11). Answers at most one statement
    /// after `deadline`.
    pub async fn record(
        &self,
        record: AuditRecord,
        now: UnixMilliseconds,
        deadline: &mut Deadline<impl Future<Output = ()> + Unpin>,
    ) -> Result<Recorded, Error> {
        let row = AuditRow::new(record, now)?;
        self.sweep_in_time(now, deadline).await?;
        let alarm = || self.database.alarm();
        let run = async |rows| audit::record(&self.database, rows).await;
        let superseding = audit::superseding(&row);
        match self.recording.submit(row, deadline, alarm, run).await? {
            Some(recorded) => Ok(recorded),
            None => self.why_skipped(superseding, deadline).await,
        }
    }

    /// Why a record was skipped. A generation that is superseded stays so, and nothing else but a revocation skips one.
    async fn why_skipped(
        &self,
        superseding: Option<Statement>,
        deadline: &mut Deadline<impl Future<Output = ()> + Unpin>,
    ) -> Result<Recorded, Error> {
        let Some(superseding) = superseding else {
            return Ok(Recorded::Revoked);
        };
        let superseded = !deadline.limit(self.run(superseding)).await?.is_empty();
        Ok(if superseded { Recorded::Superseded } else { Recorded::Revoked })
    }

    /// The highest recorded generation of the name `of`.
    pub async fn generation_get(&self, of: &str) -> Result<Option<u64>, Error> {
        within(of.len(), 1, GENERATION_OF_BYTES_MAX, Limit::GenerationOf)?;
        let rows = self.run(statements::generation_get(of)).await?;
        first(rows, |row| database::number(row, 0))
    }

    /// Takes the lease `name` for `ttl_ms`, which must be the same for all takers. Returns false if it is taken.
    pub async fn lease(&self, name: &str, ttl_ms: u64, now: UnixMilliseconds) -> Result<bool, Error> {
        named(name)?;
        if !(1..=LEASE_MS_MAX).contains(&ttl_ms) {
            return Err(Error::Invalid(Limit::LeaseTime));
        }
        let lease = statements::lease(D::DIALECT, name, now.0, ttl_ms)?;
        Ok(!self.run(lease).await?.is_empty())
    }

    pub async fn document_get(&self, name: &str) -> Result<Option<Document>, Error> {
        named(name)?;
        let rows = self.run(statements::document_get(name)).await?;
        first(rows, |row| Ok(Document { body: database::text(row, 0)?, keep_until: database::number(row, 1)? }))
    }

    pub async fn document_put(&self, name: &str, document: Document, now: UnixMilliseconds) -> Result<(), Error> {
        named(name)?;
        within(document.body.len(), 0, BODY_BYTES_MAX, Limit::DocumentBody)?;
        let put = statements::document_put(name, document.body, document.keep_until)?;
        self.sweep_sometimes(now).await;
        self.run(put).await.map(drop)
    }

    pub async fn pointer_get(&self, name: &str) -> Result<Option<Pointer>, Error> {
        named(name)?;
        let rows = self.run(statements::pointer_get(name)).await?;
        first(rows, |row| Ok(Pointer { value: database::text(row, 0)?, revision: database::number(row, 1)? }))
    }

    /// Sets `name` to `value` if its revision is `expected`, or if it does not exist and `expected` is `None`.
    pub async fn pointer_compare_and_swap(
        &self,
        name: &str,
        expected: Option<u64>,
        value: String,
    ) -> Result<bool, Error> {
        named(name)?;
        within(value.len(), 0, POINTER_BYTES_MAX, Limit::PointerValue)?;
        let set = statements::pointer_set(name, expected, value)?;
        Ok(!self.run(set).await?.is_empty())
    }

    /// Consumes the rows of all calls, and returns for each call whether its keys were fresh.
    async fn consume_all(&self, calls: Vec<Vec<ConsumeRow>>) -> Result<Vec<Vec<bool>>, Error> {
        let sizes: Vec<_> = calls.iter().map(Vec::len).collect();
        let rows: Vec<_> = calls.into_iter().flatten().collect();
        let claims: Vec<_> = rows.iter().map(ConsumeRow::claim).collect();
        let answer = self.run(statements::consume(D::DIALECT, rows)).await?;
        let mut fresh = consume_row::fresh(&claims, answer)?.into_iter();
        Ok(sizes.into_iter().map(|size| fresh.by_ref().take(size).collect()).collect())
    }

    pub(crate) async fn creation_mark(&self) -> Result<Option<u64>, Error> {
        let rows = self.run(statements::creation_mark_read(D::DIALECT)).await?;
        first(rows, |row| database::number(row, 0))
    }

    /// Deletes some expired rows of each table, before one in [`WRITES_PER_SWEEP`] writes.
    ///
    /// Sweeps before the write, so that a write that succeeded is not reported as failed because the sweep took too long.
    /// Ignores a failed sweep, because the next one makes up for it.
    pub(crate) async fn sweep_sometimes(&self, now: UnixMilliseconds) {
        let write = self.writes.get();
        self.writes.set(write.wrapping_add(1));
        if !write.is_multiple_of(WRITES_PER_SWEEP) {
            return;
        }
        let Ok(expired_before) = i64::try_from(expired_before(now)) else {
            return;
        };
        for sweep in statements::sweeps(D::DIALECT, expired_before) {
            let _retried_by_the_next_sweep = self.run(sweep).await;
        }
    }

    async fn sweep_in_time(
        &self,
        now: UnixMilliseconds,
        deadline: &mut Deadline<impl Future<Output = ()> + Unpin>,
    ) -> Result<(), Error> {
        let sweep = async {
            self.sweep_sometimes(now).await;
            Ok(())
        };
        deadline.limit(sweep).await
    }

    #[cfg(test)]
    pub(crate) fn into_database(self) -> D {
        self.database
    }

    #[cfg(test)]
    pub(crate) fn database(&self) -> &D {
        &self.database
    }

    pub(crate) async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        self.database.run(statement).await
    }
}

fn consume_row(token_use: &TokenUse, now: UnixMilliseconds) -> Result<ConsumeRow, Error> {
    let TokenUse { key, uses_max, issued_at, keep_until } = token_use;
    within(key.len(), 1, KEY_BYTES_MAX, Limit::Key)?;
    if *uses_max == 0 {
        return Err(Error::Invalid(Limit::Uses));
    }
    // INVARIANT: a swept key is no longer accepted, so it can't be consumed again (I4).
    if *keep_until < expired_before(now) {
        return Err(Error::Invalid(Limit::KeepUntilPassed));
    }
    let alive_after = now.seconds().saturating_sub(GAP_SECONDS);
    ConsumeRow::new(key, *uses_max, *issued_at, *keep_until, alive_after)
}

/// Unix seconds before which `keep_until` is past by any clock.
fn expired_before(now: UnixMilliseconds) -> u64 {
    now.seconds().saturating_sub(SWEEP_MARGIN_SECONDS)
}

pub(crate) fn first<T>(rows: Vec<Row>, decode: impl FnOnce(&mut Row) -> Result<T, Error>) -> Result<Option<T>, Error> {
    rows.into_iter().next().map(|mut row| decode(&mut row)).transpose()
}

fn named(name: &str) -> Result<(), Error> {
    within(name.len(), 1, NAME_BYTES_MAX, Limit::Name)
}

pub(crate) fn within(bytes: usize, min: usize, max: usize, limit: Limit) -> Result<(), Error> {
    if (min..=max).contains(&bytes) { Ok(()) } else { Err(Error::Invalid(limit)) }
}
