//! `entities/<group>.toml`: named groups of workloads and of audiences.
//!
//! `WorkloadGroup::"payments"` holds the principals that one of its entries describes: an issuer and claims
//! that are compared exactly. `AudienceGroup::"payments"` holds the audiences that are listed. Each entry
//! names its issuer, so a rule for a group needs to name none.

use crate::decide::uid;
use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::limits::{AUDIENCES_MAX, GROUP_CLAIMS_MAX, GROUP_WORKLOADS_MAX};
use crate::nearest::nearest;
use crate::records::{Audience, Issuer};
use crate::schema::Attributes;
use crate::spanned::Spanned;
use crate::toml_file::TomlFile;
use cedar_policy::EntityUid;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_providers::{Attribute, AttributeValue, ClaimType};

pub(crate) const WORKLOADS: &str = "WorkloadGroup";
pub(crate) const AUDIENCES: &str = "AudienceGroup";

/// A group as its file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The file's name without `.toml`.
    pub name: String,
    pub workloads: Vec<Workload>,
    /// Ids of audiences.
    pub audiences: Vec<String>,
}

/// The principals of one issuer whose claims all have these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Name of the issuer's file.
    pub issuer: String,
    /// Text claims and `sub`, in name order; never empty.
    pub claims: BTreeMap<String, String>,
}

impl Workload {
    /// Whether the principal with this id and these attributes is meant.
    pub(crate) fn has(&self, issuer: &str, id: &str, attributes: &[Attribute]) -> bool {
        let value_of = |name: &str| match name {
            "sub" => Some(id),
            _ => attributes
                .iter()
                .find_map(|attribute| match &attribute.value {
                    AttributeValue::Text(text) if attribute.name == name => Some(text.as_str()),
                    _ => None,
                }),
        };
        let has = |(name, value): (&String, &String)| value_of(name) == Some(value.as_str());
        self.issuer == issuer && self.claims.iter().all(has)
    }
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupFile {
    #[serde(default)]
    workloads: Vec<Spanned<WorkloadEntry>>,
    audiences: Option<Spanned<Vec<String>>>,
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct WorkloadEntry {
    issuer: Spanned<String>,
    claims: Spanned<BTreeMap<String, String>>,
}

/// Reads the group file `path`, whose name without `.toml` is `name`.
pub(crate) fn read(
    path: &str,
    name: &str,
    files: &BundleFiles,
    issuers: &[Issuer],
    audiences: &[Audience],
    attributes: &Attributes,
) -> Result<Group, Vec<Finding>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, GroupFile) =
        TomlFile::parse(path, content).map_err(|finding| vec![finding])?;
    if entries.workloads.len() > GROUP_WORKLOADS_MAX {
        let (key, max) = ("workloads", GROUP_WORKLOADS_MAX);
        file.refuse(0..0, Problem::TooMany { key, max });
    }
    if entries.workloads.is_empty() && entries.audiences.is_none() {
        file.refuse(0..0, Problem::Empty("workloads"));
    }
    let workloads = entries.workloads.iter();
    let workloads = workloads.map(|entry| workload(&mut file, entry, issuers, attributes));
    let workloads = workloads.collect();
    if let Some(listed) = &entries.audiences {
        file.check_list("audiences", listed, AUDIENCES_MAX);
        let known = |id: &String| audiences.iter().any(|audience| &audience.id == id);
        for id in listed.get_ref().iter().filter(|id| !known(id)) {
            let problem = Problem::GroupAudienceUnknown {
                name: id.clone(),
                nearest: nearest(id, audiences.iter().map(|it| it.id.as_str())),
            };
            file.refuse_within(listed.span(), id, problem);
        }
    }
    let audiences = entries.audiences.map(Spanned::into_inner);
    let group = Group {
        name: name.to_owned(),
        workloads,
        audiences: audiences.unwrap_or_default(),
    };
    file.finish(group)
}

