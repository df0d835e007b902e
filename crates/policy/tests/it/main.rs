//! The policy crate from outside, one module per question.

mod bundles;
mod cautions;
mod decisions;
mod default_bundle;
mod explanations;
mod folders;
mod lints;
mod support;
