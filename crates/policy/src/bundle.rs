//! A loaded bundle.

use crate::decide::{IssuingAction, uid};
use crate::error::{Finding, InvalidBundle, Problem};
use crate::files::{BundleFiles, is_plain_name};
use crate::groups::{self, Group, Groups};
use crate::limits::{AUDIENCES_MAX, GROUPS_MAX, ID_BYTES_MAX, ISSUERS_MAX};
use crate::records::{Audience, Environment, Issuer};
use crate::rules::{self, Known, Rule, Rules};
use crate::schema::{self, Additions, AttributeType, Attributes, BundleSchema};
use crate::slices::{Scope, Slices, can_match, covers_all};
use crate::spanned::Spanned;
use crate::templates::NamedTemplate;
use crate::toml_file::{TomlFile, utf8};
use crate::zones::Zones;
use crate::{audience, issuer, keys};
use cedar_policy::{EntityTypeName, EntityUid, PolicySet, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const BUNDLE_FILE: &str = "bundle.toml";

/// A bundle whose every file was understood and whose every rule validates.
pub struct Bundle {
    pub name: String,
    pub version: String,
    digest: String,
    /// Every issuer file, also those that the environment leaves out: rules may name them.
    issuers: Vec<(Issuer, IssuerEntity)>,
    development: bool,
    audiences: Vec<(Audience, EntityUid)>,
    /// Places in `audiences` by id.
    audience_places: BTreeMap<String, usize>,
    rules: Vec<Rule>,
    schema: Schema,
    attributes: Attributes,
    action: IssuingAction,
    permits: BTreeSet<String>,
    slices: Slices,
    zones: Zones,
    groups: Groups,
    profiles: BTreeMap<String, String>,
    rules_of_other_profiles: Vec<String>,
    /// Templates that no link fills.
    unused_templates: Vec<NamedTemplate>,
}

/// Cedar's names for an issuer and its principals, parsed once.
pub(crate) struct IssuerEntity {
    pub type_text: String,
    pub type_name: EntityTypeName,
    pub uid: EntityUid,
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleFile {
    name: String,
    version: String,
    /// Time zones by the name that rules give them.
    #[serde(default)]
    zones: BTreeMap<String, Spanned<String>>,
    /// Profiles by name, each with the issuer URL of the broker that it is for.
    #[serde(default)]
    profiles: BTreeMap<String, Spanned<String>>,
}

/// What `bundle.toml` says.
struct Head {
    name: String,
    version: String,
    zones: Zones,
    profiles: BTreeMap<String, String>,
}

/// The bundle's files by what they are.
#[derive(Default)]
struct Listing<'a> {
    issuers: Vec<(&'a str, &'a str)>,
    audiences: Vec<&'a str>,
    /// Group files with their names.
    entities: Vec<(&'a str, &'a str)>,
    rules: Vec<&'a str>,
    /// Files that fill templates.
    links: Vec<&'a str>,
}

impl Bundle {
    /// Checks every file and gives the bundle, or everything that was found wrong.
    pub fn load(files: &BundleFiles, environment: &Environment) -> Result<Self, InvalidBundle> {
        let mut findings = Vec::new();
        let listing = list(files, &mut findings);
        let head = head(files).map_err(|more| findings.extend(more)).ok();
        let issuers: Vec<Issuer> =
            collect(&mut findings, listing.issuers.iter(), |(path, name)| {
                issuer::read(path, name, files, environment)
            });
        let audiences: Vec<Audience> = collect(&mut findings, listing.audiences.iter(), |path| {
            audience::read(path, files, environment)
        });
        // Which file an issuer or audience came from is known by position only if all were read.
        if findings.is_empty() {
            check_unique(&listing, &issuers, &audiences, &mut findings);
        }
        let (Some(head), true) = (head, findings.is_empty()) else {
            return Err(InvalidBundle { findings });
        };
        Self::assemble(files, environment, &listing, head, issuers, audiences)
            .map_err(|findings| InvalidBundle { findings })
    }

    fn assemble(
        files: &BundleFiles,
        environment: &Environment,
        listing: &Listing<'_>,
        head: Head,
        issuers: Vec<Issuer>,
        audiences: Vec<Audience>,
    ) -> Result<Self, Vec<Finding>> {
        let internal = || vec![Finding::of_file(schema::FILE, Problem::EntityTypeInvalid)];
        let action = IssuingAction::new().ok_or_else(internal)?;
        let BundleSchema { schema, attributes } = {
            let content = files
                .content(schema::FILE)
                .ok_or_else(|| vec![Finding::of_file(schema::FILE, Problem::FileMissing)])?;
            let text = utf8(schema::FILE, content).map_err(|finding| vec![finding])?;
            let additions = Additions {
                zones: &head.zones,
                groups: !listing.entities.is_empty(),
            };
            schema::read(text, &issuers, &action, &additions)?
        };
        check_copied_claims(listing, &audiences, &attributes, &issuers)?;
        let paths = listing.issuers.iter().map(|(path, _)| *path);
        issuer::check_subjects(files, paths.zip(&issuers), &attributes)?;
        let groups = read_groups(files, listing, &issuers, &audiences, &attributes)?;
        let known = Known {
            issuers: &issuers,
            audiences: &audiences,
            groups: &groups,
            schema: &schema,
        };
        let Rules {
            mut rules,
            unused_templates,
        } = rules::read(files, &listing.rules, &listing.links, &known)?;
        check_profiles(&rules, &head.profiles)?;
        let profile = profile_of(&head.profiles, &environment.issuer);
        let others = rules.iter().filter(|rule| !rule.is_for(profile));
        let rules_of_other_profiles = others.map(|rule| rule.id.clone()).collect();
        rules.retain(|rule| rule.is_for(profile));
        let permits = rules
            .iter()
            .filter(|rule| !rule.is_forbid())
            .map(|rule| rule.id.clone())
            .collect();
        let slices = Slices::of(&rules);
        let ids = audiences.iter().map(|audience| audience.id.clone());
        let audience_places = ids.enumerate().map(|(at, id)| (id, at)).collect();
        let issuers: Option<_> = issuers.into_iter().map(with_entity).collect();
        let audiences: Option<_> = audiences
            .into_iter()
            .map(|audience| uid("Audience", &audience.id).map(|uid| (audience, uid)))
            .collect();
        Ok(Self {
            name: head.name,
            version: head.version,
            digest: files.digest(),
            issuers: issuers.ok_or_else(internal)?,
            development: environment.development,
            audiences: audiences.ok_or_else(internal)?,
            rules,
            schema,
            attributes,
            action,
            permits,
            slices,
            audience_places,
            zones: head.zones,
            profiles: head.profiles,
            rules_of_other_profiles,
            groups: Groups::new(groups).ok_or_else(internal)?,
            unused_templates,
        })
    }

    /// Lower-case hex SHA-256 that names the bundle.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The issuers that are trusted in this environment.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers
            .iter()
            .map(|(issuer, _)| issuer)
            .filter(|issuer| self.is_active(issuer))
    }

    /// Every issuer file, also those left out outside development.
    pub fn issuers_of_all_environments(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter().map(|(issuer, _)| issuer)
    }

    /// The trusted issuer whose `issuer` equals `iss` byte for byte.
    pub fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.issuers().find(|issuer| issuer.issuer == iss)
    }

    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.audiences.iter().map(|(audience, _)| audience)
    }

    /// The audience whose `id` equals `id` byte for byte.
    pub fn audience(&self, id: &str) -> Option<&Audience> {
        let index = *self.audience_places.get(id)?;
        self.audiences.get(index).map(|(audience, _)| audience)
    }

    /// The groups of `entities/` in path order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    pub(crate) fn group_entities(&self) -> &Groups {
        &self.groups
    }

    pub(crate) fn zones(&self) -> &Zones {
        &self.zones
    }

    pub(crate) fn unused_templates(&self) -> &[NamedTemplate] {
        &self.unused_templates
    }

    /// The scope of requests of principals of an issuer for an audience.
    pub(crate) fn scope<'a>(
        &self,
        issuer: &Issuer,
        entity: &'a IssuerEntity,
        audience: &'a EntityUid,
    ) -> Scope<'a> {
        Scope {
            entity_type: &entity.type_name,
            issuer: &entity.uid,
            audience,
            workload_groups: self.groups.of_issuer(&issuer.name),
            audience_groups: self.groups.of_audience(audience.id().unescaped()),
        }
    }

    /// The issuer URL of the broker that the profile of this name is for.
    pub fn profile(&self, name: &str) -> Option<&str> {
        self.profiles.get(name).map(String::as_str)
    }

    /// Whether the bundle has a rule of this `@id`, in whatever profile.
    pub fn has_rule(&self, id: &str) -> bool {
        let mut others = self.rules_of_other_profiles.iter();
        self.rules.iter().any(|rule| rule.id == id) || others.any(|other| other == id)
    }

    /// All rules in path order, but for those of other profiles.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The schema in Cedar's JSON format, with the types that are made from issuer files. `files` are those
    /// that the bundle was loaded from.
    ///
    /// # Errors
    /// The schema file is not that of the bundle.
    pub fn schema_document(&self, files: &BundleFiles) -> Result<serde_json::Value, InvalidBundle> {
        let missing = || Finding::of_file(schema::FILE, Problem::FileMissing);
        let content = files.content(schema::FILE).ok_or_else(missing)?;
        let issuers: Vec<Issuer> = self.issuers_of_all_environments().cloned().collect();
        let additions = Additions {
            zones: &self.zones,
            groups: self.groups.iter().next().is_some(),
        };
        schema::document(utf8(schema::FILE, content)?, &issuers, &additions)
            .map_err(|findings| InvalidBundle { findings })
    }

    /// The attributes of an entity type, by name.
    pub fn attributes_of(&self, entity_type: &str) -> Option<&BTreeMap<String, AttributeType>> {
        self.attributes.get(entity_type)
    }

    pub(crate) fn action(&self) -> &IssuingAction {
        &self.action
    }

    pub(crate) fn is_permit(&self, rule_id: &str) -> bool {
        self.permits.contains(rule_id)
    }

    pub(crate) fn issuer_named(&self, name: &str) -> Option<(usize, &Issuer, &IssuerEntity)> {
        let index = self
            .issuers
            .iter()
            .position(|(issuer, _)| issuer.name == name)?;
        let (issuer, entity) = self.issuers.get(index)?;
        self.is_active(issuer).then_some((index, issuer, entity))
    }

    /// Every issuer with Cedar's names for it and its principals.
    pub(crate) fn issuer_entities(&self) -> impl Iterator<Item = (&Issuer, &IssuerEntity)> {
        self.issuers.iter().map(|(issuer, entity)| (issuer, entity))
    }

    pub(crate) fn audience_uids(&self) -> impl Iterator<Item = &EntityUid> {
        self.audiences.iter().map(|(_, uid)| uid)
    }

    pub(crate) fn audience_uid(&self, id: &str) -> Option<(usize, &EntityUid)> {
        let index = *self.audience_places.get(id)?;
        self.audiences.get(index).map(|(_, uid)| (index, uid))
    }

    /// The rules that can match a request with this `scope`, which `key` stands for.
    pub(crate) fn slice<'a>(
        &self,
        key: (usize, usize),
        scope: impl FnOnce() -> Scope<'a>,
    ) -> Option<Arc<PolicySet>> {
        self.slices.slice(key, &self.rules, scope)
    }

    /// The `permit`s by whose scope principals of an issuer may get a token for an audience, by name of the
    /// issuer and id of the audience. Conditions are not looked at, but a pair that a `forbid` without
    /// conditions covers is left out.
    pub fn access(&self) -> BTreeMap<(String, String), Vec<String>> {
        let mut access = BTreeMap::new();
        for (issuer, entity) in &self.issuers {
            for (audience, uid) in &self.audiences {
                let scope = self.scope(issuer, entity, uid);
                let matching = |rule: &&Rule| can_match(rule, &scope);
                let rules: Vec<&Rule> = self.rules.iter().filter(matching).collect();
                let forbids_all = |rule: &&&Rule| {
                    rule.is_forbid()
                        && !rule.policy.has_non_scope_constraint()
                        && covers_all(rule, &scope)
                };
                let permits = rules.iter().filter(|rule| !rule.is_forbid());
                let permits: Vec<String> = permits.map(|rule| rule.id.clone()).collect();
                if !permits.is_empty() && !rules.iter().any(|rule| forbids_all(&rule)) {
                    access.insert((issuer.name.clone(), audience.id.clone()), permits);
                }
            }
        }
        access
    }

    /// INVARIANT: an issuer marked `development = true` is trusted in development only.
    fn is_active(&self, issuer: &Issuer) -> bool {
        self.development || !issuer.development
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            version,
            digest,
            ..
        } = self;
        write!(f, "Bundle({name} {version} {digest})")
    }
}

