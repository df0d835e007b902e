//! The policies that can match a request, by issuer and audience.
//!
//! Cedar's cost is linear in the policies that it evaluates. A policy is left out only if its scope cannot match.
//! Evaluating a scope never fails, so this changes neither decisions nor diagnostics.

use crate::policies::entities::is_issuer;
use crate::policies::policy::{NamedPolicy, policy_set};
use crate::policies::reads::Reads;
use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Cached policy sets. They depend only on the bundle and live as long as it.
const SETS_MAX: usize = 1024;

/// What policies are asked, by indices in the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// An actor and a subject, by their issuers.
    ActFor(usize, usize),
    /// An issuer and an audience.
    Issue(usize, usize),
}

/// The policy sets collected so far, and the index to collect others from.
#[derive(Debug, Default)]
pub(crate) struct PolicyCache {
    sets: Mutex<BTreeMap<Key, Matching>>,
    index: PolicyIndex,
}

/// The policies that can match requests by principals of one issuer for one audience.
#[derive(Debug, Clone)]
pub(crate) struct Matching {
    pub policies: Arc<PolicySet>,
    pub reads: Arc<Reads>,
    /// Groups that the audience is in.
    pub audience_groups: Arc<[EntityUid]>,
}

/// Indices of policies by the audience and the issuer that their scopes name, or none if they name none.
#[derive(Debug, Default)]
pub(crate) struct PolicyIndex(BTreeMap<Option<String>, BTreeMap<Option<String>, Vec<usize>>>);

impl PolicyIndex {
    /// Adds the policy with index `at`.
    pub fn add(&mut self, at: usize, issuer: Option<&str>, audience: Option<&str>) {
        let of_audience = self.0.entry(audience.map(str::to_owned)).or_default();
        let of_both = of_audience.entry(issuer.map(str::to_owned)).or_default();
        of_both.push(at);
    }

    /// The indices of the policies that are for the issuer and the audience, or for any.
    fn candidates(&self, issuer: &str, audience: Option<&str>) -> Vec<usize> {
        let of_audience = audience.map(|audience| Some(audience.to_owned()));
        let of_issuer = [Some(issuer.to_owned()), None];
        let audiences = of_audience.iter().chain([&None]).filter_map(|audience| self.0.get(audience));
        let both = audiences.flat_map(|of| of_issuer.iter().filter_map(|issuer| of.get(issuer)));
        both.flatten().copied().collect()
    }
}

/// What all requests by principals of one issuer for one audience have in common.
pub struct RequestScope<'a> {
    pub entity_type: &'a EntityTypeName,
    pub issuer: &'a EntityUid,
    pub audience: &'a EntityUid,
    /// Groups that principals of the issuer can be in.
    pub workload_groups: Vec<EntityUid>,
    /// Groups that the audience is in.
    pub audience_groups: Vec<EntityUid>,
}

impl PolicyCache {
    pub fn new(index: PolicyIndex) -> Self {
        let sets = Mutex::default();
        Self { sets, index }
    }

    /// An empty cache for `policies`.
    pub fn of(policies: &[NamedPolicy]) -> Self {
        let mut index = PolicyIndex::default();
        for (at, policy) in policies.iter().enumerate() {
            let issuer = match policy.cedar.principal_constraint() {
                PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => is_issuer(&uid).then_some(uid),
                PrincipalConstraint::Any | PrincipalConstraint::Eq(_) | PrincipalConstraint::Is(_) => None,
            };
            let audience = match policy.cedar.resource_constraint() {
                ResourceConstraint::Eq(uid) => Some(uid),
                ResourceConstraint::Any
                | ResourceConstraint::In(_)
                | ResourceConstraint::Is(_)
                | ResourceConstraint::IsIn(_, _) => None,
            };
            let id = |uid: &Option<EntityUid>| Some(uid.as_ref()?.id().unescaped().to_owned());
            index.add(at, id(&issuer).as_deref(), id(&audience).as_deref());
        }
        Self::new(index)
    }

    /// The policies that can match `scope`, which `key` identifies. On first use they are collected from what
    /// `policies` returns for the indices of the candidates.
    pub fn get_or_collect<'a, 'r>(
        &self,
        key: (usize, usize),
        scope: impl FnOnce() -> RequestScope<'a>,
        policies: impl FnOnce(&[usize]) -> Option<Vec<Cow<'r, NamedPolicy>>>,
    ) -> Option<Matching> {
        self.get_or(Key::Issue(key.0, key.1), |index| {
            let scope = scope();
            let audience = scope.audience.id();
            let indices = index.candidates(scope.issuer.id().unescaped(), Some(audience.unescaped()));
            let policies = collect(&policies(&indices)?, |policy| can_match(policy, &scope))?;
            Some((policies, scope.audience_groups))
        })
    }

