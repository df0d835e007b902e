//! Kinds of principals that rules are evaluated for: what is certain of their claims, and nothing of the rest.
//!
//! A condition is true, false or open. Whatever is not certain is open, so a `permit` that is not certainly false
//! can let a principal of the kind in, and a `forbid` that is certainly true keeps all of them out.

use super::conditions::{Conditions, attribute_read, sole_member, text_literal};
use super::patterns::{can_be_foreign, fits};
use super::reach::covers_resource;
use crate::bundle::Bundle;
use crate::groups::{WORKLOADS, Workload};
use crate::records::Issuer;
use crate::rules::{Rule, is_issuer};
use cedar_policy::{EntityTypeName, EntityUid, PrincipalConstraint};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is certain of a claim.
#[derive(Debug, Clone)]
enum Certain {
    OneOf(BTreeSet<String>),
    /// The value of somebody else's workload, which is none that the bundle writes out.
    Foreign,
}

/// A kind of principal of one issuer.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'b> {
    bundle: &'b Bundle,
    pub issuer: &'b Issuer,
    entity_type: String,
    /// By name; `sub` is the principal's id.
    claims: BTreeMap<String, Certain>,
}

/// The `forbid`s of a bundle, with each in Cedar's JSON format.
pub(super) struct Forbids<'b>(Vec<(&'b Rule, Value)>);

impl<'b> Forbids<'b> {
    pub fn of(bundle: &'b Bundle) -> Self {
        let forbids = bundle.rules().iter().filter(|rule| rule.is_forbid());
        let with_est = |rule: &'b Rule| Some((rule, rule.policy.to_json().ok()?));
        Self(forbids.filter_map(with_est).collect())
    }
}

impl<'b> Candidate<'b> {
    /// The kinds of principals that the scope of `rule` takes: those of each issuer that it can match, or of each
    /// entry of its group.
    pub fn of_scope(rule: &Rule, bundle: &'b Bundle) -> Vec<Self> {
        let constraint = rule.policy.principal_constraint();
        let wanted = match &constraint {
            PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => {
                Some(name.to_string())
            }
            PrincipalConstraint::Eq(uid) => Some(uid.type_name().to_string()),
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => None,
        };
        let of_issuers = |named: Option<&EntityUid>| {
            let is_it =
                |issuer: &&Issuer| named.is_none_or(|uid| uid.id().unescaped() == issuer.name);
            let issuers = bundle.issuers_of_all_environments().filter(is_it);
            issuers
                .filter_map(|issuer| Self::of_issuer(issuer, bundle))
                .collect::<Vec<Self>>()
        };
        let candidates = match &constraint {
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) if is_issuer(uid) => {
                of_issuers(Some(uid))
            }
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid)
                if uid.type_name().to_string() == WORKLOADS =>
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

    /// The principals of an issuer; none where its file requires what no token can have.
    pub fn of_issuer(issuer: &'b Issuer, bundle: &'b Bundle) -> Option<Self> {
        let whole = Self {
            bundle,
            issuer,
            entity_type: issuer.entity_type(),
            claims: BTreeMap::new(),
        };
        let mut required = issuer.require.iter();
        required.try_fold(whole, |candidate, claim| {
            candidate.with(&claim.name, claim.values.iter().map(String::as_str))
        })
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

    /// Those of them whose claim has one of `values`; none where it can have none of them.
    pub fn with<'v>(
        mut self,
        claim: &str,
        values: impl IntoIterator<Item = &'v str>,
    ) -> Option<Self> {
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

    /// As [`Self::with`], of each claim.
    pub fn with_all(self, claims: &BTreeMap<String, String>) -> Option<Self> {
        let mut claims = claims.iter();
        claims.try_fold(self, |candidate, (claim, value)| {
            candidate.with(claim, [value.as_str()])
        })
    }

    /// Those of them for which each of `claims` has a value of somebody else; none where its value is certain.
    pub fn foreign<'c>(mut self, claims: impl IntoIterator<Item = &'c str>) -> Option<Self> {
        for claim in claims {
            if matches!(self.claims.get(claim), Some(Certain::OneOf(_))) {
                return None;
            }
            self.claims.insert(claim.to_owned(), Certain::Foreign);
        }
        Some(self)
    }

    /// Those of them that are workloads of tenants which the bundle does not name; none where only named ones
    /// can have tokens of the issuer.
    pub fn stranger(self) -> Option<Self> {
        let provider = self.issuer.provider;
        let open = provider.open_issuers.contains(&self.issuer.issuer.as_str());
        let claims = provider.tenant_claims.iter().copied().chain(["sub"]);
        self.foreign(claims).filter(|_| open)
    }

    /// The claims of which something is certain.
    pub fn certain_claims(&self) -> impl Iterator<Item = &str> {
        self.claims.keys().map(String::as_str)
    }

    /// Whether the schema knows this claim of theirs.
    pub fn has_claim(&self, name: &str) -> bool {
        let attributes = self.bundle.attributes_of(&self.entity_type);
        attributes.is_some_and(|attributes| attributes.contains_key(name))
    }

    /// Whether some of them, which the scope of the `permit` takes, can have a token by it.
    pub fn is_let_through(&self, rule: &Rule, est: &Value, forbids: &Forbids<'_>) -> bool {
        let is_forbidden = |(forbid, est): &(&Rule, Value)| {
            covers_resource(forbid, rule)
                && and(self.is_in_scope(forbid), self.meets_conditions(est)) == Some(true)
        };
        self.meets_conditions(est) != Some(false) && !forbids.0.iter().any(is_forbidden)
    }

    fn is_in_scope(&self, rule: &Rule) -> Option<bool> {
        let is = |name: &EntityTypeName| Some(name.to_string() == self.entity_type);
        let is_in =
            |uid: &EntityUid| self.is_in(&uid.type_name().to_string(), uid.id().unescaped());
        match rule.policy.principal_constraint() {
            PrincipalConstraint::Any => Some(true),
            PrincipalConstraint::Is(name) => is(&name),
            PrincipalConstraint::In(uid) => is_in(&uid),
            PrincipalConstraint::IsIn(name, uid) => and(is(&name), is_in(&uid)),
            PrincipalConstraint::Eq(uid) => {
                self.is_entity(&uid.type_name().to_string(), uid.id().unescaped())
            }
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

    /// What is certain of the claim that `expression` reads.
    fn claim(&self, expression: &Value) -> Option<(String, &Certain)> {
        let read = attribute_read(expression)?;
        let name = read.strip_prefix("principal.")?;
        Some((name.to_owned(), self.claims.get(name)?))
    }

    /// The texts of which `expression` is one.
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

    /// Whether the set has the element.
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

    /// Whether they are in the entity: their issuer, a group, or themselves.
    fn is_in(&self, type_name: &str, id: &str) -> Option<bool> {
        match type_name {
            "Issuer" => Some(id == self.issuer.name),
            WORKLOADS => {
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

/// The elements of a set that is written out.
fn elements(expression: &Value) -> Option<&Vec<Value>> {
    expression.get("Set")?.as_array()
}

/// Type and id of an entity that is written out.
fn entity_literal(expression: &Value) -> Option<(&str, &str)> {
    let entity = expression.pointer("/Value/__entity")?;
    Some((entity.get("type")?.as_str()?, entity.get("id")?.as_str()?))
}
