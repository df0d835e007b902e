//! The broker: routes HTTP requests and connects the exchange to the other components.
//!
//! | route | method | answer |
//! |---|---|---|
//! | `/token` | POST | the exchange (RFC 8693) |
//! | `/revoke` | POST | ends a token for its holder (RFC 7009) |
//! | `/introspect` | POST | the state of a token (RFC 7662), for callers with a token of this broker |
//! | `/revocations` | GET | the signed list of what is revoked, with ETag |
//! | `/status` | GET | the URLs of the status lists with live tokens |
//! | `/status/<list>` | GET | a status list (draft-ietf-oauth-status-list), with ETag |
//! | `/forward-auth/…`, `/forward-auth?…` | any | whether the bearer token is valid for an audience, for reverse proxies |
//! | `/admin/revocations` | GET, POST | lists revocations, revokes tokens |
//! | `/admin/revocations/lift` | POST | lifts a block |
//! | `/.well-known/oauth-authorization-server` | GET | RFC 8414 metadata |
//! | `/.well-known/openid-configuration` | GET | OpenID Connect Discovery 1.0 |
//! | `/.well-known/jwks.json` | GET | the signer's JWK Set, with ETag |
//! | `/v/<view>/.well-known/openid-configuration`, `…/jwks.json` | GET | the same for a view that the bundle has |
//! | `/healthz` | GET | 200 while the instance runs |
//! | `/log/checkpoint` | GET | the state of the log of audit records (C2SP tlog-checkpoint) |
//! | `/log/key` | GET | the key that signs it (C2SP signed-note) |
//! | `/log/proof/<decision id>` | GET | the proof that a decision is in it (C2SP tlog-proof); 503 until it is |
//! | `/log/tile/…` | GET | its tiles (C2SP tlog-tiles) |
//! | `/readyz` | GET | 200 if bundle and signer are usable and the store is writable, else 503 |
//!
//! Each response has an `x-request-id`, which is in its log line too. A client's own `x-request-id` is ignored: it could
//! forge or repeat the id of another request.
//!
//! Makes no decisions: `crates/exchange` and `crates/revocation` do. Has no network, no database and no variables.

mod bindings;
mod body;
mod discard;
mod log;
mod own_tokens;
mod ports;
mod protected;
mod random;
mod ready;
mod respond;
mod routes;
mod status;
mod status_index;
mod transparency;
mod trusted;
mod views;

#[cfg(target_arch = "wasm32")]
#[spin_sdk::http_service]
async fn handle(request: spin_sdk::http::Request) -> respond::Reply {
    routes::route(request).await
}
