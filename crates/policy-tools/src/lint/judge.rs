//! Asks Cedar whether a request is permitted.

use super::expression::Known;
use super::facts::{Facts, Rule};
use super::scene::State;
use super::value::{Value, Variable};
use crate::conditions::Conditions;
use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, EntityUid, Request, RestrictedExpression};
use serde_json::{Value as Json, json};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use vouchsafe_policy::authoring::{AUDIENCE_GROUP, WORKLOAD_GROUP};
use vouchsafe_policy::{Bundle, ClaimType, NamedPolicy, to_rfc3339};

/// The `forbid`s of a bundle.
pub(super) struct Forbids<'b> {
    pub rules: Vec<Rule<'b>>,
    /// What they compare, all together.
    pub facts: Facts,
}

impl<'b> Forbids<'b> {
    pub fn of(bundle: &'b Bundle) -> Self {
        let forbids = bundle.policies().iter().filter(|policy| policy.is_forbid());
        let rule = |policy: &'b NamedPolicy| {
            let json = policy.cedar.to_json().ok()?;
            Some(Rule::of(policy, &Conditions::of(&json), bundle))
        };
        let rules: Vec<Rule<'b>> = forbids.filter_map(rule).collect();
        let mut facts = Facts::default();
        for rule in &rules {
            facts.extend(&rule.facts);
        }
        Self { rules, facts }
    }

    /// Those that can match the request, and whether they certainly do. Few are left of many.
    pub fn possible(&self, state: &State<'_>) -> impl Iterator<Item = (&Rule<'b>, bool)> {
        self.rules.iter().filter_map(|forbid| {
            // ORDER: quicker than the scope, and most forbids end here.
            let holds = forbid.holds(state);
            if holds == Some(false) {
                return None;
            }
            match state.is_in_scope(forbid.policy) {
                Some(false) => None,
                scope => Some((forbid, holds == Some(true) && scope == Some(true))),
            }
        })
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
    is_permitted_by_cedar(permit, forbids, state)
}

