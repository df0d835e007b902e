//! One decision: default deny, a `forbid` wins, and no rule that errs ever helps.

use crate::bundle::{Bundle, IssuerEntity};
use crate::calendar;
use crate::record::cedar_request;
use crate::records::Issuer;
use crate::zones::Zones;
use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityId,
    EntityTypeName, EntityUid, PolicyId, PolicySet, Request, Response, RestrictedExpression,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use vouchsafe_providers::AttributeValue;

use vouchsafe_types::PolicyError;
pub use vouchsafe_types::{Decision, Effect, Principal, TokenRequest};

/// Why no decision could be made. None of them is ever an allow, and none holds a claim's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    #[error("attributes of `{entity_type}` do not fit the schema")]
    AttributesInvalid { entity_type: String },
    #[error("audience is not in the bundle")]
    AudienceUnknown,
    #[error("client address is not an IP address")]
    ClientIpInvalid,
    #[error("principals of issuer `{issuer}` are `{expected}`, not `{found}`")]
    EntityTypeMismatch {
        issuer: String,
        expected: String,
        found: String,
    },
    #[error("issuer is not in the bundle")]
    IssuerUnknown,
    #[error("requested lifetime does not fit a signed 64-bit number of seconds")]
    LifetimeInvalid,
    #[error("request does not fit the schema")]
    RequestInvalid,
    #[error("rules for this request cannot be put together")]
    RulesInvalid,
    #[error("time is not before the year 10000")]
    TimeInvalid,
}

/// None of these is caused by a caller's input, so all are internal; the text holds no claim values.
impl From<DecideError> for PolicyError {
    fn from(error: DecideError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl DecideError {
    pub fn slug(&self) -> &'static str {
        match self {
            Self::AttributesInvalid { .. } => "policy.attributes_invalid",
            Self::AudienceUnknown => "policy.audience_unknown",
            Self::ClientIpInvalid => "policy.client_ip_invalid",
            Self::EntityTypeMismatch { .. } => "policy.entity_type_mismatch",
            Self::IssuerUnknown => "policy.issuer_unknown",
            Self::LifetimeInvalid => "policy.lifetime_invalid",
            Self::RequestInvalid => "policy.request_invalid",
            Self::RulesInvalid => "policy.rules_invalid",
            Self::TimeInvalid => "policy.time_invalid",
        }
    }
}

/// The one action, `Action::"issue"`.
#[derive(Debug, Clone)]
pub(crate) struct IssuingAction(EntityUid);

impl IssuingAction {
    /// None only if Cedar did not know its own word `Action`.
    pub fn new() -> Option<Self> {
        uid("Action", "issue").map(Self)
    }

    pub fn uid(&self) -> &EntityUid {
        &self.0
    }
}

/// `type_name::"id"`; any text is an id.
pub(crate) fn uid(type_name: &str, id: &str) -> Option<EntityUid> {
    let type_name: EntityTypeName = type_name.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(
        type_name,
        EntityId::new(id),
    ))
}

/// What of a request becomes Cedar's context.
pub(crate) struct ContextInput<'a> {
    pub requested_lifetime_seconds: u64,
    pub scopes: &'a [String],
    pub client_ip: Option<&'a str>,
    pub proof_of_possession: bool,
}

impl<'a> From<&'a TokenRequest> for ContextInput<'a> {
    fn from(request: &'a TokenRequest) -> Self {
        Self {
            requested_lifetime_seconds: request.requested_lifetime_seconds,
            scopes: &request.scopes,
            client_ip: request.client_ip.as_deref(),
            proof_of_possession: request.proof_of_possession,
        }
    }
}

/// Cedar's context of a request made at `now` (Unix seconds).
pub(crate) fn context(
    input: &ContextInput<'_>,
    zones: &Zones,
    now: u64,
) -> Result<Context, DecideError> {
    let lifetime = i64::try_from(input.requested_lifetime_seconds)
        .map_err(|_| DecideError::LifetimeInvalid)?;
    let moment = calendar::to_rfc3339(now).ok_or(DecideError::TimeInvalid)?;
    let mut pairs = vec![
        ("now".to_owned(), RestrictedExpression::new_datetime(moment)),
        (
            "proof_of_possession".to_owned(),
            RestrictedExpression::new_bool(input.proof_of_possession),
        ),
        (
            "requested_lifetime_seconds".to_owned(),
            RestrictedExpression::new_long(lifetime),
        ),
        ("scopes".to_owned(), text_set(input.scopes)),
    ];
    if let Some(text) = input.client_ip {
        let address: IpAddr = text.parse().map_err(|_| DecideError::ClientIpInvalid)?;
        pairs.push((
            "client_ip".to_owned(),
            RestrictedExpression::new_ip(address.to_string()),
        ));
    }
    if let Some(local) = zones.expression(now) {
        pairs.push(("local".to_owned(), local));
    }
    Context::from_pairs(pairs).map_err(|_| DecideError::RequestInvalid)
}

fn text_set(texts: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
}

/// A request that fits the schema, with everything Cedar needs to decide it.
pub(crate) struct Prepared {
    pub request: Request,
    pub entities: Entities,
    pub slice: std::sync::Arc<PolicySet>,
}

