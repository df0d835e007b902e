//! Proves guardrails: no request that the bundle permits may match one.

use crate::assumptions::{Assumption, is_of_large_group};
use crate::counterexample::{Counterexample, request_of};
use crate::granted::permitted_by;
use crate::minimize::{minimize, usual};
use crate::same::is_same;
use crate::scene::{Scene, Translator, unsupported};
use crate::solver::{Answer, Known, NoAnswer, Prover, SolverOptions, StartError};
use crate::workers;
use cedar_policy::{Authorizer, PolicySet};
use cedar_policy_symcc::{CompiledPolicySet, CompiledSchema};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use vouchsafe_policy::authoring::{can_match, proof};
use vouchsafe_policy::{Bundle, BundleFiles, Environment, Guardrail, LoadError, PROOF_FILE};
use vouchsafe_policy_tools::RecordedRequest;

/// Why nothing can be proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    #[error("{0}")]
    Load(#[from] LoadError),
    #[error("{0}")]
    Solver(#[from] StartError),
    #[error("the schema cannot be translated: {0}")]
    Schema(String),
}

/// What is known about a guardrail in one request environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No permitted request breaks it.
    Proven,
    /// This permitted request breaks it.
    Violated(Box<Counterexample>),
    /// The guardrail itself fails to evaluate for some request.
    Errs,
    /// The solver has no answer, which counts as a failure.
    Unknown(NoAnswer),
}

/// A guardrail for requests by principals of one issuer for one audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub guardrail: String,
    /// The profile of the broker, if the bundle has profiles.
    pub profile: Option<String>,
    pub entity_type: String,
    pub issuer: String,
    pub audience: String,
    pub outcome: Outcome,
    pub time: Duration,
}

/// The proofs of a bundle, by profile, issuer, audience and guardrail.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    pub proofs: Vec<Proof>,
    /// Guardrails about which there is nothing to prove, because no policy can permit what they cover.
    pub idle: Vec<String>,
    /// How many request environments were left out because they are as in the base.
    pub unchanged: usize,
    /// Name and version of the solver.
    pub solver: String,
}

impl Proofs {
    pub fn hold(&self) -> bool {
        self.proofs.iter().all(|proof| proof.outcome == Outcome::Proven)
    }
}

/// The bundle as each broker loads it: one for each profile, or the only one.
///
/// A broker without a profile has fewer `permit`s and no fewer `forbid`s than any profile's, so it needs no proof.
pub fn brokers(files: &BundleFiles, environment: &Environment) -> Result<Vec<(Option<String>, Bundle)>, LoadError> {
    let bundle = Bundle::load(files, environment)?;
    let profiles: Vec<(String, String)> =
        bundle.profile_names().filter_map(|name| Some((name.to_owned(), bundle.profile(name)?.to_owned()))).collect();
    if profiles.is_empty() {
        return Ok(vec![(None, bundle)]);
    }
    let load = |(name, issuer)| {
        let environment = Environment { issuer, ..environment.clone() };
        Ok((Some(name), Bundle::load(files, &environment)?))
    };
    profiles.into_iter().map(load).collect()
}

/// The schema of a bundle, translated once for all of its scenes.
pub(crate) fn compiled_schema(bundle: &Bundle) -> Result<CompiledSchema, ProveError> {
    CompiledSchema::new(bundle.schema()).map_err(|error| ProveError::Schema(error.to_string()))
}

/// What proofs about a scene assume.
pub fn assumptions_of(scene: &Scene<'_>) -> Vec<Assumption> {
    let guardrails = scene.bundle.guardrails_in_force().map(|it| it.policy.cedar.clone());
    scene.assumptions(&PolicySet::from_policies(guardrails).unwrap_or_default())
}

/// Decides for every guardrail, in every profile and request environment, whether it holds.
///
/// # Errors
/// The bundle does not load, or there is no solver.
pub fn prove(
    files: &BundleFiles,
    environment: &Environment,
    solver: &SolverOptions,
    workers: NonZeroUsize,
) -> Result<Proofs, ProveError> {
    prove_changes(None, files, environment, solver, workers)
}

