//! Cases for stock tools: input files for `run-tests` of the Cedar CLI.
//!
//! The CLI compares `reason` as a subset, our runner exactly. Cedar skips a `forbid` that fails to evaluate where we
//! deny, and it knows no audience that requires a scope or a proof of possession, and no actor that needs a permit besides
//! that of its subject, so cases with any of these are left out and listed.

use crate::cases::Case;
use crate::limits::lacks_requirement;
use crate::suite::Suite;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vouchsafe_policy::{Bundle, BundleFiles, Effect, LoadError, NamedPolicy};

/// The three files for `cedar run-tests`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CedarSuite {
    /// `tests.json`: an array of tests.
    pub tests: Value,
    /// `policies.cedar`: every policy with its `@id`.
    pub policies: String,
    /// `schema.cedarschema.json`, including the types generated from issuer files.
    pub schema: Value,
    /// Paths of the cases that are not in `tests`.
    pub left_out: Vec<String>,
}

/// Exports the cases of `suite`, whose bundle was loaded from `files`, except those that name another profile.
///
/// # Errors
/// `files` are not those of the bundle.
pub fn export(suite: &Suite, files: &BundleFiles) -> Result<CedarSuite, LoadError> {
    export_of(suite, &suite.bundle, files)
}

/// Exports the cases of each profile that a case names, with the policies that are in force there: stock tools know one
/// policy set at a time.
///
/// # Errors
/// `files` are not those of the bundle.
pub fn export_profiles(suite: &Suite, files: &BundleFiles) -> Result<BTreeMap<String, CedarSuite>, LoadError> {
    let profiles = suite.others.iter();
    let named = profiles.filter_map(|(name, bundle)| Some((name.clone()?, bundle)));
    named.map(|(name, bundle)| Ok((name, export_of(suite, bundle, files)?))).collect()
}

fn export_of(suite: &Suite, bundle: &Bundle, files: &BundleFiles) -> Result<CedarSuite, LoadError> {
    let schema = bundle.schema_document(files)?;
    let mut tests = Vec::new();
    let mut left_out = Vec::new();
    let cases = suite.results.iter().map(|result| &result.case);
    for case in cases.filter(|case| std::ptr::eq(suite.bundle_of(case), bundle)) {
        let erring_forbid = |policy: &NamedPolicy| policy.is_forbid() && case.erring.iter().any(|id| id == &policy.id);
        let differs = bundle.policies().iter().any(erring_forbid) || lacks_requirement(bundle, &case.request);
        let request = bundle
            .decide(&case.principal, &case.request, case.now)
            .ok()
            .and_then(|decision| serde_json::from_str(&decision.cedar_request).ok());
        match request {
            Some(request) if !differs && case.refused.is_none() && case.actor.is_none() => {
                tests.push(test(case, &request));
            }
            _ => left_out.push(case.path.clone()),
        }
    }
    let policies: Vec<String> = bundle.policies().iter().filter_map(written_out).collect();
    Ok(CedarSuite { tests: Value::Array(tests), policies: format!("{}\n", policies.join("\n\n")), schema, left_out })
}

/// The text of a policy. A template-linked policy is written as a static one with its own `@id`.
fn written_out(policy: &NamedPolicy) -> Option<String> {
    if let Some(text) = policy.cedar.to_cedar() {
        return Some(text);
    }
    let mut json = policy.cedar.to_json().ok()?;
    if let Some(annotations) = json.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.insert("id".to_owned(), json!(policy.id));
    }
    let policy = cedar_policy::Policy::from_json(None, json).ok()?;
    policy.to_cedar()
}

fn test(case: &Case, request: &Value) -> Value {
    let uid = |name: &str| {
        let part = |key: &str| {
            let text = request.get(name).and_then(|uid| uid.get(key));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        format!("{}::{}", part("type"), quoted(&part("id")))
    };
    json!({
        "name": case.path.trim_start_matches("tests/").trim_end_matches(".toml"),
        "request": {
            "principal": uid("principal"),
            "action": uid("action"),
            "resource": uid("resource"),
            "context": request.get("context"),
        },
        "entities": request.get("entities"),
        "decision": match case.effect {
            Effect::Deny => "deny",
            Effect::Permit => "allow",
        },
        "reason": case.policies,
        "num_errors": case.erring.len(),
    })
}

/// `id` as a string literal of Cedar.
fn quoted(id: &str) -> String {
    format!("\"{}\"", id.escape_debug())
}
