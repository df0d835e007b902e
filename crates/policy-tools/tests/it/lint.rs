//! Checks of small bundles: errors, warnings and explanations.

mod addresses;
mod cautions;
mod explanations;
mod lints;
mod messages;
mod places;
mod strangers;
mod support;
mod tenants;