fn with_entity(issuer: Issuer) -> Option<(Issuer, IssuerEntity)> {
    let type_text = issuer.entity_type();
    let type_name = type_text.parse().ok()?;
    let uid = uid("Issuer", &issuer.name)?;
    Some((
        issuer,
        IssuerEntity {
            type_text,
            type_name,
            uid,
        },
    ))
}

/// Sorts the files by what they are; whatever a bundle does not have is a finding.
fn list<'a>(files: &'a BundleFiles, findings: &mut Vec<Finding>) -> Listing<'a> {
    let mut listing = Listing::default();
    let pinned: BTreeSet<String> = files
        .iter()
        .filter(|(path, _)| path.starts_with("issuers/") && path.ends_with(".toml"))
        .filter_map(|(_, content)| keys::pinned_path_in(content))
        .collect();
    for (path, _) in files.iter() {
        match path.split_once('/') {
            None if matches!(path, BUNDLE_FILE | schema::FILE) => {}
            Some(("issuers", file)) if !pinned.contains(path) => {
                let name = plain_stem(path, file, ".toml", findings);
                listing.issuers.extend(name.map(|name| (path, name)));
            }
            Some(("issuers", _)) => {}
            Some(("audiences", file)) => {
                listing
                    .audiences
                    .extend(plain_stem(path, file, ".toml", findings).map(|_| path));
            }
            Some(("entities", file)) => {
                let name = plain_stem(path, file, ".toml", findings);
                listing.entities.extend(name.map(|name| (path, name)));
            }
            Some(("rules", file)) if file.ends_with(".toml") => {
                let name = plain_stem(path, file, ".toml", findings);
                listing.links.extend(name.map(|_| path));
            }
            Some(("rules", file)) => {
                listing
                    .rules
                    .extend(plain_stem(path, file, ".cedar", findings).map(|_| path));
            }
            Some(("tests", file)) if crate::cases::is_case_path(file) => {}
            _ => findings.push(Finding::of_file(path, Problem::UnknownFile)),
        }
    }
    for (folder, count, max) in [
        ("issuers", listing.issuers.len(), ISSUERS_MAX),
        ("audiences", listing.audiences.len(), AUDIENCES_MAX),
        ("entities", listing.entities.len(), GROUPS_MAX),
    ] {
        if count > max {
            findings.push(Finding::of_file(
                folder,
                Problem::TooMany { key: folder, max },
            ));
        }
    }
    listing
}

