//! The Cedar request of a decision as JSON, for the audit record.

use crate::bundle::Bundle;
use crate::calendar;
use crate::decide::request::{Principal, TokenRequest};
use cedar_policy::EntityUid;
use serde_json::{Map, Value, json};
use vouchsafe_providers::AttributeValue;

/// The request and its entities in Cedar's JSON formats. Built from the input rather than from Cedar's values, which
/// costs a fraction of the time.
pub(crate) fn cedar_request(bundle: &Bundle, principal: &Principal, request: &TokenRequest, now: u64) -> String {
    let attributes: Map<String, Value> =
        principal.attributes.iter().map(|attribute| (attribute.name.clone(), json_value(&attribute.value))).collect();
    let principal_uid = json!({ "type": principal.entity_type, "id": principal.id });
    let issuer_uid = json!({ "type": "Issuer", "id": principal.issuer_name });
    let audience_uid = json!({ "type": "Audience", "id": request.audience });
    let mut context = json!({
        "now": extension("datetime", &calendar::to_rfc3339(now).unwrap_or_default()),
        "proof_of_possession": request.proof_of_possession,
        "requested_lifetime_seconds": request.requested_lifetime_seconds,
        "scopes": request.scopes,
    });
    if let (Some(members), Some(address)) = (context.as_object_mut(), &request.client_ip) {
        members.insert("client_ip".to_owned(), extension("ip", address));
    }
    if let (Some(members), Some(local)) = (context.as_object_mut(), bundle.zones().json(now)) {
        members.insert("local".to_owned(), local);
    }
    let json_uid = |uid: &EntityUid| json!({ "type": uid.type_name().to_string(), "id": uid.id().unescaped() });
    let groups = bundle.group_entities();
    let of_principal = groups.of_principal(&principal.issuer_name, &principal.id, &principal.attributes);
    let mut parents = vec![issuer_uid.clone()];
    parents.extend(of_principal.into_iter().map(json_uid));
    let of_audience = groups.of_audience(&request.audience);
    let audience_parents: Vec<Value> = of_audience.iter().map(json_uid).collect();
    json!({
        "principal": principal_uid,
        "action": { "type": "Action", "id": "issue" },
        "resource": audience_uid,
        "context": context,
        "entities": [
            { "uid": principal_uid, "attrs": attributes, "parents": parents },
            { "uid": issuer_uid, "attrs": {}, "parents": [] },
            { "uid": audience_uid, "attrs": {}, "parents": audience_parents },
        ],
    })
    .to_string()
}

fn json_value(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Boolean(value) => json!(value),
        AttributeValue::Integer(value) => json!(value),
        AttributeValue::Text(value) => json!(value),
        AttributeValue::TextSet(values) => json!(values),
    }
}

fn extension(function: &str, argument: &str) -> Value {
    json!({ "__extn": { "fn": function, "arg": argument } })
}
