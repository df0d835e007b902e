//! Shared code of the components on Spin's interfaces: deadlines, outbound HTTP, and the signers' inputs.
//!
//! Makes no decisions and keeps nothing between calls. Empty except on Wasm, because Spin's interfaces exist only
//! there.

#![cfg(target_arch = "wasm32")]

mod deadline;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "signer")]
pub mod signer;

pub use deadline::within;
