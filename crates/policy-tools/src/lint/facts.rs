//! What a policy reads, and which values of it can matter.

use super::expression::{Expression, Known, Operator, and};
use super::value::{Pattern, Value, Variable};
use crate::conditions::Conditions;
use cedar_policy::{PolicySet, PrincipalConstraint};
use serde_json::Value as Json;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::authoring::WORKLOAD_GROUP;
use vouchsafe_policy::{Bundle, NamedPolicy, policy_set};

/// A policy with its conditions and what they read.
pub(super) struct Rule<'b> {
    pub policy: &'b NamedPolicy,
    when: Vec<Expression>,
    unless: Vec<Expression>,
    /// The number of parts of the conditions.
    pub size: usize,
    pub facts: Facts,
    set: OnceCell<Option<PolicySet>>,
}

/// The variables of conditions, and what they are compared with.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    pub reads: BTreeSet<Variable>,
    pub literals: BTreeMap<Variable, BTreeSet<Value>>,
    pub patterns: BTreeMap<Variable, BTreeSet<Pattern>>,
    /// Variables that are compared with each other.
    pub linked: BTreeMap<Variable, BTreeSet<Variable>>,
    /// The ids of entities in the conditions.
    pub entities: BTreeSet<(String, String)>,
}

impl<'b> Rule<'b> {
    pub fn of(policy: &'b NamedPolicy, conditions: &Conditions<'_>, bundle: &Bundle) -> Self {
        let read = |bodies: &[&Json]| bodies.iter().map(|body| Expression::of(body)).collect::<Vec<_>>();
        let (when, unless) = (read(&conditions.when), read(&conditions.unless));
        let mut facts = Facts::default();
        let mut size = 0_usize;
        for body in when.iter().chain(&unless) {
            facts.add(body);
            body.walk(&mut |_| size = size.saturating_add(1));
        }
        // The issuer or group that a `permit` names says where its principals come from, not what it compares.
        let scope = policy.is_forbid().then(|| policy.cedar.principal_constraint());
        if let Some(PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid)) = scope {
            facts.entities.insert((uid.type_name().to_string(), uid.id().unescaped().to_owned()));
        }
        facts.add_groups(bundle);
        Self { policy, when, unless, size, facts, set: OnceCell::new() }
    }

    /// Whether all conditions hold.
    pub fn holds(&self, known: &impl Known) -> Option<bool> {
        let when = self.when.iter().map(|body| body.holds(known));
        let unless = self.unless.iter().map(|body| body.holds(known).map(|it| !it));
        and(when.chain(unless))
    }

    pub fn reads(&self, variable: &Variable) -> bool {
        self.facts.reads.contains(variable)
    }

    /// The policy alone, as Cedar evaluates it.
    pub fn set(&self) -> Option<&PolicySet> {
        self.set.get_or_init(|| policy_set([self.policy]).ok()).as_ref()
    }
}

impl Facts {
    fn add(&mut self, body: &Expression) {
        body.walk(&mut |part| match part {
            Expression::Read(variable) | Expression::Has(variable) => {
                self.reads.insert(clock_of(variable));
            }
            Expression::Entity { kind, id } => self.add_entity(kind, id),
            Expression::Like(of, pattern) => {
                for variable in compared(of).0 {
                    self.patterns.entry(variable).or_default().insert(pattern.clone());
                }
            }
            Expression::Binary(operator, sides) => {
                let (mut variables, mut values) = (BTreeSet::new(), BTreeSet::new());
                for side in sides.iter() {
                    let (read, written) = compared(side);
                    variables.extend(read);
                    values.extend(written);
                }
                if sides.iter().any(has_arithmetic) {
                    values.extend(solutions(&values));
                }
                self.compare(*operator, &variables, &values);
            }
            _ => {}
        });
    }

    fn add_entity(&mut self, kind: &str, id: &str) {
        self.entities.insert((kind.to_owned(), id.to_owned()));
        // An entity of a principal's type.
        if kind.contains("::") {
            let sub = Variable::claim("sub");
            self.reads.insert(sub.clone());
            self.literals.entry(sub).or_default().insert(Value::text(id));
        }
    }

