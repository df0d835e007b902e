//! What rules may name, and the schema that they have to fit.

use crate::error::Problem;
use crate::groups::{AUDIENCES, Group, WORKLOADS};
use crate::nearest::nearest;
use crate::places;
use crate::records::{Audience, Issuer};
use crate::rules::{Rule, is_issuer};
use crate::templates::Link;
use cedar_policy::{EntityUid, PrincipalConstraint, Schema, Validator};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The names in a bundle's files beside its rules, and its schema.
pub(crate) struct Known {
    issuers: BTreeSet<String>,
    /// How many issuers have principals of a type.
    issuers_of_type: BTreeMap<String, usize>,
    audiences: BTreeSet<String>,
    /// Names of groups that have workloads.
    workload_groups: BTreeSet<String>,
    /// Names of groups that have audiences.
    audience_groups: BTreeSet<String>,
    pub validator: Validator,
}

impl Known {
    pub fn new(
        issuers: &[Issuer],
        audiences: &[Audience],
        groups: &[Group],
        schema: Schema,
    ) -> Self {
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
            validator: Validator::new(schema),
        }
    }

    pub fn schema(&self) -> &Schema {
        self.validator.schema()
    }

    /// Ids of principals are unique within their issuer only, so a `permit` must name one. A rule for a
    /// single principal (`principal == …`) names one only while one issuer alone has principals of
    /// that type.
    pub fn permit_without_issuer(&self, rule: &Rule) -> Option<Problem> {
        let names_issuer = match rule.policy.principal_constraint() {
            // Each entry of a group names its issuer.
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                is_issuer(&uid) || uid.type_name().to_string() == WORKLOADS
            }
            PrincipalConstraint::Eq(uid) => {
                let issuers = self.issuers_of_type.get(&uid.type_name().to_string());
                issuers == Some(&1)
            }
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
        };
        (!names_issuer && !rule.is_forbid()).then(|| Problem::PermitWithoutIssuer(rule.id.clone()))
    }

    /// Issuers and audiences that a rule names anywhere, and the bundle does not have. Such a `permit`
    /// lets nobody in, which is a nuisance; such a `forbid` keeps nobody out, which is a hole. Each with
    /// the bytes of the name in the rule's file, where they are known.
    pub fn unknown_names(&self, rule: &Rule) -> Vec<(Option<Range<usize>>, Problem)> {
        let mut named: Vec<EntityUid> = rule.policy.entity_literals();
        // Cedar does not count what fills a template.
        named.extend(rule.link.iter().flat_map(Link::entities).cloned());
        named.sort_by_cached_key(ToString::to_string);
        named.dedup();
        let problem = |uid: &EntityUid| {
            let (id, rule) = (uid.id().unescaped().to_owned(), rule.id.clone());
            match uid.type_name().to_string().as_str() {
                "Issuer" => unknown(&id, &self.issuers).map(|nearest| Problem::RuleIssuerUnknown {
                    rule,
                    issuer: id,
                    nearest,
                }),
                "Audience" => {
                    unknown(&id, &self.audiences).map(|nearest| Problem::RuleAudienceUnknown {
                        rule,
                        audience: id,
                        nearest,
                    })
                }
                type_name @ (WORKLOADS | AUDIENCES) => {
                    let groups = match type_name {
                        WORKLOADS => &self.workload_groups,
                        _ => &self.audience_groups,
                    };
                    unknown(&id, groups).map(|nearest| Problem::RuleGroupUnknown {
                        rule,
                        group: id,
                        nearest,
                    })
                }
                _ => None,
            }
        };
        let found = |uid: &EntityUid| {
            let problem = problem(uid)?;
            Some((places::entity(rule, |it| it == uid), problem))
        };
        named.iter().filter_map(found).collect()
    }
}

/// What `id` was meant to be, if it is not known.
fn unknown(id: &str, known: &BTreeSet<String>) -> Option<Option<String>> {
    (!known.contains(id)).then(|| nearest(id, known.iter().map(String::as_str)))
}
