//! `has` tests of unknown names. Cedar evaluates them to false whatever the schema says, so a typo silently disables a
//! condition, and a `forbid` with it.

use crate::conditions::Conditions;
use crate::error::CheckError;
use cedar_policy::PrincipalConstraint;
use serde_json::Value;
use std::collections::BTreeSet;
use vouchsafe_policy::authoring::span::{self, diagnostic_in};
use vouchsafe_policy::authoring::{is_issuer, suggest};
use vouchsafe_policy::{Bundle, BundleFiles, Diagnostic, NamedPolicy};

/// The attributes of the context.
const CONTEXT: [&str; 6] = ["client_ip", "local", "now", "proof_of_possession", "requested_lifetime_seconds", "scopes"];

/// An error for each `has` test of a name that no request that matches the scope can have.
pub(super) fn unknown_names(
    files: &BundleFiles,
    policy: &NamedPolicy,
    conditions: &Conditions<'_>,
    bundle: &Bundle,
) -> Vec<Diagnostic<CheckError>> {
    let mut asked = BTreeSet::new();
    for body in conditions.when.iter().chain(&conditions.unless) {
        asked_for(body, &mut asked);
    }
    let types = principal_types(policy, bundle);
    let known = |variable: &str, name: &str| match variable {
        "principal" => types.iter().any(|entity_type| {
            let attributes = bundle.attributes_of(entity_type);
            attributes.is_some_and(|attributes| attributes.contains_key(name))
        }),
        "context" => CONTEXT.contains(&name),
        // Audiences and actions have no attributes.
        _ => false,
    };
    let unknown = asked.into_iter().filter(|(variable, name)| !known(variable, name));
    let diagnostic = |(variable, name): (&str, &str)| {
        let written = format!("{variable} has {name}");
        let place = span::expression(policy, |text| text == written);
        let names: Vec<&str> = match variable {
            "principal" => types
                .iter()
                .filter_map(|entity_type| bundle.attributes_of(entity_type))
                .flat_map(|attributes| attributes.keys().map(String::as_str))
                .collect(),
            _ => CONTEXT.to_vec(),
        };
        let error = CheckError::PolicyNameUnknown {
            policy: policy.id.clone(),
            suggestion: suggest(name, names),
            name: written,
        };
        diagnostic_in(files, policy, place, error)
    };
    unknown.map(diagnostic).collect()
}

/// Adds the variable and name of every `variable has name` in `expression`.
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

/// The entity types of principals that the scope can match.
fn principal_types(policy: &NamedPolicy, bundle: &Bundle) -> Vec<String> {
    match policy.cedar.principal_constraint() {
        PrincipalConstraint::Is(type_name) | PrincipalConstraint::IsIn(type_name, _) => {
            vec![type_name.to_string()]
        }
        PrincipalConstraint::Eq(uid) => vec![uid.type_name().to_string()],
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => {
            let within = |name: &str| match policy.cedar.principal_constraint() {
                PrincipalConstraint::In(uid) if is_issuer(&uid) => uid.id().unescaped() == name,
                _ => true,
            };
            let issuers = bundle.issuers_of_all_environments();
            issuers.filter(|issuer| within(&issuer.name)).map(|issuer| issuer.entity_type()).collect()
        }
    }
}