/// The name of a file without its extension, if it is one that a bundle may have.
fn plain_stem<'a>(
    path: &str,
    file: &'a str,
    extension: &str,
    findings: &mut Vec<Finding>,
) -> Option<&'a str> {
    let problem = match file.strip_suffix(extension) {
        Some(name) if is_plain_name(name) => return Some(name),
        Some(name) if !name.contains('/') => Problem::NameInvalid,
        _ => Problem::UnknownFile,
    };
    findings.push(Finding::of_file(path, problem));
    None
}

/// The profile of the broker whose issuer URL is `issuer`.
fn profile_of<'a>(profiles: &'a BTreeMap<String, String>, issuer: &str) -> Option<&'a str> {
    let is_it = |url: &str| url.trim_end_matches('/') == issuer.trim_end_matches('/');
    let mut profiles = profiles.iter();
    profiles
        .find(|(_, url)| is_it(url))
        .map(|(name, _)| name.as_str())
}

fn check_profiles(rules: &[Rule], profiles: &BTreeMap<String, String>) -> Result<(), Vec<Finding>> {
    let unknown = |rule: &Rule| {
        let names = rule.profiles.iter();
        let unknown = names.filter(|name| !profiles.contains_key(*name));
        let problem = |profile: &String| Problem::RuleProfileUnknown {
            rule: rule.id.clone(),
            profile: profile.clone(),
        };
        unknown
            .map(problem)
            .map(|problem| rules::of_rule(rule, problem))
            .collect::<Vec<_>>()
    };
    let findings: Vec<Finding> = rules.iter().flat_map(unknown).collect();
    match findings.is_empty() {
        true => Ok(()),
        false => Err(findings),
    }
}

