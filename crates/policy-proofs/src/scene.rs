//! Requests by principals of one issuer for one audience: the unit of every proof.

use crate::assumptions::{Assumption, Mentions, as_policies, assumptions};
use crate::context::restricted;
use crate::erring::as_broker_decides;
use crate::granted::permitted_by;
use crate::solver::{NoAnswer, no_answer};
use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet, CompiledSchema, SymEnv};
use std::collections::BTreeSet;
use std::sync::Arc;
use vouchsafe_policy::authoring::{IssuerEntity, RequestScope};
use vouchsafe_policy::{Audience, Bundle, Issuer};
use vouchsafe_policy_tools::RecordedRequest;

/// Requests by principals of one issuer for one audience, with the policies that can match them.
pub struct Scene<'b> {
    pub bundle: &'b Bundle,
    pub issuer: &'b Issuer,
    pub audience: &'b Audience,
    entity: &'b IssuerEntity,
    audience_uid: &'b EntityUid,
    /// The policies that can match.
    pub policies: Arc<PolicySet>,
}

/// A policy that permits everything.
const EVERYTHING: &str = "permit (principal, action, resource);";

impl<'b> Scene<'b> {
    /// Every scene in which some policy permits something. Requests of all others are denied.
    pub fn of(bundle: &'b Bundle) -> Vec<Self> {
        let trusted: Vec<&str> = bundle.issuers().map(|issuer| issuer.name.as_str()).collect();
        let issuers = bundle.issuer_entities().filter(|(issuer, _)| trusted.contains(&issuer.name.as_str()));
        let scenes = issuers.flat_map(|(issuer, entity)| {
            let audiences = bundle.audiences().zip(bundle.audience_uids());
            audiences.filter_map(move |(audience, uid)| Self::new(bundle, issuer, entity, audience, uid))
        });
        scenes.filter(Self::permits_something).collect()
    }

    /// The scene of one issuer and one audience; none if the bundle does not trust or know them.
    pub fn between(bundle: &'b Bundle, issuer: &str, audience: &str) -> Option<Self> {
        let is_trusted = bundle.issuers().any(|trusted| trusted.name == issuer);
        let (issuer, entity) = bundle.issuer_entities().find(|(it, _)| is_trusted && it.name == issuer)?;
        let mut audiences = bundle.audiences().zip(bundle.audience_uids());
        let (audience, uid) = audiences.find(|(it, _)| it.id == audience)?;
        Self::new(bundle, issuer, entity, audience, uid)
    }

    fn new(
        bundle: &'b Bundle,
        issuer: &'b Issuer,
        entity: &'b IssuerEntity,
        audience: &'b Audience,
        audience_uid: &'b EntityUid,
    ) -> Option<Self> {
        let policies = bundle.possible_policies(&issuer.name, &audience.id)?;
        Some(Self { bundle, issuer, audience, entity, audience_uid, policies })
    }

    pub fn permits_something(&self) -> bool {
        self.policies.policies().any(|policy| policy.effect() == Effect::Permit)
    }

    /// The Cedar type of the principals.
    pub fn entity_type(&self) -> &str {
        &self.entity.type_text
    }

