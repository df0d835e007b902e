//! The Cedar policies of a bundle: parsing, validation, and which of them can match a request.

pub(crate) mod attributes;
pub(crate) mod checker;
pub(crate) mod entities;
pub(crate) mod guardrails;
pub(crate) mod index;
pub(crate) mod on_demand;
pub(crate) mod parse;
pub(crate) mod policy;
pub(crate) mod profiles;
pub(crate) mod reads;
mod scan;
pub(crate) mod schema;
pub mod span;
pub(crate) mod templates;
mod validate;
