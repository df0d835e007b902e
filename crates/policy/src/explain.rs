//! Why a request is permitted or denied, rule by rule and condition by condition.
//!
//! Each part of a rule is put to Cedar's own evaluator as a rule of its own: nothing here says
//! what an expression means.

use crate::bundle::Bundle;
use crate::decide::{DecideError, Decision, Effect, Prepared, Principal, TokenRequest};
use crate::error::Position;
use crate::lint::operands;
use crate::rules::Rule;
use cedar_policy::{Authorizer, Policy, PolicyId, PolicySet};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A decision with what each rule made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub decision: Decision,
    /// Every rule of the bundle in path order.
    pub rules: Vec<RuleExplanation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleExplanation {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    pub forbid: bool,
    /// The parts of the scope that do not match: `principal`, `action`, `resource`.
    pub scope_mismatches: Vec<&'static str>,
    /// Empty where the scope does not match.
    pub conditions: Vec<Condition>,
}

impl Explanation {
    /// The rules whose scope matches, nearest to taking part first, and the others in path order. Where
    /// nothing but a `permit` is wanting, a `forbid` that does not match is no reason, and comes last.
    pub fn by_distance(&self) -> (Vec<&RuleExplanation>, Vec<&RuleExplanation>) {
        let rules = self.rules.iter();
        let (mut near, far): (Vec<_>, Vec<_>) = rules.partition(|rule| rule.scope_matches());
        let unpermitted =
            self.decision.effect == Effect::Deny && self.decision.determining_rules.is_empty();
        near.sort_by_key(|rule| (unpermitted && rule.forbid, rule.distance()));
        (near, far)
    }
}

impl RuleExplanation {
    /// How many conditions keep the rule from taking part in the decision.
    pub fn distance(&self) -> usize {
        let holds = |condition: &&Condition| condition.verdict == Verdict::Holds;
        let held = self.conditions.iter().filter(holds).count();
        self.conditions.len().saturating_sub(held)
    }

    pub fn scope_matches(&self) -> bool {
        self.scope_mismatches.is_empty()
    }

    /// Whether the rule took part in the decision.
    pub fn matches(&self) -> bool {
        self.scope_matches()
            && self
                .conditions
                .iter()
                .all(|one| one.verdict == Verdict::Holds)
    }
}

/// A conjunct of a `when`, or a disjunct of an `unless`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub kind: Kind,
    /// As Cedar writes it.
    pub text: String,
    pub verdict: Verdict,
    /// What it reads of principal and context, such as `principal.ref`, with the value as JSON;
    /// none where it is absent.
    pub inputs: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unless,
    When,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Evaluation failed, with Cedar's words for it.
    Errs(String),
    Fails,
    Holds,
    /// An earlier condition fails, and without it this one cannot be evaluated.
    NotReached,
}

/// The rules of a bundle, taken apart once to explain any number of requests.
pub struct Explainer<'b> {
    bundle: &'b Bundle,
    rules: Vec<Anatomy<'b>>,
}

/// One rule with each of its parts as a rule of its own.
struct Anatomy<'b> {
    rule: &'b Rule,
    scope: Vec<(&'static str, Part)>,
    conditions: Vec<ConditionPart>,
}

struct ConditionPart {
    kind: Kind,
    text: String,
    alone: Part,
    names: Vec<String>,
}

/// A `permit` with one part of a rule, or why there is none.
type Part = Result<PolicySet, String>;

impl<'b> Explainer<'b> {
    pub fn new(bundle: &'b Bundle) -> Self {
        let rules = bundle.rules().iter().map(Anatomy::of).collect();
        Self { bundle, rules }
    }

    /// Every rule in path order as no request has met it: the verdict of each condition is
    /// [`Verdict::NotReached`].
    pub fn rules(&self) -> impl Iterator<Item = RuleExplanation> {
        self.rules.iter().map(Anatomy::unasked)
    }

