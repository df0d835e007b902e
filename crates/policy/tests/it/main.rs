//! The policy crate from outside, one module per question.

mod bundles;
mod credentials;
mod decisions;
mod default_bundle;
mod explanations;
mod folders;
mod lints;
mod support;
