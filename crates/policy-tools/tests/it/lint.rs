//! Checks of small bundles: errors, warnings and explanations.

mod absent;
mod actors;
mod addresses;
mod administration;
mod clients;
mod complex;
mod dangerous;
mod explanations;
mod lints;
mod messages;
mod safe;
mod settings;
mod spans;
mod strangers;
mod support;
mod tenants;
mod warnings;
