//! What differs on SQLite: the set-up of a connection, and statements that need its functions.

pub(crate) mod audit;
pub(crate) mod schema;
mod set_up;
pub(crate) mod statements;

pub(crate) use set_up::open;
