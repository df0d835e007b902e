//! Diagnostics in SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), for code scanners.

use crate::report::item::{Item, Severity, path_from};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One run with every diagnostic; `dir` is the bundle's folder relative to the repository's root.
pub fn sarif(items: &[Item], dir: &str, version: &str) -> Value {
    let rules: BTreeMap<&str, Value> = items.iter().map(|item| (item.code, rule(item))).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "vouchsafe policy check",
                "version": version,
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": items.iter().map(|item| result(item, dir)).collect::<Vec<_>>(),
        }],
    })
}

/// The properties that all diagnostics of a kind share (§3.49).
fn rule(item: &Item) -> Value {
    let words = item.code.replace('-', " ");
    json!({
        "id": item.code,
        "shortDescription": { "text": words },
        "defaultConfiguration": { "level": level(item.severity) },
    })
}

/// One diagnostic (§3.27).
fn result(item: &Item, dir: &str) -> Value {
    let text = match &item.fix {
        Some(fix) => format!("{}. Fix: {fix}", item.message),
        None => item.message.clone(),
    };
    let mut physical = json!({ "artifactLocation": { "uri": uri(&path_from(dir, item)) } });
    if let (Some(members), Some(place)) = (physical.as_object_mut(), &item.place) {
        let region = json!({
            "startLine": place.position.line,
            "startColumn": place.position.column,
            "endColumn": place.end_column(),
            "snippet": { "text": place.line },
        });
        members.insert("region".to_owned(), region);
    }
    json!({
        "ruleId": item.code,
        "level": level(item.severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": physical }],
    })
}

fn level(severity: Severity) -> &'static str {
    severity.name()
}

/// The path as a relative reference (RFC 3986 §4.2).
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let encoded = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.bytes().map(encoded).collect()
}
