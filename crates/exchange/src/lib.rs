//! The token exchange (RFC 8693): from a form to an issued token, or to one exact refusal.
//!
//! Knows no clock, no network, no database and no Wasm: everything outside comes through
//! [`ports::Ports`]. Entry point: [`exchange`].
//!
//! Invariants kept here:
//! - Flow as types: [`request::UnverifiedExchange`] → [`verified::VerifiedExchange`] →
//!   [`permitted::PermittedExchange`] → [`issued::IssuedExchange`]; each is made by one function,
//!   and none can be cloned, deserialized or built elsewhere.
//! - A token leaves only after a `permit` by a named bundle and after its audit record is durable.
//! - What a caller has no permit for can't be told apart from what does not exist.

pub mod form;
pub mod issued;
pub mod keys;
pub mod limits;
pub mod log;
pub mod metadata;
pub mod permitted;
pub mod ports;
pub mod refusal;
pub mod request;
pub mod verified;
pub mod wire;

mod flow;

pub use flow::{Attempt, exchange};
