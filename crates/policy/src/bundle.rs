//! A loaded bundle.

pub(crate) mod files;
pub mod folder;
mod hidden_characters;
pub(crate) mod layout;
pub(crate) mod manifest;
mod matching;
pub mod proof;
pub(crate) mod seal;
mod settings;

use crate::diagnostics::{BundleError, Diagnostic, LoadError};
use crate::limits::RULES_MAX;
use crate::policies::attributes::{AttributeType, Attributes};
use crate::policies::checker::PolicyChecker;
use crate::policies::entities::{Actions, uid};
use crate::policies::guardrails::{self, Guardrail};
use crate::policies::index::{PolicyCache, RequestScope};
use crate::policies::on_demand::LazyPolicies;
use crate::policies::parse::{self, Policies};
use crate::policies::policy::NamedPolicy;
use crate::policies::profiles::check_profiles;
use crate::policies::schema::{self, Additions};
use crate::policies::templates::NamedTemplate;
use crate::settings::groups::{Group, Groups};
use crate::settings::key_owners::KeyOwners;
use crate::settings::records::{Audience, Client, Environment, Issuer};
use crate::settings::zones::Zones;
use cedar_policy::{Entity, EntityTypeName, EntityUid, Schema};
use files::{BundleFiles, SCHEMA_FILE, utf8};
use settings::{Settings, unnameable};
use std::collections::BTreeMap;
use vouchsafe_providers::client;

/// A bundle whose every file was understood and whose every policy validates.
pub struct Bundle {
    pub name: String,
    pub version: String,
    /// Whether a proof of possession counts only with a nonce of the broker (RFC 9449 §8).
    pub proof_nonce_required: bool,
    digest: String,
    /// Every issuer file, including those that this environment does not trust, because policies can name them.
    issuers: Vec<(Issuer, IssuerEntity)>,
    development: bool,
    audiences: Vec<(Audience, EntityUid)>,
    /// Indices into `audiences` by id.
    audience_indices: BTreeMap<String, usize>,
    clients: Vec<Client>,
    /// Empty if the policies are in `lazy`.
    policies: Vec<NamedPolicy>,
    /// Policies that are only about actors.
    actor_policies: Vec<NamedPolicy>,
    /// Policies that are parsed when a request needs them.
    lazy: Option<LazyPolicies>,
    checker: PolicyChecker,
    attributes: Attributes,
    action: Actions,
    /// The actions of the schema.
    actions: Vec<Entity>,
    cache: PolicyCache,
    zones: Zones,
    groups: Groups,
    profiles: BTreeMap<String, String>,
    /// The profile that is in force.
    profile: Option<String>,
    /// Ids of the policies that are in force only in other profiles.
    inactive_policies: Vec<String>,
    /// Templates without a link.
    unused_templates: Vec<NamedTemplate>,
    /// Upper bounds of all profiles. They take no part in decisions.
    guardrails: Vec<Guardrail>,
    key_owners: KeyOwners,
}

/// Cedar's names for an issuer and its principals, parsed once.
pub struct IssuerEntity {
    pub type_text: String,
    pub type_name: EntityTypeName,
    pub uid: EntityUid,
}

/// How many policies a bundle has, and how many of them were parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyCount {
    /// Policies of all profiles.
    pub total: usize,
    pub parsed: usize,
}

