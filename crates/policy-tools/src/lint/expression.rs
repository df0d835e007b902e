//! Conditions in a form that is quick to evaluate for many requests, of which only parts need to be known.
//!
//! The result is a value, or none if it depends on something unknown. Only [`judge`](super::judge) decides whether a
//! request is permitted: this evaluation merely tells the search which requests are not worth asking about.

use super::value::{Network, Pattern, Value, Variable};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use vouchsafe_policy::parse_unix_seconds;

#[derive(Debug, Clone)]
pub(super) enum Expression {
    Literal(Value),
    Entity {
        kind: String,
        id: String,
    },
    Principal,
    Resource,
    Read(Variable),
    Has(Variable),
    Set(Vec<Self>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Not(Box<Self>),
    If(Box<[Self; 3]>),
    Binary(Operator, Box<[Self; 2]>),
    Arithmetic(Arithmetic, Box<[Self; 2]>),
    IsEmpty(Box<Self>),
    Like(Box<Self>, Pattern),
    Is {
        of: Box<Self>,
        kind: String,
        within: Option<Box<Self>>,
    },
    /// Anything else, with its operands.
    Other(Vec<Self>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Contains,
    ContainsAll,
    ContainsAny,
    Equal,
    In,
    InRange,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Multiply,
    Subtract,
}

impl Arithmetic {
    /// Cedar fails on an overflow; none here.
    fn of(self, one: i64, other: i64) -> Option<i64> {
        match self {
            Self::Add => one.checked_add(other),
            Self::Multiply => one.checked_mul(other),
            Self::Subtract => one.checked_sub(other),
        }
    }
}

/// What is known about a request.
pub(super) trait Known {
    /// The value of a variable, if it is known.
    fn value(&self, variable: &Variable) -> Option<Value>;
    /// Whether the request has the variable, if that is known.
    fn has(&self, variable: &Variable) -> Option<bool>;
    /// Whether principals have this type.
    fn is_principal_type(&self, kind: &str) -> bool;
    /// Whether the principal is, or is in, this entity.
    fn is_principal_in(&self, kind: &str, id: &str) -> Option<bool>;
    /// Whether the audience is, or is in, this entity.
    fn is_resource_in(&self, kind: &str, id: &str) -> Option<bool>;
}

impl Expression {
    /// Reads a condition in Cedar's JSON format.
    pub fn of(json: &Json) -> Self {
        let members = json.as_object().filter(|members| members.len() == 1);
        let Some((operator, operands)) = members.and_then(|members| members.iter().next()) else {
            return Self::Other(Vec::new());
        };
        let part = |name: &str| Self::of(operands.get(name).unwrap_or(&Json::Null));
        let sides = || Box::new([part("left"), part("right")]);
        let swapped = || Box::new([part("right"), part("left")]);
        match operator.as_str() {
            "Value" => Self::literal(operands),
            "Var" if operands == "principal" => Self::Principal,
            "Var" if operands == "resource" => Self::Resource,
            "." => variable(json).map_or_else(|| Self::other(operands), Self::Read),
            "has" => Self::presence(operands),
            "Set" => Self::Set(operands.as_array().into_iter().flatten().map(Self::of).collect()),
            "&&" => Self::And(sides()),
            "||" => Self::Or(sides()),
            "!" => Self::Not(Box::new(part("arg"))),
            "if-then-else" => Self::If(Box::new([part("if"), part("then"), part("else")])),
            "==" => Self::Binary(Operator::Equal, sides()),
            "!=" => Self::Not(Box::new(Self::Binary(Operator::Equal, sides()))),
            "in" => Self::Binary(Operator::In, sides()),
            "<" => Self::Binary(Operator::Less, sides()),
            "<=" => Self::Binary(Operator::LessOrEqual, sides()),
            ">" => Self::Binary(Operator::Less, swapped()),
            ">=" => Self::Binary(Operator::LessOrEqual, swapped()),
            "+" => Self::Arithmetic(Arithmetic::Add, sides()),
            "-" => Self::Arithmetic(Arithmetic::Subtract, sides()),
            "*" => Self::Arithmetic(Arithmetic::Multiply, sides()),
            "neg" => {
                let zero = Self::Literal(Value::Integer(0));
                Self::Arithmetic(Arithmetic::Subtract, Box::new([zero, part("arg")]))
            }
            "contains" => Self::Binary(Operator::Contains, sides()),
            "containsAll" => Self::Binary(Operator::ContainsAll, sides()),
            "containsAny" => Self::Binary(Operator::ContainsAny, sides()),
            "isEmpty" => Self::IsEmpty(Box::new(part("arg"))),
            "like" => Self::Like(Box::new(part("left")), pattern(operands.get("pattern").unwrap_or(&Json::Null))),
            "is" => Self::Is {
                of: Box::new(part("left")),
                kind: operands.get("entity_type").and_then(Json::as_str).unwrap_or_default().to_owned(),
                within: operands.get("in").map(|within| Box::new(Self::of(within))),
            },
            "ip" | "datetime" | "isInRange" => Self::call(operator, operands),
            _ => Self::other(operands),
        }
    }

    fn literal(value: &Json) -> Self {
        match value {
            Json::Bool(value) => Self::Literal(Value::Boolean(*value)),
            Json::Number(number) => {
                number.as_i64().map_or(Self::Other(Vec::new()), |number| Self::Literal(Value::Integer(number)))
            }
            Json::String(text) => Self::Literal(Value::Text(text.clone())),
            _ => {
                let part = |name: &str| value.pointer(&format!("/__entity/{name}")).and_then(Json::as_str);
                match (part("type"), part("id")) {
                    (Some(kind), Some(id)) => Self::Entity { kind: kind.to_owned(), id: id.to_owned() },
                    _ => Self::Other(Vec::new()),
                }
            }
        }
    }

    fn presence(operands: &Json) -> Self {
        let whole = serde_json::json!({ ".": operands });
        variable(&whole).map_or_else(|| Self::other(operands), Self::Has)
    }

    fn call(function: &str, arguments: &Json) -> Self {
        let arguments: Vec<Self> = arguments.as_array().into_iter().flatten().map(Self::of).collect();
        let parsed = match (function, arguments.as_slice()) {
            ("ip", [Self::Literal(Value::Text(text))]) => Network::parse(text).map(Value::Network),
            ("datetime", [Self::Literal(Value::Text(text))]) => parse_unix_seconds(text).map(Value::Time),
            ("isInRange", [one, other]) => {
                return Self::Binary(Operator::InRange, Box::new([one.clone(), other.clone()]));
            }
            _ => None,
        };
        parsed.map_or(Self::Other(arguments), Self::Literal)
    }

    fn other(operands: &Json) -> Self {
        match operands {
            Json::Array(values) => Self::Other(values.iter().map(Self::of).collect()),
            Json::Object(members) => Self::Other(members.values().map(Self::of).collect()),
            _ => Self::Other(Vec::new()),
        }
    }

    /// The direct operands.
    pub fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Entity { .. } | Self::Principal | Self::Resource => Vec::new(),
            Self::Read(_) | Self::Has(_) => Vec::new(),
            Self::Set(parts) | Self::Other(parts) => parts.iter().collect(),
            Self::And(two) | Self::Or(two) | Self::Binary(_, two) | Self::Arithmetic(_, two) => two.iter().collect(),
            Self::If(three) => three.iter().collect(),
            Self::Not(one) | Self::IsEmpty(one) | Self::Like(one, _) => vec![one],
            Self::Is { of, within, .. } => std::iter::once(of).chain(within).map(AsRef::as_ref).collect(),
        }
    }

