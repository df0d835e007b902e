//! `has` of a name that is not there. Cedar takes it for false whatever the schema says, so that a
//! mistyped one silently turns a condition off, and a `forbid` with it.

use super::conditions::Conditions;
use crate::bundle::Bundle;
use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::nearest::nearest;
use crate::places;
use crate::rules::{Rule, found_in, is_issuer};
use cedar_policy::PrincipalConstraint;
use serde_json::Value;
use std::collections::BTreeSet;

/// What the broker puts into the context.
const CONTEXT: [&str; 6] = [
    "client_ip",
    "local",
    "now",
    "proof_of_possession",
    "requested_lifetime_seconds",
    "scopes",
];

/// An error for each name that `rule` asks for and that no request which fits its scope can have.
pub(super) fn unknown_names(files: &BundleFiles, rule: &Rule, bundle: &Bundle) -> Vec<Finding> {
    let est = rule.policy.to_json().unwrap_or_default();
    let conditions = Conditions::of(&est);
    let mut asked = BTreeSet::new();
    for body in conditions.when.iter().chain(&conditions.unless) {
        asked_for(body, &mut asked);
    }
    let types = principal_types(rule, bundle);
    let known = |variable: &str, name: &str| match variable {
        "principal" => types.iter().any(|entity_type| {
            let attributes = bundle.attributes_of(entity_type);
            attributes.is_some_and(|attributes| attributes.contains_key(name))
        }),
        "context" => CONTEXT.contains(&name),
        // Audiences and actions have no attributes.
        _ => false,
    };
    let unknown = asked
        .into_iter()
        .filter(|(variable, name)| !known(variable, name));
    let finding = |(variable, name): (&str, &str)| {
        let written = format!("{variable} has {name}");
        let place = places::expression(rule, |text| text == written);
        let names: Vec<&str> = match variable {
            "principal" => types
                .iter()
                .filter_map(|entity_type| bundle.attributes_of(entity_type))
                .flat_map(|attributes| attributes.keys().map(String::as_str))
                .collect(),
            _ => CONTEXT.to_vec(),
        };
        let problem = Problem::RuleNameUnknown {
            rule: rule.id.clone(),
            nearest: nearest(name, names),
            name: written,
        };
        found_in(files, rule, place, problem)
    };
    unknown.map(finding).collect()
}

/// Adds variable and name of every `variable has name` in `expression`.
fn asked_for<'a>(expression: &'a Value, asked: &mut BTreeSet<(&'a str, &'a str)>) {
    match expression {
        Value::Array(values) => values.iter().for_each(|value| asked_for(value, asked)),
        Value::Object(members) => {
            if let Some(has) = members.get("has") {
                let variable = has.pointer("/left/Var").and_then(Value::as_str);
                let name = has.get("attr").and_then(Value::as_str);
                asked.extend(variable.zip(name));
            }
            members.values().for_each(|value| asked_for(value, asked));
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {}
    }
}

/// The entity types that principals of the rule's scope can have.
fn principal_types(rule: &Rule, bundle: &Bundle) -> Vec<String> {
    match rule.policy.principal_constraint() {
        PrincipalConstraint::Is(type_name) | PrincipalConstraint::IsIn(type_name, _) => {
            vec![type_name.to_string()]
        }
        PrincipalConstraint::Eq(uid) => vec![uid.type_name().to_string()],
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => {
            let within = |name: &str| match rule.policy.principal_constraint() {
                PrincipalConstraint::In(uid) if is_issuer(&uid) => uid.id().unescaped() == name,
                _ => true,
            };
            let issuers = bundle.issuers_of_all_environments();
            issuers
                .filter(|issuer| within(&issuer.name))
                .map(|issuer| issuer.entity_type())
                .collect()
        }
    }
}
