//! Decides a request with an actor: whether the subject may have the token, and whether the actor may act for it.
//!
//! The second question has the action `act_for`, the actor as principal and the subject as resource.
//!
//! INVARIANT: an actor gets no more than its subject, because the subject needs a permit for the same request.

use crate::bundle::{Bundle, IssuerEntity};
use crate::decide::cedar_request::{Roles, cedar_request};
use crate::decide::context::{ContextInput, context};
use crate::decide::decision::{DecideError, Decision, Effect};
use crate::decide::request::{Principal, TokenRequest};
use crate::decide::{Parties, PreparedRequest, judge, principal_entity};
use crate::policies::index::{Acting, Party};
use cedar_policy::{Authorizer, Entities, Entity, EntityId, EntityUid, Request};
use std::collections::{BTreeMap, BTreeSet};

impl Bundle {
    /// Decides whether `subject` may have the requested token at `now` (Unix seconds), and `actor` may act for it.
    ///
    /// # Errors
    /// The request does not fit the bundle or its schema. Treat this as a denial.
    pub fn decide_actor(
        &self,
        actor: &Principal,
        subject: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, DecideError> {
        let of_subject = self.decide(subject, request, now)?;
        match of_subject.effect {
            Effect::Deny => Ok(of_subject),
            Effect::Permit => Ok(both(of_subject, self.decide_act_for(actor, subject, request, now)?)),
        }
    }

    /// Decides whether `actor` may act for `subject`, and nothing else.
    ///
    /// # Errors
    /// As [`Self::decide_actor`].
    pub fn decide_act_for(
        &self,
        actor: &Principal,
        subject: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, DecideError> {
        let prepared = self.prepare_act_for(actor, subject, request, now)?;
        let PreparedRequest { request: asked, entities, policies } = &prepared;
        let response = Authorizer::new().is_authorized(asked, policies, entities);
        let (effect, determining_rules, erring_rules) = judge(&response, policies);
        let groups = self.group_entities().of_audience(&request.audience);
        let cedar_request = cedar_request(self, Roles::act_for(actor, subject), request, &groups, now);
        let cedar_request = cedar_request.ok_or(DecideError::TimeInvalid)?;
        Ok(Decision { effect, determining_rules, erring_rules, cedar_request })
    }

    /// The question whether `actor` may act for `subject`, for Cedar.
    ///
    /// # Errors
    /// The request does not fit the bundle or its schema.
    pub fn prepare_act_for(
        &self,
        actor: &Principal,
        subject: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<PreparedRequest, DecideError> {
        let (of_actor, of_subject) = (self.parties(actor, request)?, self.parties(subject, request)?);
        let action = self.cedar_actions().act_for();
        let acting = || Acting { action, actor: self.party(&of_actor), subject: self.party(&of_subject) };
        let matching = self.acting_policies((of_actor.key.0, of_subject.key.0), acting);
        let matching = matching.ok_or(DecideError::PoliciesInvalid)?;
        let reads = &matching.reads;
        let groups = self.group_entities().of_audience(&request.audience);
        let (actor_uid, subject_uid) = (uid(actor, of_actor.entity), uid(subject, of_subject.entity));
        let parents = |of: &Parties<'_>, principal| self.parents(principal, of.entity);
        let entities = [
            principal_entity(actor, actor_uid.clone(), parents(&of_actor, actor), reads)?,
            principal_entity(subject, subject_uid.clone(), parents(&of_subject, subject), reads)?,
            Entity::with_uid(of_actor.entity.uid.clone()),
            Entity::with_uid(of_subject.entity.uid.clone()),
            Entity::new_no_attrs(of_actor.audience.clone(), groups.iter().cloned().collect()),
        ];
        // Both may have the same issuer.
        let entities: BTreeMap<EntityUid, Entity> = entities.into_iter().map(|entity| (entity.uid(), entity)).collect();
        let entities = Entities::from_entities(entities.into_values().chain(self.actions().iter().cloned()), None)
            .map_err(|_| DecideError::AttributesInvalid { entity_type: actor.entity_type.clone() })?;
        let input = ContextInput { audience: Some(of_actor.audience), ..ContextInput::from(request) };
        let context = context(&input, self.zones(), now, reads)?;
        let request = Request::new(actor_uid, action.clone(), subject_uid, context, None);
        let request = request.map_err(|_| DecideError::RequestInvalid)?;
        Ok(PreparedRequest { request, entities, policies: matching.policies })
    }

    fn party<'a>(&self, parties: &Parties<'a>) -> Party<'a> {
        Party {
            entity_type: &parties.entity.type_name,
            issuer: &parties.entity.uid,
            workload_groups: self.group_entities().of_issuer(&parties.issuer.name),
        }
    }
}

fn uid(principal: &Principal, entity: &IssuerEntity) -> EntityUid {
    EntityUid::from_type_name_and_id(entity.type_name.clone(), EntityId::new(&principal.id))
}

/// The decision about both, given that about the subject, which is a permit. The Cedar request of the actor contains that of
/// the subject.
fn both(of_subject: Decision, of_actor: Decision) -> Decision {
    let union = |one: Vec<String>, other: Vec<String>| {
        let ids: BTreeSet<String> = one.into_iter().chain(other).collect();
        ids.into_iter().collect()
    };
    let determining_rules = match of_actor.effect {
        Effect::Permit => union(of_subject.determining_rules, of_actor.determining_rules),
        Effect::Deny => of_actor.determining_rules,
    };
    let erring_rules = union(of_subject.erring_rules, of_actor.erring_rules);
    Decision { determining_rules, erring_rules, ..of_actor }
}
