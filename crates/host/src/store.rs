//! The host's own store: exports of `vouchsafe:store` on one of the application's SQLite databases, without a component.
//!
//! `crates/store` has the statements and their semantics, as in the component `store-sqlite`. Here, each call runs on the
//! thread of its database, together with the calls that wait at the same time, and is answered after their commit.

mod calls;
mod convert;
mod exports;

pub use calls::HostStore;
pub use exports::add_to_linker;
