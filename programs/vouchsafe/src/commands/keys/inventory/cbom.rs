//! The inventory as a bill of cryptographic materials (CBOM) of CycloneDX 1.6.

use super::entry::Entry;
use crate::client::moment;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use vouchsafe_cli::Failure;

pub fn document(entries: &[Entry], now: u64) -> Result<Value, Failure> {
    let algorithms: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.algorithm.as_deref()).collect();
    let mut components: Vec<Value> = algorithms.into_iter().map(algorithm).collect();
    components.extend(entries.iter().enumerate().map(|(at, entry)| component(at, entry)));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid()?),
        "version": 1,
        "metadata": {
            "timestamp": moment::show(now),
            "component": { "type": "application", "name": "vouchsafe", "version": env!("CARGO_PKG_VERSION") },
        },
        "components": components,
    }))
}

fn algorithm(name: &str) -> Value {
    json!({
        "type": "cryptographic-asset",
        "bom-ref": format!("algorithm/{name}"),
        "name": name,
        "cryptoProperties": { "assetType": "algorithm", "algorithmProperties": { "primitive": "signature" } },
    })
}

fn component(at: usize, entry: &Entry) -> Value {
    let mut properties = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        properties.extend(value.map(|value| json!({ "name": format!("vouchsafe:{name}"), "value": value })));
    };
    add("kind", Some(entry.kind.to_owned()));
    add("custody", Some(entry.custody.clone()));
    add("owner", entry.owner.clone());
    add("criticality", entry.criticality.map(str::to_owned));
    add("last-use", entry.used.map(moment::show));
    for warning in &entry.warnings {
        add("warning", Some(warning.clone()));
    }
    let details = match &entry.certificate {
        Some((subject, issuer)) => json!({
            "assetType": "certificate",
            "certificateProperties": {
                "subjectName": subject,
                "issuerName": issuer,
                "notValidBefore": entry.created.map(moment::show),
                "notValidAfter": entry.expires.map(moment::show),
                "certificateFormat": "X.509",
            },
        }),
        None => json!({ "assetType": "related-crypto-material", "relatedCryptoMaterialProperties": material(entry) }),
    };
    json!({
        "type": "cryptographic-asset",
        "bom-ref": format!("{}/{at}", entry.kind),
        "name": entry.name,
        "cryptoProperties": details,
        "properties": properties,
    })
}

/// Never `value`.
fn material(entry: &Entry) -> Map<String, Value> {
    let kind = match entry.kind {
        "root" => "secret-key",
        "epoch-key" | "hsm-key" | "log-key" => "private-key",
        "issuer-keys" => "public-key",
        "webhook-secret" => "shared-secret",
        "admin-audience" => "token",
        _ => "credential",
    };
    let members = [
        ("type", Some(kind.to_owned())),
        ("id", entry.id.clone()),
        ("state", Some(entry.state.name().to_owned())),
        ("algorithmRef", entry.algorithm.as_ref().map(|name| format!("algorithm/{name}"))),
        ("creationDate", entry.created.map(moment::show)),
        ("activationDate", entry.activated.map(moment::show)),
        ("expirationDate", entry.expires.map(moment::show)),
    ];
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    let mut members: Map<String, Value> = members.collect();
    if entry.custody.contains("HSM") {
        members.insert("securedBy".to_owned(), json!({ "mechanism": "HSM" }));
    }
    members
}

/// A random UUID (RFC 9562 §5.4).
fn uuid() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::refused(error.to_string()))?;
    let number = (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_has_its_version_and_variant() {
        for _ in 0..100 {
            let uuid = uuid().expect("random");
            assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
            assert!(["8", "9", "a", "b"].contains(&&uuid[19..20]), "{uuid}");
        }
    }
}