/// Like [`prove`], without the request environments that are as in `base`, if `base` has a current record that its
/// guardrails are proven.
///
/// # Errors
/// The bundle does not load, or there is no solver.
pub fn prove_changes(
    base: Option<&BundleFiles>,
    files: &BundleFiles,
    environment: &Environment,
    solver: &SolverOptions,
    workers: NonZeroUsize,
) -> Result<Proofs, ProveError> {
    let brokers = brokers(files, environment)?;
    let proven = base.map_or_else(Vec::new, |base| proven_brokers(base, files, environment));
    let schemas = brokers.iter().map(|(_, bundle)| compiled_schema(bundle)).collect::<Result<Vec<_>, _>>()?;
    let mut questions: Vec<Question<'_>> = brokers
        .iter()
        .zip(&schemas)
        .flat_map(|((profile, bundle), schema)| {
            let question = move |scene| Question { files, profile: profile.as_deref(), schema, scene };
            Scene::of(bundle).into_iter().map(question)
        })
        .collect();
    let all = questions.len();
    questions.retain(|question| !question.is_in(&proven));
    let unchanged = all.saturating_sub(questions.len());
    let (answers, solver) = workers::answer(solver, workers, questions, |prover, question| question.answer(prover))?;
    let proofs: Vec<Proof> = answers.into_iter().flatten().collect();
    let all = brokers.first().into_iter().flat_map(|(_, bundle)| bundle.guardrails());
    let ids = all.map(|guardrail| guardrail.policy.id.clone());
    let idle = ids.filter(|id| unchanged == 0 && !proofs.iter().any(|proof| proof.guardrail == *id)).collect();
    Ok(Proofs { proofs, idle, unchanged, solver })
}

/// The brokers of a base whose guardrails are recorded as proven. None if guardrails, groups, the schema or the manifest
/// differ, so that what remains to be compared are policies, issuers and audiences.
fn proven_brokers(base: &BundleFiles, files: &BundleFiles, environment: &Environment) -> Vec<(Option<String>, Bundle)> {
    let is_shared = |path: &str| match path.split_once('/') {
        None => path.ends_with(".toml") || path.ends_with(".cedarschema"),
        Some((folder, _)) => (folder == "guardrails" && path != PROOF_FILE) || folder == "entities",
    };
    let shared = |files: &BundleFiles| -> BTreeMap<String, Vec<u8>> {
        let shared = files.iter().filter(|(path, _)| is_shared(path));
        shared.map(|(path, content)| (path.to_owned(), content.to_vec())).collect()
    };
    match proof::require(base).is_ok() && shared(base) == shared(files) {
        true => brokers(base, environment).unwrap_or_default(),
        false => Vec::new(),
    }
}

struct Question<'b> {
    files: &'b BundleFiles,
    profile: Option<&'b str>,
    schema: &'b CompiledSchema,
    scene: Scene<'b>,
}

