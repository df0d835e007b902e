//! Explanations as text and as JSON.

use serde_json::{Value, json};
use vouchsafe_policy::{Effect, Principal, TokenRequest, to_rfc3339};
use vouchsafe_policy_tools::Change;
use vouchsafe_policy_tools::explain::{Condition, Explanation, Kind, PolicyExplanation, Verdict};

/// The request, its explanation, and what would have been permitted.
pub struct Shown<'a> {
    pub explanation: &'a Explanation,
    pub principal: &'a Principal,
    pub actor: Option<&'a Principal>,
    pub request: &'a TokenRequest,
    pub now: u64,
    /// Printed before everything else.
    pub notes: &'a [String],
    pub change: Option<&'a Change>,
}

const NOTHING_NEAR: &str =
    "no similar request would be permitted: tried other scopes, lifetimes, times, addresses and audiences\n";

pub fn as_text(shown: &Shown<'_>) -> String {
    let Shown { explanation, principal, actor, request, now, notes, change } = shown;
    let mut text: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
    for (role, principal) in [("principal", Some(*principal)), ("actor", *actor)] {
        if let Some(Principal { entity_type, id, issuer_name, .. }) = principal {
            text.push_str(&format!("{role}: {entity_type}::{id:?} in Issuer::{issuer_name:?}\n"));
        }
    }
    let scopes = match request.scopes.as_slice() {
        [] => "no scopes".to_owned(),
        scopes => format!("scopes {}", scopes.join(" ")),
    };
    let (lifetime, at) = (request.requested_lifetime_seconds, to_rfc3339(*now).unwrap_or_default());
    let from = request.client_ip.as_ref().map(|address| format!(", from {address}")).unwrap_or_default();
    text.push_str(&format!("request: {}, {scopes}, {lifetime} s, at {at}{from}\n", request.audience));
    text.push_str(&format!("decision: {}\n", verdict(explanation)));
    match change {
        Some(change) => text.push_str(&format!("would be permitted: {}\n", change_text(change))),
        // Of a request with an actor, no change is tried.
        None if explanation.decision.effect == Effect::Deny && actor.is_none() => text.push_str(NOTHING_NEAR),
        None => {}
    }
    let (near, far) = explanation.by_distance();
    text.extend(near.into_iter().map(policy_text));
    if !far.is_empty() {
        text.push_str("\npolicies for another principal, issuer or audience:\n");
    }
    for policy in far {
        text.push_str(&format!("  {}: another {}\n", policy.id, policy.scope_mismatches.join(", ")));
    }
    text
}

fn verdict(explanation: &Explanation) -> String {
    let decision = &explanation.decision;
    let by = decision.determining_rules.join("`, `");
    match (decision.effect, decision.determining_rules.is_empty()) {
        (Effect::Permit, _) => format!("permit, by `{by}`"),
        (Effect::Deny, true) => "deny: no policy permits".to_owned(),
        (Effect::Deny, false) => format!("deny: forbidden by `{by}`"),
    }
}

fn policy_text(policy: &PolicyExplanation) -> String {
    let effect = if policy.forbid { "forbid" } else { "permit" };
    let matches = if policy.matches() { "matches" } else { "does not match" };
    let line = policy.position.map_or(0, |position| position.line);
    let mut text = format!("\n{effect} {} ({}:{line}): {matches}\n", policy.id, policy.file);
    text.extend(policy.conditions.iter().map(condition_text));
    text
}

fn condition_text(condition: &Condition) -> String {
    let word = match &condition.verdict {
        Verdict::Errs(_) => "errs ",
        Verdict::Fails => "FAILS",
        Verdict::Holds => "holds",
        Verdict::NotReached => "-    ",
    };
    let unless = if condition.kind == Kind::Unless { "unless " } else { "" };
    let mut text = format!("  {word} {unless}{}\n", condition.text);
    match &condition.verdict {
        Verdict::Errs(reason) => text.push_str(&format!("        {reason}\n")),
        Verdict::Fails => {
            for (name, value) in &condition.inputs {
                let value = value.as_deref().unwrap_or("absent");
                text.push_str(&format!("        {name} is {value}\n"));
            }
        }
        Verdict::Holds | Verdict::NotReached => {}
    }
    text
}

