//! Checks of small bundles: errors, warnings and explanations.

mod addresses;
mod explanations;
mod lints;
mod messages;
mod spans;
mod strangers;
mod support;
mod tenants;
mod warnings;
