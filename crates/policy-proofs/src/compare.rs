//! Compares what two bundles permit, for all requests.

use crate::assumptions::{Mentions, as_policies};
use crate::counterexample::{Counterexample, request_of};
use crate::granted::permitted_by;
use crate::minimize::{minimize, usual};
use crate::prove::{ProveError, compiled_schema};
use crate::same::{comparable, is_same};
use crate::scene::{Scene, Translator, fixed, unsupported};
use crate::solver::{Answer, NoAnswer, Prover, SolverOptions};
use crate::workers;
use cedar_policy::{Policy, PolicyId, PolicySet};
use cedar_policy_symcc::{CompiledPolicySet, CompiledSchema, Env};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use vouchsafe_policy::authoring::{AUDIENCE_GROUP, WORKLOAD_GROUP};
use vouchsafe_policy::{Bundle, BundleFiles, Environment};
use vouchsafe_policy_tools::RecordedRequest;

/// Who gets more and who gets less, decided for all requests.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// A request that only the new bundle permits.
    pub widening: Option<Example>,
    /// A request that only the old bundle permits.
    pub narrowing: Option<Example>,
    /// The policies that differ, by id.
    pub policies: BTreeMap<String, PolicyChange>,
    /// Request environments about which there is no answer.
    pub undecided: Vec<Undecided>,
    /// Name and version of the solver.
    pub solver: String,
}

impl Comparison {
    /// Whether both bundles are known to permit the same requests.
    pub fn is_same(&self) -> bool {
        self.widening.is_none() && self.narrowing.is_none() && self.undecided.is_empty()
    }
}

/// A request that one of the bundles permits, in one of the profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub profile: Option<String>,
    pub found: Counterexample,
}

/// How the requests that a policy matches differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyChange {
    pub matches_more: bool,
    pub matches_less: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    pub issuer: String,
    pub audience: String,
    pub why: NoAnswer,
}

/// Both bundles as the broker of one profile loads them.
struct Broker {
    profile: Option<String>,
    old: Bundle,
    new: Bundle,
}

/// Compares two bundles in every profile of either.
///
/// # Errors
/// A bundle does not load, or there is no solver.
pub fn compare(
    (old, new): (&BundleFiles, &BundleFiles),
    environment: &Environment,
    solver: &SolverOptions,
    workers: NonZeroUsize,
) -> Result<Comparison, ProveError> {
    let environment = Environment { development: true, ..environment.clone() };
    let brokers = brokers(old, new, &environment)?;
    let schemas = brokers.iter().map(|it| Ok((compiled_schema(&it.old)?, compiled_schema(&it.new)?)));
    let schemas: Vec<_> = schemas.collect::<Result<_, ProveError>>()?;
    let mut questions = Vec::new();
    for (broker, (of_old, of_new)) in brokers.iter().zip(&schemas) {
        let renamed = changed_groups(&broker.old, &broker.new);
        for (issuer, audience) in pairs(broker) {
            let sides = [(&broker.old, of_old), (&broker.new, of_new)];
            let sides = sides.map(|(bundle, schema)| Some((Scene::between(bundle, &issuer, &audience)?, schema)));
            let renamed = renamed.clone();
            questions.push(Question { broker, files: (old, new), sides, issuer, audience, renamed });
        }
    }
    let (answers, solver) = workers::answer(solver, workers, questions, |prover, question| question.answer(prover))?;
    let mut comparison = Comparison { solver, ..Comparison::default() };
    for answer in answers {
        comparison.undecided.extend(answer.undecided);
        comparison.widening = comparison.widening.or(answer.widening);
        comparison.narrowing = comparison.narrowing.or(answer.narrowing);
        for (id, change) in answer.policies {
            let known = comparison.policies.entry(id).or_default();
            known.matches_more |= change.matches_more;
            known.matches_less |= change.matches_less;
        }
    }
    Ok(comparison)
}

