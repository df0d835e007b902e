//! What the client commands share: HTTP, the broker's metadata, the exchange, reading tokens.
//!
//! It knows nothing of the broker's own crates: it sees the broker as any other client would.

pub mod broker;
pub mod dev_issuer;
pub mod exchange;
pub mod gateway;
pub mod http;
pub mod jwt;
pub mod subject;

pub use broker::Broker;
pub use http::{Http, Reply};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// base64url without padding (RFC 7515 §2).
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The opposite of [`encode`]; `None` where the text is not canonical.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
