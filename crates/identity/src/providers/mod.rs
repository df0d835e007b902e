//! What each kind of issuer says about a workload: one folder per provider, made to be copied.
//!
//! A provider is a table of claims with their types, a Cedar entity type and the choice of an
//! entity id. Absent, empty and wrongly typed are different things: an absent optional claim is an
//! absent attribute, an empty one an empty attribute, a wrongly typed one refuses the token.

pub mod claim;
pub mod github;