/// `change` in words, such as "with scope read, by `api-read`".
fn change_text(change: &Change) -> String {
    let mut words = Vec::new();
    if let Some(audience) = &change.audience {
        words.push(format!("for audience {audience}"));
    }
    match change.scopes.as_deref() {
        None => {}
        Some([one]) => words.push(format!("with scope {one}")),
        Some(scopes) => words.push(format!("with scopes {}", scopes.join(" "))),
    }
    if let Some(seconds) = change.lifetime_seconds {
        words.push(format!("for {seconds} s"));
    }
    if let Some(at) = change.at {
        words.push(format!("at {}", to_rfc3339(at).unwrap_or_default()));
    }
    if let Some(address) = &change.client_ip {
        words.push(format!("from {address}"));
    }
    format!("{}, by `{}`", words.join(", "), change.policies.join("`, `"))
}

pub fn as_json(shown: &Shown<'_>) -> Value {
    let Shown { explanation, principal, actor, request, now, notes, change } = shown;
    let decision = &explanation.decision;
    let (near, far) = explanation.by_distance();
    json!({
        "decision": match decision.effect { Effect::Deny => "deny", Effect::Permit => "permit" },
        "determining_rules": decision.determining_rules,
        "erring_rules": decision.erring_rules,
        "notes": notes,
        "principal": principal_json(principal),
        "actor": actor.map(principal_json),
        "request": {
            "audience": request.audience, "scopes": request.scopes,
            "lifetime_seconds": request.requested_lifetime_seconds,
            "client_ip": request.client_ip, "at": to_rfc3339(*now),
        },
        "would_be_permitted": change.map(|change| json!({
            "audience": change.audience, "scopes": change.scopes,
            "lifetime_seconds": change.lifetime_seconds, "at": change.at.and_then(to_rfc3339),
            "client_ip": change.client_ip, "rules": change.policies,
        })),
        "rules": near.into_iter().map(policy_json).collect::<Vec<_>>(),
        "other_rules": far.into_iter().map(|policy| json!({
            "rule": policy.id, "other": policy.scope_mismatches,
        })).collect::<Vec<_>>(),
    })
}

fn principal_json(principal: &Principal) -> Value {
    json!({ "type": principal.entity_type, "id": principal.id, "issuer": principal.issuer_name })
}

fn policy_json(policy: &PolicyExplanation) -> Value {
    json!({
        "rule": policy.id,
        "effect": if policy.forbid { "forbid" } else { "permit" },
        "file": policy.file,
        "line": policy.position.map(|at| at.line),
        "matches": policy.matches(),
        "distance": policy.distance(),
        "conditions": policy.conditions.iter().map(condition_json).collect::<Vec<_>>(),
    })
}

fn condition_json(condition: &Condition) -> Value {
    let (verdict, error) = match &condition.verdict {
        Verdict::Errs(reason) => ("errs", Some(reason)),
        Verdict::Fails => ("fails", None),
        Verdict::Holds => ("holds", None),
        Verdict::NotReached => ("not-reached", None),
    };
    let value = |value: &Option<String>| {
        let text = value.as_deref();
        text.and_then(|text| serde_json::from_str::<Value>(text).ok())
    };
    let inputs = condition.inputs.iter();
    let inputs: serde_json::Map<String, Value> =
        inputs.map(|(name, text)| (name.clone(), value(text).unwrap_or(Value::Null))).collect();
    json!({
        "kind": match condition.kind { Kind::Unless => "unless", Kind::When => "when" },
        "text": condition.text,
        "verdict": verdict,
        "error": error,
        "inputs": inputs,
    })
}
