//! Who requests a token, and which.

pub use vouchsafe_types::{Principal, TokenRequest};
