//! The Cedar request of a decision as JSON, for the audit record.

use crate::bundle::Bundle;
use crate::calendar;
use crate::decide::request::{Principal, TokenRequest};
use crate::policies::entities::{ACT_FOR, AUDIENCE_GROUP, WORKLOAD_GROUP};
use cedar_policy::EntityUid;
use serde::{Serialize, Serializer};
use serde_json::Value;
use vouchsafe_providers::{Attribute, AttributeValue};

/// The request and its entities in Cedar's JSON formats.
#[derive(Serialize)]
struct Recorded<'a> {
    principal: Uid<'a>,
    action: Uid<'a>,
    resource: Uid<'a>,
    context: ContextFields<'a>,
    entities: Vec<EntityFields<'a>>,
}

#[derive(Serialize, Clone, Copy, PartialEq)]
struct Uid<'a> {
    #[serde(rename = "type")]
    entity_type: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct ContextFields<'a> {
    now: Extension<'a>,
    proof_of_possession: bool,
    requested_lifetime_seconds: u64,
    scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<EntityReference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<Extension<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<Value>,
}

#[derive(Serialize)]
struct EntityReference<'a> {
    __entity: Uid<'a>,
}

/// A call of the constructor of one of Cedar's extension types.
#[derive(Serialize)]
struct Extension<'a> {
    __extn: Call<'a>,
}

#[derive(Serialize)]
struct Call<'a> {
    #[serde(rename = "fn")]
    function: &'static str,
    arg: &'a str,
}

#[derive(Serialize, Clone)]
struct EntityFields<'a> {
    uid: Uid<'a>,
    #[serde(serialize_with = "attributes")]
    attrs: &'a [Attribute],
    parents: Vec<Uid<'a>>,
}

/// Who is principal and who is resource.
#[derive(Clone, Copy)]
pub(crate) struct Roles<'a> {
    principal: &'a Principal,
    /// For whom the principal acts. Without one, the resource is the audience.
    subject: Option<&'a Principal>,
}

impl<'a> Roles<'a> {
    pub fn issue(principal: &'a Principal) -> Self {
        Self { principal, subject: None }
    }

    pub fn act_for(actor: &'a Principal, subject: &'a Principal) -> Self {
        Self { principal: actor, subject: Some(subject) }
    }
}

/// Writes the request from the input rather than from Cedar's values, which costs a fraction of the time. None only if
/// `now` is after the year 9999.
pub(crate) fn cedar_request(
    bundle: &Bundle,
    roles: Roles<'_>,
    request: &TokenRequest,
    audience_groups: &[EntityUid],
    now: u64,
) -> Option<String> {
    let moment = calendar::to_rfc3339(now)?;
    let extension = |function, arg| Extension { __extn: Call { function, arg } };
    let Roles { principal, subject } = roles;
    let audience_uid = Uid { entity_type: "Audience", id: &request.audience };
    let mut entities = principal_fields(bundle, principal).to_vec();
    for fields in subject.into_iter().flat_map(|subject| principal_fields(bundle, subject)) {
        // Both may have the same issuer.
        if !entities.iter().any(|known| known.uid == fields.uid) {
            entities.push(fields);
        }
    }
    let groups = audience_groups.iter();
    let parents = groups.map(|group| Uid { entity_type: AUDIENCE_GROUP, id: group.id().unescaped() }).collect();
    entities.push(EntityFields { uid: audience_uid, attrs: &[], parents });
    let recorded = Recorded {
        principal: Uid::of(principal),
        action: Uid { entity_type: "Action", id: if subject.is_some() { ACT_FOR } else { "issue" } },
        resource: subject.map_or(audience_uid, Uid::of),
        context: ContextFields {
            now: extension("datetime", &moment),
            proof_of_possession: request.proof_of_possession,
            requested_lifetime_seconds: request.requested_lifetime_seconds,
            scopes: &request.scopes,
            audience: subject.map(|_| EntityReference { __entity: audience_uid }),
            client_ip: request.client_ip.as_deref().map(|address| extension("ip", address)),
            local: bundle.zones().json(now),
        },
        entities,
    };
    serde_json::to_string(&recorded).ok()
}

impl<'a> Uid<'a> {
    fn of(principal: &'a Principal) -> Self {
        Self { entity_type: &principal.entity_type, id: &principal.id }
    }
}

/// A principal and its issuer.
fn principal_fields<'a>(bundle: &'a Bundle, principal: &'a Principal) -> [EntityFields<'a>; 2] {
    let Principal { id, issuer_name, attributes, .. } = principal;
    let issuer_uid = Uid { entity_type: "Issuer", id: issuer_name };
    let groups = bundle.group_entities().of_principal(issuer_name, id, attributes);
    let groups = groups.into_iter().map(|group| Uid { entity_type: WORKLOAD_GROUP, id: group.id().unescaped() });
    let parents = std::iter::once(issuer_uid).chain(groups).collect();
    [
        EntityFields { uid: Uid::of(principal), attrs: attributes, parents },
        EntityFields { uid: issuer_uid, attrs: &[], parents: Vec::new() },
    ]
}

fn attributes<S: Serializer>(attributes: &&[Attribute], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(attributes.iter().map(|attribute| (&attribute.name, Json(&attribute.value))))
}

struct Json<'a>(&'a AttributeValue);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AttributeValue::Boolean(value) => serializer.serialize_bool(*value),
            AttributeValue::Integer(value) => serializer.serialize_i64(*value),
            AttributeValue::Text(value) => serializer.serialize_str(value),
            AttributeValue::TextSet(values) => values.serialize(serializer),
        }
    }
}
