//! `entities/<group>.toml`: named groups of workloads and of audiences.
//!
//! `WorkloadGroup::"payments"` contains the principals that match one of its workloads: an issuer, and claims that are
//! compared exactly. `AudienceGroup::"payments"` contains the listed audiences. Each workload names its issuer, so a
//! policy for a group does not have to.

use crate::bundle::files::BundleFiles;
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::suggestion::suggest;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::{AUDIENCES_MAX, GROUP_CLAIMS_MAX, GROUP_WORKLOADS_MAX};
use crate::policies::attributes::Attributes;
use crate::policies::entities::{AUDIENCE_GROUP, WORKLOAD_GROUP, uid};
use crate::settings::records::{Audience, Issuer};
use crate::settings::toml_file::TomlFile;
use cedar_policy::EntityUid;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_providers::{Attribute, AttributeValue, ClaimType};

/// The content of a group file.
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
    /// Whether the principal with this id and these attributes matches.
    pub(crate) fn matches(&self, issuer: &str, id: &str, attributes: &[Attribute]) -> bool {
        let value_of = |name: &str| match name {
            "sub" => Some(id),
            _ => attributes.iter().find_map(|attribute| match &attribute.value {
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
pub struct GroupFile {
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
) -> Result<Group, Vec<Diagnostic>> {
    let content = files.content(path).unwrap_or_default();
    let (mut file, entries): (_, GroupFile) = TomlFile::parse(path, content).map_err(|diagnostic| vec![diagnostic])?;
    if entries.workloads.len() > GROUP_WORKLOADS_MAX {
        let (key, max) = ("workloads", GROUP_WORKLOADS_MAX);
        file.refuse(0..0, BundleError::TooMany { key, max });
    }
    if entries.workloads.is_empty() && entries.audiences.is_none() {
        file.refuse(0..0, BundleError::Empty("workloads"));
    }
    let workloads = entries.workloads.iter();
    let workloads = workloads.map(|entry| workload(&mut file, entry, issuers, attributes));
    let workloads = workloads.collect();
    if let Some(listed) = &entries.audiences {
        file.check_list("audiences", listed, AUDIENCES_MAX);
        let known = |id: &String| audiences.iter().any(|audience| &audience.id == id);
        for id in listed.get_ref().iter().filter(|id| !known(id)) {
            let error = BundleError::GroupAudienceUnknown {
                name: id.clone(),
                suggestion: suggest(id, audiences.iter().map(|it| it.id.as_str())),
            };
            file.refuse_within(listed.span(), id, error);
        }
    }
    let audiences = entries.audiences.map(Spanned::into_inner);
    let group = Group { name: name.to_owned(), workloads, audiences: audiences.unwrap_or_default() };
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
        file.refuse(entry.claims.span(), BundleError::Empty("claims"));
    }
    if claims.len() > GROUP_CLAIMS_MAX {
        let (key, max) = ("claims", GROUP_CLAIMS_MAX);
        file.refuse(entry.claims.span(), BundleError::TooMany { key, max });
    }
    match issuers.iter().find(|issuer| &issuer.name == name) {
        None => file.refuse(
            entry.issuer.span(),
            BundleError::GroupIssuerUnknown {
                name: name.clone(),
                suggestion: suggest(name, issuers.iter().map(|it| it.name.as_str())),
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
                let error = BundleError::GroupClaimUnknown {
                    claim: claim.clone(),
                    entity_type: entity_type.clone(),
                    suggestion: suggest(claim, known.into_iter().flatten().map(|it| it.0.as_str())),
                };
                file.refuse_within(entry.claims.span(), claim, error);
            }
        }
    }
    Workload { issuer: name.clone(), claims: claims.clone() }
}

/// The groups of a bundle and their Cedar entities.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<(Group, EntityUid, EntityUid)>,
    /// The workloads by issuer and first claim, so that a decision compares only a few.
    entries: BTreeMap<String, ByClaim>,
}

/// Indices of group and workload, by name and value of a claim.
type ByClaim = BTreeMap<String, BTreeMap<String, Vec<(usize, usize)>>>;

impl Groups {
    /// None only if a built-in Cedar name did not parse, which cannot happen.
    pub fn new(groups: Vec<Group>) -> Option<Self> {
        let named = |group: Group| {
            let workloads = uid(WORKLOAD_GROUP, &group.name)?;
            let audiences = uid(AUDIENCE_GROUP, &group.name)?;
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
                let indices = of_claim.entry(value.clone()).or_default();
                indices.push((at, entry));
            }
        }
        Some(Self { groups, entries })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|(group, _, _)| group)
    }

    /// The groups that a principal is in, in their order.
    pub fn of_principal(&self, issuer: &str, id: &str, attributes: &[Attribute]) -> Vec<&EntityUid> {
        let Some(of_issuer) = self.entries.get(issuer) else {
            return Vec::new();
        };
        let texts = attributes.iter().filter_map(|attribute| match &attribute.value {
            AttributeValue::Text(text) => Some((attribute.name.as_str(), text.as_str())),
            AttributeValue::Boolean(_) | AttributeValue::Integer(_) | AttributeValue::TextSet(_) => None,
        });
        let mut found = BTreeSet::new();
        // `sub` is the principal's id, even if there is an attribute of that name.
        let texts = texts.filter(|(name, _)| *name != "sub").chain([("sub", id)]);
        for (name, value) in texts {
            let indices = of_issuer.get(name).and_then(|values| values.get(value));
            for (at, entry) in indices.into_iter().flatten() {
                let group = self.groups.get(*at);
                let workload = group.and_then(|(group, _, _)| group.workloads.get(*entry));
                if workload.is_some_and(|workload| workload.matches(issuer, id, attributes)) {
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
