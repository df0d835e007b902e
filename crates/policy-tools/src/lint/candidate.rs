//! Sets of principals for which policies are evaluated symbolically, with what is known about their claims.
//!
//! A condition is true, false or unknown. A `permit` that is not certainly false may let some of the principals in; a
//! `forbid` that is certainly true keeps all of them out.

use super::patterns::{can_be_foreign, fits};
use super::scope::covers_resource;
use crate::conditions::{Conditions, attribute_read, sole_member, text_literal};
use cedar_policy::{EntityTypeName, EntityUid, PrincipalConstraint};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::authoring::{WORKLOAD_GROUP, is_issuer};
use vouchsafe_policy::{Bundle, Issuer, NamedPolicy, Workload};

/// What is known about a claim.
#[derive(Debug, Clone)]
enum Certain {
    OneOf(BTreeSet<String>),
    /// A value of a workload of someone else, different from every value in the bundle.
    Foreign,
}

/// A set of principals of one issuer.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'b> {
    bundle: &'b Bundle,
    pub issuer: &'b Issuer,
    entity_type: String,
    /// By name; `sub` is the principal's id.
    claims: BTreeMap<String, Certain>,
}

/// The `forbid`s of a bundle, each with its JSON format.
pub(super) struct Forbids<'b>(Vec<(&'b NamedPolicy, Value)>);

impl<'b> Forbids<'b> {
    pub fn of(bundle: &'b Bundle) -> Self {
        let forbids = bundle.policies().iter().filter(|policy| policy.is_forbid());
        let with_est = |policy: &'b NamedPolicy| Some((policy, policy.cedar.to_json().ok()?));
        Self(forbids.filter_map(with_est).collect())
    }
}

