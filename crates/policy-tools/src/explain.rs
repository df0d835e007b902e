//! Explains why a request is permitted or denied, policy by policy and condition by condition.
//!
//! Cedar evaluates each part of a policy as a policy of its own; nothing here interprets expressions.

use crate::conditions::operands;
use crate::recorded::RecordedRequest;
use cedar_policy::{Authorizer, Policy, PolicyId, PolicySet};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vouchsafe_policy::authoring::PreparedRequest;
use vouchsafe_policy::{Bundle, DecideError, Decision, Effect, NamedPolicy, Position};

/// A decision with the contribution of each policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub decision: Decision,
    /// Every policy of the bundle in path order.
    pub policies: Vec<PolicyExplanation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyExplanation {
    pub id: String,
    pub file: String,
    pub position: Option<Position>,
    pub forbid: bool,
    /// The parts of the scope that do not match: `principal`, `action`, `resource`.
    pub scope_mismatches: Vec<&'static str>,
    /// Empty if the scope does not match.
    pub conditions: Vec<Condition>,
}

impl Explanation {
    /// The policies whose scope matches, closest to matching first, and the others in path order. If only a `permit` is
    /// missing, a `forbid` that does not match is irrelevant and comes last.
    pub fn by_distance(&self) -> (Vec<&PolicyExplanation>, Vec<&PolicyExplanation>) {
        let policies = self.policies.iter();
        let (mut near, far): (Vec<_>, Vec<_>) = policies.partition(|policy| policy.scope_matches());
        let unpermitted = self.decision.effect == Effect::Deny && self.decision.determining_rules.is_empty();
        near.sort_by_key(|policy| (unpermitted && policy.forbid, policy.distance()));
        (near, far)
    }
}

impl PolicyExplanation {
    /// The number of conditions that keep the policy from matching.
    pub fn distance(&self) -> usize {
        let holds = |condition: &&Condition| condition.verdict == Verdict::Holds;
        let held = self.conditions.iter().filter(holds).count();
        self.conditions.len().saturating_sub(held)
    }

    pub fn scope_matches(&self) -> bool {
        self.scope_mismatches.is_empty()
    }

    /// Whether the policy matched.
    pub fn matches(&self) -> bool {
        self.scope_matches() && self.conditions.iter().all(|one| one.verdict == Verdict::Holds)
    }
}

/// A conjunct of a `when`, or a disjunct of an `unless`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub kind: Kind,
    /// As Cedar writes it.
    pub text: String,
    pub verdict: Verdict,
    /// The attributes of principal, resource and context that it reads, such as `principal.ref`, with their values as
    /// JSON; none if absent.
    pub inputs: Vec<(String, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unless,
    When,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Evaluation failed, with Cedar's message.
    Errs(String),
    Fails,
    Holds,
    /// An earlier condition fails, and this one cannot be evaluated without it.
    NotReached,
}

/// The policies of a bundle, split into parts once to explain any number of requests.
pub struct Explainer<'b> {
    bundle: &'b Bundle,
    policies: Vec<Anatomy<'b>>,
    /// Those that are only about actors.
    of_actors: Vec<Anatomy<'b>>,
}

/// A policy with each of its parts as a policy of its own.
struct Anatomy<'b> {
    policy: &'b NamedPolicy,
    scope: Vec<(&'static str, Part)>,
    conditions: Vec<ConditionPart>,
}

struct ConditionPart {
    kind: Kind,
    text: String,
    alone: Part,
    names: Vec<String>,
}

/// A `permit` with one part of a policy, or why there is none.
type Part = Result<PolicySet, String>;

impl<'b> Explainer<'b> {
    pub fn new(bundle: &'b Bundle) -> Self {
        let of = |policies: &'b [NamedPolicy]| policies.iter().map(Anatomy::of).collect();
        Self { bundle, policies: of(bundle.policies()), of_actors: of(bundle.actor_policies()) }
    }

    /// Every policy in path order without a request: the verdict of each condition is [`Verdict::NotReached`].
    pub fn policies(&self) -> impl Iterator<Item = PolicyExplanation> {
        self.policies.iter().chain(&self.of_actors).map(Anatomy::unasked)
    }

    /// Decides like [`RecordedRequest::decide`] and explains the decision.
    ///
    /// # Errors
    /// Those of [`Bundle::decide`].
    pub fn explain(&self, asked: &RecordedRequest) -> Result<Explanation, DecideError> {
        let RecordedRequest { principal, actor, request, now } = asked;
        let decision = asked.decide(self.bundle)?;
        let prepared = self.bundle.prepare(principal, request, *now)?;
        let of_subject = inputs_of(&self.bundle.decide(principal, request, *now)?);
        let policies = self.policies.iter();
        let mut policies: Vec<_> = policies.map(|policy| policy.explain(&prepared, &of_subject)).collect();
        match actor {
            Some(actor) => {
                let prepared = self.bundle.prepare_act_for(actor, principal, request, *now)?;
                let inputs = inputs_of(&self.bundle.decide_act_for(actor, principal, request, *now)?);
                policies.extend(self.of_actors.iter().map(|policy| policy.explain(&prepared, &inputs)));
            }
            None => policies.extend(self.of_actors.iter().map(Anatomy::of_another_action)),
        }
        Ok(Explanation { decision, policies })
    }
}

