//! The protocol between signer and HSM gateway: who may have which seed, what an HSM key may sign, and the messages on
//! the wire (`docs/hsm/`).
//!
//! Does not read a clock, a file or the network, and doesn't use PKCS#11: `programs/hsm-gateway` has the HSM,
//! `components/signer-hsm` the network. Both ends of the wire are here, so that they can't diverge.
//!
//! Entry points: for the gateway [`Rules`], [`EpochKeyring`] and [`SigningInput`]; for the signer
//! [`client::GatewaySigner`].
//!
//! Invariants: a credential gives access to its own key groups only; a seed leaves only while the gateway's clock is
//! trusted and within the epoch's window, widened by [`WINDOW_MARGIN_SECONDS`]; nothing is signed unless every member of
//! it was understood; no seed, credential or signing input is printed.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

pub mod admin;
mod bucket;
pub mod canary;
pub mod client;
mod counters;
mod credential;
mod epoch_keys;
mod generation;
mod jwk;
mod labels;
mod overdue;
mod probe;
mod rates;
mod refusal;
mod rules;
mod steady;
mod timing;
mod token;
pub mod versions;
pub mod wire;

pub use bucket::Bucket;
pub use canary::{CANARY_OUTCOMES_MIN, Place, RolloutSecret, Verdict, WORKLOAD_BYTES_MAX, Workload, judge};
pub use counters::Counters;
pub use credential::{CREDENTIAL_BYTES, CertificateDigest, CredentialDigest};
pub use epoch_keys::{Derivation, EpochKeyring, Uncertified, WINDOW_MARGIN_SECONDS};
pub use generation::Generation;
pub use jwk::JwkError;
pub use labels::{KeyLabel, ROOT_CERTIFICATE_LABEL, ROOT_LABEL, ROOT_SIGNING_LABEL, TOKEN_KEY_PREFIX};
pub use overdue::{Warning, warnings};
pub use probe::{PROBE_AUDIENCE, PROBE_TYP, probe_input};
pub use rates::{Rates, RatesLeft};
pub use refusal::{Refusal, TokenError};
pub use rules::{
    AdminFile, Admins, Caller, CredentialFile, Group, GroupFile, KeyAlgorithm, KeyFile, KeyRule, RuleError, Rules,
};
pub use steady::{CLOCK_STEP_SECONDS_MAX, Moment, Reading, SteadyClock, SteadySeconds};
pub use timing::CLOCK_SKEW_SECONDS_MAX;
pub use token::{SIGNING_INPUT_BYTES_MAX, SigningInput, claimed_decision_id};
