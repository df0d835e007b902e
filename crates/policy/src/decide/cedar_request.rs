//! The Cedar request of a decision as JSON, for the audit record.

use crate::bundle::Bundle;
use crate::calendar;
use crate::decide::request::{Principal, TokenRequest};
use crate::policies::entities::{AUDIENCE_GROUP, WORKLOAD_GROUP};
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
    entities: [EntityFields<'a>; 3],
}

#[derive(Serialize, Clone, Copy)]
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
    client_ip: Option<Extension<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<Value>,
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

#[derive(Serialize)]
struct EntityFields<'a> {
    uid: Uid<'a>,
    #[serde(serialize_with = "attributes")]
    attrs: &'a [Attribute],
    parents: Vec<Uid<'a>>,
}

/// Writes the request from the input rather than from Cedar's values, which costs a fraction of the time. None only if
/// `now` is after the year 9999.
pub(crate) fn cedar_request(
    bundle: &Bundle,
    principal: &Principal,
    request: &TokenRequest,
    audience_groups: &[EntityUid],
    now: u64,
) -> Option<String> {
    let moment = calendar::to_rfc3339(now)?;
    let extension = |function, arg| Extension { __extn: Call { function, arg } };
    let uid = |entity_type, id| Uid { entity_type, id };
    let principal_uid = uid(&principal.entity_type, &principal.id);
    let issuer_uid = uid("Issuer", &principal.issuer_name);
    let audience_uid = uid("Audience", &request.audience);
    let groups = bundle.group_entities();
    let of_principal = groups.of_principal(&principal.issuer_name, &principal.id, &principal.attributes);
    let mut parents = vec![issuer_uid];
    parents.extend(of_principal.into_iter().map(|group| uid(WORKLOAD_GROUP, group.id().unescaped())));
    let audience_parents = audience_groups.iter().map(|group| uid(AUDIENCE_GROUP, group.id().unescaped())).collect();
    let recorded = Recorded {
        principal: principal_uid,
        action: uid("Action", "issue"),
        resource: audience_uid,
        context: ContextFields {
            now: extension("datetime", &moment),
            proof_of_possession: request.proof_of_possession,
            requested_lifetime_seconds: request.requested_lifetime_seconds,
            scopes: &request.scopes,
            client_ip: request.client_ip.as_deref().map(|address| extension("ip", address)),
            local: bundle.zones().json(now),
        },
        entities: [
            EntityFields { uid: principal_uid, attrs: &principal.attributes, parents },
            EntityFields { uid: issuer_uid, attrs: &[], parents: Vec::new() },
            EntityFields { uid: audience_uid, attrs: &[], parents: audience_parents },
        ],
    };
    serde_json::to_string(&recorded).ok()
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
