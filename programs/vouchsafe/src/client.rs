//! What the client commands share: HTTP, the broker's metadata, the exchange, verification of tokens.
//!
//! It sees the broker as any other client would: over HTTP.

pub mod admin;
pub mod base64url;
pub mod broker;
mod cache;
mod detect;
pub mod dev_issuer;
mod duration;
pub mod exchange;
pub mod gateway;
mod hints;
pub mod http;
pub mod issue;
mod login;
pub mod moment;
mod network;
mod platform;
pub mod proof;
mod proxy;
mod raw_token;
pub mod renewal;
mod reply;
mod retry;
pub mod subject;
pub mod text;
pub mod tls;
pub mod token;

pub use broker::Broker;
pub use duration::{parse_positive, parse_signed_seconds};
pub use http::Http;
pub use network::NetworkArgs;
