//! A request for a token, and the principal that makes it.

pub use vouchsafe_types::{Principal, TokenRequest};