    /// Calls `visit` with this expression and all within it.
    pub fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e Self)) {
        visit(self);
        for part in self.parts() {
            part.walk(visit);
        }
    }

    /// Whether the condition holds.
    pub fn holds(&self, known: &impl Known) -> Option<bool> {
        match self {
            Self::And(sides) => and(sides.iter().map(|side| side.holds(known))),
            Self::Or(sides) => or(sides.iter().map(|side| side.holds(known))),
            Self::Not(one) => one.holds(known).map(|it| !it),
            Self::Has(variable) => known.has(variable),
            Self::If(parts) => {
                let [condition, then, otherwise] = parts.as_ref();
                match condition.holds(known) {
                    Some(true) => then.holds(known),
                    Some(false) => otherwise.holds(known),
                    None => then.holds(known).filter(|then| otherwise.holds(known) == Some(*then)),
                }
            }
            Self::Is { of, kind, within } => {
                let is = match of.as_ref() {
                    Self::Principal => Some(known.is_principal_type(kind)),
                    // Every resource is an audience.
                    Self::Resource => Some(kind == "Audience"),
                    _ => None,
                };
                let within = within.as_ref().map_or(Some(true), |within| is_in(of, within, known));
                and([is, within].into_iter())
            }
            Self::Like(one, pattern) => Some(pattern.fits(one.value(known)?.as_text()?)),
            Self::IsEmpty(one) => Some(one.texts(known)?.is_empty()),
            Self::Binary(operator, sides) => {
                let [left, right] = sides.as_ref();
                compare(*operator, left, right, known)
            }
            _ => self.value(known)?.as_boolean(),
        }
    }

    fn value(&self, known: &impl Known) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Read(variable) => known.value(variable).filter(|value| *value != Value::Absent),
            Self::Set(_) => self.texts(known).map(Value::Texts),
            Self::Arithmetic(operator, sides) => {
                let [one, other] = sides.as_ref();
                match (one.value(known)?, other.value(known)?) {
                    (Value::Integer(one), Value::Integer(other)) => operator.of(one, other).map(Value::Integer),
                    _ => None,
                }
            }
            Self::If(parts) => {
                let [condition, then, otherwise] = parts.as_ref();
                match condition.holds(known) {
                    Some(true) => then.value(known),
                    Some(false) => otherwise.value(known),
                    None => then.value(known).filter(|then| otherwise.value(known).as_ref() == Some(then)),
                }
            }
            Self::Entity { .. } | Self::Principal | Self::Resource | Self::Other(_) => None,
            _ => self.holds(known).map(Value::Boolean),
        }
    }

    /// The members of a set of texts.
    fn texts(&self, known: &impl Known) -> Option<BTreeSet<String>> {
        match self {
            Self::Set(parts) => {
                let texts = parts.iter().map(|part| part.value(known)?.as_text().map(str::to_owned));
                texts.collect()
            }
            Self::Read(_) => match self.value(known)? {
                Value::Texts(texts) => Some(texts),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the set has the element. Undecided members matter only if no other is the element.
    fn has_member(&self, element: &Self, known: &impl Known) -> Option<bool> {
        match self {
            Self::Set(members) => or(members.iter().map(|member| compare(Operator::Equal, member, element, known))),
            _ => Some(self.texts(known)?.contains(element.value(known)?.as_text()?)),
        }
    }
}

fn compare(operator: Operator, left: &Expression, right: &Expression, known: &impl Known) -> Option<bool> {
    let members = |of: &'_ Expression| match of {
        Expression::Set(members) => Some(members.clone()),
        _ => {
            let texts = of.texts(known)?.into_iter();
            Some(texts.map(|text| Expression::Literal(Value::Text(text))).collect())
        }
    };
    match operator {
        Operator::In => is_in(left, right, known),
        Operator::Contains => left.has_member(right, known),
        Operator::ContainsAll => and(members(right)?.iter().map(|it| left.has_member(it, known))),
        Operator::ContainsAny => or(members(right)?.iter().map(|it| left.has_member(it, known))),
        Operator::InRange => match (left.value(known)?, right.value(known)?) {
            (Value::Network(narrow), Value::Network(wide)) => Some(wide.contains(&narrow)),
            _ => None,
        },
        Operator::Less | Operator::LessOrEqual => {
            let order = match (left.value(known)?, right.value(known)?) {
                (Value::Integer(one), Value::Integer(other)) => one.cmp(&other),
                (Value::Time(one), Value::Time(other)) => one.cmp(&other),
                _ => return None,
            };
            Some(order.is_lt() || (operator == Operator::LessOrEqual && order.is_eq()))
        }
        Operator::Equal => match (left, right) {
            (Expression::Principal | Expression::Resource, Expression::Entity { .. }) => is_in(left, right, known),
            (Expression::Entity { .. }, Expression::Principal | Expression::Resource) => is_in(right, left, known),
            _ => Some(left.value(known)? == right.value(known)?),
        },
    }
}

fn is_in(one: &Expression, within: &Expression, known: &impl Known) -> Option<bool> {
    match (one, within) {
        (_, Expression::Set(entities)) => or(entities.iter().map(|entity| is_in(one, entity, known))),
        (Expression::Principal, Expression::Entity { kind, id }) => known.is_principal_in(kind, id),
        (Expression::Resource, Expression::Entity { kind, id }) => known.is_resource_in(kind, id),
        _ => None,
    }
}

pub(super) fn and(mut parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let all = parts.try_fold(Some(true), |all, part| match part {
        Some(false) => Err(()),
        Some(true) => Ok(all),
        None => Ok(None),
    });
    all.unwrap_or(Some(false))
}

pub(super) fn or(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    and(parts.map(|part| part.map(|it| !it))).map(|none| !none)
}

/// The variable that `expression` reads, such as `principal.ref` or `context.local.berlin.hour`.
fn variable(expression: &Json) -> Option<Variable> {
    let access = expression.get(".")?;
    let (of, name) = (access.get("left")?, access.get("attr")?.as_str()?);
    match of.get("Var").and_then(Json::as_str) {
        Some("principal") => Some(Variable::claim(name)),
        Some("context") => Some(Variable::context(name)),
        Some(_) => None,
        None => match variable(of)? {
            Variable::Context(outer) => Some(Variable::Context(format!("{outer}.{name}"))),
            Variable::Claim(_) | Variable::Resource => None,
        },
    }
}

fn pattern(json: &Json) -> Pattern {
    let parts = json.as_array().into_iter().flatten();
    Pattern(parts.map(|part| part.get("Literal").and_then(Json::as_str).map(str::to_owned)).collect())
}