    /// Decides like [`Bundle::decide`] and says why.
    pub fn explain(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Explanation, DecideError> {
        let decision = self.bundle.decide(principal, request, now)?;
        let prepared = self.bundle.prepare(principal, request, now)?;
        let inputs = inputs_of(&decision);
        let rules = self.rules.iter();
        let rules = rules.map(|rule| rule.explain(&prepared, &inputs)).collect();
        Ok(Explanation { decision, rules })
    }
}

impl Bundle {
    /// Decides like [`Bundle::decide`] and says why.
    pub fn explain(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Explanation, DecideError> {
        Explainer::new(self).explain(principal, request, now)
    }
}

/// Every attribute of principal and context by the name that rules give it.
fn inputs_of(decision: &Decision) -> BTreeMap<String, String> {
    let request: Value = serde_json::from_str(&decision.cedar_request).unwrap_or_default();
    let mut inputs = BTreeMap::new();
    for (variable, pointer) in [("principal", "/entities/0/attrs"), ("context", "/context")] {
        let attributes = request.pointer(pointer).and_then(Value::as_object);
        for (name, value) in attributes.into_iter().flatten() {
            let plain = value.pointer("/__extn/arg").unwrap_or(value);
            inputs.insert(format!("{variable}.{name}"), plain.to_string());
        }
    }
    inputs
}

/// The names of the inputs that `expression` reads, in order of appearance.
fn names_read(expression: &Value, names: &mut Vec<String>) {
    match expression {
        Value::Array(values) => values.iter().for_each(|value| names_read(value, names)),
        Value::Object(members) => {
            for access in [".", "has"]
                .into_iter()
                .filter_map(|operator| members.get(operator))
            {
                let variable = access.pointer("/left/Var").and_then(Value::as_str);
                let attribute = access.get("attr").and_then(Value::as_str);
                if let (Some(variable), Some(attribute)) = (variable, attribute) {
                    let name = format!("{variable}.{attribute}");
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            members.values().for_each(|value| names_read(value, names));
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

impl<'b> Anatomy<'b> {
    fn of(rule: &'b Rule) -> Self {
        let est = rule.policy.to_json().unwrap_or_default();
        let alone = |part| (part, compiled(&only_scope(&est, part)));
        Self {
            rule,
            scope: ["principal", "action", "resource"].map(alone).into(),
            conditions: condition_parts(&est),
        }
    }

    fn explain(&self, prepared: &Prepared, inputs: &BTreeMap<String, String>) -> RuleExplanation {
        let mismatch = |(_, part): &&(&str, Part)| evaluate(part, prepared) != Verdict::Holds;
        let mismatches = self.scope.iter().filter(mismatch);
        let scope_mismatches: Vec<&'static str> = mismatches.map(|(name, _)| *name).collect();
        let conditions = match scope_mismatches.is_empty() {
            true => self.explain_conditions(prepared, inputs),
            false => Vec::new(),
        };
        RuleExplanation {
            id: self.rule.id.clone(),
            file: self.rule.file.clone(),
            position: self.rule.position,
            forbid: self.rule.is_forbid(),
            scope_mismatches,
            conditions,
        }
    }

    fn unasked(&self) -> RuleExplanation {
        let unread = |name: &String| (name.clone(), None);
        let condition = |part: &ConditionPart| Condition {
            kind: part.kind,
            text: part.text.clone(),
            verdict: Verdict::NotReached,
            inputs: part.names.iter().map(unread).collect(),
        };
        RuleExplanation {
            id: self.rule.id.clone(),
            file: self.rule.file.clone(),
            position: self.rule.position,
            forbid: self.rule.is_forbid(),
            scope_mismatches: Vec::new(),
            conditions: self.conditions.iter().map(condition).collect(),
        }
    }

    fn explain_conditions(
        &self,
        prepared: &Prepared,
        inputs: &BTreeMap<String, String>,
    ) -> Vec<Condition> {
        let mut failed = false;
        let mut explain = |part: &ConditionPart| {
            let mut verdict = evaluate(&part.alone, prepared);
            if failed && matches!(verdict, Verdict::Errs(_)) {
                verdict = Verdict::NotReached;
            }
            failed |= verdict != Verdict::Holds;
            let read = |name: &String| (name.clone(), inputs.get(name).cloned());
            Condition {
                kind: part.kind,
                text: part.text.clone(),
                verdict,
                inputs: part.names.iter().map(read).collect(),
            }
        };
        self.conditions.iter().map(&mut explain).collect()
    }
}

/// What must all hold, as text.
pub(crate) fn conditions_of(rule: &Rule) -> Vec<String> {
    let est = rule.policy.to_json().unwrap_or_default();
    let text = |part: ConditionPart| match part.kind {
        Kind::Unless => format!("!({})", part.text),
        Kind::When => part.text,
    };
    condition_parts(&est).into_iter().map(text).collect()
}

/// The conjuncts of every `when` and the disjuncts of every `unless` of a rule in Cedar's JSON format.
fn condition_parts(est: &Value) -> Vec<ConditionPart> {
    let mut conditions = Vec::new();
    let written = est.get("conditions").and_then(Value::as_array);
    for condition in written.into_iter().flatten() {
        let (kind, operator) = match condition.get("kind").and_then(Value::as_str) {
            Some("unless") => (Kind::Unless, "||"),
            _ => (Kind::When, "&&"),
        };
        let mut parts = Vec::new();
        let body = condition.get("body").unwrap_or(&Value::Null);
        operands(body, operator, &mut parts);
        for part in parts {
            let mut names = Vec::new();
            names_read(part, &mut names);
            conditions.push(ConditionPart {
                kind,
                text: text_of(part),
                alone: compiled(&condition_alone(kind, part)),
                names,
            });
        }
    }
    conditions
}

/// A `permit` with one part of the scope of `est`, and nothing else.
fn only_scope(est: &Value, part: &str) -> Value {
    let mut alone = permit_when(json!([]));
    if let (Some(members), Some(constraint)) = (alone.as_object_mut(), est.get(part)) {
        members.insert(part.to_owned(), constraint.clone());
    }
    alone
}

fn condition_alone(kind: Kind, body: &Value) -> Value {
    let kind = match kind {
        Kind::Unless => "unless",
        Kind::When => "when",
    };
    permit_when(json!([{ "kind": kind, "body": body }]))
}

fn permit_when(conditions: Value) -> Value {
    json!({
        "effect": "permit",
        "principal": { "op": "All" },
        "action": { "op": "All" },
        "resource": { "op": "All" },
        "conditions": conditions,
    })
}

fn compiled(est: &Value) -> Part {
    let policy = Policy::from_json(Some(PolicyId::new("part")), est.clone());
    let policy = policy.map_err(|error| error.to_string())?;
    PolicySet::from_policies([policy]).map_err(|error| error.to_string())
}

/// Whether the `permit` permits the request.
fn evaluate(part: &Part, prepared: &Prepared) -> Verdict {
    let set = match part {
        Ok(set) => set,
        Err(reason) => return Verdict::Errs(reason.clone()),
    };
    let response = Authorizer::new().is_authorized(&prepared.request, set, &prepared.entities);
    let diagnostics = response.diagnostics();
    if let Some(cedar_policy::AuthorizationError::PolicyEvaluationError(error)) =
        diagnostics.errors().next()
    {
        return Verdict::Errs(error.inner().to_string());
    }
    match diagnostics.reason().next() {
        Some(_) => Verdict::Holds,
        None => Verdict::Fails,
    }
}

/// `expression` in Cedar's syntax, on one line. `Display` keeps the operators that were written,
/// where `to_cedar` would give those that they stand for.
fn text_of(expression: &Value) -> String {
    let written = Policy::from_json(None, condition_alone(Kind::When, expression))
        .map_or_else(|_| String::new(), |policy| policy.to_string());
    let body = written.split_once('{').map_or("", |(_, body)| body);
    let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}
