//! `like` patterns that match more than they seem to.

use super::warning::Warning;
use crate::conditions::sole_member;
use serde_json::Value;
use std::collections::BTreeSet;
use vouchsafe_policy::NamedPolicy;

/// Warnings about patterns for a workflow file that do not constrain its ref.
pub(super) fn workflows_at_any_ref(policy: &NamedPolicy, expression: &Value) -> Vec<Warning> {
    let claim = expression
        .pointer("/like/left/./attr")
        .and_then(Value::as_str)
        .filter(|name| matches!(*name, "job_workflow_ref" | "workflow_ref"));
    let pattern = expression.pointer("/like/pattern").and_then(Value::as_array);
    let mut found = Vec::new();
    if let (Some(claim), Some(pattern)) = (claim, pattern)
        && leaves_ref_open(pattern)
    {
        found.push(Warning::WorkflowAtAnyRef {
            policy: policy.id.clone(),
            claim: claim.to_owned(),
            pattern: shown(pattern),
        });
    }
    let inner = parts(expression);
    found.extend(inner.into_iter().flat_map(|value| workflows_at_any_ref(policy, value)));
    found
}

/// Whether a pattern in Cedar's JSON format ends in `*` before it names a branch or tag.
fn leaves_ref_open(pattern: &[Value]) -> bool {
    // No claim contains this character.
    const WILDCARD: &str = "\0";
    let text: String =
        pattern.iter().map(|part| part.get("Literal").and_then(Value::as_str).unwrap_or(WILDCARD)).collect();
    let Some(open) = text.strip_suffix(WILDCARD) else {
        return false;
    };
    match open.rsplit_once('@') {
        None => true,
        Some((_, reference)) => ["refs/", "refs/heads/", "refs/tags/"].iter().any(|start| start.starts_with(reference)),
    }
}

/// Separators within claims.
const SEPARATORS: [char; 3] = ['/', ':', '@'];

/// Warnings about patterns in `expression` whose `*` can match a separator anywhere but at the end, directly after a
/// separator, which matches everything below. `guarded` claims have a negated pattern too, which is how a policy limits
/// what `*` matches.
pub(super) fn crossing_separators(
    policy: &NamedPolicy,
    expression: &Value,
    guarded: &BTreeSet<String>,
) -> Vec<Warning> {
    let mut found = Vec::new();
    if let Some(like) = expression.get("like")
        && let Some(claim) = like.pointer("/left/./attr").and_then(Value::as_str)
        && let Some(pattern) = like.get("pattern").and_then(Value::as_array)
        && like.pointer("/left/./left/Var").and_then(Value::as_str) == Some("principal")
        && !guarded.contains(claim)
        && crosses(claim, pattern)
    {
        found.push(Warning::LikeCrossesSeparator {
            policy: policy.id.clone(),
            claim: claim.to_owned(),
            pattern: shown(pattern),
        });
    }
    // A negated pattern may match too much.
    if let Some((operator, _)) = sole_member(expression)
        && operator == "!"
    {
        return found;
    }
    let inner = parts(expression).into_iter();
    found.extend(inner.flat_map(|value| crossing_separators(policy, value, guarded)));
    found
}

/// The claims of every `!(principal.claim like …)` in `expression`.
pub(super) fn guarded_claims(expression: &Value, claims: &mut BTreeSet<String>) {
    if let Some(claim) = expression.pointer("/!/arg/like/left/./attr").and_then(Value::as_str) {
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

/// Whether values of the claim are paths, refs or names with an owner.
fn has_parts(claim: &str) -> bool {
    let whole = ["path", "ref", "repository", "spiffe_id", "sub"];
    let ends = ["_arn", "_path", "_ref", "_ref_uri"];
    whole.contains(&claim) || ends.iter().any(|end| claim.ends_with(end))
}

/// A pattern in Cedar's JSON format as text. A literal `*` looks like a wildcard.
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

/// Whether a foreign value can match a pattern. The tenant comes first in these claims, so a pattern that starts with
/// it and its `/` matches no other tenant.
pub(super) fn can_be_foreign(claim: &str, pattern: &[Value]) -> bool {
    // `github.com/octo-org/octo-repo` starts with a host.
    let parts = if claim == "vcs_origin" { 2 } else { 1 };
    let literals = pattern.iter().map_while(|part| part.get("Literal")?.as_str());
    let start: String = literals.collect();
    let has_wildcard = pattern.iter().any(|part| part.get("Literal").is_none());
    has_wildcard && start.matches('/').count() < parts
}

/// Whether `text` matches a pattern in Cedar's JSON format, a list of literals and wildcards.
pub(super) fn fits(pattern: &[Value], text: &str) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first.get("Literal").and_then(Value::as_str) {
        Some(literal) => text.strip_prefix(literal).is_some_and(|text| fits(rest, text)),
        None => {
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.any(|at| text.get(at..).is_some_and(|text| fits(rest, text)))
        }
    }
}
