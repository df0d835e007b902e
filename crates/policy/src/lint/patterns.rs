//! `like` patterns that match more than they look like.

use super::caution::Caution;
use super::conditions::sole_member;
use crate::rules::Rule;
use serde_json::Value;
use std::collections::BTreeSet;

/// Patterns for a workflow's file that leave its ref open.
pub(super) fn workflows_at_any_ref(rule: &Rule, expression: &Value) -> Vec<Caution> {
    let claim = expression
        .pointer("/like/left/./attr")
        .and_then(Value::as_str)
        .filter(|name| matches!(*name, "job_workflow_ref" | "workflow_ref"));
    let pattern = expression
        .pointer("/like/pattern")
        .and_then(Value::as_array);
    let mut found = Vec::new();
    if let (Some(claim), Some(pattern)) = (claim, pattern)
        && leaves_ref_open(pattern)
    {
        found.push(Caution::WorkflowAtAnyRef {
            rule: rule.id.clone(),
            claim: claim.to_owned(),
            pattern: shown(pattern),
        });
    }
    let inner = parts(expression);
    found.extend(
        inner
            .into_iter()
            .flat_map(|value| workflows_at_any_ref(rule, value)),
    );
    found
}

/// Whether a pattern of Cedar's JSON format ends in `*` before it says which branch or tag.
fn leaves_ref_open(pattern: &[Value]) -> bool {
    // No claim holds this character.
    const WILDCARD: &str = "\0";
    let text: String = pattern
        .iter()
        .map(|part| {
            part.get("Literal")
                .and_then(Value::as_str)
                .unwrap_or(WILDCARD)
        })
        .collect();
    let Some(open) = text.strip_suffix(WILDCARD) else {
        return false;
    };
    match open.rsplit_once('@') {
        None => true,
        Some((_, reference)) => ["refs/", "refs/heads/", "refs/tags/"]
            .iter()
            .any(|start| start.starts_with(reference)),
    }
}

/// What separates the parts of a claim that has parts.
const SEPARATORS: [char; 3] = ['/', ':', '@'];

/// Patterns of `expression` whose `*` can match a separator where that is hardly meant: anywhere but at
/// the end, right after a separator, which takes everything below. `guarded` claims have a pattern that
/// must not match beside it, which is how a rule says where `*` ends.
pub(super) fn crossing_separators(
    rule: &Rule,
    expression: &Value,
    guarded: &BTreeSet<String>,
) -> Vec<Caution> {
    let mut found = Vec::new();
    if let Some(like) = expression.get("like")
        && let Some(claim) = like.pointer("/left/./attr").and_then(Value::as_str)
        && let Some(pattern) = like.get("pattern").and_then(Value::as_array)
        && like.pointer("/left/./left/Var").and_then(Value::as_str) == Some("principal")
        && !guarded.contains(claim)
        && crosses(claim, pattern)
    {
        found.push(Caution::LikeCrossesSeparator {
            rule: rule.id.clone(),
            claim: claim.to_owned(),
            pattern: shown(pattern),
        });
    }
    // What must not match may match too much.
    if let Some((operator, _)) = sole_member(expression)
        && operator == "!"
    {
        return found;
    }
    let inner = parts(expression).into_iter();
    found.extend(inner.flat_map(|value| crossing_separators(rule, value, guarded)));
    found
}

/// The claims of every `!(principal.claim like …)` in `expression`.
pub(super) fn guarded_claims(expression: &Value, claims: &mut BTreeSet<String>) {
    if let Some(claim) = expression
        .pointer("/!/arg/like/left/./attr")
        .and_then(Value::as_str)
    {
        claims.insert(claim.to_owned());
    }
    for value in parts(expression) {
        guarded_claims(value, claims);
    }
}

fn crosses(claim: &str, pattern: &[Value]) -> bool {
    let shown = shown(pattern);
    let wildcards = pattern.iter().filter(|part| part.get("Literal").is_none());
    let has_parts = shown.contains(SEPARATORS) || has_parts(claim);
    let below = |text: &str| text.ends_with(SEPARATORS);
    match wildcards.count() {
        0 => false,
        1 if shown.strip_suffix('*').is_some_and(below) => false,
        _ => has_parts,
    }
}

/// Whether the claim's values are paths, refs or names with an owner.
fn has_parts(claim: &str) -> bool {
    let whole = ["path", "ref", "repository", "spiffe_id", "sub"];
    let ends = ["_arn", "_path", "_ref", "_ref_uri"];
    whole.contains(&claim) || ends.iter().any(|end| claim.ends_with(end))
}

/// A pattern of Cedar's JSON format as it is written, but that a literal `*` looks like any other.
fn shown(pattern: &[Value]) -> String {
    let part = |part: &Value| match part.get("Literal").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => "*".to_owned(),
    };
    pattern.iter().map(part).collect()
}

fn parts(expression: &Value) -> Vec<&Value> {
    match expression {
        Value::Array(values) => values.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Whether a value of somebody else's can fit a pattern. Parts of a name come first, the tenant's before others: a
/// pattern that writes it out with its `/` takes no value of another tenant.
pub(super) fn can_be_foreign(claim: &str, pattern: &[Value]) -> bool {
    // `github.com/octo-org/octo-repo` has a host first.
    let parts = if claim == "vcs_origin" { 2 } else { 1 };
    let literals = pattern
        .iter()
        .map_while(|part| part.get("Literal")?.as_str());
    let start: String = literals.collect();
    let has_wildcard = pattern.iter().any(|part| part.get("Literal").is_none());
    has_wildcard && start.matches('/').count() < parts
}

/// Whether `text` fits a pattern of Cedar's JSON format, a list of literals and wildcards.
pub(super) fn fits(pattern: &[Value], text: &str) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first.get("Literal").and_then(Value::as_str) {
        Some(literal) => text
            .strip_prefix(literal)
            .is_some_and(|text| fits(rest, text)),
        None => {
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.any(|at| text.get(at..).is_some_and(|text| fits(rest, text)))
        }
    }
}