fn read_groups(
    files: &BundleFiles,
    listing: &Listing<'_>,
    issuers: &[Issuer],
    audiences: &[Audience],
    attributes: &Attributes,
) -> Result<Vec<Group>, Vec<Finding>> {
    let mut findings = Vec::new();
    let groups = collect(&mut findings, listing.entities.iter(), |(path, name)| {
        groups::read(path, name, files, issuers, audiences, attributes)
    });
    match findings.is_empty() {
        true => Ok(groups),
        false => Err(findings),
    }
}

fn head(files: &BundleFiles) -> Result<Head, Vec<Finding>> {
    let missing = || vec![Finding::of_file(BUNDLE_FILE, Problem::FileMissing)];
    let content = files.content(BUNDLE_FILE).ok_or_else(missing)?;
    let (mut file, head): (_, BundleFile) =
        TomlFile::parse(BUNDLE_FILE, content).map_err(|finding| vec![finding])?;
    for (key, value) in [("name", &head.name), ("version", &head.version)] {
        if value.is_empty() {
            return Err(vec![Finding::of_file(BUNDLE_FILE, Problem::Empty(key))]);
        }
        if value.len() > crate::limits::NAME_BYTES_MAX || value.chars().any(char::is_control) {
            let bytes_max = crate::limits::NAME_BYTES_MAX;
            return Err(vec![Finding::of_file(
                BUNDLE_FILE,
                Problem::ValueInvalid { key, bytes_max },
            )]);
        }
    }
    let zones = Zones::read(&mut file, &head.zones);
    for url in head.profiles.values() {
        file.check_value("profiles", url.get_ref(), url.span(), ID_BYTES_MAX);
    }
    let profiles = head.profiles.into_iter();
    let profiles = profiles
        .map(|(name, url)| (name, url.into_inner()))
        .collect();
    file.finish(Head {
        profiles,
        name: head.name,
        version: head.version,
        zones,
    })
}

