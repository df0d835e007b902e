//! Properties of single policies, decided for all requests.

use crate::counterexample::{Counterexample, request_of};
use crate::granted::permitted_by;
use crate::minimize::{minimize, usual};
use crate::prove::{ProveError, brokers, compiled_schema};
use crate::scene::{Scene, with_effect};
use crate::solver::{Answer, Known, NoAnswer, Prover, SolverOptions};
use crate::unintended::{Adversary, Unintended, adversaries};
use crate::workers;
use cedar_policy::{Effect, Policy, PolicySet};
use cedar_policy_symcc::CompiledSchema;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use vouchsafe_policy::{BundleFiles, Environment};
use vouchsafe_policy_tools::RecordedRequest;

/// What is proven about a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lint {
    /// It can fail to evaluate.
    CanErr,
    /// Another policy matches the same requests.
    Equivalent(String),
    /// A `forbid` without which the same requests are permitted.
    ForbidsNothing,
    /// Everything that it permits, this other policy permits too.
    Implied(String),
    /// Everything that it permits, the other policies together permit too.
    ImpliedByOthers,
    /// No request matches it.
    NeverMatches,
    /// Everything that it permits is forbidden.
    Overruled,
    /// It permits requests of a kind that its author can't have intended.
    Permits(Unintended, Box<Counterexample>),
    /// There is no answer.
    Undecided(NoAnswer),
}

/// What is known about one policy in one scene.
#[derive(Debug, Clone, Default)]
struct Findings {
    matches: bool,
    /// Whether the other policies alone permit something else.
    matters: bool,
    is_overruled: bool,
    errs: bool,
    implied_by: Option<BTreeSet<String>>,
    equivalent_to: Option<BTreeSet<String>>,
    unintended: BTreeMap<Unintended, Counterexample>,
}

/// What is proven about the policies of a bundle, by id: what holds in every profile and request environment.
///
/// # Errors
/// The bundle does not load, or there is no solver.
pub fn lints(
    files: &BundleFiles,
    environment: &Environment,
    solver: &SolverOptions,
    workers: NonZeroUsize,
) -> Result<BTreeMap<String, Vec<Lint>>, ProveError> {
    let brokers = brokers(files, environment)?;
    let schemas = brokers.iter().map(|(_, bundle)| compiled_schema(bundle)).collect::<Result<Vec<_>, _>>()?;
    let scenes = brokers.iter().zip(&schemas).flat_map(|((_, bundle), schema)| {
        let scenes = Scene::of(bundle).into_iter();
        scenes.map(move |scene| (schema, scene))
    });
    let (answers, _) = workers::answer(solver, workers, scenes.collect(), |prover, (schema, scene)| {
        let policies: Vec<&Policy> = scene.policies.policies().collect();
        let about = |policy: &&Policy| {
            let found = Asked { files, scene: &scene, schema, prover: &mut *prover }.about(policy);
            (policy.id().to_string(), policy.effect(), found)
        };
        policies.iter().map(about).collect::<Vec<_>>()
    })?;
    let mut by_policy: BTreeMap<String, (Effect, Vec<Known<Findings>>)> = BTreeMap::new();
    for (id, effect, found) in answers.into_iter().flatten() {
        by_policy.entry(id).or_insert((effect, Vec::new())).1.push(found);
    }
    let lints = by_policy.into_iter().map(|(id, (effect, found))| (id, of_findings(effect, found)));
    Ok(lints.filter(|(_, lints)| !lints.is_empty()).collect())
}

