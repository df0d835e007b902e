//! The conditions of a policy in Cedar's JSON policy format.

use serde_json::Value;
use std::collections::BTreeSet;

/// The bodies of all `when` and `unless` clauses.
pub(crate) struct Conditions<'a> {
    pub when: Vec<&'a Value>,
    pub unless: Vec<&'a Value>,
}

impl<'a> Conditions<'a> {
    pub fn of(est: &'a Value) -> Self {
        let (mut when, mut unless) = (Vec::new(), Vec::new());
        for condition in est.get("conditions").and_then(Value::as_array).into_iter().flatten() {
            let kind = condition.get("kind").and_then(Value::as_str);
            let into = if kind == Some("unless") { &mut unless } else { &mut when };
            into.extend(condition.get("body"));
        }
        Self { when, unless }
    }
}

/// Whether `expression` is `context.scopes`.
fn is_scopes(expression: &Value) -> bool {
    let attribute = expression.get(".");
    attribute.and_then(|access| access.get("attr")).and_then(Value::as_str) == Some("scopes")
        && attribute.and_then(|access| access.pointer("/left/Var")).and_then(Value::as_str) == Some("context")
}

pub(crate) fn sole_member(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object()?;
    let (name, value) = members.iter().next()?;
    (members.len() == 1).then_some((name.as_str(), value))
}

/// The operands of nested `operator`s, left to right.
pub(crate) fn operands<'a>(expression: &'a Value, operator: &str, parts: &mut Vec<&'a Value>) {
    match sole_member(expression) {
        Some((name, sides)) if name == operator => {
            for side in ["left", "right"] {
                operands(sides.get(side).unwrap_or(&Value::Null), operator, parts);
            }
        }
        _ => parts.push(expression),
    }
}

impl<'a> Conditions<'a> {
    /// The scopes of every `[…].containsAll(context.scopes)` among the conjuncts.
    pub fn scopes_listed(&self) -> BTreeSet<&'a str> {
        let bound = |conjunct: &'a Value| {
            let sides = conjunct.get("containsAll")?;
            let listed = sides.get("right").is_some_and(is_scopes);
            text_literals(sides.get("left")?).filter(|_| listed)
        };
        self.conjuncts().into_iter().filter_map(bound).flatten().collect()
    }

    /// The conjuncts of all `when` clauses.
    pub fn conjuncts(&self) -> Vec<&'a Value> {
        let mut parts = Vec::new();
        for body in &self.when {
            operands(body, "&&", &mut parts);
        }
        parts
    }
}

/// The attribute of principal or context that `expression` reads, such as `principal.ref`.
pub(crate) fn attribute_read(expression: &Value) -> Option<String> {
    let access = expression.get(".")?;
    let variable = access.pointer("/left/Var")?.as_str()?;
    Some(format!("{variable}.{}", access.get("attr")?.as_str()?))
}

/// The value of a string literal.
pub(crate) fn text_literal(expression: &Value) -> Option<&str> {
    expression.get("Value")?.as_str()
}

/// The values of a set of string literals.
pub(crate) fn text_literals(expression: &Value) -> Option<Vec<&str>> {
    let members = expression.get("Set")?.as_array()?;
    members.iter().map(text_literal).collect()
}

/// An attribute and the strings that it is compared with, by `==` or `[…].contains(…)`.
pub(crate) fn compared(expression: &Value) -> Option<(String, Vec<&str>)> {
    let (operator, sides) = sole_member(expression)?;
    let (left, right) = (sides.get("left")?, sides.get("right")?);
    match operator {
        "==" => match (attribute_read(left), attribute_read(right)) {
            (Some(attribute), None) => Some((attribute, vec![text_literal(right)?])),
            (None, Some(attribute)) => Some((attribute, vec![text_literal(left)?])),
            _ => None,
        },
        "contains" => Some((attribute_read(right)?, text_literals(left)?)),
        _ => None,
    }
}