fn brokers(old: &BundleFiles, new: &BundleFiles, environment: &Environment) -> Result<Vec<Broker>, ProveError> {
    let usual = Broker { profile: None, old: Bundle::load(old, environment)?, new: Bundle::load(new, environment)? };
    let mut urls: BTreeMap<String, String> = BTreeMap::new();
    for bundle in [&usual.old, &usual.new] {
        let named = bundle.profile_names().filter_map(|name| Some((bundle.profile(name)?.to_owned(), name.to_owned())));
        urls.extend(named);
    }
    if urls.is_empty() {
        return Ok(vec![usual]);
    }
    let load = |(issuer, name)| {
        let environment = Environment { issuer, ..environment.clone() };
        let (old, new) = (Bundle::load(old, &environment)?, Bundle::load(new, &environment)?);
        Ok(Broker { profile: Some(name), old, new })
    };
    urls.into_iter().map(load).collect()
}

/// The issuers and audiences between which either bundle permits something.
fn pairs(broker: &Broker) -> BTreeSet<(String, String)> {
    let scenes = Scene::of(&broker.old).into_iter().chain(Scene::of(&broker.new));
    scenes.map(|scene| (scene.issuer.name.clone(), scene.audience.id.clone())).collect()
}

/// The names of groups whose members differ, so that the same name means something else in each bundle.
fn changed_groups(old: &Bundle, new: &Bundle) -> BTreeSet<String> {
    let same = |name: &str| {
        let find = |bundle: &'_ Bundle| bundle.groups().find(|group| group.name == name).cloned();
        find(old) == find(new)
    };
    let all = old.groups().chain(new.groups()).map(|group| group.name.clone());
    all.filter(|name| !same(name)).collect()
}

struct Question<'b> {
    broker: &'b Broker,
    files: (&'b BundleFiles, &'b BundleFiles),
    /// The old and the new side, if they know the issuer and the audience.
    sides: [Option<(Scene<'b>, &'b CompiledSchema)>; 2],
    issuer: String,
    audience: String,
    /// Groups of the old bundle that get another name.
    renamed: BTreeSet<String>,
}

impl Question<'_> {
    fn answer(&self, prover: &mut Prover) -> Comparison {
        match self.decide(prover) {
            Ok(comparison) => comparison,
            Err(why) => {
                let (issuer, audience) = (self.issuer.clone(), self.audience.clone());
                Comparison { undecided: vec![Undecided { issuer, audience, why }], ..Comparison::default() }
            }
        }
    }

    fn decide(&self, prover: &mut Prover) -> Result<Comparison, NoAnswer> {
        let [old, new] = &self.sides;
        if let (Some((old, _)), Some((new, _))) = (old, new) {
            if is_same(old, new) {
                return Ok(Comparison::default());
            }
            comparable(old, new)?;
        }
        // Both sides are translated with one schema.
        let Some((either, schema)) = new.as_ref().or(old.as_ref()) else {
            return Ok(Comparison::default());
        };
        let translator = either.translator(schema, &PolicySet::new(), Vec::new())?;
        let side = |side: &Option<(Scene<'_>, &CompiledSchema)>, renamed: &BTreeSet<String>| match side {
            Some((scene, _)) => Side::of(scene, renamed),
            None => Ok(Side::default()),
        };
        let (before, after) = (side(old, &self.renamed)?, side(new, &BTreeSet::new())?);
        let (old_permits, new_permits) = (before.permitted(&translator)?, after.permitted(&translator)?);
        let mut comparison = Comparison::default();
        let ways = [(&new_permits, &old_permits, true), (&old_permits, &new_permits, false)];
        for (narrow, wide, widens) in ways {
            let found = match prover.implies(narrow, wide) {
                Answer::Holds => None,
                Answer::Refuted(env) => Some(self.example(&env, widens)?),
                Answer::Unknown(why) => return Err(why),
            };
            *(if widens { &mut comparison.widening } else { &mut comparison.narrowing }) = found;
        }
        comparison.policies = policy_changes(prover, &translator, &before, &after)?;
        Ok(comparison)
    }

    /// The request that only one bundle permits.
    fn example(&self, env: &Env, widens: bool) -> Result<Example, NoAnswer> {
        let [old, new] = &self.sides;
        let (permits, denies) = match widens {
            true => (&self.broker.new, &self.broker.old),
            false => (&self.broker.old, &self.broker.new),
        };
        let files = if widens { self.files.1 } else { self.files.0 };
        let scene = if widens { new } else { old };
        let unconfirmed = || NoAnswer::Unconfirmed(env.to_string());
        let (scene, _) = scene.as_ref().ok_or_else(unconfirmed)?;
        let breaks = |request: &RecordedRequest| {
            permitted_by(permits, request).is_some() && permitted_by(denies, request).is_none()
        };
        let found = request_of(env, scene, breaks).ok_or_else(unconfirmed)?;
        let reads = scene.claims_read(&found, None);
        let usual = usual(files, permits, &self.issuer);
        let mut small = minimize(permits, found, usual.as_ref(), &reads, breaks);
        small.permitted_by = permitted_by(permits, &small.request).unwrap_or_default();
        Ok(Example { profile: self.broker.profile.clone(), found: small })
    }
}