/// What holds in all scenes of a policy.
fn of_findings(effect: Effect, found: Vec<Known<Findings>>) -> Vec<Lint> {
    let mut known = Vec::new();
    for found in found {
        match found {
            Ok(findings) => known.push(findings),
            Err(why) => return vec![Lint::Undecided(why)],
        }
    }
    let mut lints = Vec::new();
    if known.iter().any(|it| it.errs) {
        lints.push(Lint::CanErr);
    }
    // What other policies are in all scenes in which the policy matches.
    let in_all = |others: fn(&Findings) -> &Option<BTreeSet<String>>| {
        let sets = known.iter().filter(|it| it.matches).filter_map(|it| others(it).clone());
        sets.reduce(|one, next| &one & &next).unwrap_or_default().into_iter().next()
    };
    let all = |is: fn(&Findings) -> bool| known.iter().all(is);
    if all(|it| !it.matches) {
        lints.push(Lint::NeverMatches);
    } else if let Some(other) = in_all(|it| &it.equivalent_to) {
        lints.push(Lint::Equivalent(other));
    } else if all(|it| !it.matters) {
        lints.push(match effect {
            Effect::Forbid => Lint::ForbidsNothing,
            Effect::Permit if all(|it| !it.matches || it.is_overruled) => Lint::Overruled,
            Effect::Permit => in_all(|it| &it.implied_by).map_or(Lint::ImpliedByOthers, Lint::Implied),
        });
    }
    let mut unintended = BTreeMap::new();
    for (kind, found) in known.into_iter().flat_map(|it| it.unintended) {
        unintended.entry(kind).or_insert(found);
    }
    lints.extend(unintended.into_iter().map(|(kind, found)| Lint::Permits(kind, Box::new(found))));
    lints
}

struct Asked<'q, 'b> {
    files: &'q BundleFiles,
    scene: &'q Scene<'b>,
    schema: &'b CompiledSchema,
    prover: &'q mut Prover,
}

impl Asked<'_, '_> {
    fn about(&mut self, policy: &Policy) -> Known<Findings> {
        let translator = self.scene.translator(self.schema, &PolicySet::new(), Vec::new())?;
        let errs = !self.prover.never_errs(&translator.policy(policy)?).holds()?;
        let matched = translator.permitted_by([with_effect(policy, Effect::Permit)?].iter())?;
        if self.prover.denies_all(&matched).holds()? {
            return Ok(Findings { errs, ..Findings::default() });
        }
        let others = || self.scene.policies.policies().filter(|other| other.id() != policy.id());
        let all = translator.permitted_by(self.scene.policies.policies())?;
        let without = translator.permitted_by(others())?;
        let mut findings = Findings { matches: true, errs, ..Findings::default() };
        findings.matters = !self.prover.equal(&all, &without)?;
        let forbids = others().filter(|other| other.effect() == Effect::Forbid);
        if policy.effect() == Effect::Permit {
            let alone = translator.permitted_by(forbids.chain([policy]))?;
            findings.is_overruled = self.prover.denies_all(&alone).holds()?;
            if !findings.is_overruled {
                for adversary in adversaries(self.files, self.scene, policy) {
                    let found = self.permitted(policy, &adversary)?;
                    findings.unintended.extend(found.map(|found| (adversary.kind, found)));
                }
            }
        }
        let (mut implied_by, mut equivalent_to) = (BTreeSet::new(), BTreeSet::new());
        for other in others().filter(|other| other.effect() == policy.effect()) {
            let of_other = translator.permitted_by([with_effect(other, Effect::Permit)?].iter())?;
            if self.prover.implies(&matched, &of_other).holds()? {
                implied_by.insert(other.id().to_string());
                if self.prover.implies(&of_other, &matched).holds()? {
                    equivalent_to.insert(other.id().to_string());
                }
            }
        }
        Ok(Findings { implied_by: Some(implied_by), equivalent_to: Some(equivalent_to), ..findings })
    }

    /// A permitted request of the adversary.
    fn permitted(&mut self, policy: &Policy, adversary: &Adversary) -> Known<Option<Counterexample>> {
        let bundle = self.scene.bundle;
        let translator = self.scene.translator(self.schema, &PolicySet::new(), adversary.facts.clone())?;
        let forbids = self.scene.policies.policies().filter(|other| other.effect() == Effect::Forbid);
        let permitted = translator.permitted_by(forbids.chain([policy]))?;
        let env = match self.prover.denies_all(&permitted) {
            Answer::Holds => return Ok(None),
            Answer::Refuted(env) => env,
            Answer::Unknown(why) => return Err(why),
        };
        let id = policy.id().to_string();
        let breaks = |request: &RecordedRequest| {
            (adversary.makes)(request) && permitted_by(bundle, request).is_some_and(|by| by.contains(&id))
        };
        let found = request_of(&env, self.scene, breaks).ok_or_else(|| NoAnswer::Unconfirmed(env.to_string()))?;
        let reads = self.scene.claims_read(&found, Some(policy));
        let usual = usual(self.files, bundle, &self.scene.issuer.name);
        let mut small = minimize(bundle, found, usual.as_ref(), &reads, breaks);
        small.permitted_by = vec![id];
        Ok(Some(small))
    }
}