impl Bundle {
    /// Loads a bundle and checks every file.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn load(files: &BundleFiles, environment: &Environment) -> Result<Self, LoadError> {
        let settings = Settings::read(files, environment)?;
        let load = || {
            let policies = parse::read(files, &settings.layout, &settings.checker)?;
            let guardrails = read_guardrails(files, &settings)?;
            Ok(Self { guardrails, ..Self::assemble(settings, files, files.digest(), policies)? })
        };
        load().map_err(|diagnostics| LoadError { diagnostics })
    }

    /// Loads a bundle that parses policies when a request needs them. Unless it is known to be `checked`, parses and
    /// checks all of them once.
    ///
    /// None if anything is wrong or only Cedar's parser can find the policies; then [`Self::load`] decides.
    pub(crate) fn load_lazily(
        files: &BundleFiles,
        environment: &Environment,
        digest: &str,
        checked: bool,
    ) -> Option<Self> {
        let settings = Settings::read(files, environment).ok()?;
        if !settings.layout.links.is_empty() {
            return None;
        }
        let (paths, profiles) = (&settings.layout.policies, &settings.manifest.profiles);
        let lazy = LazyPolicies::scan(files, paths, profiles)?;
        if lazy.len() > RULES_MAX {
            return None;
        }
        if !checked {
            lazy.all(&settings.checker)?;
            read_guardrails(files, &settings).ok()?;
        }
        let none = Policies::default();
        let mut bundle = Self::assemble(settings, files, digest.to_owned(), none).ok()?;
        bundle.cache = PolicyCache::new(lazy.index());
        bundle.lazy = Some(lazy);
        Some(bundle)
    }

    fn assemble(
        settings: Settings<'_>,
        files: &BundleFiles,
        digest: String,
        policies: Policies,
    ) -> Result<Self, Vec<Diagnostic>> {
        let Policies { mut policies, unused_templates } = policies;
        let Settings { environment, manifest, issuers, audiences, clients, groups, .. } = settings;
        check_profiles(files, &policies, &manifest.profiles)?;
        let profile = manifest.profile_of(&environment.issuer).map(str::to_owned);
        let is_active = |policy: &NamedPolicy| policy.is_for(profile.as_deref());
        let inactive = policies.iter().filter(|policy| !is_active(policy));
        let inactive_policies = inactive.map(|policy| policy.id.clone()).collect();
        policies.retain(is_active);
        let (actor_policies, policies): (Vec<_>, Vec<_>) =
            policies.into_iter().partition(|policy| policy.is_for_actors(&settings.action));
        let cache = PolicyCache::of(&policies);
        let ids = audiences.iter().map(|audience| audience.id.clone());
        let audience_indices = ids.enumerate().map(|(at, id)| (id, at)).collect();
        let issuers: Option<_> = issuers.into_iter().map(with_entity).collect();
        let actions = settings.checker.schema().action_entities().map_err(|_| unnameable())?;
        let audiences: Option<_> =
            audiences.into_iter().map(|audience| uid("Audience", &audience.id).map(|uid| (audience, uid))).collect();
        Ok(Self {
            name: manifest.name,
            version: manifest.version,
            proof_nonce_required: manifest.proof_nonce_required,
            digest,
            issuers: issuers.ok_or_else(unnameable)?,
            development: environment.development,
            audiences: audiences.ok_or_else(unnameable)?,
            audience_indices,
            clients,
            policies,
            actor_policies,
            lazy: None,
            checker: settings.checker,
            attributes: settings.attributes,
            action: settings.action,
            actions: actions.iter().cloned().collect(),
            cache,
            zones: manifest.zones,
            profiles: manifest.profiles,
            profile,
            inactive_policies,
            groups: Groups::new(groups).ok_or_else(unnameable)?,
            unused_templates,
            guardrails: Vec::new(),
            key_owners: manifest.key_owners,
        })
    }

    /// The lowercase hexadecimal SHA-256 that identifies the bundle.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The issuers trusted in this environment.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter().map(|(issuer, _)| issuer).filter(|issuer| self.is_active(issuer))
    }

    /// All issuers, including those trusted only in development.
    pub fn issuers_of_all_environments(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter().map(|(issuer, _)| issuer)
    }

    /// The trusted issuer whose URL equals `iss` byte for byte.
    ///
    /// INVARIANT: never that of clients, whose assertions are no subject tokens.
    pub fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.issuers().find(|issuer| issuer.issuer == iss && *issuer.provider != client::PROVIDER)
    }

    /// The client with this `client_id`.
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.principal.id == id)
    }

    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    pub fn audiences(&self) -> impl Iterator<Item = &Audience> {
        self.audiences.iter().map(|(audience, _)| audience)
    }

    /// The audience whose `id` equals `id` byte for byte.
    pub fn audience(&self, id: &str) -> Option<&Audience> {
        let index = *self.audience_indices.get(id)?;
        self.audiences.get(index).map(|(audience, _)| audience)
    }

    /// The groups of `entities/` in path order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// The IANA names of the time zones, by the name that the bundle gives each.
    pub fn time_zones(&self) -> BTreeMap<String, String> {
        let owned = |(name, zone): (&str, &str)| (name.to_owned(), zone.to_owned());
        self.zones.names().map(owned).collect()
    }

    /// The weekday, hour and minute in each of these zones at `now`, as policies see them in `context.local`; none if
    /// there are no zones.
    pub fn local_times(&self, now: u64) -> Option<serde_json::Value> {
        self.zones.json(now)
    }

    pub(crate) fn group_entities(&self) -> &Groups {
        &self.groups
    }

    pub(crate) fn zones(&self) -> &Zones {
        &self.zones
    }

    pub fn unused_templates(&self) -> &[NamedTemplate] {
        &self.unused_templates
    }

    /// The scope of requests by principals of an issuer for an audience.
    pub fn request_scope<'a>(
        &self,
        issuer: &Issuer,
        entity: &'a IssuerEntity,
        audience: &'a EntityUid,
    ) -> RequestScope<'a> {
        RequestScope {
            entity_type: &entity.type_name,
            issuer: &entity.uid,
            audience,
            workload_groups: self.groups.of_issuer(&issuer.name),
            audience_groups: self.groups.of_audience(audience.id().unescaped()),
        }
    }

    /// Who answers for which key.
    pub fn key_owners(&self) -> &KeyOwners {
        &self.key_owners
    }

    /// The issuer URL of the broker with this profile.
    pub fn profile(&self, name: &str) -> Option<&str> {
        self.profiles.get(name).map(String::as_str)
    }

    /// The names of all profiles.
    pub fn profile_names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// Whether the bundle has a policy with this `@id`, in any profile.
    pub fn has_policy(&self, id: &str) -> bool {
        let mut inactive = self.inactive_policies.iter();
        self.policies.iter().chain(&self.actor_policies).any(|policy| policy.id == id)
            || inactive.any(|other| other == id)
    }

    /// The policies that are in force, those about actors too.
    pub fn policies_of_all_actions(&self) -> impl Iterator<Item = &NamedPolicy> {
        self.policies.iter().chain(&self.actor_policies)
    }

    /// The policies that are only about actors: whose scope has `action == Action::"act_for"`.
    pub fn actor_policies(&self) -> &[NamedPolicy] {
        &self.actor_policies
    }

    /// The policies that are in force and can match requests for tokens, in path order.
    pub fn policies(&self) -> &[NamedPolicy] {
        &self.policies
    }

    /// The guardrails of all profiles, in path order.
    pub fn guardrails(&self) -> &[Guardrail] {
        &self.guardrails
    }

    /// The guardrails that hold at this broker. Those of other profiles hold where there is no profile, too.
    pub fn guardrails_in_force(&self) -> impl Iterator<Item = &Guardrail> {
        let profile = self.profile.as_deref();
        self.guardrails.iter().filter(move |guardrail| guardrail.policy.is_for(profile))
    }

    pub fn schema(&self) -> &Schema {
        self.checker.schema()
    }

    /// The schema in Cedar's JSON format, including the types generated from issuer files. `files` are those that
    /// the bundle was loaded from.
    ///
    /// # Errors
    /// `files` has no usable schema, so they are not those of the bundle.
    pub fn schema_document(&self, files: &BundleFiles) -> Result<serde_json::Value, LoadError> {
        let missing = || Diagnostic::of_file(SCHEMA_FILE, BundleError::FileMissing);
        let content = files.content(SCHEMA_FILE).ok_or_else(missing)?;
        let issuers: Vec<Issuer> = self.issuers_of_all_environments().cloned().collect();
        let additions = Additions {
            zones: &self.zones,
            clients: !self.clients.is_empty(),
            groups: self.groups.iter().next().is_some(),
            actors: self.audiences().any(|audience| audience.allow_act),
        };
        schema::document(utf8(SCHEMA_FILE, content)?, &issuers, &additions)
            .map_err(|diagnostics| LoadError { diagnostics })
    }

    /// The attributes of an entity type, by name.
    pub fn attributes_of(&self, entity_type: &str) -> Option<&BTreeMap<String, AttributeType>> {
        self.attributes.get(entity_type)
    }

    pub(crate) fn cedar_actions(&self) -> &Actions {
        &self.action
    }

    pub(crate) fn actions(&self) -> &[Entity] {
        &self.actions
    }

    pub(crate) fn issuer_named(&self, name: &str) -> Option<(usize, &Issuer, &IssuerEntity)> {
        let index = self.issuers.iter().position(|(issuer, _)| issuer.name == name)?;
        let (issuer, entity) = self.issuers.get(index)?;
        self.is_active(issuer).then_some((index, issuer, entity))
    }

    /// Every issuer with Cedar's names for it and its principals.
    pub fn issuer_entities(&self) -> impl Iterator<Item = (&Issuer, &IssuerEntity)> {
        self.issuers.iter().map(|(issuer, entity)| (issuer, entity))
    }

    pub fn audience_uids(&self) -> impl Iterator<Item = &EntityUid> {
        self.audiences.iter().map(|(_, uid)| uid)
    }

    pub(crate) fn audience_uid(&self, id: &str) -> Option<(usize, &EntityUid)> {
        let index = *self.audience_indices.get(id)?;
        self.audiences.get(index).map(|(_, uid)| (index, uid))
    }

    /// INVARIANT: an issuer marked `development = true` is trusted in development only.
    fn is_active(&self, issuer: &Issuer) -> bool {
        self.development || !issuer.development
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, version, digest, .. } = self;
        write!(f, "Bundle({name} {version} {digest})")
    }
}

fn read_guardrails(files: &BundleFiles, settings: &Settings<'_>) -> Result<Vec<Guardrail>, Vec<Diagnostic>> {
    guardrails::read(files, &settings.layout, &settings.checker, &settings.manifest.profiles)
}

fn with_entity(issuer: Issuer) -> Option<(Issuer, IssuerEntity)> {
    let type_text = issuer.entity_type();
    let type_name = type_text.parse().ok()?;
    let uid = uid("Issuer", &issuer.name)?;
    Some((issuer, IssuerEntity { type_text, type_name, uid }))
}
