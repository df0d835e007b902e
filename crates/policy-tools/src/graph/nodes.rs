//! The nodes of a graph, and the edges between them.

use crate::access::access;
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
    /// The issuers whose principals the scope can match.
    pub issuers: Vec<usize>,
    pub audiences: Vec<usize>,
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
