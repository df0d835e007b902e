//! Decisions as events of OCSF 1.8: class Authentication (3002) with the profile `security_control`.

use serde_json::{Map, Value, json};

const VERSION: &str = "1.8.0";

/// The event of a row of the table `audit`.
pub fn event(row: &Map<String, Value>) -> Value {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| row.get(name).and_then(Value::as_i64).unwrap_or_default();
    let is_issued = text("outcome") == "issued";
    let mut event = json!({
        "activity_id": 1,
        "category_uid": 3,
        "class_uid": 3002,
        "type_uid": 300_201,
        "severity_id": if is_issued { 1 } else { 3 },
        "time": number("decided_at_ms"),
        "metadata": {
            "version": VERSION,
            "product": { "name": "Vouchsafe", "vendor_name": "Vouchsafe", "version": env!("CARGO_PKG_VERSION") },
            "profiles": ["security_control"],
            "uid": text("decision_id"),
            "sequence": number("seq"),
        },
        "user": { "uid": format!("{}:{}", text("issuer_name"), text("subject")), "type_id": 4 },
        "service": { "name": text("audience") },
        "auth_protocol_id": 6,
        "status_id": if is_issued { 1 } else { 2 },
        "status_code": text("slug"),
        "action_id": if is_issued { 1 } else { 2 },
        "disposition_id": if is_issued { 1 } else { 2 },
    });
    let rules: Vec<String> = serde_json::from_str(text("determining_rules")).unwrap_or_default();
    if let (false, Some(members)) = (rules.is_empty(), event.as_object_mut()) {
        let rules: Vec<_> = rules.into_iter().map(|rule| json!({ "policy": { "uid": rule } })).collect();
        members.insert("authorizations".to_owned(), rules.into());
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: &str, slug: &str) -> Map<String, Value> {
        let row = json!({
            "seq": 7, "decision_id": "d", "decided_at_ms": 1_800_000_000_000_i64, "outcome": outcome, "slug": slug,
            "issuer_name": "github", "subject": "repo:acme/app", "audience": "https://deploy.example",
            "determining_rules": "[\"deploy\"]",
        });
        row.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn tells_issued_from_refused() {
        let of = |outcome, slug| {
            let event = event(&row(outcome, slug));
            let ids = ["severity_id", "status_id", "action_id", "disposition_id"].map(|name| event[name].clone());
            (json!(ids), event["status_code"].clone())
        };
        assert_eq!(of("issued", "issued"), (json!([1, 1, 1, 1]), json!("issued")));
        assert_eq!(of("refused", "policy.denied"), (json!([3, 2, 2, 2]), json!("policy.denied")));
    }

    #[test]
    fn identifies_decision_and_subject() {
        let event = event(&row("issued", "issued"));
        assert_eq!(event["metadata"]["uid"], "d");
        assert_eq!(event["metadata"]["sequence"], 7);
        assert_eq!(event["user"]["uid"], "github:repo:acme/app");
        assert_eq!(event["authorizations"], json!([{ "policy": { "uid": "deploy" } }]));
    }
}
