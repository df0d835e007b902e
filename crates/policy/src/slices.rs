//! The rules that can match, by issuer and audience: Cedar's cost is linear in the rules it looks
//! at.
//!
//! A rule is left out only where its scope alone says that it cannot match, and a scope never
//! errs, so neither a decision nor its diagnostics change.

use crate::rules::{Rule, is_issuer, policy_set};
use cedar_policy::{EntityTypeName, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Slices that are kept. They live as long as the bundle and depend on nothing but it.
const SLICES_MAX: usize = 1024;

/// Index of an issuer and of an audience in their bundle.
type Key = (usize, usize);

/// Slices made so far, and where the rules for each are.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    made: Mutex<BTreeMap<Key, Arc<PolicySet>>>,
    index: Index,
}

/// Places of rules by the audience and the issuer that their scopes name; under none those that can match
/// whatever is asked for.
#[derive(Debug, Default)]
pub(crate) struct Index(BTreeMap<Option<String>, BTreeMap<Option<String>, Vec<usize>>>);

impl Index {
    /// Adds the rule at the place `at`.
    pub fn add(&mut self, at: usize, issuer: Option<&str>, audience: Option<&str>) {
        let of_audience = self.0.entry(audience.map(str::to_owned)).or_default();
        let of_both = of_audience.entry(issuer.map(str::to_owned)).or_default();
        of_both.push(at);
    }

    /// The places of the rules that can match requests of the issuer for the audience, by what is indexed.
    fn places(&self, issuer: &str, audience: &str) -> Vec<usize> {
        let of_audience = [Some(audience.to_owned()), None];
        let of_issuer = [Some(issuer.to_owned()), None];
        let audiences = of_audience
            .iter()
            .filter_map(|audience| self.0.get(audience));
        let both = audiences.flat_map(|of| of_issuer.iter().filter_map(|issuer| of.get(issuer)));
        both.flatten().copied().collect()
    }
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
    pub fn new(index: Index) -> Self {
        let made = Mutex::default();
        Self { made, index }
    }

    /// For `rules`, by their places.
    pub fn of(rules: &[Rule]) -> Self {
        let mut index = Index::default();
        for (at, rule) in rules.iter().enumerate() {
            let issuer = match rule.policy.principal_constraint() {
                PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                    is_issuer(&uid).then_some(uid)
                }
                PrincipalConstraint::Any
                | PrincipalConstraint::Eq(_)
                | PrincipalConstraint::Is(_) => None,
            };
            let audience = match rule.policy.resource_constraint() {
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

    /// The slice for `key`, made on first use from what `rules` gives for places of the index.
    pub fn slice<'a, 'r>(
        &self,
        key: Key,
        scope: impl FnOnce() -> Scope<'a>,
        rules: impl FnOnce(&[usize]) -> Option<Vec<Cow<'r, Rule>>>,
    ) -> Option<Arc<PolicySet>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = made.get(&key) {
            return Some(Arc::clone(slice));
        }
        if made.len() >= SLICES_MAX {
            made.clear();
        }
        let scope = scope();
        let (issuer, audience) = (scope.issuer.id(), scope.audience.id());
        let places = self.index.places(issuer.unescaped(), audience.unescaped());
        let slice = Arc::new(make(&rules(&places)?, &scope)?);
        made.insert(key, Arc::clone(&slice));
        Some(slice)
    }
}

/// None if Cedar refuses the rules together, which unique ids exclude. No rule is ever left out
/// because of it: it could be a `forbid`.
fn make(rules: &[Cow<'_, Rule>], scope: &Scope<'_>) -> Option<PolicySet> {
    let rules = rules.iter().map(AsRef::as_ref);
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
