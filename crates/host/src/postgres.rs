//! The databases behind `spin:postgres`: one pool of connections for each address, shared by all instances.

mod address;
pub mod admin;
mod connect;
mod keep;
mod pools;
mod query;
mod timelines;
mod tls;
mod values;

pub use keep::{address_of_store, keep};
pub use pools::{Database, Pools};
pub use query::Answer;
