//! Between generated and domain types, one module per port. Exhaustive: a new case in a WIT package
//! fails to compile.

mod errors;
mod identity;
mod policy;
mod signer;
mod store;

pub use errors::fetch_failure;