fn is_permitted_by_cedar(permit: &Rule<'_>, forbids: &Forbids<'_>, state: &State<'_>) -> bool {
    let (Some(set), Some((request, entities))) = (permit.set(), request(state)) else {
        return false;
    };
    let authorizer = Authorizer::new();
    if authorizer.is_authorized(&request, set, &entities).decision() != Decision::Allow {
        return false;
    }
    // Asking about a forbid that cannot match changes nothing.
    let forbids = forbids.possible(state).map(|(forbid, _)| forbid);
    let mut forbidden = forbids.map(|forbid| {
        forbid.set().is_none_or(|set| {
            let answer = authorizer.is_authorized(&request, set, &entities);
            let diagnostics = answer.diagnostics();
            diagnostics.reason().next().is_some() || diagnostics.errors().next().is_some()
        })
    });
    !forbidden.any(|forbidden| forbidden)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::clock::Clock;
    use crate::lint::scene::Scene;
    use crate::lint::value::Network;
    use vouchsafe_policy::{BundleFiles, Environment};

    fn bundle(condition: &str) -> Bundle {
        let rule = format!(
            "@id(\"a\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, resource == \
             Audience::\"https://a.example\") when {{ {condition} }};"
        );
        let mut files = BundleFiles::default();
        for (path, content) in [
            ("bundle.toml", "name = 'a'\nversion = '1'\n[zones]\nberlin = 'Europe/Berlin'"),
            ("schema.cedarschema", include_str!("../../../../policies/schema.cedarschema")),
            ("issuers/github.toml", "issuer = 'https://idp.example'\nprovider = 'github'"),
            ("audiences/a.toml", "id = 'https://a.example'\nscopes = ['read']"),
            ("entities/team.toml", "[[workloads]]\nissuer = 'github'\nclaims = { repository_id = '1' }"),
            ("rules/a.cedar", rule.as_str()),
        ] {
            files.add(path, content.into()).expect("within the limits");
        }
        let issuer = "https://broker.example".to_owned();
        let environment = Environment { issuer, development: false, epoch_seconds: 3600 };
        Bundle::load(&files, &environment).unwrap_or_else(|invalid| panic!("{condition}: {invalid}"))
    }

    /// Requests that differ in what the conditions of the test below read.
    fn states<'s>(scene: &'s Scene<'s>) -> Vec<State<'s>> {
        let base = State::of(scene);
        let base = base.with(&Variable::Resource, Value::text("https://a.example"));
        let network = |text: &str| Value::Network(Network::parse(text).expect("an address"));
        let choices = [
            (Variable::claim("sub"), vec![Value::text("x"), Value::text("y")]),
            (Variable::claim("repository_id"), vec![Value::text("1"), Value::text("15")]),
            (Variable::claim("event_name"), vec![Value::text("push"), Value::text("pull_request")]),
            (Variable::claim("environment"), vec![Value::Absent, Value::text("prod:a/b"), Value::text("")]),
            (Variable::context("scopes"), vec![Value::texts([]), Value::texts(["read"]), Value::texts(["a", "read"])]),
            (Variable::context("client_ip"), vec![Value::Absent, network("10.1.2.3"), network("2001:db8::1")]),
            (Variable::context("requested_lifetime_seconds"), vec![Value::Integer(300), Value::Integer(900)]),
            (Variable::context("now"), scene.clock.moments().step_by(37).map(Value::Time).collect()),
        ];
        choices.into_iter().fold(vec![base], |states, (variable, values)| {
            let each =
                |state: State<'s>| values.clone().into_iter().map(|value| state.with(&variable, value)).collect();
            states.into_iter().flat_map(|state| -> Vec<State<'s>> { each(state) }).collect()
        })
    }

    /// Leaving out what the quick evaluation denies loses nothing, because Cedar agrees wherever it has a result.
    #[test]
    fn quick_evaluation_agrees_with_cedar() {
        let push = "principal.event_name == \"push\"";
        for condition in [
            "principal.repository_id != \"1\"".to_owned(),
            "principal.repository_id like \"1*\" && !(principal.repository_id like \"*5\")".to_owned(),
            format!("if {push} then principal.repository_id == \"1\" else context.scopes.isEmpty()"),
            format!("{push} || (principal has environment && principal.environment like \"*:*/b\")"),
            format!("!({push} && principal has environment)"),
            "[\"1\", \"2\"].contains(principal.repository_id)".to_owned(),
            "[principal.repository_id, \"x\"].containsAll([\"1\"])".to_owned(),
            "[\"a\", principal.event_name].containsAny([\"push\"])".to_owned(),
            "[\"read\"].containsAll(context.scopes)".to_owned(),
            "context.scopes.containsAll([\"read\"]) && context.scopes != [\"read\"]".to_owned(),
            "context.scopes.containsAny([\"a\", \"b\"])".to_owned(),
            "context has client_ip && context.client_ip.isInRange(ip(\"10.0.0.0/8\"))".to_owned(),
            "context has client_ip && context.client_ip.isInRange(ip(\"::/0\"))".to_owned(),
            "context has client_ip && context.client_ip == ip(\"10.1.2.3\")".to_owned(),
            "context.local.berlin.hour >= 9 && context.local.berlin.hour < 17".to_owned(),
            "[\"saturday\", \"sunday\"].contains(context.local.berlin.weekday)".to_owned(),
            "context.now > datetime(\"2027-01-07\")".to_owned(),
            "context.requested_lifetime_seconds <= 300".to_owned(),
            "principal == GitHub::Workflow::\"x\"".to_owned(),
            "principal in [GitHub::Workflow::\"x\"] || principal in WorkloadGroup::\"team\"".to_owned(),
            "resource is Audience && principal has environment".to_owned(),
            "principal is GitHub::Workflow in WorkloadGroup::\"team\"".to_owned(),
            "resource == Audience::\"https://a.example\" && principal.repository_id == \"1\"".to_owned(),
            "principal.event_name != principal.repository_id && principal has environment".to_owned(),
        ] {
            let bundle = bundle(&condition);
            let (clock, forbids) = (Clock::of(&bundle), Forbids::of(&bundle));
            let policy = bundle.policies().first().expect("a policy");
            let json = policy.cedar.to_json().expect("it is written");
            let rule = Rule::of(policy, &Conditions::of(&json), &bundle);
            let scenes = Scene::of_scope(policy, &bundle, &clock);
            let (mut yes, mut no) = (0, 0);
            // Every seventh is enough, and quick.
            for state in states(&scenes[0]).into_iter().step_by(7) {
                let permitted = is_permitted_by_cedar(&rule, &forbids, &state);
                *(if permitted { &mut yes } else { &mut no }) += 1;
                let quick = rule.holds(&state).unwrap_or_else(|| panic!("{condition} is undecided"));
                assert_eq!(quick, permitted, "{condition}");
            }
            assert!(yes > 0 && no > 0, "{condition}: {yes} {no}");
        }
    }
}
