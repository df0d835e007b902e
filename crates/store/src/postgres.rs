//! What differs on PostgreSQL: its schema and versions, and statements that several connections run at the same time.
//!
//! Statements run with the isolation `READ COMMITTED`, so each sees what was committed when it began. Where that is not
//! enough, a statement locks a row and compares it with what it sees.

pub(crate) mod audit;
pub(crate) mod json;
mod open;
pub mod schema;
pub(crate) mod statements;

pub(crate) use open::open;
