//! The trust bundle: who is trusted, what may be issued, and the Cedar rules that decide.
//!
//! Does not read a clock, open a socket or hold a key. Loading works on [`BundleFiles`], paths and
//! contents in memory; only [`folder::read`] touches a file system. Entry points: [`Bundle::load`],
//! [`Bundle::decide`].
//!
//! INVARIANT: a [`Bundle`] exists only if every file of it was understood and every rule validates
//! strictly against its schema.
//! INVARIANT: nothing but a `permit` whose evaluation succeeded, with no `forbid` that matched or
//! erred, gives [`Effect::Permit`].

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]
#![expect(
    clippy::result_large_err,
    reason = "findings are made when a bundle is loaded, never on a request path"
)]

mod audience;
mod bundle;
mod calendar;
pub mod cases;
mod claims;
mod codes;
mod decide;
mod decider;
mod declared;
mod duration;
mod error;
pub mod explain;
mod files;
pub mod folder;
mod frame;
mod groups;
mod head;
mod hidden;
mod issuer;
#[cfg(feature = "json-schema")]
pub mod json_schema;
mod keys;
mod known;
pub mod limits;
pub mod lint;
mod listing;
mod nearest;
mod on_demand;
mod places;
mod profiles;
mod record;
mod records;
mod replay;
mod rules;
mod scan;
mod schema;
mod seal;
mod slices;
mod spanned;
mod subject;
mod templates;
mod toml_file;
mod toml_places;
mod url;
mod zones;

pub use bundle::Bundle;
pub use calendar::{parse_unix_seconds, to_rfc3339};
pub use claims::ClaimsError;
pub use decide::{DecideError, Decision, Effect, Principal, TokenRequest};
pub use decider::{Decider, Work};
pub use error::{Finding, InvalidBundle, Position, Problem};
pub use files::BundleFiles;
pub use groups::{Group, Workload};
pub use keys::with_credentials;
pub use profiles::Profiles;
pub use records::{
    Audience, Environment, Issuer, KeySource, PinnedKeys, ReplayMode, RequiredClaim, Tier,
};
pub use rules::{Rule, policy_set};
pub use schema::AttributeType;
/// Every provider that an issuer's file can name, in the order of their names.
pub fn providers() -> impl Iterator<Item = &'static Provider> {
    vouchsafe_providers::PROVIDERS.into_iter()
}

pub use vouchsafe_providers::{Attribute, AttributeValue, Claim, ClaimType, Provider};