    /// What a policy's scope is compared with.
    pub fn scope(&self) -> RequestScope<'_> {
        self.bundle.request_scope(self.issuer, self.entity, self.audience_uid)
    }

    /// The facts that matter to the policies and to `others`.
    pub fn assumptions(&self, others: &PolicySet) -> Vec<Assumption> {
        let mentions = Mentions::of([self.policies.as_ref(), others]);
        assumptions(self.bundle, self.issuer, self.audience, &mentions)
    }

    /// The claims that `other` and the policies that permit `request` read.
    pub(crate) fn claims_read(&self, request: &RecordedRequest, other: Option<&Policy>) -> BTreeSet<String> {
        let permitting = permitted_by(self.bundle, request).unwrap_or_default();
        let permitting = permitting.iter().filter_map(|id| self.policies.policy(&PolicyId::new(id)));
        let policies = permitting.chain(other).filter_map(|policy| fixed(policy).ok());
        let mentions = Mentions::of([&PolicySet::from_policies(policies).unwrap_or_default()]);
        let attributes = self.bundle.attributes_of(self.entity_type());
        mentions.claims(attributes.into_iter().flat_map(|known| known.keys().cloned()))
    }

    /// Prepares questions about this scene. `others` are the policies that questions compare with, and `further` are
    /// facts about the requests in question.
    ///
    /// # Errors
    /// Something cannot be translated.
    pub(crate) fn translator(
        &self,
        schema: &'b CompiledSchema,
        others: &PolicySet,
        further: Vec<Assumption>,
    ) -> Result<Translator<'b>, NoAnswer> {
        let mut facts = self.assumptions(others);
        facts.extend(further);
        self.translator_with(schema, &facts)
    }

    /// Like [`Self::translator`], with these facts.
    ///
    /// # Errors
    /// Something cannot be translated.
    pub(crate) fn translator_with(
        &self,
        schema: &'b CompiledSchema,
        facts: &[Assumption],
    ) -> Result<Translator<'b>, NoAnswer> {
        let action: EntityUid = "Action::\"issue\"".parse().map_err(unsupported)?;
        let audience_type = self.audience_uid.type_name().clone();
        let env = RequestEnv::new(self.entity.type_name.clone(), action, audience_type);
        let symenv = schema.sym_env(&env).map_err(|error| no_answer(&error))?;
        let symenv = restricted(symenv, self.audience_uid);
        let facts = as_policies(facts).map_err(NoAnswer::Unsupported)?;
        Ok(Translator { schema: schema.schema(), env, symenv, facts })
    }
}

/// Translates policies for the solver.
pub(crate) struct Translator<'s> {
    schema: &'s Schema,
    env: RequestEnv,
    symenv: SymEnv,
    /// The assumptions.
    facts: Vec<Policy>,
}

impl Translator<'_> {
    /// The requests that `policies` permit, as the broker decides; only those that it makes if `assuming`.
    pub fn permitted(&self, policies: &PolicySet, assuming: bool) -> Result<CompiledPolicySet, NoAnswer> {
        let mut set = as_broker_decides(policies)?;
        for fact in self.facts.iter().filter(|_| assuming) {
            set.add(fact.clone()).map_err(unsupported)?;
        }
        self.set(&set)
    }

    /// What the broker permits if these are the only policies.
    pub fn permitted_by<'p>(&self, policies: impl Iterator<Item = &'p Policy>) -> Result<CompiledPolicySet, NoAnswer> {
        let fixed = policies.map(fixed).collect::<Result<Vec<_>, _>>()?;
        self.permitted(&PolicySet::from_policies(fixed).map_err(unsupported)?, true)
    }

    /// The requests that none of the `forbids` matches.
    pub fn not_forbidden(&self, forbids: &PolicySet) -> Result<CompiledPolicySet, NoAnswer> {
        let mut set = forbids.clone();
        let everything = Policy::parse(Some(PolicyId::new("every request")), EVERYTHING).map_err(unsupported)?;
        set.add(everything).map_err(unsupported)?;
        self.set(&set)
    }

    pub fn set(&self, policies: &PolicySet) -> Result<CompiledPolicySet, NoAnswer> {
        CompiledPolicySet::compile_with_custom_symenv(policies, &self.env, self.schema, self.symenv.clone())
            .map_err(|error| no_answer(&error))
    }

    pub fn policy(&self, policy: &Policy) -> Result<CompiledPolicy, NoAnswer> {
        CompiledPolicy::compile_with_custom_symenv(policy, &self.env, self.schema, self.symenv.clone())
            .map_err(|error| no_answer(&error))
    }
}

/// The policy with another effect.
pub(crate) fn with_effect(policy: &Policy, effect: Effect) -> Result<Policy, NoAnswer> {
    let mut json = policy.to_json().map_err(unsupported)?;
    let name = match effect {
        Effect::Forbid => "forbid",
        Effect::Permit => "permit",
    };
    if let Some(members) = json.as_object_mut() {
        members.insert("effect".to_owned(), name.into());
    }
    Policy::from_json(Some(policy.id().clone()), json).map_err(unsupported)
}

/// The policy as a static one, with the values of its slots if it is template-linked.
pub(crate) fn fixed(policy: &Policy) -> Result<Policy, NoAnswer> {
    match policy.is_static() {
        true => Ok(policy.clone()),
        false => with_effect(policy, policy.effect()),
    }
}

pub(crate) fn unsupported(error: impl ToString) -> NoAnswer {
    NoAnswer::Unsupported(error.to_string())
}
