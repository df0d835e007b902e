//! Rules that an unknown client address turns off.
//!
//! The broker knows an address only behind a trusted proxy. Strict validation makes rules ask `context has
//! client_ip`, which is false without one. A `forbid` that needs it to be true then forbids less.

use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::places;
use crate::rules::{Rule, found_in};
use serde_json::Value;

/// How Cedar writes the question.
const ASKED: &str = "context has client_ip";

/// An error at the first `context has client_ip` that has to be true for a `forbid` to match, on some way at least.
pub(super) fn forbid_that_needs_one(files: &BundleFiles, rule: &Rule) -> Option<Finding> {
    if !rule.is_forbid() {
        return None;
    }
    let est = rule.policy.to_json().unwrap_or_default();
    let conditions = est.get("conditions").and_then(Value::as_array);
    let mut search = Search::default();
    for condition in conditions.into_iter().flatten() {
        let unless = condition.get("kind").and_then(Value::as_str) == Some("unless");
        let wanted = Wanted::of(!unless);
        search.visit(condition.get("body").unwrap_or(&Value::Null), wanted);
    }
    let at = search.found?;
    let places = places::expressions(rule, |text| text == ASKED);
    let place = places.into_iter().nth(at);
    let problem = Problem::ForbidNeedsAddress(rule.id.clone());
    Some(found_in(files, rule, place, problem))
}

/// Which values of an expression can let the rule match.
#[derive(Clone, Copy)]
struct Wanted {
    yes: bool,
    no: bool,
}

impl Wanted {
    const EITHER: Self = Self {
        yes: true,
        no: true,
    };

    fn of(value: bool) -> Self {
        Self {
            yes: value,
            no: !value,
        }
    }

    fn negated(self) -> Self {
        Self {
            yes: self.no,
            no: self.yes,
        }
    }
}

/// Goes through conditions in the order of their text.
#[derive(Default)]
struct Search {
    /// Occurrences of the question so far.
    seen: usize,
    /// Which of them is the first that has to be true.
    found: Option<usize>,
}

impl Search {
    fn visit(&mut self, expression: &Value, wanted: Wanted) {
        let operands = |operator: &str| expression.get(operator);
        if asks_for_address(expression) {
            if wanted.yes {
                self.found.get_or_insert(self.seen);
            }
            self.seen = self.seen.saturating_add(1);
        } else if let Some(both) = operands("&&").or_else(|| operands("||")) {
            for side in ["left", "right"] {
                self.visit(both.get(side).unwrap_or(&Value::Null), wanted);
            }
        } else if let Some(negated) = operands("!") {
            let inner = negated.get("arg").unwrap_or(&Value::Null);
            self.visit(inner, wanted.negated());
        } else if let Some(choice) = operands("if-then-else") {
            let part = |name: &str| choice.get(name).unwrap_or(&Value::Null);
            let (then, otherwise) = (part("then"), part("else"));
            self.visit(part("if"), of_condition(then, otherwise, wanted));
            self.visit(then, wanted);
            self.visit(otherwise, wanted);
        } else {
            self.visit_members(expression);
        }
    }

    /// Of any other operator, each value of an operand may matter.
    fn visit_members(&mut self, expression: &Value) {
        match expression {
            Value::Array(values) => values
                .iter()
                .for_each(|value| self.visit(value, Wanted::EITHER)),
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| *name == "right");
                for (_, value) in members {
                    self.visit(value, Wanted::EITHER);
                }
            }
            Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn asks_for_address(expression: &Value) -> bool {
    expression.get("has").is_some_and(|has| {
        has.pointer("/left/Var").and_then(Value::as_str) == Some("context")
            && has.get("attr").and_then(Value::as_str) == Some("client_ip")
    })
}

/// What is wanted of the condition of `if … then … else …`, of which `wanted` is wanted. `if a then b else true` is
/// `!a || b`, and alike for each branch that is a constant.
fn of_condition(then: &Value, otherwise: &Value, wanted: Wanted) -> Wanted {
    let constant = |branch: &Value| branch.get("Value").and_then(Value::as_bool);
    match (constant(then), constant(otherwise)) {
        (_, Some(true)) | (Some(false), _) => wanted.negated(),
        (Some(true), _) | (_, Some(false)) => wanted,
        (None, None) => Wanted::EITHER,
    }
}
