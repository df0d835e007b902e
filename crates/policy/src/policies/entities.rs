//! Cedar's names of the entities that every bundle has.

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

/// The entity type of workload groups.
pub const WORKLOAD_GROUP: &str = "WorkloadGroup";
/// The entity type of audience groups.
pub const AUDIENCE_GROUP: &str = "AudienceGroup";

/// The entity `type_name::"id"`. Any text can be an id.
pub(crate) fn uid(type_name: &str, id: &str) -> Option<EntityUid> {
    let type_name: EntityTypeName = type_name.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(type_name, EntityId::new(id)))
}

/// Whether `uid` is an `Issuer`.
pub fn is_issuer(uid: &EntityUid) -> bool {
    uid.type_name().to_string() == "Issuer"
}

/// The only action, `Action::"issue"`.
#[derive(Debug, Clone)]
pub(crate) struct IssueAction(EntityUid);

impl IssueAction {
    /// None only if Cedar rejected its own type name `Action`.
    pub fn new() -> Option<Self> {
        uid("Action", "issue").map(Self)
    }

    pub fn uid(&self) -> &EntityUid {
        &self.0
    }
}
