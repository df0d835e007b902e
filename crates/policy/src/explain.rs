//! Why a request is permitted or denied, rule by rule and condition by condition.
//!
//! Each part of a rule is put to Cedar's own evaluator as a rule of its own: nothing here says
//! what an expression means.

use crate::bundle::Bundle;
use crate::decide::{DecideError, Decision, Prepared, Principal, TokenRequest};
use crate::error::Position;
use crate::lint::sole_member;
use crate::records::{Issuer, RequiredClaim};
use crate::rules::Rule;
use cedar_policy::{Authorizer, Policy, PolicyId, PolicySet};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_providers::{AttributeValue, ClaimError};

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

impl RuleExplanation {
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

/// Why claims do not make a principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("claim `{0}` has another value than the issuer's file requires")]
    NotRequired(String),
    #[error("claim `sub` is missing or not a text")]
    Sub,
}

impl Bundle {
    /// Decides like [`Bundle::decide`] and says why.
    pub fn explain(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Explanation, DecideError> {
        let decision = self.decide(principal, request, now)?;
        let prepared = self.prepare(principal, request, now)?;
        let inputs = inputs_of(&decision);
        let rules = self
            .rules()
            .iter()
            .map(|rule| explain_rule(rule, &prepared, &inputs))
            .collect();
        Ok(Explanation { decision, rules })
    }

    /// The principal that `claims` of a token of `issuer` would make. Proves nothing: verification is
    /// the identity component's.
    pub fn principal_of_claims(
        &self,
        issuer: &Issuer,
        claims: &JsonObject,
    ) -> Result<Principal, ClaimsError> {
        let id = claims.get("sub").and_then(Json::as_text);
        let id = id.ok_or(ClaimsError::Sub)?;
        let table = match issuer.provider.declares_claims() {
            true => &issuer.claims,
            false => issuer.provider.claims,
        };
        let attributes = vouchsafe_providers::attributes(table, claims)?;
        let value_of = |name: &str| match name {
            "sub" => Some(id),
            _ => attributes.iter().find_map(|one| match &one.value {
                AttributeValue::Text(text) if one.name == name => Some(text.as_str()),
                _ => None,
            }),
        };
        for RequiredClaim { name, values } in &issuer.require {
            if !value_of(name).is_some_and(|value| values.iter().any(|wanted| wanted == value)) {
                return Err(ClaimsError::NotRequired(name.clone()));
            }
        }
        Ok(Principal {
            entity_type: issuer.entity_type(),
            id: id.to_owned(),
            issuer_name: issuer.name.clone(),
            attributes,
        })
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

fn explain_rule(
    rule: &Rule,
    prepared: &Prepared,
    inputs: &BTreeMap<String, String>,
) -> RuleExplanation {
    let est = rule.policy.to_json().unwrap_or_default();
    let scope_mismatches: Vec<&'static str> = ["principal", "action", "resource"]
        .into_iter()
        .filter(|part| evaluate(&only_scope(&est, part), prepared) != Verdict::Holds)
        .collect();
    let conditions = match scope_mismatches.is_empty() {
        true => explain_conditions(&est, prepared, inputs),
        false => Vec::new(),
    };
    RuleExplanation {
        id: rule.id.clone(),
        file: rule.file.clone(),
        position: rule.position,
        forbid: rule.is_forbid(),
        scope_mismatches,
        conditions,
    }
}

fn explain_conditions(
    est: &Value,
    prepared: &Prepared,
    inputs: &BTreeMap<String, String>,
) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = Vec::new();
    let mut failed = false;
    for condition in est
        .get("conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let kind = match condition.get("kind").and_then(Value::as_str) {
            Some("unless") => Kind::Unless,
            _ => Kind::When,
        };
        let operator = if kind == Kind::When { "&&" } else { "||" };
        let mut parts = Vec::new();
        split(
            condition.get("body").unwrap_or(&Value::Null),
            operator,
            &mut parts,
        );
        for part in parts {
            let mut verdict = evaluate(&condition_alone(kind, part), prepared);
            if failed && matches!(verdict, Verdict::Errs(_)) {
                verdict = Verdict::NotReached;
            }
            failed |= verdict != Verdict::Holds;
            let mut names = Vec::new();
            names_read(part, &mut names);
            let read = |name: String| (name.clone(), inputs.get(&name).cloned());
            let inputs = names.into_iter().map(read).collect();
            conditions.push(Condition {
                kind,
                text: text_of(part),
                verdict,
                inputs,
            });
        }
    }
    conditions
}

/// The operands of nested `operator`s, left to right.
fn split<'a>(expression: &'a Value, operator: &str, parts: &mut Vec<&'a Value>) {
    match sole_member(expression) {
        Some((name, operands)) if name == operator => {
            for side in ["left", "right"] {
                split(operands.get(side).unwrap_or(&Value::Null), operator, parts);
            }
        }
        _ => parts.push(expression),
    }
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

/// Whether the `permit` in `est` permits the request.
fn evaluate(est: &Value, prepared: &Prepared) -> Verdict {
    let alone = Policy::from_json(Some(PolicyId::new("part")), est.clone())
        .map_err(|error| error.to_string())
        .and_then(|policy| PolicySet::from_policies([policy]).map_err(|error| error.to_string()));
    let set = match alone {
        Ok(set) => set,
        Err(reason) => return Verdict::Errs(reason),
    };
    let response = Authorizer::new().is_authorized(&prepared.request, &set, &prepared.entities);
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
