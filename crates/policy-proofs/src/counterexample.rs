//! A request that breaks a property, found by the solver and decided by the broker's own code.

use crate::literals::shown;
use crate::scene::Scene;
use cedar_policy::{Entity, EvalResult};
use cedar_policy_symcc::Env;
use serde_json::Value;
use vouchsafe_policy::{Attribute, AttributeValue, Principal, TokenRequest, to_rfc3339};
use vouchsafe_policy_tools::RecordedRequest;

/// A minimized request with what matters about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    pub request: RecordedRequest,
    /// The policies that permit it; none if it is denied.
    pub permitted_by: Vec<String>,
    /// The claims that the policies in question read, and others that matter, `sub` included.
    pub claims: Vec<(String, String)>,
    /// Other parts of the request that matter, such as `time`.
    pub circumstances: Vec<(&'static str, String)>,
}

/// 2027-01-01T00:00:00Z, the time of a request whose time does not matter.
pub(crate) const AT_DEFAULT: u64 = 1_798_761_600;
const WEEK_MINUTES: u64 = 7 * 24 * 60;
/// Weeks with winter and summer time, and an hour that only one of two hemispheres shifts.
const WEEKS: [u64; 4] = [AT_DEFAULT, AT_DEFAULT + 13 * 604_800, AT_DEFAULT + 26 * 604_800, AT_DEFAULT + 39 * 604_800];

/// The request that the solver found; none if the broker could never make one like it.
pub(crate) fn request_of(
    env: &Env,
    scene: &Scene<'_>,
    holds: impl Fn(&RecordedRequest) -> bool,
) -> Option<RecordedRequest> {
    let uid = env.request.principal()?;
    let entity = env.entities.get(uid)?;
    let context = env.request.context()?;
    let long = |name: &str| match context.get(name) {
        Some(EvalResult::Long(number)) => Some(number),
        _ => None,
    };
    let principal = Principal {
        entity_type: scene.entity_type().to_owned(),
        id: uid.id().unescaped().to_owned(),
        issuer_name: scene.issuer.name.clone(),
        attributes: attributes(entity)?,
    };
    let Some(EvalResult::Set(scopes)) = context.get("scopes") else {
        return None;
    };
    let client_ip = match context.get("client_ip") {
        Some(EvalResult::ExtensionValue(written)) => Some(quoted(&written)?.split('/').next()?.to_owned()),
        _ => None,
    };
    let request = TokenRequest {
        audience: scene.audience.id.clone(),
        scopes: texts(&scopes)?,
        requested_lifetime_seconds: u64::try_from(long("requested_lifetime_seconds")?).ok()?,
        client_ip,
        proof_of_possession: context.get("proof_of_possession") == Some(EvalResult::Bool(true)),
    };
    let now = context.get("now").and_then(|now| seconds(&now.to_string()));
    let found = RecordedRequest { principal, actor: None, request, now: now.unwrap_or(AT_DEFAULT) };
    if holds(&found) {
        return Some(found);
    }
    at_local_time(scene, context.get("local")?, found, holds)
}

/// The request at a moment with other local times than the solver's, which is free to combine any with any moment: near
/// the solver's moment, and in weeks of each season.
fn at_local_time(
    scene: &Scene<'_>,
    local: EvalResult,
    found: RecordedRequest,
    holds: impl Fn(&RecordedRequest) -> bool,
) -> Option<RecordedRequest> {
    let EvalResult::Record(_) = local else {
        return None;
    };
    let near = found.now.saturating_sub(WEEK_MINUTES.saturating_mul(60));
    let weeks = [near, found.now].into_iter().chain(WEEKS);
    let of_week = |week: u64| (0..WEEK_MINUTES).map(move |minute| week.saturating_add(minute.saturating_mul(60)));
    let minutes = weeks.flat_map(of_week);
    let wanted = as_json(&local);
    let moments = minutes.filter(|now| scene.bundle.local_times(*now) == wanted);
    moments.map(|now| RecordedRequest { now, ..found.clone() }).find(holds)
}

