//! Policies that an unknown client address disables.
//!
//! The broker knows an address only behind a trusted proxy. Strict validation makes policies test `context has
//! client_ip`, which is false without one. A `forbid` that requires it to be true then forbids less.

use crate::error::CheckError;
use serde_json::Value;
use vouchsafe_policy::authoring::span::{self, diagnostic_in};
use vouchsafe_policy::{BundleFiles, Diagnostic, NamedPolicy};

/// The test as Cedar writes it.
const ASKED: &str = "context has client_ip";

/// An error at the first `context has client_ip` that must be true for a `forbid` to match in some way.
pub(super) fn forbid_that_needs_one(
    files: &BundleFiles,
    policy: &NamedPolicy,
    est: &Value,
) -> Option<Diagnostic<CheckError>> {
    if !policy.is_forbid() {
        return None;
    }
    let conditions = est.get("conditions").and_then(Value::as_array);
    let mut search = Search::default();
    for condition in conditions.into_iter().flatten() {
        let unless = condition.get("kind").and_then(Value::as_str) == Some("unless");
        let wanted = Wanted::of(!unless);
        search.visit(condition.get("body").unwrap_or(&Value::Null), wanted);
    }
    let at = search.found?;
    let places = span::expressions(policy, |text| text == ASKED);
    let place = places.into_iter().nth(at);
    let error = CheckError::ForbidNeedsAddress(policy.id.clone());
    Some(diagnostic_in(files, policy, place, error))
}

/// Which values of an expression let the policy match.
#[derive(Clone, Copy)]
struct Wanted {
    yes: bool,
    no: bool,
}

impl Wanted {
    const EITHER: Self = Self { yes: true, no: true };

    fn of(value: bool) -> Self {
        Self { yes: value, no: !value }
    }

    fn negated(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }
}

/// Visits conditions in the order of their text.
#[derive(Default)]
struct Search {
    /// Occurrences of the test so far.
    seen: usize,
    /// The index of the first one that must be true.
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

    /// Visits the operands of any other operator, where each value may matter.
    fn visit_members(&mut self, expression: &Value) {
        match expression {
            Value::Array(values) => values.iter().for_each(|value| self.visit(value, Wanted::EITHER)),
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

/// Which values of the condition of `if … then … else …` let the whole be `wanted`. For example, `if a then b else
/// true` is `!a || b`.
fn of_condition(then: &Value, otherwise: &Value, wanted: Wanted) -> Wanted {
    let constant = |branch: &Value| branch.get("Value").and_then(Value::as_bool);
    match (constant(then), constant(otherwise)) {
        (_, Some(true)) | (Some(false), _) => wanted.negated(),
        (Some(true), _) | (_, Some(false)) => wanted,
        (None, None) => Wanted::EITHER,
    }
}
