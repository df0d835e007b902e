//! Spin's host functions for guests: variables and SQLite.

use crate::bindings::{Connection, sqlite, variables};
use crate::sqlite::Database;
use crate::state::GuestState;
use std::sync::Arc;
use wasmtime::component::{Accessor, FutureReader, HasData, Linker, Resource, StreamReader};

/// Makes [`GuestState`] the data of Spin's host functions.
pub struct Spin;

impl HasData for Spin {
    type Data<'a> = &'a mut GuestState;
}

/// Adds `spin:variables`.
pub fn add_variables(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    variables::add_to_linker::<_, Spin>(linker, |state| state)
}

/// Adds `spin:sqlite`.
pub fn add_sqlite(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    sqlite::add_to_linker::<_, Spin>(linker, |state| state)
}

impl variables::Host for GuestState {}

impl<T> variables::HostWithStore<T> for Spin {
    async fn get(store: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, variables::Error>> {
        Ok(store.with(|mut access| {
            let value = access.get().variables.get(&name).cloned();
            value.ok_or(variables::Error::Undefined(name))
        }))
    }
}

impl sqlite::Host for GuestState {}

impl GuestState {
    fn open(&mut self, label: &str) -> wasmtime::Result<Result<Resource<Connection>, sqlite::Error>> {
        if let Err(error) = self.databases.get(label) {
            return Ok(Err(error));
        }
        let label = label.to_owned();
        Ok(Ok(self.table.push(Connection { label })?))
    }

    fn database(&self, handle: &Resource<Connection>) -> wasmtime::Result<Arc<Database>> {
        let connection = self.table.get(handle)?;
        Ok(self.databases.get(&connection.label)?)
    }
}

impl sqlite::HostConnection for GuestState {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Connection>, sqlite::Error>> {
        GuestState::open(self, &label)
    }

    async fn execute(
        &mut self,
        handle: Resource<Connection>,
        statement: String,
        parameters: Vec<sqlite::Value>,
    ) -> wasmtime::Result<Result<sqlite::QueryResult, sqlite::Error>> {
        let answer = self.database(&handle)?.query(statement, parameters).await;
        Ok(answer.and_then(|answer| match answer.late {
            Some(error) => Err(error),
            None => Ok(sqlite::QueryResult { columns: answer.columns, rows: answer.rows }),
        }))
    }

    async fn last_insert_rowid(&mut self, handle: Resource<Connection>) -> wasmtime::Result<i64> {
        Ok(self.database(&handle)?.last_insert_rowid().await?)
    }

    async fn changes(&mut self, handle: Resource<Connection>) -> wasmtime::Result<u64> {
        Ok(self.database(&handle)?.changes().await?)
    }

    fn drop(&mut self, handle: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

/// Columns, rows, and the outcome, which a guest must await to know whether a write succeeded.
type Streamed = (Vec<String>, StreamReader<sqlite::RowResult>, FutureReader<Result<(), sqlite::Error>>);

impl<T: 'static> sqlite::HostConnectionWithStore<T> for Spin {
    async fn open_async(
        store: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, sqlite::Error>> {
        store.with(|mut access| access.get().open(&label))
    }

    async fn execute_async(
        store: &Accessor<T, Self>,
        handle: Resource<Connection>,
        statement: String,
        parameters: Vec<sqlite::Value>,
    ) -> wasmtime::Result<Result<Streamed, sqlite::Error>> {
        let database = store.with(|mut access| access.get().database(&handle))?;
        let answer = match database.query(statement, parameters).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        let outcome = answer.late.map_or(Ok(()), Err);
        store.with(|mut access| {
            let rows = StreamReader::new(&mut access, answer.rows)?;
            let outcome = FutureReader::new(&mut access, async move { wasmtime::error::Ok(outcome) })?;
            Ok(Ok((answer.columns, rows, outcome)))
        })
    }

    async fn last_insert_rowid_async(store: &Accessor<T, Self>, handle: Resource<Connection>) -> wasmtime::Result<i64> {
        let database = store.with(|mut access| access.get().database(&handle))?;
        Ok(database.last_insert_rowid().await?)
    }

    async fn changes_async(store: &Accessor<T, Self>, handle: Resource<Connection>) -> wasmtime::Result<u64> {
        let database = store.with(|mut access| access.get().database(&handle))?;
        Ok(database.changes().await?)
    }
}
