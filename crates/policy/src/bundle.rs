//! A loaded bundle.

use crate::decide::{IssuingAction, uid};
use crate::decider::Work;
use crate::error::{Finding, InvalidBundle, Problem};
use crate::files::BundleFiles;
use crate::frame::{Frame, internal};
use crate::groups::{Group, Groups};
use crate::head::{check_profiles, profile_of};
use crate::known::Known;
use crate::limits::RULES_MAX;
use crate::listing::Listing;
use crate::on_demand::Texts;
use crate::records::{Audience, Environment, Issuer};
use crate::rules::{self, Rule, Rules};
use crate::schema::{self, Additions, AttributeType, Attributes};
use crate::slices::{Scope, Slices, can_match, covers_all};
use crate::templates::NamedTemplate;
use crate::toml_file::utf8;
use crate::zones::Zones;
use cedar_policy::{EntityTypeName, EntityUid, PolicySet, Schema};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// None of those in `texts`.
    rules: Vec<Rule>,
    /// Rules that are parsed when they are needed.
    texts: Option<Texts>,
    known: Known,
    attributes: Attributes,
    action: IssuingAction,
    slices: Slices,
    zones: Zones,
    groups: Groups,
    profiles: BTreeMap<String, String>,
    /// The profile that is in force.
    profile: Option<String>,
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

impl Bundle {
    /// Checks every file and gives the bundle, or everything that was found wrong.
    pub fn load(files: &BundleFiles, environment: &Environment) -> Result<Self, InvalidBundle> {
        let frame = Frame::read(files, environment)?;
        let Listing { rules, links, .. } = &frame.listing;
        rules::read(files, rules, links, &frame.known)
            .and_then(|rules| Self::of(frame, files, files.digest(), rules))
            .map_err(|findings| InvalidBundle { findings })
    }

    /// A bundle for [`Self::decide`] alone, whose rules are parsed when a request needs them; only if `checked`
    /// is not set, all of them are parsed and checked here. None where [`Self::load`] has to be asked: something
    /// is wrong, or the rules are not of a kind that can be found without parsing them.
    pub(crate) fn on_demand(
        files: &BundleFiles,
        environment: &Environment,
        digest: &str,
        checked: bool,
    ) -> Option<Self> {
        let frame = Frame::read(files, environment).ok()?;
        let Listing { rules, links, .. } = &frame.listing;
        if !links.is_empty() {
            return None;
        }
        let texts = Texts::scan(files, rules, &frame.head.profiles)?;
        if texts.len() > RULES_MAX {
            return None;
        }
        if !checked {
            texts.all(&frame.known)?;
        }
        let none = Rules::default();
        let mut bundle = Self::of(frame, files, digest.to_owned(), none).ok()?;
        bundle.slices = Slices::new(texts.index());
        bundle.texts = Some(texts);
        Some(bundle)
    }

    /// The bundle of `frame` and `rules`.
    fn of(
        frame: Frame<'_>,
        files: &BundleFiles,
        digest: String,
        rules: Rules,
    ) -> Result<Self, Vec<Finding>> {
        let Rules {
            mut rules,
            unused_templates,
        } = rules;
        let Frame {
            environment,
            head,
            issuers,
            audiences,
            groups,
            ..
        } = frame;
        check_profiles(files, &rules, &head.profiles)?;
        let profile = profile_of(&head.profiles, &environment.issuer).map(str::to_owned);
        let others = rules.iter().filter(|rule| !rule.is_for(profile.as_deref()));
        let rules_of_other_profiles = others.map(|rule| rule.id.clone()).collect();
        rules.retain(|rule| rule.is_for(profile.as_deref()));
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
            digest,
            issuers: issuers.ok_or_else(internal)?,
            development: environment.development,
            audiences: audiences.ok_or_else(internal)?,
            rules,
            texts: None,
            known: frame.known,
            attributes: frame.attributes,
            action: frame.action,
            slices,
            audience_places,
            zones: head.zones,
            profiles: head.profiles,
            profile,
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

    /// The time zones that the bundle names, by its own name for each.
    pub fn time_zones(&self) -> BTreeMap<String, String> {
        let owned = |(name, zone): (&str, &str)| (name.to_owned(), zone.to_owned());
        self.zones.names().map(owned).collect()
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

    /// The names of all profiles.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
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
        self.known.schema()
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
        self.slices.slice(key, scope, |places| match &self.texts {
            Some(texts) => {
                let rules = texts.rules(places, &self.known)?.into_iter();
                let in_force = rules.filter(|rule| rule.is_for(self.profile.as_deref()));
                Some(in_force.map(Cow::Owned).collect())
            }
            None => {
                let rules = places.iter().map(|at| self.rules.get(*at));
                rules.map(|rule| rule.map(Cow::Borrowed)).collect()
            }
        })
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

    /// How many rules are there, and how many Cedar parsed.
    pub(crate) fn work(&self) -> Work {
        let (rules, parsed) = match &self.texts {
            Some(texts) => (texts.len(), texts.parsed()),
            None => {
                let others = self.rules_of_other_profiles.len();
                let all = self.rules.len().saturating_add(others);
                (all, all)
            }
        };
        Work { rules, parsed }
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
