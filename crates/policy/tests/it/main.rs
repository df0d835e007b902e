//! The policy crate from outside, one module per question.

mod addresses;
mod bundles;
mod cautions;
mod corpora;
mod credentials;
mod deciders;
mod decisions;
mod default_bundle;
mod differential;
mod explanations;
mod folders;
mod hidden;
mod language;
mod lints;
mod messages;
mod places;
mod strangers;
mod support;
mod tenants;