/// Decides like [`RecordedRequest::decide`] and explains the decision.
///
/// # Errors
/// Those of [`Bundle::decide`].
pub fn explain(bundle: &Bundle, asked: &RecordedRequest) -> Result<Explanation, DecideError> {
    Explainer::new(bundle).explain(asked)
}

/// Every attribute of principal, resource and context, by the name that policies use.
fn inputs_of(decision: &Decision) -> BTreeMap<String, String> {
    let request: Value = serde_json::from_str(&decision.cedar_request).unwrap_or_default();
    let mut inputs = BTreeMap::new();
    let entities = request.get("entities").and_then(Value::as_array);
    let attributes_of = |role: &str| {
        let uid = request.get(role)?;
        let entity = entities?.iter().find(|entity| entity.get("uid") == Some(uid))?;
        entity.get("attrs")
    };
    let read = [
        ("principal", attributes_of("principal")),
        ("resource", attributes_of("resource")),
        ("context", request.get("context")),
    ];
    for (variable, attributes) in read {
        let attributes = attributes.and_then(Value::as_object);
        for (name, value) in attributes.into_iter().flatten() {
            let plain = value.pointer("/__extn/arg").or_else(|| value.pointer("/__entity/id")).unwrap_or(value);
            inputs.insert(format!("{variable}.{name}"), plain.to_string());
        }
    }
    inputs
}

/// Adds the names of the attributes that `expression` reads, in order of appearance.
fn names_read(expression: &Value, names: &mut Vec<String>) {
    match expression {
        Value::Array(values) => values.iter().for_each(|value| names_read(value, names)),
        Value::Object(members) => {
            for access in [".", "has"].into_iter().filter_map(|operator| members.get(operator)) {
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
    fn of(policy: &'b NamedPolicy) -> Self {
        let est = policy.cedar.to_json().unwrap_or_default();
        let alone = |part| (part, compiled(&only_scope(&est, part)));
        Self { policy, scope: ["principal", "action", "resource"].map(alone).into(), conditions: condition_parts(&est) }
    }

    fn explain(&self, prepared: &PreparedRequest, inputs: &BTreeMap<String, String>) -> PolicyExplanation {
        let mismatch = |(_, part): &&(&str, Part)| evaluate(part, prepared) != Verdict::Holds;
        let mismatches = self.scope.iter().filter(mismatch);
        let scope_mismatches: Vec<&'static str> = mismatches.map(|(name, _)| *name).collect();
        let conditions = match scope_mismatches.is_empty() {
            true => self.explain_conditions(prepared, inputs),
            false => Vec::new(),
        };
        PolicyExplanation {
            id: self.policy.id.clone(),
            file: self.policy.file.clone(),
            position: self.policy.position,
            forbid: self.policy.is_forbid(),
            scope_mismatches,
            conditions,
        }
    }

    /// The policy is about actors, and the request has none.
    fn of_another_action(&self) -> PolicyExplanation {
        PolicyExplanation { scope_mismatches: vec!["action"], conditions: Vec::new(), ..self.unasked() }
    }

    fn unasked(&self) -> PolicyExplanation {
        let unread = |name: &String| (name.clone(), None);
        let condition = |part: &ConditionPart| Condition {
            kind: part.kind,
            text: part.text.clone(),
            verdict: Verdict::NotReached,
            inputs: part.names.iter().map(unread).collect(),
        };
        PolicyExplanation {
            id: self.policy.id.clone(),
            file: self.policy.file.clone(),
            position: self.policy.position,
            forbid: self.policy.is_forbid(),
            scope_mismatches: Vec::new(),
            conditions: self.conditions.iter().map(condition).collect(),
        }
    }

    fn explain_conditions(&self, prepared: &PreparedRequest, inputs: &BTreeMap<String, String>) -> Vec<Condition> {
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

/// What must all hold for the policy to match, besides its scope, as Cedar writes it: the conjuncts of each `when` and
/// the negated disjuncts of each `unless`.
pub fn conditions_of(policy: &NamedPolicy) -> Vec<String> {
    let est = policy.cedar.to_json().unwrap_or_default();
    let text = |part: ConditionPart| match part.kind {
        Kind::Unless => format!("!({})", part.text),
        Kind::When => part.text,
    };
    condition_parts(&est).into_iter().map(text).collect()
}

/// The conjuncts of every `when` and the disjuncts of every `unless` of a policy in Cedar's JSON format.
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

/// A `permit` with one part of the scope of `est`, and no other constraint.
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

/// Evaluates a part against the request.
fn evaluate(part: &Part, prepared: &PreparedRequest) -> Verdict {
    let set = match part {
        Ok(set) => set,
        Err(reason) => return Verdict::Errs(reason.clone()),
    };
    let response = Authorizer::new().is_authorized(&prepared.request, set, &prepared.entities);
    let diagnostics = response.diagnostics();
    if let Some(cedar_policy::AuthorizationError::PolicyEvaluationError(error)) = diagnostics.errors().next() {
        return Verdict::Errs(error.inner().to_string());
    }
    match diagnostics.reason().next() {
        Some(_) => Verdict::Holds,
        None => Verdict::Fails,
    }
}

/// `expression` in Cedar's syntax, on one line. `Display` keeps the operators as written; `to_cedar` would replace
/// them.
fn text_of(expression: &Value) -> String {
    let written = Policy::from_json(None, condition_alone(Kind::When, expression))
        .map_or_else(|_| String::new(), |policy| policy.to_string());
    let body = written.split_once('{').map_or("", |(_, body)| body);
    let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}
