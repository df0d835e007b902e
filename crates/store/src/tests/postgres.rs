//! Stores on a real PostgreSQL server, which this test process starts. Its clock is the tests'.

use std::cell::RefCell;
use std::sync::{LazyLock, Mutex};

use ::postgres::types::private::BytesMut;
use ::postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use ::postgres::{Client, NoTls};
use vouchsafe_test_postgres::Server;

use super::*;
use crate::postgres::schema;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// A schema of its own.
pub(crate) struct Postgres {
    schema: String,
    clock: Mutex<Client>,
}

fn connect(schema: &str) -> Client {
    let address = format!("{}?options=-c%20search_path%3D{schema}", SERVER.address("postgres"));
    Client::connect(&address, NoTls).unwrap()
}

impl Scene for Postgres {
    type Db = Connection;
    const RECORDS: &str = "records";
    const NOT_UNIQUE: &str = "23505";

    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let schema = format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut client = connect(&schema);
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).unwrap();
        schema::MIGRATIONS.iter().for_each(|migration| client.batch_execute(migration).unwrap());
        client.batch_execute(&schema::versions_write(schema::SCHEMA_VERSION)).unwrap();
        // Records of tests are of any month.
        client
            .batch_execute(&format!(
                "CREATE TABLE audit_of_tests PARTITION OF audit DEFAULT;
                CREATE TABLE test_clock (ms bigint NOT NULL);
                INSERT INTO test_clock VALUES ({});
                CREATE OR REPLACE FUNCTION clock_ms() RETURNS bigint LANGUAGE sql VOLATILE
                    AS 'SELECT ms FROM test_clock';
                UPDATE mark SET created_at = {NOW_SECONDS}",
                NOW.0
            ))
            .unwrap();
        Self { schema, clock: Mutex::new(client) }
    }

    fn connect(&self) -> Connection {
        Connection(RefCell::new(connect(&self.schema)))
    }

    fn set_clock(&self, now: UnixMilliseconds) {
        let now = i64::try_from(now.0).unwrap();
        self.clock.lock().unwrap().execute("UPDATE test_clock SET ms = $1", &[&now]).unwrap();
    }
}

pub(crate) struct Connection(RefCell<Client>);

impl Inspect for Connection {
    fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, String> {
        let parameters: Vec<Box<dyn ToSql + Sync>> = parameters.into_iter().map(parameter).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|parameter| &**parameter).collect();
        let rows = self.0.borrow_mut().query(sql, &parameters);
        let rows = rows.map_err(|error| error.code().map_or(error.to_string(), |code| code.code().to_owned()))?;
        Ok(rows.iter().map(row).collect())
    }
}

impl Database for Connection {
    const DIALECT: Dialect = Dialect::Postgres;
    type Alarm = Bell;

    fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
        bell()
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let rows = self.query(&statement.sql, statement.parameters);
        rows.map_err(|text| Error::Unavailable(Cause::Io(text)))
    }
}

#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn parameter(value: Value) -> Box<dyn ToSql + Sync> {
    match value {
        Value::Blob(bytes) => Box::new(bytes),
        Value::Integer(number) => Box::new(number),
        Value::Null => Box::new(Null),
        Value::Real(number) => Box::new(number),
        Value::Text(text) => Box::new(text),
    }
}

fn row(row: &::postgres::Row) -> Row {
    let value = |(index, column): (usize, &::postgres::Column)| match *column.type_() {
        Type::INT4 => row.get::<_, Option<i32>>(index).map_or(Value::Null, |number| Value::Integer(number.into())),
        Type::INT8 => row.get::<_, Option<i64>>(index).map_or(Value::Null, Value::Integer),
        Type::TEXT => row.get::<_, Option<String>>(index).map_or(Value::Null, Value::Text),
        ref other => panic!("{other}: the store's statements return no other types"),
    };
    row.columns().iter().enumerate().map(value).collect()
}
