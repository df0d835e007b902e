//! The records that the broker and its parts exchange, each declared once: here for Rust, in `wit/types` for the
//! component model.
//!
//! Contains data only: checking a value is the job of the crate that owns it ([`IssuerRecord`], for example, is
//! checked by `vouchsafe-policy` when a bundle loads, and becomes a trusted issuer in `vouchsafe-identity`).
//!
//! Components map the WIT interface to this crate with `wit-bindgen`'s `with`, so nothing is converted at a
//! component's boundary. Field and case names must therefore be those of the WIT, which the compiler checks, and the
//! order of an enum's cases too, which a test checks.
//!
//! Moments are Unix seconds (RFC 7519 §2 `NumericDate`) unless the name says otherwise: [`UnixSeconds`] in
//! signatures, `u64` in records, where the component model knows no newtype.

mod actors;
mod issuer;
mod policy;
mod proof;
mod revocation;
mod signer;
mod status;
mod store;
mod time;
mod token;
mod view;
mod wit_enum;
mod workload;

pub use actors::{ACTORS_BYTES_MAX, ACTORS_MAX, TXN_BYTES_MAX};
pub use issuer::{
    DeclaredClaim, FetchError, IssuerRecord, KeySet, KeySource, PinnedKeys, ReplayMode, RequiredClaim, Unreachable,
    UnreachableCause,
};
pub use policy::{
    Audience, BundleInfo, Client, ClientCredential, Decision, Effect, Environment, PolicyError, Tier, TokenRequest,
};
pub use proof::{PROOF_AGE_SECONDS_MAX, PROOF_BYTES_MAX, ProofError, VerifiedProof};
pub use revocation::{
    Added, Affected, AffectedWorkload, Attribution, IssuedTokens, Lifted, Revocation, RevocationList, RevocationRule,
    RevocationTarget, TokenFilter,
};
pub use signer::{
    BackendStatus, ExtraClaim, IssuedToken, PresentedIdentity, PublicKeySet, SignedToken, SignerError, SignerSettings,
    SigningRequest, Superseded, TokenType,
};
pub use status::{
    STATUS_LIST_INDEXES, STATUS_LIST_NAME_BYTES_MAX, StatusBlock, StatusList, StatusReference, is_status_list_name,
    status_list_url,
};
pub use store::{
    AuditRecord, Consumption, Document, Generation, Limited, LogProof, Pointer, Recorded, RecordedActor, Refused,
    RefusedKind, Space, StoreError, TokenUse, TreeHead,
};
pub use time::UnixSeconds;
pub use token::TokenError;
pub use view::{Preset, View, issuer_of};
pub use workload::{Actor, Attribute, AttributeValue, ClaimType, Principal, Subject};

#[cfg(test)]
mod tests;