impl<'b> Candidate<'b> {
    /// The sets of principals that the scope of `policy` can match: those of each issuer, or of each workload of its
    /// group.
    pub fn of_scope(policy: &NamedPolicy, bundle: &'b Bundle) -> Vec<Self> {
        let constraint = policy.cedar.principal_constraint();
        let wanted = match &constraint {
            PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => Some(name.to_string()),
            PrincipalConstraint::Eq(uid) => Some(uid.type_name().to_string()),
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => None,
        };
        let of_issuers = |named: Option<&EntityUid>| {
            let is_it = |issuer: &&Issuer| named.is_none_or(|uid| uid.id().unescaped() == issuer.name);
            let issuers = bundle.issuers_of_all_environments().filter(is_it);
            issuers.filter_map(|issuer| Self::of_issuer(issuer, bundle)).collect::<Vec<Self>>()
        };
        let candidates = match &constraint {
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) if is_issuer(uid) => of_issuers(Some(uid)),
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid)
                if uid.type_name().to_string() == WORKLOAD_GROUP =>
            {
                Self::of_group(uid.id().unescaped(), bundle)
            }
            PrincipalConstraint::Eq(uid) => {
                let with_id = |candidate: Self| candidate.with("sub", [uid.id().unescaped()]);
                of_issuers(None).into_iter().filter_map(with_id).collect()
            }
            _ => of_issuers(None),
        };
        let is_of_type = |candidate: &Self| {
            let wanted = wanted.as_ref();
            wanted.is_none_or(|wanted| *wanted == candidate.entity_type)
        };
        candidates.into_iter().filter(is_of_type).collect()
    }

    /// The principals of an issuer; none if its file requires something impossible.
    pub fn of_issuer(issuer: &'b Issuer, bundle: &'b Bundle) -> Option<Self> {
        let whole = Self { bundle, issuer, entity_type: issuer.entity_type(), claims: BTreeMap::new() };
        let mut required = issuer.require.iter();
        required
            .try_fold(whole, |candidate, claim| candidate.with(&claim.name, claim.values.iter().map(String::as_str)))
    }

    fn of_group(name: &str, bundle: &'b Bundle) -> Vec<Self> {
        let group = bundle.groups().find(|group| group.name == name);
        let workloads = group.into_iter().flat_map(|group| &group.workloads);
        let of_workload = |workload: &'b Workload| {
            let mut issuers = bundle.issuers_of_all_environments();
            let issuer = issuers.find(|issuer| issuer.name == workload.issuer)?;
            Self::of_issuer(issuer, bundle)?.with_all(&workload.claims)
        };
        workloads.filter_map(of_workload).collect()
    }

    /// The subset whose claim has one of `values`; none if it is empty.
    pub fn with<'v>(mut self, claim: &str, values: impl IntoIterator<Item = &'v str>) -> Option<Self> {
        let values: BTreeSet<String> = values.into_iter().map(str::to_owned).collect();
        let values = match self.claims.get(claim) {
            None => values,
            Some(Certain::OneOf(before)) => before & &values,
            Some(Certain::Foreign) => return None,
        };
        if values.is_empty() {
            return None;
        }
        self.claims.insert(claim.to_owned(), Certain::OneOf(values));
        Some(self)
    }

    /// Like [`Self::with`], for several claims.
    pub fn with_all(self, claims: &BTreeMap<String, String>) -> Option<Self> {
        let mut claims = claims.iter();
        claims.try_fold(self, |candidate, (claim, value)| candidate.with(claim, [value.as_str()]))
    }

    /// The subset for which each of `claims` has a foreign value; none if a value is known.
    pub fn foreign<'c>(mut self, claims: impl IntoIterator<Item = &'c str>) -> Option<Self> {
        for claim in claims {
            if matches!(self.claims.get(claim), Some(Certain::OneOf(_))) {
                return None;
            }
            self.claims.insert(claim.to_owned(), Certain::Foreign);
        }
        Some(self)
    }

    /// The subset that belongs to tenants that the bundle does not name; none if only named tenants can have tokens of
    /// the issuer.
    pub fn stranger(self) -> Option<Self> {
        let provider = self.issuer.provider;
        let open = provider.open_issuers.contains(&self.issuer.issuer.as_str());
        let claims = provider.tenant_claims.iter().copied().chain(["sub"]);
        self.foreign(claims).filter(|_| open)
    }

    /// Whether the policy reads a claim, or these principals are constrained by it.
    pub fn is_compared(&self, claim: &str, read: &BTreeSet<&str>) -> bool {
        read.contains(claim) || self.claims.contains_key(claim)
    }

    /// Whether the schema has this claim.
    pub fn has_claim(&self, name: &str) -> bool {
        let attributes = self.bundle.attributes_of(&self.entity_type);
        attributes.is_some_and(|attributes| attributes.contains_key(name))
    }

    /// Whether some of the principals, which match the scope of the `permit`, can get a token through it.
    pub fn is_let_through(&self, policy: &NamedPolicy, est: &Value, forbids: &Forbids<'_>) -> bool {
        let is_forbidden = |(forbid, est): &(&NamedPolicy, Value)| {
            covers_resource(forbid, policy) && and(self.is_in_scope(forbid), self.meets_conditions(est)) == Some(true)
        };
        self.meets_conditions(est) != Some(false) && !forbids.0.iter().any(is_forbidden)
    }

    fn is_in_scope(&self, policy: &NamedPolicy) -> Option<bool> {
        let is = |name: &EntityTypeName| Some(name.to_string() == self.entity_type);
        let is_in = |uid: &EntityUid| self.is_in(&uid.type_name().to_string(), uid.id().unescaped());
        match policy.cedar.principal_constraint() {
            PrincipalConstraint::Any => Some(true),
            PrincipalConstraint::Is(name) => is(&name),
            PrincipalConstraint::In(uid) => is_in(&uid),
            PrincipalConstraint::IsIn(name, uid) => and(is(&name), is_in(&uid)),
            PrincipalConstraint::Eq(uid) => self.is_entity(&uid.type_name().to_string(), uid.id().unescaped()),
        }
    }

    fn meets_conditions(&self, est: &Value) -> Option<bool> {
        let Conditions { when, unless } = Conditions::of(est);
        let when = when.into_iter().map(|body| self.holds(body));
        let unless = unless.into_iter().map(|body| not(self.holds(body)));
        all(when.chain(unless))
    }

    fn holds(&self, expression: &Value) -> Option<bool> {
        let (operator, operands) = sole_member(expression)?;
        let operand = |name: &str| operands.get(name).unwrap_or(&Value::Null);
        let truth = |name: &str| self.holds(operand(name));
        let (left, right) = (operand("left"), operand("right"));
        match operator {
            "Value" => operands.as_bool(),
            "&&" => and(truth("left"), truth("right")),
            "||" => or(truth("left"), truth("right")),
            "!" => not(truth("arg")),
            "if-then-else" => match truth("if") {
                Some(true) => truth("then"),
                Some(false) => truth("else"),
                None => truth("then").filter(|then| truth("else") == Some(*then)),
            },
            "==" => self.equal(left, right),
            "!=" => not(self.equal(left, right)),
            "contains" => self.contains(left, right),
            "containsAll" => all(elements(right)?.iter().map(|it| self.contains(left, it))),
            "containsAny" => any(elements(right)?.iter().map(|it| self.contains(left, it))),
            "like" => self.is_like(left, operand("pattern").as_array()?),
            "has" if is_principal(left) => self.has(operand("attr").as_str()?),
            "in" if is_principal(left) => match elements(right) {
                Some(entities) => any(entities.iter().map(|it| self.is_in_literal(it))),
                None => self.is_in_literal(right),
            },
            "is" if is_principal(left) => {
                let is = Some(operand("entity_type").as_str()? == self.entity_type);
                match operands.get("in") {
                    Some(entity) => and(is, self.is_in_literal(entity)),
                    None => is,
                }
            }
            _ => None,
        }
    }

    /// What is known about the claim that `expression` reads.
    fn claim(&self, expression: &Value) -> Option<(String, &Certain)> {
        let read = attribute_read(expression)?;
        let name = read.strip_prefix("principal.")?;
        Some((name.to_owned(), self.claims.get(name)?))
    }

    /// The possible values of `expression`.
    fn texts(&self, expression: &Value) -> Option<BTreeSet<String>> {
        if let Some(text) = text_literal(expression) {
            return Some([text.to_owned()].into());
        }
        match self.claim(expression)? {
            (_, Certain::OneOf(texts)) => Some(texts.clone()),
            (_, Certain::Foreign) => None,
        }
    }

    fn is_foreign(&self, expression: &Value) -> bool {
        matches!(self.claim(expression), Some((_, Certain::Foreign)))
    }

    fn equal(&self, left: &Value, right: &Value) -> Option<bool> {
        if let (Some(one), Some(other)) = (left.get("Value"), right.get("Value")) {
            return Some(one == other);
        }
        for (one, other) in [(left, right), (right, left)] {
            if self.is_foreign(one) {
                return self.texts(other).map(|_| false);
            }
            if is_principal(one) {
                let (type_name, id) = entity_literal(other)?;
                return self.is_entity(type_name, id);
            }
        }
        let (Some(one), Some(other)) = (self.texts(left), self.texts(right)) else {
            return Some(self.holds(left)? == self.holds(right)?);
        };
        match one.is_disjoint(&other) {
            true => Some(false),
            false => (one.len() == 1 && other.len() == 1).then_some(true),
        }
    }

    /// Whether the set contains the element.
    fn contains(&self, set: &Value, element: &Value) -> Option<bool> {
        match elements(set) {
            Some(members) => any(members.iter().map(|member| self.equal(member, element))),
            None if self.is_foreign(set) => self.texts(element).map(|_| false),
            None => None,
        }
    }

    fn is_like(&self, expression: &Value, pattern: &[Value]) -> Option<bool> {
        if let Some((claim, Certain::Foreign)) = self.claim(expression) {
            return (!can_be_foreign(&claim, pattern)).then_some(false);
        }
        let texts = self.texts(expression)?;
        let mut fitting = texts.iter().map(|text| fits(pattern, text));
        let first = fitting.next()?;
        fitting.all(|it| it == first).then_some(first)
    }

    fn has(&self, name: &str) -> Option<bool> {
        let attributes = self.bundle.attributes_of(&self.entity_type)?;
        match (attributes.get(name), self.claims.get(name)) {
            (None, _) => Some(false),
            (Some(_), Some(Certain::OneOf(_))) => Some(true),
            (Some(attribute), _) => attribute.required.then_some(true),
        }
    }

    fn is_in_literal(&self, expression: &Value) -> Option<bool> {
        let (type_name, id) = entity_literal(expression)?;
        self.is_in(type_name, id)
    }

    /// Whether the principals are in the entity: their issuer, a group, or themselves.
    fn is_in(&self, type_name: &str, id: &str) -> Option<bool> {
        match type_name {
            "Issuer" => Some(id == self.issuer.name),
            WORKLOAD_GROUP => {
                let group = self.bundle.groups().find(|group| group.name == id)?;
                let of_issuer = |it: &&Workload| it.issuer == self.issuer.name;
                let entries = group.workloads.iter().filter(of_issuer);
                any(entries.map(|entry| {
                    let claims = entry.claims.iter();
                    all(claims.map(|(claim, value)| self.is_value(claim, value)))
                }))
            }
            _ => self.is_entity(type_name, id),
        }
    }

    fn is_entity(&self, type_name: &str, id: &str) -> Option<bool> {
        match type_name == self.entity_type {
            true => self.is_value("sub", id),
            false => Some(false),
        }
    }

    fn is_value(&self, claim: &str, value: &str) -> Option<bool> {
        match self.claims.get(claim)? {
            Certain::Foreign => Some(false),
            Certain::OneOf(texts) if !texts.contains(value) => Some(false),
            Certain::OneOf(texts) => (texts.len() == 1).then_some(true),
        }
    }
}

fn not(one: Option<bool>) -> Option<bool> {
    one.map(|it| !it)
}

fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    not(and(not(one), not(other)))
}

fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    parts.fold(Some(true), and)
}

fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    parts.fold(Some(false), or)
}

fn is_principal(expression: &Value) -> bool {
    expression.get("Var").and_then(Value::as_str) == Some("principal")
}

/// The elements of a set literal.
fn elements(expression: &Value) -> Option<&Vec<Value>> {
    expression.get("Set")?.as_array()
}

/// The type and id of an entity literal.
fn entity_literal(expression: &Value) -> Option<(&str, &str)> {
    let entity = expression.pointer("/Value/__entity")?;
    Some((entity.get("type")?.as_str()?, entity.get("id")?.as_str()?))
}
