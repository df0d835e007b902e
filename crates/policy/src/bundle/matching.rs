//! The policies of a bundle that can match a request.

use super::{Bundle, PolicyCount};
use crate::policies::index::{Acting, Matching, RequestScope};
use cedar_policy::PolicySet;
use std::borrow::Cow;
use std::sync::Arc;

impl Bundle {
    /// The policies that can match a request by principals of an issuer for an audience; none if either is unknown.
    pub fn possible_policies(&self, issuer: &str, audience: &str) -> Option<Arc<PolicySet>> {
        let (issuer_index, issuer, entity) = self.issuer_named(issuer)?;
        let (audience_index, uid) = self.audience_uid(audience)?;
        let key = (issuer_index, audience_index);
        let matching = self.matching_policies(key, || self.request_scope(issuer, entity, uid));
        matching.map(|matching| matching.policies)
    }

    /// The policies that can match a request with this `scope`, which `key` identifies.
    pub(crate) fn matching_policies<'a>(
        &self,
        key: (usize, usize),
        scope: impl FnOnce() -> RequestScope<'a>,
    ) -> Option<Matching> {
        self.cache.get_or_collect(key, scope, |indices| match &self.lazy {
            Some(lazy) => {
                let policies = lazy.policies(indices, &self.checker)?.into_iter();
                let in_force = policies
                    .filter(|policy| policy.is_for(self.profile.as_deref()) && !policy.is_for_actors(&self.action));
                Some(in_force.map(Cow::Owned).collect())
            }
            None => {
                let policies = indices.iter().map(|index| self.policies.get(*index));
                policies.map(|policy| policy.map(Cow::Borrowed)).collect()
            }
        })
    }

    /// The policies that can match requests of `acting`, which `key` identifies.
    pub(crate) fn acting_policies<'a>(
        &self,
        key: (usize, usize),
        acting: impl FnOnce() -> Acting<'a>,
    ) -> Option<Matching> {
        self.cache.get_or_collect_acting(key, acting, |indices| match &self.lazy {
            Some(lazy) => {
                let policies = lazy.policies(indices, &self.checker)?.into_iter();
                let in_force = policies.filter(|policy| policy.is_for(self.profile.as_deref()));
                Some(in_force.map(Cow::Owned).collect())
            }
            None => Some(self.policies.iter().chain(&self.actor_policies).map(Cow::Borrowed).collect()),
        })
    }

    /// How many policies there are, and how many were parsed.
    pub(crate) fn policy_count(&self) -> PolicyCount {
        let (total, parsed) = match &self.lazy {
            Some(lazy) => (lazy.len(), lazy.parsed()),
            None => {
                let inactive = self.inactive_policies.len();
                let active = self.policies.len().saturating_add(self.actor_policies.len());
                let all = active.saturating_add(inactive);
                (all, all)
            }
        };
        PolicyCount { total, parsed }
    }
}
