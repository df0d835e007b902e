//! What the broker guarantees about each request that policies decide, beyond the schema.
//!
//! The solver searches all requests that fit the schema. These facts exclude those that the broker never makes: without
//! them, a counterexample could be a principal of two issuers, or a scope that the audience does not offer. Each is a
//! Cedar expression, so tests evaluate it against requests of the broker.

use crate::literals::{any, attribute, has, text, texts};
use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet};
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::authoring::{AUDIENCE_GROUP, WORKLOAD_GROUP, is_issuer};
use vouchsafe_policy::{Audience, Bundle, Group, Issuer, Workload};

/// A fact about all requests by principals of one issuer for one audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumption {
    /// Why it holds.
    pub reason: String,
    /// A Cedar expression; none if Cedar's language cannot express it.
    pub cedar: Option<String>,
}

/// Groups with more workloads than this make a proof slow.
const MEMBERS_MANY: usize = 16;

/// Whether this is the fact about a large group. A proof without it is a proof: there are only more requests.
pub(crate) fn is_of_large_group(fact: &Assumption) -> bool {
    let compared = fact.cedar.as_ref().map_or(0, |cedar| cedar.matches(" == ").count());
    compared > MEMBERS_MANY && fact.reason.starts_with("`entities/")
}

/// What a set of policies refers to, so that other facts can be left out.
#[derive(Debug, Clone, Default)]
pub struct Mentions {
    entities: BTreeSet<EntityUid>,
    /// The policies as JSON, to find the attributes that they read.
    json: String,
}

impl Mentions {
    pub fn of<'p>(sets: impl IntoIterator<Item = &'p PolicySet>) -> Self {
        let mut mentions = Self::default();
        for policy in sets.into_iter().flat_map(PolicySet::policies) {
            mentions.entities.extend(policy.entity_literals());
            mentions.entities.extend(policy.template_links().into_iter().flat_map(|links| links.into_values()));
            let json = policy.to_json().map(|json| json.to_string());
            mentions.json.push_str(&json.unwrap_or_default());
        }
        mentions
    }

    /// Whether no entity is named.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Whether some expression may read this attribute.
    pub fn reads(&self, attribute: &str) -> bool {
        self.json.contains(&format!("\"attr\":{}", serde_json::Value::from(attribute)))
    }

    /// The claims of a principal that the policies read.
    pub fn claims(&self, names: impl Iterator<Item = String>) -> BTreeSet<String> {
        names.filter(|name| self.reads(name)).collect()
    }

    fn has(&self, type_name: &str, id: &str) -> bool {
        let is_it = |uid: &EntityUid| uid.id().unescaped() == id && uid.type_name().to_string() == type_name;
        self.entities.iter().any(is_it)
    }
}

/// The facts about requests by principals of `issuer` for `audience` that matter to policies with these `mentions`.
pub fn assumptions(bundle: &Bundle, issuer: &Issuer, audience: &Audience, mentions: &Mentions) -> Vec<Assumption> {
    let mut facts = vec![Assumption {
        reason: format!("the token comes from issuer `{}`", issuer.name),
        cedar: Some(format!("principal in Issuer::{}", text(&issuer.name))),
    }];
    facts.extend(other_issuers(issuer, mentions));
    facts.push(Assumption {
        reason: format!("the request is for audience `{}`", audience.id),
        cedar: Some(format!("resource == Audience::{}", text(&audience.id))),
    });
    facts.extend(required_claims(bundle, issuer));
    for group in bundle.groups() {
        facts.extend(workload_group(bundle, issuer, group, mentions));
        facts.extend(audience_group(audience, group, mentions));
    }
    facts.extend(scopes(audience));
    facts.extend(proof(audience));
    let max = audience.max_lifetime_seconds;
    facts.push(Assumption {
        reason: format!("the audience allows lifetimes of 1 s to {max} s"),
        cedar: Some(format!("context.requested_lifetime_seconds >= 1 && context.requested_lifetime_seconds <= {max}")),
    });
    facts.extend(times(bundle, mentions));
    if mentions.reads("client_ip") {
        let reason = "a client address is one address, never a network".to_owned();
        facts.push(Assumption { reason, cedar: None });
    }
    facts
}

/// Turns facts into policies that deny whatever contradicts them.
///
/// # Errors
/// An expression does not parse, which a test of every kind of fact rules out.
pub fn as_policies(facts: &[Assumption]) -> Result<Vec<Policy>, String> {
    let written = facts.iter().filter_map(|fact| fact.cedar.as_ref());
    let policy = |(at, cedar): (usize, &String)| {
        // No policy of a bundle can have an id with a space.
        let id = PolicyId::new(format!("assumption {at}"));
        let text = format!("forbid (principal, action, resource) unless {{ {cedar} }};");
        Policy::parse(Some(id), text).map_err(|error| format!("`{cedar}`: {error}"))
    };
    written.enumerate().map(policy).collect()
}

fn other_issuers(issuer: &Issuer, mentions: &Mentions) -> Option<Assumption> {
    let others = mentions.entities.iter().filter(|uid| is_issuer(uid));
    let names = others.map(|uid| uid.id().unescaped()).filter(|name| *name != issuer.name);
    let excluded: Vec<String> = names.map(|name| format!("!(principal in Issuer::{})", text(name))).collect();
    (!excluded.is_empty())
        .then(|| Assumption { reason: "a token comes from one issuer".to_owned(), cedar: Some(excluded.join(" && ")) })
}

