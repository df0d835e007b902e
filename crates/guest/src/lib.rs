//! Shared code of the components on the hosts' interfaces: deadlines, outbound HTTP, signature arithmetic, and the
//! signers' inputs.
//!
//! Makes no decisions and keeps nothing between calls. Empty except on Wasm, because Spin's interfaces exist only
//! there.

#![cfg(target_arch = "wasm32")]

#[cfg(feature = "crypto")]
mod crypto;
mod deadline;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "signer")]
pub mod signer;
mod step;

#[cfg(feature = "crypto")]
pub use crypto::crypto;
pub use deadline::within;
pub use step::next_step;