fn workload(
    file: &mut TomlFile<'_>,
    entry: &Spanned<WorkloadEntry>,
    issuers: &[Issuer],
    attributes: &Attributes,
) -> Workload {
    let entry = entry.get_ref();
    let name = entry.issuer.get_ref();
    let claims = entry.claims.get_ref();
    if claims.is_empty() {
        file.refuse(entry.claims.span(), Problem::Empty("claims"));
    }
    if claims.len() > GROUP_CLAIMS_MAX {
        let (key, max) = ("claims", GROUP_CLAIMS_MAX);
        file.refuse(entry.claims.span(), Problem::TooMany { key, max });
    }
    match issuers.iter().find(|issuer| &issuer.name == name) {
        None => file.refuse(
            entry.issuer.span(),
            Problem::GroupIssuerUnknown {
                name: name.clone(),
                nearest: nearest(name, issuers.iter().map(|it| it.name.as_str())),
            },
        ),
        Some(issuer) => {
            let entity_type = issuer.entity_type();
            let known = attributes.get(&entity_type);
            let is_text = |claim: &str| {
                let known = known.and_then(|known| known.get(claim));
                claim == "sub" || known.is_some_and(|it| it.claim_type == Some(ClaimType::Text))
            };
            for claim in claims.keys().filter(|claim| !is_text(claim)) {
                let problem = Problem::GroupClaimUnknown {
                    claim: claim.clone(),
                    entity_type: entity_type.clone(),
                    nearest: nearest(claim, known.into_iter().flatten().map(|it| it.0.as_str())),
                };
                file.refuse_within(entry.claims.span(), claim, problem);
            }
        }
    }
    Workload {
        issuer: name.clone(),
        claims: claims.clone(),
    }
}

/// The groups of a bundle with Cedar's names for them.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<(Group, EntityUid, EntityUid)>,
    /// Where each entry is, by its issuer and its first claim, so that a decision does not look at all.
    entries: BTreeMap<String, ByClaim>,
}

/// Group and entry, by name and value of a claim.
type ByClaim = BTreeMap<String, BTreeMap<String, Vec<(usize, usize)>>>;

impl Groups {
    /// None only if Cedar did not know its own words.
    pub fn new(groups: Vec<Group>) -> Option<Self> {
        let named = |group: Group| {
            let workloads = uid(WORKLOADS, &group.name)?;
            let audiences = uid(AUDIENCES, &group.name)?;
            Some((group, workloads, audiences))
        };
        let groups: Vec<_> = groups.into_iter().map(named).collect::<Option<_>>()?;
        let mut entries: BTreeMap<String, ByClaim> = BTreeMap::new();
        for (at, (group, _, _)) in groups.iter().enumerate() {
            for (entry, workload) in group.workloads.iter().enumerate() {
                let Some((claim, value)) = workload.claims.iter().next() else {
                    continue;
                };
                let of_issuer = entries.entry(workload.issuer.clone()).or_default();
                let of_claim = of_issuer.entry(claim.clone()).or_default();
                let places = of_claim.entry(value.clone()).or_default();
                places.push((at, entry));
            }
        }
        Some(Self { groups, entries })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|(group, _, _)| group)
    }

    /// The groups that a principal is in, in their order.
    pub fn of_principal(
        &self,
        issuer: &str,
        id: &str,
        attributes: &[Attribute],
    ) -> Vec<&EntityUid> {
        let Some(of_issuer) = self.entries.get(issuer) else {
            return Vec::new();
        };
        let texts = attributes
            .iter()
            .filter_map(|attribute| match &attribute.value {
                AttributeValue::Text(text) => Some((attribute.name.as_str(), text.as_str())),
                AttributeValue::Boolean(_)
                | AttributeValue::Integer(_)
                | AttributeValue::TextSet(_) => None,
            });
        let mut found = BTreeSet::new();
        // `sub` is the principal's id, whatever an attribute of that name says.
        let texts = texts
            .filter(|(name, _)| *name != "sub")
            .chain([("sub", id)]);
        for (name, value) in texts {
            let places = of_issuer.get(name).and_then(|values| values.get(value));
            for (at, entry) in places.into_iter().flatten() {
                let group = self.groups.get(*at);
                let workload = group.and_then(|(group, _, _)| group.workloads.get(*entry));
                if workload.is_some_and(|workload| workload.has(issuer, id, attributes)) {
                    found.insert(*at);
                }
            }
        }
        let groups = found.into_iter().filter_map(|at| self.groups.get(at));
        groups.map(|(_, uid, _)| uid).collect()
    }

    /// The groups that principals of an issuer can be in.
    pub fn of_issuer(&self, issuer: &str) -> Vec<EntityUid> {
        let is_in = |group: &Group| group.workloads.iter().any(|it| it.issuer == issuer);
        let groups = self.groups.iter().filter(|(group, _, _)| is_in(group));
        groups.map(|(_, uid, _)| uid.clone()).collect()
    }

    /// The groups that an audience is in.
    pub fn of_audience(&self, id: &str) -> Vec<EntityUid> {
        let is_in = |group: &Group| group.audiences.iter().any(|it| it == id);
        let groups = self.groups.iter().filter(|(group, _, _)| is_in(group));
        groups.map(|(_, _, uid)| uid.clone()).collect()
    }
}