fn required_claims(bundle: &Bundle, issuer: &Issuer) -> Vec<Assumption> {
    let fact = |required: &vouchsafe_policy::RequiredClaim| {
        let values: Vec<&str> = required.values.iter().map(String::as_str).collect();
        Assumption {
            reason: format!("issuer `{}` requires claim `{}`", issuer.name, required.name),
            cedar: Some(one_of(bundle, issuer, &required.name, &values)),
        }
    };
    issuer.require.iter().map(fact).collect()
}

/// The condition that a claim of a principal has one of these values.
fn one_of(bundle: &Bundle, issuer: &Issuer, claim: &str, values: &[&str]) -> String {
    let entity_type = issuer.entity_type();
    if claim == "sub" {
        let ids = values.iter().map(|id| format!("principal == {entity_type}::{}", text(id)));
        return any(ids.collect());
    }
    let attributes = bundle.attributes_of(&entity_type);
    let is_required = attributes.and_then(|known| known.get(claim)).is_some_and(|it| it.required);
    // Solvers are much faster with many comparisons than with a large set.
    let compared = any(values.iter().map(|value| format!("{} == {}", attribute(claim), text(value))).collect());
    match is_required {
        true => compared,
        false => format!("({} && {compared})", has(claim)),
    }
}

/// Exactly who is in a group.
fn workload_group(bundle: &Bundle, issuer: &Issuer, group: &Group, mentions: &Mentions) -> Option<Assumption> {
    if !mentions.has(WORKLOAD_GROUP, &group.name) {
        return None;
    }
    // Workloads with a single claim become one set of values.
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut parts = Vec::new();
    for Workload { claims, .. } in group.workloads.iter().filter(|workload| workload.issuer == issuer.name) {
        match claims.iter().next() {
            Some((claim, value)) if claims.len() == 1 => values.entry(claim).or_default().push(value),
            _ => {
                let each = claims.iter().map(|(claim, value)| one_of(bundle, issuer, claim, &[value]));
                parts.push(format!("({})", each.collect::<Vec<_>>().join(" && ")));
            }
        }
    }
    parts.extend(values.iter().map(|(claim, values)| one_of(bundle, issuer, claim, values)));
    let is_in = format!("principal in {WORKLOAD_GROUP}::{}", text(&group.name));
    Some(Assumption {
        reason: format!("`entities/{}.toml` says which workloads are in the group", group.name),
        cedar: Some(match parts.is_empty() {
            true => format!("!({is_in})"),
            false => format!("({is_in}) == ({})", any(parts)),
        }),
    })
}

fn audience_group(audience: &Audience, group: &Group, mentions: &Mentions) -> Option<Assumption> {
    if !mentions.has(AUDIENCE_GROUP, &group.name) {
        return None;
    }
    let is_in = format!("resource in {AUDIENCE_GROUP}::{}", text(&group.name));
    let is_member = group.audiences.contains(&audience.id);
    Some(Assumption {
        reason: format!("`entities/{}.toml` says which audiences are in the group", group.name),
        cedar: Some(if is_member { is_in } else { format!("!({is_in})") }),
    })
}

fn scopes(audience: &Audience) -> Vec<Assumption> {
    let offered = match audience.scopes.is_empty() {
        true => "context.scopes.isEmpty()".to_owned(),
        false => format!("{}.containsAll(context.scopes)", texts(audience.scopes.iter().map(String::as_str))),
    };
    let mut facts = vec![Assumption {
        reason: format!("`{}` issues only scopes that its audience file lists", audience.id),
        cedar: Some(offered),
    }];
    if audience.scopes_required {
        facts.push(Assumption {
            reason: format!("`{}` requires a scope", audience.id),
            cedar: Some("!(context.scopes.isEmpty())".to_owned()),
        });
    }
    facts
}

fn proof(audience: &Audience) -> Option<Assumption> {
    audience.proof_required.then(|| Assumption {
        reason: format!("`{}` requires a proof of possession", audience.id),
        cedar: Some("context.proof_of_possession".to_owned()),
    })
}

fn times(bundle: &Bundle, mentions: &Mentions) -> Vec<Assumption> {
    let mut facts = Vec::new();
    if mentions.reads("now") {
        facts.push(Assumption {
            reason: "the time is after 1969 and before the year 10000".to_owned(),
            cedar: Some(
                "context.now >= datetime(\"1970-01-01\") && context.now <= datetime(\"9999-12-31T23:59:59Z\")"
                    .to_owned(),
            ),
        });
        facts.push(Assumption { reason: "the time has whole seconds".to_owned(), cedar: None });
    }
    for zone in bundle.time_zones().keys().filter(|zone| mentions.reads(zone)) {
        let local = format!("context.local.{zone}");
        let days = texts(WEEKDAYS);
        facts.push(Assumption {
            reason: format!("local times in zone `{zone}` have a weekday, an hour and a minute"),
            cedar: Some(format!(
                "{days}.contains({local}.weekday) && {local}.hour >= 0 && {local}.hour <= 23 && {local}.minute >= 0 \
                 && {local}.minute <= 59"
            )),
        });
    }
    facts
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
