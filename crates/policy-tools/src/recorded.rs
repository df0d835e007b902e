//! Recovers the request of a past decision from its audit record.

use serde_json::Value;
use vouchsafe_policy::{
    Attribute, AttributeValue, Bundle, DecideError, Decision, Principal, TokenRequest, parse_unix_seconds,
};

/// Who requested what, and when. Together with a bundle, it reproduces the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    pub principal: Principal,
    /// Who acts for the principal.
    pub actor: Option<Principal>,
    pub request: TokenRequest,
    pub now: u64,
}

/// Why the request cannot be recovered from a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the recorded Cedar request is not JSON")]
    NotJson,
    #[error("the recorded Cedar request has no valid `{0}`")]
    Part(&'static str),
}

impl RecordedRequest {
    /// Parses the content of [`vouchsafe_policy::Decision::cedar_request`].
    ///
    /// # Errors
    /// It does not have the form that a decision writes.
    pub fn parse(cedar_request: &str) -> Result<Self, RecordError> {
        let whole: Value = serde_json::from_str(cedar_request).map_err(|_| RecordError::NotJson)?;
        let text = |pointer: &str, name| {
            let value = whole.pointer(pointer).and_then(Value::as_str);
            value.map(str::to_owned).ok_or(RecordError::Part(name))
        };
        let now = text("/context/now/__extn/arg", "now")?;
        let is_of_actor = whole.pointer("/action/id").and_then(Value::as_str) == Some("act_for");
        let (actor, principal, audience) = match is_of_actor {
            true => {
                let actor = principal_of(&whole, "principal")?;
                (Some(actor), principal_of(&whole, "resource")?, text("/context/audience/__entity/id", "audience")?)
            }
            false => (None, principal_of(&whole, "principal")?, text("/resource/id", "resource")?),
        };
        Ok(Self {
            principal,
            actor,
            request: token_request(&whole, audience)?,
            now: parse_unix_seconds(&now).ok_or(RecordError::Part("now"))?,
        })
    }

    /// Decides the request again.
    ///
    /// # Errors
    /// Those of [`Bundle::decide`].
    pub fn decide(&self, bundle: &Bundle) -> Result<Decision, DecideError> {
        let Self { principal, actor, request, now } = self;
        match actor {
            Some(actor) => bundle.decide_actor(actor, principal, request, *now),
            None => bundle.decide(principal, request, *now),
        }
    }
}

/// The principal that is the `role` of a recorded request.
fn principal_of(whole: &Value, role: &'static str) -> Result<Principal, RecordError> {
    let uid = whole.get(role).ok_or(RecordError::Part(role))?;
    let part = |name: &str| {
        let text = uid.get(name).and_then(Value::as_str);
        text.map(str::to_owned).ok_or(RecordError::Part(role))
    };
    let entities = whole.get("entities").and_then(Value::as_array);
    let entity = entities.into_iter().flatten().find(|entity| entity.get("uid") == Some(uid));
    let entity = entity.ok_or(RecordError::Part("entities"))?;
    let attributes = entity.get("attrs").and_then(Value::as_object).ok_or(RecordError::Part("attrs"))?;
    let attributes = attributes.iter().map(|(name, value)| {
        let value = attribute_value(value).ok_or(RecordError::Part("attrs"))?;
        Ok(Attribute { name: name.clone(), value })
    });
    let parents = entity.get("parents").and_then(Value::as_array);
    let is_issuer = |uid: &&Value| uid.get("type").and_then(Value::as_str) == Some("Issuer");
    let issuer = parents.into_iter().flatten().find(is_issuer).and_then(|uid| uid.get("id")?.as_str());
    Ok(Principal {
        entity_type: part("type")?,
        id: part("id")?,
        issuer_name: issuer.ok_or(RecordError::Part("parents"))?.to_owned(),
        attributes: attributes.collect::<Result<_, _>>()?,
    })
}

fn token_request(whole: &Value, audience: String) -> Result<TokenRequest, RecordError> {
    let context = |name: &'static str| {
        let value = whole.pointer("/context").and_then(|it| it.get(name));
        value.ok_or(RecordError::Part(name))
    };
    let scopes = texts(context("scopes")?).ok_or(RecordError::Part("scopes"))?;
    let lifetime = context("requested_lifetime_seconds")?.as_u64();
    let client_ip = whole.pointer("/context/client_ip/__extn/arg");
    let proof = context("proof_of_possession")?.as_bool();
    Ok(TokenRequest {
        audience,
        scopes,
        requested_lifetime_seconds: lifetime.ok_or(RecordError::Part("requested_lifetime_seconds"))?,
        client_ip: client_ip.and_then(Value::as_str).map(str::to_owned),
        proof_of_possession: proof.ok_or(RecordError::Part("proof_of_possession"))?,
    })
}

fn attribute_value(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::Array(_) => texts(value).map(AttributeValue::TextSet),
        Value::Bool(value) => Some(AttributeValue::Boolean(*value)),
        Value::Number(number) => number.as_i64().map(AttributeValue::Integer),
        Value::String(text) => Some(AttributeValue::Text(text.clone())),
        Value::Null | Value::Object(_) => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    value.as_array()?.iter().map(text).collect()
}