    /// Adds the claims of the groups in the conditions, with the values of their entries.
    fn add_groups(&mut self, bundle: &Bundle) {
        let named = self.entities.iter().filter(|(kind, _)| kind == WORKLOAD_GROUP);
        let groups = named.filter_map(|(_, id)| bundle.groups().find(|group| group.name == *id));
        let claims: Vec<_> = groups.flat_map(|group| &group.workloads).flat_map(|entry| &entry.claims).collect();
        for (claim, value) in claims {
            let variable = Variable::claim(claim);
            self.reads.insert(variable.clone());
            self.literals.entry(variable).or_default().insert(Value::text(value));
        }
    }

    fn compare(&mut self, operator: Operator, variables: &BTreeSet<Variable>, values: &BTreeSet<Value>) {
        let ordered = matches!(operator, Operator::Less | Operator::LessOrEqual);
        for variable in variables {
            let known = self.literals.entry(variable.clone()).or_default();
            for value in values {
                known.insert(value.clone());
                if ordered {
                    known.extend(neighbours(value));
                }
            }
            let others = variables.iter().filter(|other| *other != variable);
            self.linked.entry(variable.clone()).or_default().extend(others.cloned());
        }
    }

    pub fn literals(&self, variable: &Variable) -> impl Iterator<Item = &Value> {
        self.literals.get(variable).into_iter().flatten()
    }

    pub fn texts(&self, variable: &Variable) -> impl Iterator<Item = &str> {
        self.literals(variable).filter_map(Value::as_text)
    }

    pub fn patterns(&self, variable: &Variable) -> impl Iterator<Item = &Pattern> {
        self.patterns.get(variable).into_iter().flatten()
    }

    /// Adds what `other` compares.
    pub fn extend(&mut self, other: &Self) {
        self.reads.extend(other.reads.iter().cloned());
        self.entities.extend(other.entities.iter().cloned());
        for (variable, values) in &other.literals {
            self.literals.entry(variable.clone()).or_default().extend(values.iter().cloned());
        }
        for (variable, patterns) in &other.patterns {
            self.patterns.entry(variable.clone()).or_default().extend(patterns.iter().cloned());
        }
    }
}

/// The variables and literals that an operand consists of; no more of its parts are compared.
fn compared(operand: &Expression) -> (BTreeSet<Variable>, BTreeSet<Value>) {
    let (mut variables, mut values) = (BTreeSet::new(), BTreeSet::new());
    let parts = match operand {
        Expression::Read(variable) => {
            variables.insert(clock_of(variable));
            Vec::new()
        }
        Expression::Literal(value) => {
            values.insert(value.clone());
            Vec::new()
        }
        // The operands of functions of other types count too: a date within an offset, for example.
        Expression::Set(_) | Expression::Other(_) | Expression::Arithmetic(..) => operand.parts(),
        // The operand is one of the branches; the condition has comparisons of its own.
        Expression::If(parts) => {
            let [_, then, otherwise] = parts.as_ref();
            vec![then, otherwise]
        }
        _ => Vec::new(),
    };
    for (read, written) in parts.into_iter().map(compared) {
        variables.extend(read);
        values.extend(written);
    }
    (variables, values)
}

fn has_arithmetic(operand: &Expression) -> bool {
    let mut found = false;
    operand.walk(&mut |part| found |= matches!(part, Expression::Arithmetic(..)));
    found
}

/// The values at which a comparison of a sum, a difference or a product with a number can change.
fn solutions(values: &BTreeSet<Value>) -> BTreeSet<Value> {
    let numbers: Vec<i64> = values.iter().filter_map(Value::as_integer).collect();
    let mut found = BTreeSet::new();
    for (one, other) in numbers.iter().flat_map(|one| numbers.iter().map(move |other| (*one, *other))) {
        let all = [one.checked_add(other), one.checked_sub(other), one.checked_div(other), one.checked_neg()];
        found.extend(all.into_iter().flatten().map(Value::Integer));
    }
    found
}

/// The variable that decides the value of `variable`: the time, for local times.
pub(super) fn clock_of(variable: &Variable) -> Variable {
    match variable {
        Variable::Context(name) if name.starts_with("local.") || name == "local" => Variable::context("now"),
        _ => variable.clone(),
    }
}

/// The values right below and above.
fn neighbours(value: &Value) -> Vec<Value> {
    match value {
        Value::Integer(number) => [number.saturating_sub(1), number.saturating_add(1)].map(Value::Integer).to_vec(),
        Value::Time(second) => [second.saturating_sub(1), second.saturating_add(1)].map(Value::Time).to_vec(),
        _ => Vec::new(),
    }
}