impl Question<'_> {
    /// Whether a proven bundle, which has the same guardrails and groups, has the same policies and facts for this scene.
    fn is_in(&self, proven: &[(Option<String>, Bundle)]) -> bool {
        let Some((_, base)) = proven.iter().find(|(profile, _)| profile.as_deref() == self.profile) else {
            return false;
        };
        let (issuer, audience) = (&self.scene.issuer.name, &self.scene.audience.id);
        let Some(old) = Scene::between(base, issuer, audience) else {
            return false;
        };
        is_same(&old, &self.scene)
    }

    fn answer(&self, prover: &mut Prover) -> Vec<Proof> {
        let scope = self.scene.scope();
        let guardrails = self.scene.bundle.guardrails_in_force();
        let guardrails: Vec<&Guardrail> = guardrails.filter(|it| can_match(&it.policy, &scope)).collect();
        if guardrails.is_empty() {
            return Vec::new();
        }
        let start = Instant::now();
        let all = PolicySet::from_policies(guardrails.iter().map(|it| it.policy.cedar.clone()));
        let facts = self.scene.assumptions(&all.unwrap_or_default());
        let few: Vec<Assumption> = facts.iter().filter(|fact| !is_of_large_group(fact)).cloned().collect();
        let holds = |prover: &mut Prover, prepared: &Known<(Translator<'_>, CompiledPolicySet)>| match prepared {
            Ok((translator, permitted)) => self.all_hold(prover, translator, permitted, &guardrails),
            Err(_) => false,
        };
        // All at once, which takes as long as one, and first without costly facts. If that fails, one by one.
        let quick = few.len() < facts.len() && holds(prover, &self.prepare(&few));
        let prepared = if quick { Err(NoAnswer::Unknown) } else { self.prepare(&facts) };
        if quick || holds(prover, &prepared) {
            let number = u32::try_from(guardrails.len()).unwrap_or(u32::MAX);
            let each = start.elapsed().checked_div(number).unwrap_or_default();
            return guardrails.iter().map(|guardrail| self.proof(guardrail, Outcome::Proven, each)).collect();
        }
        let proof = |guardrail: &&Guardrail| {
            let start = Instant::now();
            let outcome = match &prepared {
                Ok((translator, permitted)) => self.outcome(prover, translator, permitted, guardrail),
                Err(why) => Outcome::Unknown(why.clone()),
            };
            self.proof(guardrail, outcome, start.elapsed())
        };
        guardrails.iter().map(proof).collect()
    }

    /// Translates the policies of the scene, with these facts.
    fn prepare(&self, facts: &[Assumption]) -> Known<(Translator<'_>, CompiledPolicySet)> {
        let translator = self.scene.translator_with(self.schema, facts)?;
        let permitted = translator.permitted(&self.scene.policies, true)?;
        Ok((translator, permitted))
    }

    /// Whether it is proven that no permitted request matches any of the guardrails, none of which can fail.
    fn all_hold(
        &self,
        prover: &mut Prover,
        translator: &Translator<'_>,
        permitted: &CompiledPolicySet,
        guardrails: &[&Guardrail],
    ) -> bool {
        let policies = || guardrails.iter().map(|it| it.policy.cedar.clone());
        let never_errs = |policy| {
            let compiled = translator.policy(&policy);
            compiled.is_ok_and(|compiled| matches!(prover.never_errs(&compiled), Answer::Holds))
        };
        if !policies().all(never_errs) {
            return false;
        }
        let set = PolicySet::from_policies(policies()).map_err(unsupported);
        let kept = set.and_then(|set| translator.not_forbidden(&set));
        kept.is_ok_and(|kept| matches!(prover.implies(permitted, &kept), Answer::Holds))
    }

    fn proof(&self, guardrail: &Guardrail, outcome: Outcome, time: Duration) -> Proof {
        Proof {
            guardrail: guardrail.policy.id.clone(),
            profile: self.profile.map(str::to_owned),
            entity_type: self.scene.entity_type().to_owned(),
            issuer: self.scene.issuer.name.clone(),
            audience: self.scene.audience.id.clone(),
            outcome,
            time,
        }
    }

    fn outcome(
        &self,
        prover: &mut Prover,
        translator: &Translator<'_>,
        permitted: &CompiledPolicySet,
        guardrail: &Guardrail,
    ) -> Outcome {
        let policy = &guardrail.policy.cedar;
        let compiled = translator.policy(policy).and_then(|alone| {
            let set = PolicySet::from_policies([policy.clone()]);
            Ok((alone, translator.not_forbidden(&set.map_err(unsupported)?)?))
        });
        let (alone, kept) = match compiled {
            Ok(compiled) => compiled,
            Err(why) => return Outcome::Unknown(why),
        };
        // ORDER: Cedar skips a `forbid` that fails to evaluate, so a guardrail that can fail would prove nothing.
        match prover.never_errs(&alone) {
            Answer::Holds => {}
            Answer::Refuted(_) => return Outcome::Errs,
            Answer::Unknown(why) => return Outcome::Unknown(why),
        }
        match prover.implies(permitted, &kept) {
            Answer::Holds => Outcome::Proven,
            Answer::Unknown(why) => Outcome::Unknown(why),
            Answer::Refuted(env) => self.violation(&env, guardrail),
        }
    }

    fn violation(&self, env: &cedar_policy_symcc::Env, guardrail: &Guardrail) -> Outcome {
        let bundle = self.scene.bundle;
        let breaks = |request: &RecordedRequest| {
            permitted_by(bundle, request).is_some() && is_matched(bundle, guardrail, request)
        };
        match request_of(env, &self.scene, breaks) {
            Some(found) => {
                let usual = usual(self.files, bundle, &self.scene.issuer.name);
                let reads = self.scene.claims_read(&found, Some(&guardrail.policy.cedar));
                let mut small = minimize(bundle, found, usual.as_ref(), &reads, breaks);
                small.permitted_by = permitted_by(bundle, &small.request).unwrap_or_default();
                Outcome::Violated(Box::new(small))
            }
            None => Outcome::Unknown(NoAnswer::Unconfirmed(env.to_string())),
        }
    }
}

/// Whether a guardrail matches `request`, evaluated as the broker evaluates policies.
fn is_matched(bundle: &Bundle, guardrail: &Guardrail, request: &RecordedRequest) -> bool {
    let Ok(prepared) = bundle.prepare(&request.principal, &request.request, request.now) else {
        return false;
    };
    let Ok(alone) = PolicySet::from_policies([guardrail.policy.cedar.clone()]) else {
        return false;
    };
    let response = Authorizer::new().is_authorized(&prepared.request, &alone, &prepared.entities);
    response.diagnostics().reason().next().is_some()
}