/// The policies and facts of one bundle, static and with groups renamed.
#[derive(Default)]
struct Side {
    policies: BTreeMap<String, Policy>,
    facts: Vec<Policy>,
}

impl Side {
    fn of(scene: &Scene<'_>, renamed: &BTreeSet<String>) -> Result<Self, NoAnswer> {
        let rename = |policy: &Policy| with_renamed_groups(&fixed(policy)?, renamed);
        let policies = scene.policies.policies().map(|policy| Ok((policy.id().to_string(), rename(policy)?)));
        let facts = as_policies(&scene.assumptions(&PolicySet::new())).map_err(NoAnswer::Unsupported)?;
        Ok(Self {
            policies: policies.collect::<Result<_, NoAnswer>>()?,
            facts: facts.iter().map(rename).collect::<Result<_, _>>()?,
        })
    }

    fn permitted(&self, translator: &Translator<'_>) -> Result<CompiledPolicySet, NoAnswer> {
        let all = self.policies.values().chain(&self.facts);
        translator.permitted(&PolicySet::from_policies(all.cloned()).map_err(unsupported)?, false)
    }

    /// The requests of this bundle that one of its policies matches, or none if there is no such policy.
    fn matched(&self, translator: &Translator<'_>, id: &str) -> Result<CompiledPolicySet, NoAnswer> {
        let permit =
            self.policies.get(id).map(|policy| crate::scene::with_effect(policy, cedar_policy::Effect::Permit));
        let policies = permit.transpose()?.into_iter().chain(self.facts.iter().cloned());
        translator.permitted(&PolicySet::from_policies(policies).map_err(unsupported)?, false)
    }
}

fn policy_changes(
    prover: &mut Prover,
    translator: &Translator<'_>,
    old: &Side,
    new: &Side,
) -> Result<BTreeMap<String, PolicyChange>, NoAnswer> {
    let text = |policy: Option<&Policy>| policy.and_then(|policy| policy.to_json().ok());
    let mut changes = BTreeMap::new();
    for id in old.policies.keys().chain(new.policies.keys()).collect::<BTreeSet<_>>() {
        if text(old.policies.get(id)) == text(new.policies.get(id)) {
            continue;
        }
        let (before, after) = (old.matched(translator, id)?, new.matched(translator, id)?);
        let change = PolicyChange {
            matches_more: !prover.implies(&after, &before).holds()?,
            matches_less: !prover.implies(&before, &after).holds()?,
        };
        changes.insert(id.clone(), change);
    }
    Ok(changes)
}

/// The policy with other names for the groups in `renamed`.
fn with_renamed_groups(policy: &Policy, renamed: &BTreeSet<String>) -> Result<Policy, NoAnswer> {
    if renamed.is_empty()
        || Mentions::of([&PolicySet::from_policies([policy.clone()]).map_err(unsupported)?]).is_empty()
    {
        return Ok(policy.clone());
    }
    let mut json = policy.to_json().map_err(unsupported)?;
    rename(&mut json, renamed);
    Policy::from_json(Some(PolicyId::new(policy.id())), json).map_err(unsupported)
}

fn rename(json: &mut Value, renamed: &BTreeSet<String>) {
    if let Some(members) = json.as_object_mut() {
        let is_group = members.get("type").is_some_and(|it| it == WORKLOAD_GROUP || it == AUDIENCE_GROUP);
        if let Some(Value::String(id)) = members.get_mut("id")
            && is_group
            && renamed.contains(id.as_str())
        {
            // Names of groups have no spaces.
            id.push_str(" before");
        }
        members.values_mut().for_each(|value| rename(value, renamed));
    } else if let Some(values) = json.as_array_mut() {
        values.iter_mut().for_each(|value| rename(value, renamed));
    }
}
