//! Asks Cedar whether a request is permitted.

use super::expression::Known;
use super::facts::{Facts, Rule};
use super::scene::State;
use super::value::{Value, Variable};
use crate::conditions::Conditions;
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
};
use serde_json::{Value as Json, json};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use vouchsafe_policy::authoring::{AUDIENCE_GROUP, WORKLOAD_GROUP};
use vouchsafe_policy::{Bundle, ClaimType, NamedPolicy, policy_set, to_rfc3339};

/// The `forbid`s of a bundle.
pub(super) struct Forbids<'b> {
    pub rules: Vec<Rule<'b>>,
    /// What they compare, all together.
    pub facts: Facts,
    set: PolicySet,
}

impl<'b> Forbids<'b> {
    pub fn of(bundle: &'b Bundle) -> Self {
        let forbids = bundle.policies().iter().filter(|policy| policy.is_forbid());
        let rule = |policy: &'b NamedPolicy| {
            let json = policy.cedar.to_json().ok()?;
            Some(Rule::of(policy, &Conditions::of(&json), bundle))
        };
        let rules: Vec<Rule<'b>> = forbids.clone().filter_map(rule).collect();
        let mut facts = Facts::default();
        for rule in &rules {
            facts.extend(&rule.facts);
        }
        Self { rules, facts, set: policy_set(forbids).unwrap_or_default() }
    }
}

/// Whether Cedar permits the request through `permit`, and no `forbid` matches or fails. What is unknown counts as
/// absent, or has any value if it is required.
pub(super) fn is_permitted(permit: &Rule<'_>, forbids: &Forbids<'_>, state: &State<'_>) -> bool {
    let pins = state.scene.pins().iter();
    let mut pinned = pins.filter_map(|(claim, values)| Some((state.get(&Variable::claim(claim))?.as_text()?, values)));
    if !pinned.all(|(value, values)| values.contains(value)) || permit.holds(state) == Some(false) {
        return false;
    }
    let (Some(set), Some((request, entities))) = (permit.set(), request(state)) else {
        return false;
    };
    let authorizer = Authorizer::new();
    if authorizer.is_authorized(&request, set, &entities).decision() != Decision::Allow {
        return false;
    }
    let forbidden = authorizer.is_authorized(&request, &forbids.set, &entities);
    let diagnostics = forbidden.diagnostics();
    diagnostics.reason().next().is_none() && diagnostics.errors().next().is_none()
}

fn request(state: &State<'_>) -> Option<(Request, Entities)> {
    let scene = state.scene;
    let sub = state.get(&Variable::claim("sub")).and_then(Value::as_text).unwrap_or("evil");
    let principal = uid(&scene.entity_type, sub)?;
    let audience = uid("Audience", state.audience()?)?;
    let groups = scene.groups_of(state).into_iter().map(|name| uid(WORKLOAD_GROUP, name));
    let issuer = uid("Issuer", &scene.issuer.name);
    let parents: HashSet<EntityUid> = groups.chain([issuer]).collect::<Option<_>>()?;
    let holding = scene.bundle.groups().filter(|group| state.is_resource_in(AUDIENCE_GROUP, &group.name) == Some(true));
    let holding: HashSet<EntityUid> = holding.map(|group| uid(AUDIENCE_GROUP, &group.name)).collect::<Option<_>>()?;
    let entities = [
        Entity::new(principal.clone(), attributes(state)?, parents).ok()?,
        Entity::new_no_attrs(audience.clone(), holding),
    ];
    let entities = Entities::from_entities(entities, None).ok()?;
    let context = Context::from_json_value(context(state)?, None).ok()?;
    let request = Request::new(principal, uid("Action", "issue")?, audience, context, None).ok()?;
    Some((request, entities))
}

fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    Some(EntityUid::from_type_name_and_id(kind.parse().ok()?, cedar_policy::EntityId::new(id)))
}

fn attributes(state: &State<'_>) -> Option<HashMap<String, RestrictedExpression>> {
    let scene = state.scene;
    let mut attributes = HashMap::new();
    for (name, attribute) in scene.bundle.attributes_of(&scene.entity_type)? {
        let value = match (state.get(&Variable::claim(name)), attribute.required) {
            (Some(Value::Absent), _) | (None, false) => continue,
            (Some(value), _) => expression(value)?,
            (None, true) => any(attribute.claim_type?),
        };
        attributes.insert(name.clone(), value);
    }
    Some(attributes)
}

fn expression(value: &Value) -> Option<RestrictedExpression> {
    let text = |text: &String| RestrictedExpression::new_string(text.clone());
    match value {
        Value::Boolean(value) => Some(RestrictedExpression::new_bool(*value)),
        Value::Integer(value) => Some(RestrictedExpression::new_long(*value)),
        Value::Text(value) => Some(text(value)),
        Value::Texts(values) => Some(RestrictedExpression::new_set(values.iter().map(text))),
        Value::Absent | Value::Network(_) | Value::Time(_) => None,
    }
}

fn any(claim_type: ClaimType) -> RestrictedExpression {
    match claim_type {
        ClaimType::Boolean => RestrictedExpression::new_bool(false),
        ClaimType::Integer => RestrictedExpression::new_long(0),
        ClaimType::Text => RestrictedExpression::new_string("evil".to_owned()),
        ClaimType::TextMap | ClaimType::TextOrSet | ClaimType::TextSet => RestrictedExpression::new_set([]),
    }
}

fn context(state: &State<'_>) -> Option<Json> {
    let clock = state.scene.clock;
    let now = match state.context("now") {
        Some(Value::Time(now)) => *now,
        _ => clock.first(),
    };
    let scopes = match state.context("scopes") {
        Some(Value::Texts(scopes)) => json!(scopes),
        _ => json!([]),
    };
    let lifetime = match state.context("requested_lifetime_seconds") {
        Some(Value::Integer(seconds)) => *seconds,
        _ => 300,
    };
    let proof = state.context("proof_of_possession").and_then(Value::as_boolean).unwrap_or(false);
    let mut context = json!({
        "now": { "__extn": { "fn": "datetime", "arg": to_rfc3339(now)? } },
        "proof_of_possession": proof,
        "requested_lifetime_seconds": lifetime,
        "scopes": scopes,
    });
    let members = context.as_object_mut()?;
    if let Some(Value::Network(network)) = state.context("client_ip") {
        let address: IpAddr = network.address;
        members.insert("client_ip".to_owned(), json!({ "__extn": { "fn": "ip", "arg": address.to_string() } }));
    }
    let local = clock.local_times(now).cloned().or_else(|| state.scene.bundle.local_times(now));
    if let Some(local) = local.filter(|local| !local.is_null()) {
        members.insert("local".to_owned(), local);
    }
    Some(context)
}
