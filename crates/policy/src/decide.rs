//! Decides a request: denied by default, a `forbid` overrides, and a policy that fails to evaluate never permits.

pub(crate) mod cedar_request;
pub(crate) mod context;
pub(crate) mod decider;
pub(crate) mod decision;
pub(crate) mod request;

use crate::bundle::{Bundle, IssuerEntity};
use crate::settings::records::Issuer;
use cedar_policy::{
    AuthorizationError, Authorizer, Decision as CedarDecision, Entities, Entity, EntityId, EntityUid, PolicyId,
    PolicySet, Request, Response, RestrictedExpression,
};
use cedar_request::cedar_request;
use context::{ContextInput, context, string_set};
use decision::{DecideError, Decision, Effect};
use request::{Principal, TokenRequest};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use vouchsafe_providers::AttributeValue;

/// A request that fits the schema, with everything that Cedar needs to decide it.
pub struct PreparedRequest {
    pub request: Request,
    pub entities: Entities,
    /// The policies that can match the request.
    pub policies: Arc<PolicySet>,
}

impl Bundle {
    /// Decides whether `principal` may have the requested token at `now` (Unix seconds).
    ///
    /// # Errors
    /// The request does not fit the bundle or its schema. Treat this as a denial.
    pub fn decide(&self, principal: &Principal, request: &TokenRequest, now: u64) -> Result<Decision, DecideError> {
        let prepared = self.prepare(principal, request, now)?;
        let response = Authorizer::new().is_authorized(&prepared.request, &prepared.policies, &prepared.entities);
        let (effect, determining_rules, erring_rules) = judge(&response, &prepared.policies);
        let cedar_request = cedar_request(self, principal, request, now);
        Ok(Decision { effect, determining_rules, erring_rules, cedar_request })
    }

    /// Checks a request and converts it for Cedar.
    ///
    /// # Errors
    /// The request does not fit the bundle or its schema.
    pub fn prepare(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<PreparedRequest, DecideError> {
        let (issuer_index, issuer, entity) =
            self.issuer_named(&principal.issuer_name).ok_or(DecideError::IssuerUnknown)?;
        check_entity_type(issuer, entity, principal)?;
        let (audience_index, audience_uid) =
            self.audience_uid(&request.audience).ok_or(DecideError::AudienceUnknown)?;
        let principal_uid = EntityUid::from_type_name_and_id(entity.type_name.clone(), EntityId::new(&principal.id));
        let groups = self.group_entities();
        let of_audience = groups.of_audience(&request.audience);
        let parents = self.parents(principal, entity);
        let entities = [
            principal_entity(principal, principal_uid.clone(), parents)?,
            Entity::with_uid(entity.uid.clone()),
            Entity::new_no_attrs(audience_uid.clone(), of_audience.into_iter().collect()),
        ];
        let entities = Entities::from_entities(entities, Some(self.schema()))
            .map_err(|_| DecideError::AttributesInvalid { entity_type: principal.entity_type.clone() })?;
        let context = context(&ContextInput::from(request), self.zones(), now)?;
        let action = self.action().uid().clone();
        let policies = self
            .matching_policies((issuer_index, audience_index), || self.request_scope(issuer, entity, audience_uid))
            .ok_or(DecideError::PoliciesInvalid)?;
        let request = Request::new(principal_uid, action, audience_uid.clone(), context, Some(self.schema()))
            .map_err(|_| DecideError::RequestInvalid)?;
        Ok(PreparedRequest { request, entities, policies })
    }

    /// The parents of a principal: its issuer, and the groups with a workload that it matches.
    fn parents(&self, principal: &Principal, entity: &IssuerEntity) -> HashSet<EntityUid> {
        let Principal { id, issuer_name, attributes, .. } = principal;
        let groups = self.group_entities().of_principal(issuer_name, id, attributes);
        let issuer = std::iter::once(&entity.uid);
        issuer.chain(groups).cloned().collect()
    }
}

/// The effect, the determining policies and the failed ones. Cedar skips a `forbid` that fails to evaluate; here it
/// denies, because it might have matched.
fn judge(response: &Response, policies: &PolicySet) -> (Effect, Vec<String>, Vec<String>) {
    let reasons: BTreeSet<&str> = response.diagnostics().reason().map(AsRef::as_ref).collect();
    let erring: BTreeSet<&str> = response.diagnostics().errors().map(erring_rule).collect();
    let erring_forbids: BTreeSet<&str> = erring.iter().copied().filter(|id| !is_permit(policies, id)).collect();
    let permitted = response.decision() == CedarDecision::Allow && erring_forbids.is_empty();
    let (effect, determining) = match (permitted, response.decision()) {
        (true, _) => (Effect::Permit, reasons),
        (false, CedarDecision::Allow) => (Effect::Deny, erring_forbids),
        (false, CedarDecision::Deny) => (Effect::Deny, &reasons | &erring_forbids),
    };
    let owned = |ids: BTreeSet<&str>| ids.into_iter().map(str::to_owned).collect();
    (effect, owned(determining), owned(erring))
}

fn is_permit(policies: &PolicySet, id: &str) -> bool {
    let policy = policies.policy(&PolicyId::new(id));
    policy.is_some_and(|policy| policy.effect() == cedar_policy::Effect::Permit)
}

fn erring_rule(error: &AuthorizationError) -> &str {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id().as_ref(),
    }
}

fn check_entity_type(issuer: &Issuer, entity: &IssuerEntity, principal: &Principal) -> Result<(), DecideError> {
    if principal.entity_type == entity.type_text {
        return Ok(());
    }
    Err(DecideError::EntityTypeMismatch {
        issuer: issuer.name.clone(),
        expected: entity.type_text.clone(),
        found: principal.entity_type.clone(),
    })
}

fn principal_entity(principal: &Principal, uid: EntityUid, parents: HashSet<EntityUid>) -> Result<Entity, DecideError> {
    let mut attributes = HashMap::with_capacity(principal.attributes.len());
    for attribute in &principal.attributes {
        let value = match &attribute.value {
            AttributeValue::Boolean(value) => RestrictedExpression::new_bool(*value),
            AttributeValue::Integer(value) => RestrictedExpression::new_long(*value),
            AttributeValue::Text(value) => RestrictedExpression::new_string(value.clone()),
            AttributeValue::TextSet(values) => string_set(values),
        };
        let previous = attributes.insert(attribute.name.clone(), value);
        if previous.is_some() {
            return Err(DecideError::AttributesInvalid { entity_type: principal.entity_type.clone() });
        }
    }
    Entity::new(uid, attributes, parents)
        .map_err(|_| DecideError::AttributesInvalid { entity_type: principal.entity_type.clone() })
}
