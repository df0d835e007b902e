//! Verification of subject tokens (RFC 8693 §2.1, RFC 7519 §7.2).

pub mod providers;
