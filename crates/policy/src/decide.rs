//! Decides a request: denied by default, a `forbid` overrides, and a policy that fails to evaluate never permits.

pub(crate) mod actor;
pub(crate) mod cedar_request;
pub(crate) mod context;
pub(crate) mod decider;
pub(crate) mod decision;
pub(crate) mod request;

use crate::bundle::{Bundle, IssuerEntity};
use crate::policies::attributes::AttributeType;
use crate::policies::index::Matching;
use crate::policies::reads::Reads;
use crate::settings::records::Issuer;
use cedar_policy::{
    AuthorizationError, Authorizer, Decision as CedarDecision, Entities, Entity, EntityId, EntityUid, PolicyId,
    PolicySet, Request, Response, RestrictedExpression,
};
use cedar_request::{Roles, cedar_request};
use context::{ContextInput, context, string_set};
use decision::{DecideError, Decision, Effect};
use request::{Principal, TokenRequest};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use vouchsafe_providers::{Attribute, AttributeValue, ClaimType};

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
        let parties = self.parties(principal, request)?;
        let matching = self.matching(&parties)?;
        let prepared = self.prepare_reads(principal, request, now, &parties, &matching)?;
        let response = Authorizer::new().is_authorized(&prepared.request, &prepared.policies, &prepared.entities);
        let (effect, determining_rules, erring_rules) = judge(&response, &prepared.policies);
        let cedar_request = cedar_request(self, Roles::issue(principal), request, &matching.audience_groups, now)
            .ok_or(DecideError::TimeInvalid)?;
        Ok(Decision { effect, determining_rules, erring_rules, cedar_request })
    }

    /// Checks a request and converts all of it for Cedar, whether policies can read it or not.
    ///
    /// # Errors
    /// The request does not fit the bundle or its schema.
    pub fn prepare(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<PreparedRequest, DecideError> {
        let parties = self.parties(principal, request)?;
        let all = Matching { reads: Arc::new(Reads::Everything), ..self.matching(&parties)? };
        self.prepare_reads(principal, request, now, &parties, &all)
    }

    /// The parties of a request. Checks the principal against the schema.
    fn parties(&self, principal: &Principal, request: &TokenRequest) -> Result<Parties<'_>, DecideError> {
        let (issuer_index, issuer, entity) =
            self.issuer_named(&principal.issuer_name).ok_or(DecideError::IssuerUnknown)?;
        check_entity_type(issuer, entity, principal)?;
        let (audience_index, audience) = self.audience_uid(&request.audience).ok_or(DecideError::AudienceUnknown)?;
        check_attributes(principal, self.attributes_of(&principal.entity_type))?;
        Ok(Parties { key: (issuer_index, audience_index), issuer, entity, audience })
    }

    fn matching(&self, parties: &Parties<'_>) -> Result<Matching, DecideError> {
        let Parties { key, issuer, entity, audience } = *parties;
        let matching = self.matching_policies(key, || self.request_scope(issuer, entity, audience));
        matching.ok_or(DecideError::PoliciesInvalid)
    }

    /// Converts what policies can read.
    ///
    /// INVARIANT: Cedar does not check the result against the schema again. The attributes were checked, the entities
    /// have the types that the schema was checked for when the bundle was loaded, and so has the context.
    fn prepare_reads(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
        parties: &Parties<'_>,
        matching: &Matching,
    ) -> Result<PreparedRequest, DecideError> {
        let Parties { entity, audience, .. } = parties;
        let Matching { policies, reads, audience_groups } = matching;
        let uid = EntityUid::from_type_name_and_id(entity.type_name.clone(), EntityId::new(&principal.id));
        let entities = [
            principal_entity(principal, uid.clone(), self.parents(principal, entity), reads)?,
            Entity::with_uid(entity.uid.clone()),
            Entity::new_no_attrs((*audience).clone(), audience_groups.iter().cloned().collect()),
        ];
        let entities = Entities::from_entities(entities.into_iter().chain(self.actions().iter().cloned()), None)
            .map_err(|_| DecideError::AttributesInvalid { entity_type: principal.entity_type.clone() })?;
        let context = context(&ContextInput::from(request), self.zones(), now, reads)?;
        let request = Request::new(uid, self.cedar_actions().issue().clone(), (*audience).clone(), context, None)
            .map_err(|_| DecideError::RequestInvalid)?;
        Ok(PreparedRequest { request, entities, policies: Arc::clone(policies) })
    }

    /// The parents of a principal: its issuer, and the groups with a workload that it matches.
    fn parents(&self, principal: &Principal, entity: &IssuerEntity) -> HashSet<EntityUid> {
        let Principal { id, issuer_name, attributes, .. } = principal;
        let groups = self.group_entities().of_principal(issuer_name, id, attributes);
        let issuer = std::iter::once(&entity.uid);
        issuer.chain(groups).cloned().collect()
    }
}

/// Who requests what, by the bundle's names.
struct Parties<'a> {
    /// The indices of issuer and audience.
    key: (usize, usize),
    issuer: &'a Issuer,
    entity: &'a IssuerEntity,
    audience: &'a EntityUid,
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

/// Refuses attributes that the schema does not declare, that have another type or are given twice, and principals that
/// lack a required one.
fn check_attributes(
    principal: &Principal,
    declared: Option<&BTreeMap<String, AttributeType>>,
) -> Result<(), DecideError> {
    let invalid = || DecideError::AttributesInvalid { entity_type: principal.entity_type.clone() };
    let mut given: Vec<&Attribute> = principal.attributes.iter().collect();
    given.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut given = given.into_iter().peekable();
    for (name, attribute) in declared.ok_or_else(invalid)? {
        match given.next_if(|it| it.name == *name) {
            Some(found) if attribute.claim_type == Some(claim_type(&found.value)) => {}
            None if !attribute.required => {}
            Some(_) | None => return Err(invalid()),
        }
    }
    // What is left is not declared, or is given twice.
    given.next().map_or(Ok(()), |_| Err(invalid()))
}

fn claim_type(value: &AttributeValue) -> ClaimType {
    match value {
        AttributeValue::Boolean(_) => ClaimType::Boolean,
        AttributeValue::Integer(_) => ClaimType::Integer,
        AttributeValue::Text(_) => ClaimType::Text,
        AttributeValue::TextSet(_) => ClaimType::TextSet,
    }
}

fn principal_entity(
    principal: &Principal,
    uid: EntityUid,
    parents: HashSet<EntityUid>,
    reads: &Reads,
) -> Result<Entity, DecideError> {
    let read = principal.attributes.iter().filter(|attribute| reads.has(&attribute.name));
    let attributes: HashMap<String, RestrictedExpression> = read
        .map(|attribute| {
            let value = match &attribute.value {
                AttributeValue::Boolean(value) => RestrictedExpression::new_bool(*value),
                AttributeValue::Integer(value) => RestrictedExpression::new_long(*value),
                AttributeValue::Text(value) => RestrictedExpression::new_string(value.clone()),
                AttributeValue::TextSet(values) => string_set(values),
            };
            (attribute.name.clone(), value)
        })
        .collect();
    Entity::new(uid, attributes, parents)
        .map_err(|_| DecideError::AttributesInvalid { entity_type: principal.entity_type.clone() })
}
