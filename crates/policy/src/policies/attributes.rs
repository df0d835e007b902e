//! The attributes of principals, as the schema declares them.

use std::collections::BTreeMap;
use vouchsafe_providers::ClaimType;

/// Type and presence of an attribute. `claim_type` is none for types that no claim has, and `TextSet` for every
/// set of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeType {
    pub claim_type: Option<ClaimType>,
    pub required: bool,
}

/// Attributes by entity type, then by name.
pub(crate) type Attributes = BTreeMap<String, BTreeMap<String, AttributeType>>;
