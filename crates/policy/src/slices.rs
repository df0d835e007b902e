//! The rules that can match, by issuer and audience: Cedar's cost is linear in the rules it looks
//! at.
//!
//! A rule is left out only where its scope alone says that it cannot match, and a scope never
//! errs, so neither a decision nor its diagnostics change.

use crate::rules::{Rule, policy_set};
use cedar_policy::{EntityTypeName, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Slices that are kept. They live as long as the bundle and depend on nothing but it.
const SLICES_MAX: usize = 1024;

/// Index of an issuer and of an audience in their bundle.
type Key = (usize, usize);

/// Slices made so far, and where the rules for an audience are.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    made: Mutex<BTreeMap<Key, Arc<PolicySet>>>,
    /// Places of the rules whose scope names one audience, by its id.
    of_audience: BTreeMap<String, Vec<usize>>,
    /// Places of all other rules.
    of_any: Vec<usize>,
}

/// The one principal scope and the one resource of a slice.
pub(crate) struct Scope<'a> {
    pub entity_type: &'a EntityTypeName,
    pub issuer: &'a EntityUid,
    pub audience: &'a EntityUid,
    /// Groups that principals of the issuer can be in.
    pub workload_groups: Vec<EntityUid>,
    /// Groups that the audience is in.
    pub audience_groups: Vec<EntityUid>,
}

impl Slices {
    /// For `rules`, which every call has to be given as they are here.
    pub fn of(rules: &[Rule]) -> Self {
        let mut slices = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            match rule.policy.resource_constraint() {
                ResourceConstraint::Eq(uid) => {
                    let id = uid.id().unescaped().to_owned();
                    slices.of_audience.entry(id).or_default().push(at);
                }
                ResourceConstraint::Any
                | ResourceConstraint::In(_)
                | ResourceConstraint::Is(_)
                | ResourceConstraint::IsIn(_, _) => slices.of_any.push(at),
            }
        }
        slices
    }

    /// The slice for `key`, made from `rules` on first use.
    pub fn slice<'a>(
        &self,
        key: Key,
        rules: &[Rule],
        scope: impl FnOnce() -> Scope<'a>,
    ) -> Option<Arc<PolicySet>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = made.get(&key) {
            return Some(Arc::clone(slice));
        }
        if made.len() >= SLICES_MAX {
            made.clear();
        }
        let scope = scope();
        let named = self.of_audience.get(scope.audience.id().unescaped());
        let places = named.into_iter().flatten().chain(&self.of_any);
        let rules = places.filter_map(|at| rules.get(*at));
        let slice = Arc::new(make(rules, &scope)?);
        made.insert(key, Arc::clone(&slice));
        Some(slice)
    }
}

/// None if Cedar refuses the rules together, which unique ids exclude. No rule is ever left out
/// because of it: it could be a `forbid`.
fn make<'r>(rules: impl Iterator<Item = &'r Rule>, scope: &Scope<'_>) -> Option<PolicySet> {
    let chosen = rules.filter(|rule| can_match(rule, scope));
    policy_set(chosen).ok()
}

/// Whether the scope of `rule` can match; true where that is not known.
pub(crate) fn can_match(rule: &Rule, scope: &Scope<'_>) -> bool {
    let principal = match rule.policy.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::In(uid) => can_be_in(&uid, scope),
        PrincipalConstraint::Eq(uid) => uid.type_name() == scope.entity_type,
        PrincipalConstraint::Is(type_name) => &type_name == scope.entity_type,
        PrincipalConstraint::IsIn(type_name, uid) => {
            &type_name == scope.entity_type && can_be_in(&uid, scope)
        }
    };
    let resource = match rule.policy.resource_constraint() {
        ResourceConstraint::Eq(uid) => &uid == scope.audience,
        ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            &uid == scope.audience || scope.audience_groups.contains(&uid)
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
    };
    principal && resource
}

/// Whether the scope of `rule`, which can match, matches every principal of `scope`; false where that is
/// not known.
pub(crate) fn covers_all(rule: &Rule, scope: &Scope<'_>) -> bool {
    let principal = match rule.policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => &uid == scope.issuer,
        PrincipalConstraint::Eq(_) => false,
    };
    let resource = match rule.policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Eq(_) | ResourceConstraint::Is(_) => true,
        ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            scope.audience_groups.contains(&uid)
        }
    };
    principal && resource
}

/// Whether a principal of the issuer can be in `uid`: its issuer, a group, or itself.
fn can_be_in(uid: &EntityUid, scope: &Scope<'_>) -> bool {
    uid == scope.issuer
        || scope.workload_groups.contains(uid)
        || uid.type_name() == scope.entity_type
}
