//! `spin:postgres` for guests.

#![expect(clippy::result_large_err, reason = "the error is Spin's")]

use crate::bindings::postgres::{self, DbValue, Error, ParameterValue, RowSet};
use crate::bindings::{PostgresBuilder, PostgresConnection};
use crate::postgres::{Answer, Database};
use crate::spin::Spin;
use crate::state::GuestState;
use std::sync::Arc;
use wasmtime::component::{Accessor, FutureReader, Linker, Resource, StreamReader};

/// Adds `spin:postgres`.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    postgres::add_to_linker::<_, Spin>(linker, |state| state)
}

type Opened = wasmtime::Result<Result<Resource<PostgresConnection>, Error>>;

impl GuestState {
    fn open_postgres(&mut self, address: String) -> Opened {
        if let Err(error) = self.postgres.get(&address) {
            return Ok(Err(error));
        }
        Ok(Ok(self.table.push(PostgresConnection { address })?))
    }

    fn built_postgres(&mut self, builder: &Resource<PostgresBuilder>) -> Opened {
        let address = self.table.get(builder)?.address.clone();
        self.open_postgres(address)
    }

    fn postgres(&self, handle: &Resource<PostgresConnection>) -> wasmtime::Result<Result<Arc<Database>, Error>> {
        let connection = self.table.get(handle)?;
        Ok(self.postgres.get(&connection.address))
    }
}

async fn run(
    database: Result<Arc<Database>, Error>,
    statement: &str,
    parameters: Vec<ParameterValue>,
) -> Result<Answer, Error> {
    database?.query(statement, parameters).await
}

impl postgres::Host for GuestState {}

impl postgres::HostConnectionBuilder for GuestState {
    fn new(&mut self, address: String) -> wasmtime::Result<Resource<PostgresBuilder>> {
        Ok(self.table.push(PostgresBuilder { address })?)
    }

    fn set_ca_root(&mut self, _: Resource<PostgresBuilder>, _: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(Err(Error::Other("`vouchsafe serve` takes the root from client_tls in the runtime config".to_owned())))
    }

    fn build(&mut self, builder: Resource<PostgresBuilder>) -> Opened {
        self.built_postgres(&builder)
    }

    fn drop(&mut self, builder: Resource<PostgresBuilder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: 'static> postgres::HostConnectionBuilderWithStore<T> for Spin {
    async fn build_async(store: &Accessor<T, Self>, builder: Resource<PostgresBuilder>) -> Opened {
        store.with(|mut access| access.get().built_postgres(&builder))
    }
}

impl postgres::HostConnection for GuestState {
    async fn open(&mut self, address: String) -> Opened {
        self.open_postgres(address)
    }

    async fn query(
        &mut self,
        handle: Resource<PostgresConnection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<RowSet, Error>> {
        let answer = run(self.postgres(&handle)?, &statement, parameters).await;
        Ok(answer.and_then(|answer| match answer.late {
            Some(error) => Err(error),
            None => Ok(RowSet { columns: answer.columns, rows: answer.rows }),
        }))
    }

    /// Without the number of rows, which the store never needs: a statement that returns rows says more.
    async fn execute(
        &mut self,
        _: Resource<PostgresConnection>,
        _: String,
        _: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(Err(unsupported()))
    }

    fn drop(&mut self, handle: Resource<PostgresConnection>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn unsupported() -> Error {
    Error::Other("`vouchsafe serve` does not support `execute`; use `query` with RETURNING".to_owned())
}

/// Columns, rows, and the outcome, which a guest must await to know whether a write succeeded.
type Streamed = (Vec<postgres::Column>, StreamReader<Vec<DbValue>>, FutureReader<Result<(), Error>>);

impl<T: 'static> postgres::HostConnectionWithStore<T> for Spin {
    async fn open_async(store: &Accessor<T, Self>, address: String) -> Opened {
        store.with(|mut access| access.get().open_postgres(address))
    }

    async fn query_async(
        store: &Accessor<T, Self>,
        handle: Resource<PostgresConnection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<Streamed, Error>> {
        let database = store.with(|mut access| access.get().postgres(&handle))?;
        let answer = match run(database, &statement, parameters).await {
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

    async fn execute_async(
        _: &Accessor<T, Self>,
        _: Resource<PostgresConnection>,
        _: String,
        _: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(Err(unsupported()))
    }
}
