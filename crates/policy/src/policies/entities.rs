//! Cedar's names of the entities that every bundle has.

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

/// The entity type of workload groups.
pub const WORKLOAD_GROUP: &str = "WorkloadGroup";
/// The entity type of audience groups.
pub const AUDIENCE_GROUP: &str = "AudienceGroup";

/// The action of an actor.
pub(crate) const ACT_FOR: &str = "act_for";

/// The entity `type_name::"id"`. Any text can be an id.
pub(crate) fn uid(type_name: &str, id: &str) -> Option<EntityUid> {
    let type_name: EntityTypeName = type_name.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(type_name, EntityId::new(id)))
}

/// Whether `uid` is an `Issuer`.
pub fn is_issuer(uid: &EntityUid) -> bool {
    uid.type_name().to_string() == "Issuer"
}

/// The actions of every bundle.
#[derive(Debug, Clone)]
pub(crate) struct Actions {
    issue: EntityUid,
    act_for: EntityUid,
}

impl Actions {
    /// None only if Cedar rejected its own type name `Action`.
    pub fn new() -> Option<Self> {
        Some(Self { issue: uid("Action", "issue")?, act_for: uid("Action", ACT_FOR)? })
    }

    /// `Action::"issue"`: a principal gets a token for an audience.
    pub fn issue(&self) -> &EntityUid {
        &self.issue
    }

    /// `Action::"act_for"`: a principal acts for another, the resource. Only in bundles with an audience that allows it.
    pub fn act_for(&self) -> &EntityUid {
        &self.act_for
    }
}