fn collect<I, T>(
    findings: &mut Vec<Finding>,
    items: impl Iterator<Item = I>,
    read: impl Fn(I) -> Result<T, Vec<Finding>>,
) -> Vec<T> {
    let mut values = Vec::new();
    for item in items {
        match read(item) {
            Ok(value) => values.push(value),
            Err(more) => findings.extend(more),
        }
    }
    values
}

fn check_unique(
    listing: &Listing<'_>,
    issuers: &[Issuer],
    audiences: &[Audience],
    findings: &mut Vec<Finding>,
) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for ((path, _), issuer) in listing.issuers.iter().zip(issuers) {
        if let Some(other) = seen.insert(&issuer.issuer, path) {
            let (issuer, other) = (issuer.issuer.clone(), other.to_owned());
            findings.push(Finding::of_file(
                path,
                Problem::DuplicateIssuer { issuer, other },
            ));
        }
    }
    seen.clear();
    for (path, audience) in listing.audiences.iter().zip(audiences) {
        if let Some(other) = seen.insert(&audience.id, path) {
            let (id, other) = (audience.id.clone(), other.to_owned());
            findings.push(Finding::of_file(
                path,
                Problem::DuplicateAudience { id, other },
            ));
        }
    }
}

/// A claim that an audience copies must be an attribute of some trusted issuer's principals, else
/// it is misspelt.
fn check_copied_claims(
    listing: &Listing<'_>,
    audiences: &[Audience],
    attributes: &Attributes,
    issuers: &[Issuer],
) -> Result<(), Vec<Finding>> {
    let types: BTreeSet<String> = issuers.iter().map(Issuer::entity_type).collect();
    let known: BTreeSet<&str> = types
        .iter()
        .filter_map(|type_name| attributes.get(type_name))
        .flat_map(|names| names.keys().map(String::as_str))
        .collect();
    let mut findings = Vec::new();
    for (path, audience) in listing.audiences.iter().zip(audiences) {
        for claim in audience
            .claims
            .iter()
            .filter(|claim| !known.contains(claim.as_str()))
        {
            findings.push(Finding::of_file(
                path,
                Problem::ClaimUndeclared(claim.clone()),
            ));
        }
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(findings)
    }
}
