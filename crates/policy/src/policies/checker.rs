//! Checks of a policy against the rest of its bundle: the names that it refers to, and the schema.

use crate::diagnostics::BundleError;
use crate::diagnostics::suggestion::suggest;
use crate::policies::entities::{AUDIENCE_GROUP, Actions, WORKLOAD_GROUP, is_issuer};
use crate::policies::policy::{Link, NamedPolicy};
use crate::policies::span;
use crate::settings::groups::Group;
use crate::settings::records::{Audience, Issuer};
use cedar_policy::{EntityUid, PrincipalConstraint, ResourceConstraint, Schema, Validator};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a policy is checked against: the names that the bundle defines, and its schema.
pub(crate) struct PolicyChecker {
    issuers: BTreeSet<String>,
    /// How many issuers have principals of each type.
    issuers_of_type: BTreeMap<String, usize>,
    audiences: BTreeSet<String>,
    /// Groups with workloads.
    workload_groups: BTreeSet<String>,
    /// Groups with audiences.
    audience_groups: BTreeSet<String>,
    actions: Actions,
    pub validator: Validator,
}

impl PolicyChecker {
    pub fn new(issuers: &[Issuer], audiences: &[Audience], groups: &[Group], schema: Schema, actions: Actions) -> Self {
        let mut issuers_of_type = BTreeMap::new();
        for issuer in issuers {
            let count: &mut usize = issuers_of_type.entry(issuer.entity_type()).or_default();
            *count = count.saturating_add(1);
        }
        let names = |has: fn(&Group) -> bool| {
            let groups = groups.iter().filter(|group| has(group));
            groups.map(|group| group.name.clone()).collect()
        };
        Self {
            issuers: issuers.iter().map(|issuer| issuer.name.clone()).collect(),
            issuers_of_type,
            audiences: audiences.iter().map(|it| it.id.clone()).collect(),
            workload_groups: names(|group| !group.workloads.is_empty()),
            audience_groups: names(|group| !group.audiences.is_empty()),
            actions,
            validator: Validator::new(schema),
        }
    }

    pub fn schema(&self) -> &Schema {
        self.validator.schema()
    }

    /// An error if a `permit` names no issuer: ids of principals are unique only within their issuer. A policy
    /// for a single principal (`principal == …`) names its issuer if only one issuer has principals of that type.
    pub fn check_names_issuer(&self, policy: &NamedPolicy) -> Option<BundleError> {
        let names_issuer = match policy.cedar.principal_constraint() {
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => is_of_issuers(&uid),
            PrincipalConstraint::Eq(uid) => self.has_one_issuer(&uid),
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
        };
        // The subject of an actor is a principal too.
        let names_issuer_of_subject = !policy.is_for_actors(&self.actions)
            || match policy.cedar.resource_constraint() {
                ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => is_of_issuers(&uid),
                ResourceConstraint::Eq(uid) => self.has_one_issuer(&uid),
                ResourceConstraint::Any | ResourceConstraint::Is(_) => false,
            };
        match (policy.is_forbid(), names_issuer, names_issuer_of_subject) {
            (true, _, _) | (false, true, true) => None,
            (false, false, _) => Some(BundleError::PermitWithoutIssuer(policy.id.clone())),
            (false, true, false) => Some(BundleError::PermitWithoutSubjectIssuer(policy.id.clone())),
        }
    }

    fn has_one_issuer(&self, principal: &EntityUid) -> bool {
        self.issuers_of_type.get(&principal.type_name().to_string()) == Some(&1)
    }

    /// The issuers, audiences and groups that a policy refers to and the bundle does not define, with their spans
    /// in the policy's file if known. Such a `permit` lets nobody in; worse, such a `forbid` keeps nobody out.
    pub fn unknown_references(&self, policy: &NamedPolicy) -> Vec<(Option<Range<usize>>, BundleError)> {
        let mut named: Vec<EntityUid> = policy.cedar.entity_literals();
        // Cedar does not include the values of a template's slots.
        named.extend(policy.link.iter().flat_map(Link::entities).cloned());
        named.sort_by_cached_key(ToString::to_string);
        named.dedup();
        let error = |uid: &EntityUid| {
            let (id, policy) = (uid.id().unescaped().to_owned(), policy.id.clone());
            match uid.type_name().to_string().as_str() {
                "Issuer" => unknown(&id, &self.issuers).map(|suggestion| BundleError::PolicyIssuerUnknown {
                    policy,
                    issuer: id,
                    suggestion,
                }),
                "Audience" => unknown(&id, &self.audiences).map(|suggestion| BundleError::PolicyAudienceUnknown {
                    policy,
                    audience: id,
                    suggestion,
                }),
                type_name @ (WORKLOAD_GROUP | AUDIENCE_GROUP) => {
                    let groups = match type_name {
                        WORKLOAD_GROUP => &self.workload_groups,
                        _ => &self.audience_groups,
                    };
                    unknown(&id, groups).map(|suggestion| BundleError::PolicyGroupUnknown {
                        policy,
                        group: id,
                        suggestion,
                    })
                }
                _ => None,
            }
        };
        let found = |uid: &EntityUid| {
            let error = error(uid)?;
            Some((span::entity(policy, |it| it == uid), error))
        };
        named.iter().filter_map(found).collect()
    }
}

/// Whether everything in `uid` is from known issuers: in an issuer, or in a group, where each workload names its own.
fn is_of_issuers(uid: &EntityUid) -> bool {
    is_issuer(uid) || uid.type_name().to_string() == WORKLOAD_GROUP
}

/// None if `id` is known, else a suggestion if there is one.
fn unknown(id: &str, known: &BTreeSet<String>) -> Option<Option<String>> {
    (!known.contains(id)).then(|| suggest(id, known.iter().map(String::as_str)))
}
