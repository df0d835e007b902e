//! What Cedar and the broker treat differently: a `forbid` that fails to evaluate. Cedar skips it; the broker denies.

use crate::solver::NoAnswer;
use cedar_policy::{Effect, Policy, PolicySet};
use serde_json::{Value, json};

/// The operators that can fail in a policy that passes strict validation: results can be out of range.
const CAN_FAIL: [&str; 7] =
    ["\"+\":", "\"-\":", "\"*\":", "\"neg\":", "\"offset\":", "\"durationSince\":", "\"toDate\":"];

/// The same policies for a solver that follows Cedar: each `permit` also demands that no `forbid` fails. Template-linked
/// policies become static ones.
pub(crate) fn as_broker_decides(policies: &PolicySet) -> Result<PolicySet, NoAnswer> {
    let forbids = policies.policies().filter(|policy| policy.effect() == Effect::Forbid);
    let guards = forbids.map(guard).collect::<Result<Vec<_>, _>>()?;
    let guards: Vec<Value> = guards.into_iter().flatten().collect();
    if guards.is_empty() && policies.policies().all(Policy::is_static) {
        return Ok(policies.clone());
    }
    let rewritten = policies.policies().map(|policy| match policy.effect() {
        Effect::Forbid => as_static(policy, &[]),
        Effect::Permit => as_static(policy, &guards),
    });
    PolicySet::from_policies(rewritten.collect::<Result<Vec<_>, _>>()?).map_err(unsupported)
}

/// The policy with further conditions, and with the values of its slots if it is template-linked.
fn as_static(policy: &Policy, conditions: &[Value]) -> Result<Policy, NoAnswer> {
    let mut json = policy.to_json().map_err(unsupported)?;
    if let Some(written) = json.get_mut("conditions").and_then(Value::as_array_mut) {
        written.extend(conditions.iter().cloned());
    }
    Policy::from_json(Some(policy.id().clone()), json).map_err(unsupported)
}

/// A condition that fails exactly if `forbid` fails, and holds otherwise; none if it never fails.
fn guard(forbid: &Policy) -> Result<Option<Value>, NoAnswer> {
    let json = forbid.to_json().map_err(unsupported)?;
    let text = json.to_string();
    if !CAN_FAIL.iter().any(|operator| text.contains(operator)) {
        return Ok(None);
    }
    let scope = ["principal", "resource"].into_iter().filter_map(|part| scope_part(part, json.get(part)?));
    let conditions = json.get("conditions").and_then(Value::as_array).into_iter().flatten();
    let conditions = conditions.filter_map(|condition| {
        let body = condition.get("body")?.clone();
        Some(match condition.get("kind")?.as_str()? {
            "unless" => json!({ "!": { "arg": body } }),
            _ => body,
        })
    });
    let matches = scope.chain(conditions).reduce(|left, right| json!({ "&&": { "left": left, "right": right } }));
    let holds = matches.map(|matches| json!({ "||": { "left": matches, "right": { "Value": true } } }));
    Ok(holds.map(|body| json!({ "kind": "when", "body": body })))
}

/// A part of a policy's scope as an expression; none if it is always true.
fn scope_part(variable: &str, constraint: &Value) -> Option<Value> {
    let name = json!({ "Var": variable });
    let entity = |of: &Value| Some(json!({ "Value": { "__entity": of.get("entity")? } }));
    match constraint.get("op")?.as_str()? {
        operator @ ("==" | "in") => Some(json!({ operator: { "left": name, "right": entity(constraint)? } })),
        "is" => {
            let mut is = json!({ "left": name, "entity_type": constraint.get("entity_type")? });
            if let (Some(members), Some(within)) = (is.as_object_mut(), constraint.get("in").and_then(entity)) {
                members.insert("in".to_owned(), within);
            }
            Some(json!({ "is": is }))
        }
        _ => None,
    }
}

fn unsupported(error: impl ToString) -> NoAnswer {
    NoAnswer::Unsupported(error.to_string())
}
