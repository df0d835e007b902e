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

    /// The names of all attributes read as `principal.name`.
    pub fn attributes_of_principal(&self) -> BTreeSet<&'a str> {
        let mut read = BTreeSet::new();
        for body in self.when.iter().chain(&self.unless) {
            attributes_of_principal(body, &mut read);
        }
        read
    }

    pub fn bound_scopes(&self) -> bool {
        self.when.iter().any(|body| bounds(body, true)) || self.unless.iter().any(|body| bounds(body, false))
    }

    pub fn have_reversed_bound(&self) -> bool {
        self.when.iter().chain(&self.unless).any(|body| has_reversed_bound(body))
    }
}

/// Adds the name of every `principal.name` in `expression`. `principal has name` does not read the attribute.
fn attributes_of_principal<'a>(expression: &'a Value, read: &mut BTreeSet<&'a str>) {
    match expression {
        Value::Array(values) => {
            for value in values {
                attributes_of_principal(value, read);
            }
        }
        Value::Object(members) => {
            if let Some(access) = members.get(".")
                && access.pointer("/left/Var").and_then(Value::as_str) == Some("principal")
            {
                read.extend(access.get("attr").and_then(Value::as_str));
            }
            for value in members.values() {
                attributes_of_principal(value, read);
            }
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether `expression` can be `wanted` only if the scopes are bounded from above.
fn bounds(expression: &Value, wanted: bool) -> bool {
    let Some((operator, operands)) = sole_member(expression) else {
        return false;
    };
    let operand = |name: &str| operands.get(name).unwrap_or(&Value::Null);
    let side = |name: &str| bounds(operand(name), wanted);
    match (operator, wanted) {
        ("&&", true) | ("||", false) => side("left") || side("right"),
        ("||", true) | ("&&", false) => side("left") && side("right"),
        ("!", _) => bounds(operand("arg"), !wanted),
        ("if-then-else", _) => {
            (bounds(operand("if"), true) || side("then")) && (bounds(operand("if"), false) || side("else"))
        }
        ("containsAll", true) => is_scopes(operand("right")) && !is_scopes(operand("left")),
        ("==", true) => is_scopes(operand("left")) != is_scopes(operand("right")),
        ("isEmpty", true) => is_scopes(operand("arg")),
        _ => false,
    }
}

/// Whether `context.scopes.containsAll(…)` occurs anywhere.
fn has_reversed_bound(expression: &Value) -> bool {
    let here = expression.get("containsAll").and_then(|operands| operands.get("left")).is_some_and(is_scopes);
    here || match expression {
        Value::Array(values) => values.iter().any(has_reversed_bound),
        Value::Object(members) => members.values().any(has_reversed_bound),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => false,
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
