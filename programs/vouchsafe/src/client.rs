//! What the client commands share: HTTP, the broker's metadata, the exchange, verification of tokens.
//!
//! It sees the broker as any other client would: over HTTP.

pub mod base64url;
pub mod broker;
pub mod dev_issuer;
pub mod exchange;
pub mod gateway;
pub mod http;
pub mod subject;
pub mod text;
pub mod token;

pub use broker::Broker;
pub use http::Http;