/// Local times in the form of [`vouchsafe_policy::Bundle::local_times`].
fn as_json(value: &EvalResult) -> Option<Value> {
    match value {
        EvalResult::Record(members) => {
            let members = members.iter().map(|(name, value)| Some((name.clone(), as_json(value)?)));
            Some(Value::Object(members.collect::<Option<_>>()?))
        }
        EvalResult::Long(number) => Some(Value::from(*number)),
        EvalResult::String(text) => Some(Value::from(text.as_str())),
        _ => None,
    }
}

fn attributes(entity: &Entity) -> Option<Vec<Attribute>> {
    let attribute = |(name, value): (&str, Result<EvalResult, _>)| {
        let value = match value.ok()? {
            EvalResult::Bool(value) => AttributeValue::Boolean(value),
            EvalResult::Long(value) => AttributeValue::Integer(value),
            EvalResult::String(value) => AttributeValue::Text(value),
            EvalResult::Set(values) => AttributeValue::TextSet(texts(&values)?),
            EvalResult::EntityUid(_) | EvalResult::Record(_) | EvalResult::ExtensionValue(_) => return None,
        };
        Some(Attribute { name: name.to_owned(), value })
    };
    let mut attributes: Vec<Attribute> = entity.attrs().map(attribute).collect::<Option<_>>()?;
    attributes.sort_by(|one, next| one.name.cmp(&next.name));
    Some(attributes)
}

fn texts(set: &cedar_policy::Set) -> Option<Vec<String>> {
    let text = |value: &EvalResult| match value {
        EvalResult::String(text) => Some(text.clone()),
        _ => None,
    };
    set.iter().map(text).collect()
}

/// The first string literal in Cedar text.
fn quoted(written: &str) -> Option<&str> {
    written.split('"').nth(1)
}

/// The Unix seconds of a `datetime` as Cedar writes it: a date, perhaps with an offset in milliseconds.
fn seconds(written: &str) -> Option<u64> {
    let offset = match written.split_once("duration(\"") {
        Some((_, rest)) => rest.split_once("ms\"")?.0.parse::<u64>().ok()? / 1000,
        None => 0,
    };
    let date = quoted(written)?;
    let date = date.replace(".000Z", "Z");
    vouchsafe_policy::parse_unix_seconds(&date)?.checked_add(offset)
}

impl Counterexample {
    /// The request in lines for people: who asks for what, and what matters about it.
    pub fn lines(&self) -> Vec<String> {
        let RecordedRequest { principal, request, .. } = &self.request;
        let scopes = match request.scopes.is_empty() {
            true => "no scope".to_owned(),
            false => format!("scope `{}`", request.scopes.join(" ")),
        };
        let (entity_type, issuer, audience) = (&principal.entity_type, &principal.issuer_name, &request.audience);
        let mut lines = vec![format!("a {entity_type} of issuer `{issuer}` gets {scopes} for `{audience}`")];
        match self.claims.is_empty() {
            true => lines.push("whatever its claims are".to_owned()),
            false => lines.extend(self.claims.iter().map(|(claim, value)| format!("{claim} = {value}"))),
        }
        lines.extend(self.circumstances.iter().map(|(what, value)| format!("{what}: {value}")));
        lines
    }
}

/// The circumstances of a request that can matter, by name.
pub(crate) fn circumstance(what: &'static str, request: &RecordedRequest) -> (&'static str, String) {
    let asked = &request.request;
    let value = match what {
        "time" => to_rfc3339(request.now).unwrap_or_default(),
        "lifetime" => format!("{} s", asked.requested_lifetime_seconds),
        "client address" => asked.client_ip.clone().unwrap_or_else(|| "unknown".to_owned()),
        _ => asked.proof_of_possession.to_string(),
    };
    (what, value)
}

/// The value of a claim as people read it; none if the token does not have it.
pub(crate) fn claim_shown(principal: &Principal, name: &str) -> String {
    let value = principal.attributes.iter().find(|attribute| attribute.name == name);
    value.map_or_else(|| "absent".to_owned(), |attribute| shown(&attribute.value))
}