impl Bundle {
    /// Decides whether `principal` may have a token for `request.audience` at `now` (Unix
    /// seconds).
    pub fn decide(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, DecideError> {
        let prepared = self.prepare(principal, request, now)?;
        let response =
            Authorizer::new().is_authorized(&prepared.request, &prepared.slice, &prepared.entities);
        let (effect, determining_rules, erring_rules) = judge(&response, &prepared.slice);
        let cedar_request = cedar_request(self, principal, request, now);
        Ok(Decision {
            effect,
            determining_rules,
            erring_rules,
            cedar_request,
        })
    }

    /// Checks everything about a request and gives what Cedar takes.
    pub(crate) fn prepare(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Prepared, DecideError> {
        let (issuer_index, issuer, entity) = self
            .issuer_named(&principal.issuer_name)
            .ok_or(DecideError::IssuerUnknown)?;
        check_entity_type(issuer, entity, principal)?;
        let (audience_index, audience_uid) = self
            .audience_uid(&request.audience)
            .ok_or(DecideError::AudienceUnknown)?;
        let principal_uid = EntityUid::from_type_name_and_id(
            entity.type_name.clone(),
            EntityId::new(&principal.id),
        );
        let groups = self.group_entities();
        let of_audience = groups.of_audience(&request.audience);
        let parents = self.parents(principal, entity);
        let entities = [
            principal_entity(principal, principal_uid.clone(), parents)?,
            Entity::with_uid(entity.uid.clone()),
            Entity::new_no_attrs(audience_uid.clone(), of_audience.into_iter().collect()),
        ];
        let entities = Entities::from_entities(entities, Some(self.schema())).map_err(|_| {
            DecideError::AttributesInvalid {
                entity_type: principal.entity_type.clone(),
            }
        })?;
        let context = context(&ContextInput::from(request), self.zones(), now)?;
        let action = self.action().uid().clone();
        let slice = self
            .slice((issuer_index, audience_index), || {
                self.scope(issuer, entity, audience_uid)
            })
            .ok_or(DecideError::RulesInvalid)?;
        let request = Request::new(
            principal_uid,
            action,
            audience_uid.clone(),
            context,
            Some(self.schema()),
        )
        .map_err(|_| DecideError::RequestInvalid)?;
        Ok(Prepared {
            request,
            entities,
            slice,
        })
    }

    /// What a principal is in: its issuer, and the groups that have an entry for it.
    fn parents(&self, principal: &Principal, entity: &IssuerEntity) -> HashSet<EntityUid> {
        let Principal {
            id,
            issuer_name,
            attributes,
            ..
        } = principal;
        let groups = self
            .group_entities()
            .of_principal(issuer_name, id, attributes);
        let issuer = std::iter::once(&entity.uid);
        issuer.chain(groups).cloned().collect()
    }
}

/// Effect, determining rules and erring rules. Cedar skips a `forbid` that errs; here it
/// denies, because nobody knows what it would have said.
fn judge(response: &Response, rules: &PolicySet) -> (Effect, Vec<String>, Vec<String>) {
    let reasons: BTreeSet<&str> = response.diagnostics().reason().map(AsRef::as_ref).collect();
    let erring: BTreeSet<&str> = response.diagnostics().errors().map(erring_rule).collect();
    let erring_forbids: BTreeSet<&str> = erring
        .iter()
        .copied()
        .filter(|id| !is_permit(rules, id))
        .collect();
    let permitted = response.decision() == CedarDecision::Allow && erring_forbids.is_empty();
    let (effect, determining) = match (permitted, response.decision()) {
        (true, _) => (Effect::Permit, reasons),
        (false, CedarDecision::Allow) => (Effect::Deny, erring_forbids),
        (false, CedarDecision::Deny) => (Effect::Deny, &reasons | &erring_forbids),
    };
    let owned = |ids: BTreeSet<&str>| ids.into_iter().map(str::to_owned).collect();
    (effect, owned(determining), owned(erring))
}

fn is_permit(rules: &PolicySet, id: &str) -> bool {
    let rule = rules.policy(&PolicyId::new(id));
    rule.is_some_and(|rule| rule.effect() == cedar_policy::Effect::Permit)
}

fn erring_rule(error: &AuthorizationError) -> &str {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id().as_ref(),
    }
}

fn check_entity_type(
    issuer: &Issuer,
    entity: &IssuerEntity,
    principal: &Principal,
) -> Result<(), DecideError> {
    if principal.entity_type == entity.type_text {
        return Ok(());
    }
    Err(DecideError::EntityTypeMismatch {
        issuer: issuer.name.clone(),
        expected: entity.type_text.clone(),
        found: principal.entity_type.clone(),
    })
}

fn principal_entity(
    principal: &Principal,
    uid: EntityUid,
    parents: HashSet<EntityUid>,
) -> Result<Entity, DecideError> {
    let mut attributes = HashMap::with_capacity(principal.attributes.len());
    for attribute in &principal.attributes {
        let value = match &attribute.value {
            AttributeValue::Boolean(value) => RestrictedExpression::new_bool(*value),
            AttributeValue::Integer(value) => RestrictedExpression::new_long(*value),
            AttributeValue::Text(value) => RestrictedExpression::new_string(value.clone()),
            AttributeValue::TextSet(values) => text_set(values),
        };
        let double = attributes.insert(attribute.name.clone(), value);
        if double.is_some() {
            return Err(DecideError::AttributesInvalid {
                entity_type: principal.entity_type.clone(),
            });
        }
    }
    Entity::new(uid, attributes, parents).map_err(|_| DecideError::AttributesInvalid {
        entity_type: principal.entity_type.clone(),
    })
}
