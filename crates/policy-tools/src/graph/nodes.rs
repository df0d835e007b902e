//! The nodes of a graph, and the edges between them.

use crate::access::access;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::authoring::can_match;
use vouchsafe_policy::{Bundle, NamedPolicy, Tier};

/// The nodes, each kind in the order in which it is drawn, with indices as edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Name, version and digest of the bundle.
    pub title: String,
    pub issuers: Vec<IssuerNode>,
    pub policies: Vec<PolicyNode>,
    pub audiences: Vec<AudienceNode>,
    /// The keys that sign, without duplicates.
    pub tiers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerNode {
    pub name: String,
    pub url: String,
    pub entity_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyNode {
    pub id: String,
    pub forbid: bool,
    pub has_conditions: bool,
    /// To the issuers whose principals the scope can match.
    pub issuers: Vec<Edge>,
    pub audiences: Vec<Edge>,
}

/// An edge of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Index of the issuer or audience.
    pub to: usize,
    /// How many decisions the policy determined along this edge; none if no decisions were counted.
    pub uses: Option<u64>,
}

/// A policy with an issuer and an audience that it connects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    pub policy: String,
    /// Name of the issuer.
    pub issuer: String,
    /// Id of the audience.
    pub audience: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudienceNode {
    pub id: String,
    pub scopes: Vec<String>,
    pub tier: usize,
    /// Whether a `permit` leads to it.
    pub is_reached: bool,
}

impl Graph {
    pub fn of(bundle: &Bundle) -> Self {
        let issuers = bundle.issuers_of_all_environments().map(|issuer| IssuerNode {
            name: issuer.name.clone(),
            url: issuer.issuer.clone(),
            entity_type: issuer.entity_type(),
        });
        let keys = bundle.audiences().map(|audience| match audience.tier {
            Tier::Delegated => format!("epoch keys, {}", audience.algorithm),
            Tier::Hsm => format!("HSM, {}", audience.algorithm),
        });
        let keys: Vec<String> = keys.collect();
        let mut tiers = keys.clone();
        tiers.sort_unstable();
        tiers.dedup();
        let reached = access(bundle);
        let audiences = bundle.audiences().zip(&keys).map(|(audience, key)| AudienceNode {
            id: audience.id.clone(),
            scopes: audience.scopes.clone(),
            tier: tiers.iter().position(|tier| tier == key).unwrap_or_default(),
            is_reached: reached.keys().any(|(_, id)| *id == audience.id),
        });
        Self {
            title: format!("{} {}, sha256 {}", bundle.name, bundle.version, bundle.digest()),
            issuers: issuers.collect(),
            policies: bundle.policies().iter().map(|policy| PolicyNode::of(policy, bundle)).collect(),
            audiences: audiences.collect(),
            tiers,
        }
    }

    /// Removes the edges of permits that belong to no grant of `possible`.
    pub fn keep(&mut self, possible: &BTreeSet<Grant>) {
        let Self { issuers, policies, audiences, .. } = self;
        for policy in policies.iter_mut().filter(|policy| !policy.forbid) {
            let own: Vec<&Grant> = possible.iter().filter(|grant| grant.policy == policy.id).collect();
            let has_issuer = |edge: &Edge| own.iter().any(|grant| is_issuer(issuers, edge, grant));
            let has_audience = |edge: &Edge| own.iter().any(|grant| is_audience(audiences, edge, grant));
            policy.issuers.retain(has_issuer);
            policy.audiences.retain(has_audience);
        }
        for (at, audience) in audiences.iter_mut().enumerate() {
            let permits = policies.iter().filter(|policy| !policy.forbid);
            audience.is_reached = permits.flat_map(|policy| &policy.audiences).any(|edge| edge.to == at);
        }
    }

    /// Counts the decisions that policies determined. Those of other bundles' policies, issuers and audiences are left
    /// out.
    pub fn count(&mut self, decisions: &BTreeMap<Grant, u64>) {
        let Self { issuers, policies, audiences, .. } = self;
        for policy in policies {
            let own: Vec<(&Grant, &u64)> = decisions.iter().filter(|(grant, _)| grant.policy == policy.id).collect();
            let uses = |is_of: &dyn Fn(&Grant) -> bool| {
                let counts = own.iter().filter(|(grant, _)| is_of(grant)).map(|(_, count)| **count);
                Some(counts.fold(0, u64::saturating_add))
            };
            for edge in &mut policy.issuers {
                edge.uses = uses(&|grant| is_issuer(issuers, edge, grant));
            }
            for edge in &mut policy.audiences {
                edge.uses = uses(&|grant| is_audience(audiences, edge, grant));
            }
        }
    }

    /// Whether decisions were counted.
    pub(super) fn is_counted(&self) -> bool {
        self.policies.iter().flat_map(|policy| &policy.issuers).any(|edge| edge.uses.is_some())
    }
}

fn is_issuer(issuers: &[IssuerNode], edge: &Edge, grant: &Grant) -> bool {
    issuers.get(edge.to).is_some_and(|issuer| issuer.name == grant.issuer)
}

fn is_audience(audiences: &[AudienceNode], edge: &Edge, grant: &Grant) -> bool {
    audiences.get(edge.to).is_some_and(|audience| audience.id == grant.audience)
}

impl PolicyNode {
    fn of(policy: &NamedPolicy, bundle: &Bundle) -> Self {
        let (mut issuers, mut audiences) = (Vec::new(), Vec::new());
        for (at, (issuer, entity)) in bundle.issuer_entities().enumerate() {
            for (to, uid) in bundle.audience_uids().enumerate() {
                if can_match(policy, &bundle.request_scope(issuer, entity, uid)) {
                    issuers.push(at);
                    audiences.push(to);
                }
            }
        }
        for indices in [&mut issuers, &mut audiences] {
            indices.sort_unstable();
            indices.dedup();
        }
        let edges = |indices: Vec<usize>| indices.into_iter().map(|to| Edge { to, uses: None }).collect();
        let (issuers, audiences) = (edges(issuers), edges(audiences));
        let (forbid, has_conditions) = (policy.is_forbid(), policy.cedar.has_non_scope_constraint());
        Self { id: policy.id.clone(), forbid, has_conditions, issuers, audiences }
    }

    pub(super) fn effect(&self) -> &'static str {
        if self.forbid { "forbid" } else { "permit" }
    }
}

impl AudienceNode {
    pub(super) fn scopes_text(&self) -> String {
        match (self.is_reached, self.scopes.as_slice()) {
            (false, _) => "nobody".to_owned(),
            (true, []) => "no scopes".to_owned(),
            (true, scopes) => scopes.join(" "),
        }
    }
}
