//! The endpoints that take the broker's own tokens: revocation (RFC 7009), introspection (RFC 7662), and the operations of
//! administrators. Callers authenticate with a token that this broker issued for one of its own audiences, so a Cedar
//! policy decides who may call, and that decision is on record. Where clients may introspect, policy decides about them
//! in the same way, for each request.
//!
//! Has no clock, network, database or Wasm bindings: everything external comes through [`ports::Ports`]. Entry points:
//! [`revoke_token`], [`introspect`], [`forward_auth`], [`publish`], [`publish_status`] and the functions of [`operations`].
//!
//! Invariants:
//! - A caller's token is believed only with the broker's signature, type `at+jwt`, the exact audience and scope, while it
//!   is not revoked, and if it is bound to a key, with a proof by that key that was not used before.
//! - Every refusal of introspection is the same response, and nothing of a token is told for other audiences than those
//!   that the caller's scopes name.
//! - Nobody without a live token can cause a write.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod answer;
mod caller;
mod forward_auth;
mod introspection;
pub mod limits;
mod operation_request;
pub mod operations;
pub mod ports;
mod proof;
mod published;
mod render;
mod token_revocation;

pub use answer::{Attempt, AuthenticatedClient, Refused};
pub use caller::{Credentials, admin_audience, introspection_audience};
pub use forward_auth::{FORWARD_AUTH_PATH, FORWARD_AUTH_QUERY_PATH, forward_auth};
pub use introspection::{Introspection, JWT_MEDIA_TYPE, introspect};
pub use proof::ForwardedRequest;
pub use published::{PUBLISHED_SECONDS_MAX, Published, publish, publish_status};
pub use token_revocation::revoke_token;