    /// As [`Self::get_or_collect`], for the policies that can match `acting`.
    pub fn get_or_collect_acting<'a, 'r>(
        &self,
        key: (usize, usize),
        acting: impl FnOnce() -> Acting<'a>,
        policies: impl FnOnce(&[usize]) -> Option<Vec<Cow<'r, NamedPolicy>>>,
    ) -> Option<Matching> {
        self.get_or(Key::ActFor(key.0, key.1), |index| {
            let acting = acting();
            let indices = index.candidates(acting.actor.issuer.id().unescaped(), None);
            let policies = collect(&policies(&indices)?, |policy| can_act(policy, &acting))?;
            Some((policies, Vec::new()))
        })
    }

    fn get_or(
        &self,
        key: Key,
        make: impl FnOnce(&PolicyIndex) -> Option<(PolicySet, Vec<EntityUid>)>,
    ) -> Option<Matching> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(matching) = sets.get(&key) {
            return Some(matching.clone());
        }
        if sets.len() >= SETS_MAX {
            sets.clear();
        }
        let (policies, audience_groups) = make(&self.index)?;
        let matching = Matching {
            reads: Arc::new(Reads::of(&policies)),
            policies: Arc::new(policies),
            audience_groups: audience_groups.into(),
        };
        sets.insert(key, matching.clone());
        Some(matching)
    }
}

/// An actor and its subject, as far as all of their issuers' principals have it in common.
pub(crate) struct Acting<'a> {
    /// `Action::"act_for"`.
    pub action: &'a EntityUid,
    pub actor: Party<'a>,
    pub subject: Party<'a>,
}

/// All principals of one issuer.
pub(crate) struct Party<'a> {
    pub entity_type: &'a EntityTypeName,
    pub issuer: &'a EntityUid,
    /// Groups that they can be in.
    pub workload_groups: Vec<EntityUid>,
}

impl Party<'_> {
    fn can_be_in(&self, uid: &EntityUid) -> bool {
        uid == self.issuer || self.workload_groups.contains(uid) || uid.type_name() == self.entity_type
    }
}

/// Whether the scope of `policy` can match an actor and its subject; true of a `forbid` if unknown.
///
/// INVARIANT: a `permit` matches only if it names the action. Without an action, it was written for requests without actors.
fn can_act(policy: &NamedPolicy, acting: &Acting<'_>) -> bool {
    let Acting { action, actor, subject } = acting;
    let action = match policy.cedar.action_constraint() {
        ActionConstraint::Any => policy.is_forbid(),
        ActionConstraint::In(actions) => policy.is_forbid() && actions.contains(action),
        ActionConstraint::Eq(named) => named == **action,
    };
    let principal = match policy.cedar.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::In(uid) => actor.can_be_in(&uid),
        PrincipalConstraint::Eq(uid) => uid.type_name() == actor.entity_type,
        PrincipalConstraint::Is(type_name) => &type_name == actor.entity_type,
        PrincipalConstraint::IsIn(type_name, uid) => &type_name == actor.entity_type && actor.can_be_in(&uid),
    };
    let resource = match policy.cedar.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::In(uid) => subject.can_be_in(&uid),
        ResourceConstraint::Eq(uid) => uid.type_name() == subject.entity_type,
        ResourceConstraint::Is(type_name) => &type_name == subject.entity_type,
        ResourceConstraint::IsIn(type_name, uid) => &type_name == subject.entity_type && subject.can_be_in(&uid),
    };
    action && principal && resource
}

/// The policies that can match. None if Cedar rejects the set, which unique ids prevent; a policy is never
/// dropped instead, because it could be a `forbid`.
fn collect(policies: &[Cow<'_, NamedPolicy>], can_match: impl Fn(&NamedPolicy) -> bool) -> Option<PolicySet> {
    let policies = policies.iter().map(AsRef::as_ref);
    let chosen = policies.filter(|policy| can_match(policy));
    policy_set(chosen).ok()
}

/// Whether the scope of `policy` can match; true if unknown.
pub fn can_match(policy: &NamedPolicy, scope: &RequestScope<'_>) -> bool {
    let principal = match policy.cedar.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::In(uid) => can_be_in(&uid, scope),
        PrincipalConstraint::Eq(uid) => uid.type_name() == scope.entity_type,
        PrincipalConstraint::Is(type_name) => &type_name == scope.entity_type,
        PrincipalConstraint::IsIn(type_name, uid) => &type_name == scope.entity_type && can_be_in(&uid, scope),
    };
    let resource = match policy.cedar.resource_constraint() {
        ResourceConstraint::Eq(uid) => &uid == scope.audience,
        ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            &uid == scope.audience || scope.audience_groups.contains(&uid)
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
    };
    principal && resource
}

/// Whether a principal of the issuer can be in `uid`: its issuer, a group, or itself.
fn can_be_in(uid: &EntityUid, scope: &RequestScope<'_>) -> bool {
    uid == scope.issuer || scope.workload_groups.contains(uid) || uid.type_name() == scope.entity_type
}
