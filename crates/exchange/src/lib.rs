//! The token exchange (RFC 8693): from a form to an issued token, or to one exact refusal.
//!
//! Has no clock, network, database or Wasm bindings: everything external comes through [`ports::Ports`].
//! Entry point: [`exchange`].
//!
//! Invariants kept here:
//! - Flow as types: [`request::UnverifiedExchange`] → [`verified::VerifiedExchange`] →
//!   [`permitted::PermittedExchange`] → [`issued::IssuedExchange`]; each is created by one function, and none can be
//!   cloned, deserialized or constructed elsewhere.
//!   ```compile_fail,E0451
//!   // A request is created by parsing a form only.
//!   fn forge(token: String) -> vouchsafe_exchange::request::UnverifiedExchange {
//!       vouchsafe_exchange::request::UnverifiedExchange { subject_token: token, actor_token: None, audience: todo!(),
//!           scopes: todo!(), lifetime_seconds: todo!(), token_type: todo!() }
//!   }
//!   ```
//!   ```compile_fail,E0451
//!   use vouchsafe_exchange::verified::VerifiedExchange;
//!   fn forge() -> VerifiedExchange {
//!       VerifiedExchange { request: todo!(), subject: todo!(), issuer: todo!(), actor: None, proof: None, now: 0 }
//!   }
//!   ```
//!   ```compile_fail,E0451
//!   use vouchsafe_exchange::permitted::PermittedExchange;
//!   fn forge() -> PermittedExchange {
//!       PermittedExchange { verified: todo!(), audience: todo!(), lifetime_seconds: 1, token_type: todo!() }
//!   }
//!   ```
//!   ```compile_fail,E0451
//!   use vouchsafe_exchange::issued::IssuedExchange;
//!   fn forge(jwt: String) -> IssuedExchange {
//!       IssuedExchange { jwt, token_type: todo!(), expires_in_seconds: 1, scopes: vec![], bound: true }
//!   }
//!   ```
//!   ```compile_fail,E0599
//!   fn twice(proof: vouchsafe_exchange::issued::IssuedExchange) {
//!       let _copy = proof.clone();
//!   }
//!   ```
//! - A token is released only after a `permit` by a named bundle, and after its audit record is durable.
//! - Whoever presents a token that is bound to a key proves possession of it, and gets a token for the same key.
//! - A caller without a permit cannot tell existing audiences from nonexistent ones.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod actor;
pub mod audit;
pub mod client;
pub mod client_address;
pub mod failure;
pub mod form;
pub mod issued;
pub mod keys;
pub mod limited;
pub mod limits;
pub mod log;
pub mod metadata;
pub mod permitted;
pub mod ports;
pub mod proof;
pub mod refusal;
pub mod request;
pub mod root;
pub mod settings;
pub mod status_indexes;
pub mod trace;
pub mod trace_context;
pub mod verified;
pub mod view;
pub mod wire;

mod flow;
pub mod replay;

pub use flow::{Attempt, exchange};
