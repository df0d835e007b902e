//! Diagnostics in SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), for code scanners.

use crate::report::item::{Item, Severity, path_from};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The page that describes every kind of diagnostic, by its code.
const PAGE: &str = include_str!("../../../../docs/policy.md");
const PAGE_SECTION: &str = "docs/policy.md#warnings-and-errors";

/// One run with every diagnostic; `dir` is the bundle's folder relative to the repository's root.
pub fn sarif(items: &[Item], dir: &str, version: &str) -> Value {
    let rules: BTreeMap<&str, Value> = items.iter().map(|item| (item.code, rule(item))).collect();
    let mut seen = BTreeMap::new();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "vouchsafe policy check",
                "version": version,
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": items.iter().map(|item| result(item, dir, &mut seen)).collect::<Vec<_>>(),
        }],
    })
}

/// The properties that all diagnostics of a kind share (§3.49).
fn rule(item: &Item) -> Value {
    let words = item.code.replace('-', " ");
    let about = about(PAGE, item.code).unwrap_or_else(|| words.clone());
    json!({
        "id": item.code,
        "shortDescription": { "text": words },
        "fullDescription": { "text": about },
        "helpUri": format!("{}/blob/main/{PAGE_SECTION}", env!("CARGO_PKG_REPOSITORY")),
        "defaultConfiguration": { "level": level(item.severity) },
    })
}

/// What the table of `page` says about the diagnostics with this code, as plain text.
fn about(page: &str, code: &str) -> Option<String> {
    let quoted = format!("`{code}`");
    let (_, section) = page.split_once("\n## Warnings and errors\n")?;
    let mut rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let (_, about) = rows.find(|(codes, _)| codes.contains(&quoted))?;
    Some(about.replace('`', ""))
}

/// Identifies a diagnostic although lines above it come or go (§3.27.17), in the form that GitHub compares: a hash of
/// the code, the file and the line's text, and the number of the diagnostic among those with the same hash.
fn fingerprint(item: &Item, seen: &mut BTreeMap<String, usize>) -> String {
    let line = item.place.as_ref().map_or(item.message.as_str(), |place| place.line.trim());
    let digest = Sha256::digest([item.code, &item.file, line].join("\n"));
    let hash: String = base16ct::lower::encode_string(&digest).chars().take(16).collect();
    let number = seen.entry(hash.clone()).or_default();
    *number = number.saturating_add(1);
    format!("{hash}:{number}")
}

/// One diagnostic (§3.27).
fn result(item: &Item, dir: &str, seen: &mut BTreeMap<String, usize>) -> Value {
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
        "partialFingerprints": { "primaryLocationLineHash": fingerprint(item, seen) },
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
