//! Cases for stock tools: the files of the Cedar CLI's `run-tests`.
//!
//! That CLI compares `reason` as a subset; our runner compares all of it. Cedar skips a `forbid` that
//! errs where we deny, so cases that come out otherwise there are left out and named.

use crate::suite::Suite;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vouchsafe_policy::{Bundle, BundleFiles, Effect, InvalidBundle, Rule};

/// Three files for `cedar run-tests`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CedarSuite {
    /// `tests.json`: an array of tests.
    pub tests: Value,
    /// `policies.cedar`: every rule with its `@id`.
    pub policies: String,
    /// `schema.cedarschema.json`, with the types that are made from issuer files.
    pub schema: Value,
    /// Paths of the cases that are not in `tests`.
    pub left_out: Vec<String>,
}

/// The cases of `suite`, whose bundle was made from `files`, but for those that name another profile.
///
/// # Errors
/// The schema can't be read again.
pub fn export(suite: &Suite, files: &BundleFiles) -> Result<CedarSuite, InvalidBundle> {
    export_of(suite, &suite.bundle, files)
}

/// The cases of each profile that some case names, with the rules that are in force there: stock tools know
/// one set of policies at a time.
///
/// # Errors
/// The schema can't be read again.
pub fn export_profiles(
    suite: &Suite,
    files: &BundleFiles,
) -> Result<BTreeMap<String, CedarSuite>, InvalidBundle> {
    let profiles = suite.others.iter();
    let named = profiles.filter_map(|(name, bundle)| Some((name.clone()?, bundle)));
    named
        .map(|(name, bundle)| Ok((name, export_of(suite, bundle, files)?)))
        .collect()
}

fn export_of(
    suite: &Suite,
    bundle: &Bundle,
    files: &BundleFiles,
) -> Result<CedarSuite, InvalidBundle> {
    let schema = bundle.schema_document(files)?;
    let mut tests = Vec::new();
    let mut left_out = Vec::new();
    let cases = suite.results.iter().map(|result| &result.case);
    for case in cases.filter(|case| std::ptr::eq(suite.bundle_of(case), bundle)) {
        let erring_forbid =
            |rule: &Rule| rule.is_forbid() && case.erring.iter().any(|id| id == &rule.id);
        let differs = bundle.rules().iter().any(erring_forbid);
        let request = bundle
            .decide(&case.principal, &case.request, case.now)
            .ok()
            .and_then(|decision| serde_json::from_str(&decision.cedar_request).ok());
        match request {
            Some(request) if !differs && case.refused.is_none() => {
                tests.push(test(case, &request));
            }
            _ => left_out.push(case.path.clone()),
        }
    }
    let policies: Vec<String> = bundle.rules().iter().filter_map(written_out).collect();
    Ok(CedarSuite {
        tests: Value::Array(tests),
        policies: format!("{}\n", policies.join("\n\n")),
        schema,
        left_out,
    })
}

/// The text of a rule; a template that is filled is written out with its own `@id`.
fn written_out(rule: &Rule) -> Option<String> {
    if let Some(text) = rule.policy.to_cedar() {
        return Some(text);
    }
    let mut json = rule.policy.to_json().ok()?;
    if let Some(annotations) = json.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.insert("id".to_owned(), json!(rule.id));
    }
    let policy = cedar_policy::Policy::from_json(None, json).ok()?;
    policy.to_cedar()
}

fn test(case: &vouchsafe_policy::cases::Case, request: &Value) -> Value {
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
        "reason": case.rules,
        "num_errors": case.erring.len(),
    })
}

/// `id` as a string of Cedar's syntax.
fn quoted(id: &str) -> String {
    format!("\"{}\"", id.escape_debug())
}
