//! Which policies can permit anything, to principals of which issuers and for which audiences.

use crate::prove::{ProveError, brokers, compiled_schema};
use crate::scene::Scene;
use crate::solver::{Known, Prover, SolverOptions};
use crate::workers;
use cedar_policy::{Effect, PolicySet};
use cedar_policy_symcc::CompiledSchema;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use vouchsafe_policy::{BundleFiles, Environment};
use vouchsafe_policy_tools::graph::Grant;

/// The grants that are possible: some request is permitted by the policy, and forbidden by none.
///
/// # Errors
/// The bundle does not load, or there is no solver. The inner result is an error if something is not decided.
pub fn possible(
    files: &BundleFiles,
    environment: &Environment,
    solver: &SolverOptions,
    workers: NonZeroUsize,
) -> Result<Known<BTreeSet<Grant>>, ProveError> {
    let brokers = brokers(files, environment)?;
    let schemas = brokers.iter().map(|(_, bundle)| compiled_schema(bundle)).collect::<Result<Vec<_>, _>>()?;
    let scenes = brokers.iter().zip(&schemas).flat_map(|((_, bundle), schema)| {
        let scenes = Scene::of(bundle).into_iter();
        scenes.map(move |scene| (schema, scene))
    });
    let (answers, _) =
        workers::answer(solver, workers, scenes.collect(), |prover, (schema, scene)| of_scene(prover, schema, &scene))?;
    let grants: Known<Vec<Vec<Grant>>> = answers.into_iter().collect();
    Ok(grants.map(|grants| grants.into_iter().flatten().collect()))
}

fn of_scene(prover: &mut Prover, schema: &CompiledSchema, scene: &Scene<'_>) -> Known<Vec<Grant>> {
    let translator = scene.translator(schema, &PolicySet::new(), Vec::new())?;
    let of = |effect: Effect| scene.policies.policies().filter(move |policy| policy.effect() == effect);
    let mut possible = Vec::new();
    for permit in of(Effect::Permit) {
        let alone = translator.permitted_by(of(Effect::Forbid).chain([permit]))?;
        if !prover.denies_all(&alone).holds()? {
            possible.push(Grant {
                policy: permit.id().to_string(),
                issuer: scene.issuer.name.clone(),
                audience: scene.audience.id.clone(),
            });
        }
    }
    Ok(possible)
}
