//! Proofs against evaluation: neither may contradict the other.

use crate::generated::{Numbers, bundle, request};
use crate::support::{environment, load, solver};
use cedar_policy::{Authorizer, PolicySet};
use std::num::NonZeroUsize;
use vouchsafe_policy::{Bundle, BundleFiles, Effect, Guardrail};
use vouchsafe_policy_proofs::Scene;
use vouchsafe_policy_proofs::assumptions::as_policies;
use vouchsafe_policy_proofs::prove::{Outcome, assumptions_of, prove};
use vouchsafe_policy_tools::{RecordedRequest, refusals};

/// Generated bundles per run; `PROOF_BUNDLES` sets another number.
const BUNDLES: u64 = 120;
const REQUESTS_PER_BUNDLE: usize = 150;

fn bundles() -> u64 {
    std::env::var("PROOF_BUNDLES").ok().and_then(|text| text.parse().ok()).unwrap_or(BUNDLES)
}

/// Whether the broker would issue a token.
fn grants(bundle: &Bundle, asked: &RecordedRequest) -> bool {
    let decision = bundle.decide(&asked.principal, &asked.request, asked.now).expect("it can be decided");
    let audience = bundle.audience(&asked.request.audience).expect("it is known");
    decision.effect == Effect::Permit && refusals(audience, &asked.request).is_empty()
}

/// The ids of the guardrails that match, by evaluation.
fn matched(bundle: &Bundle, asked: &RecordedRequest) -> Vec<String> {
    let prepared = bundle.prepare(&asked.principal, &asked.request, asked.now).expect("it fits the schema");
    let matches = |guardrail: &&Guardrail| {
        let alone = PolicySet::from_policies([guardrail.policy.cedar.clone()]).expect("one policy");
        let response = Authorizer::new().is_authorized(&prepared.request, &alone, &prepared.entities);
        assert_eq!(response.diagnostics().errors().count(), 0, "{}", guardrail.policy.id);
        response.diagnostics().reason().count() > 0
    };
    bundle.guardrails().iter().filter(matches).map(|guardrail| guardrail.policy.id.clone()).collect()
}

/// Whether every assumption that Cedar can express is true for a request.
fn fits(bundle: &Bundle, asked: &RecordedRequest) {
    let scene = Scene::between(bundle, &asked.principal.issuer_name, &asked.request.audience).expect("it is known");
    let prepared = bundle.prepare(&asked.principal, &asked.request, asked.now).expect("it fits the schema");
    let facts =
        PolicySet::from_policies(as_policies(&assumptions_of(&scene)).expect("they parse")).expect("unique ids");
    let response = Authorizer::new().is_authorized(&prepared.request, &facts, &prepared.entities);
    assert_eq!(response.diagnostics().errors().count(), 0, "{asked:?}");
    let broken: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{broken:?} of {:#?} for {asked:?}", assumptions_of(&scene));
}

struct Tally {
    proven: usize,
    violated: usize,
    granted: usize,
}

fn check(seed: u64, files: &BundleFiles, tally: &mut Tally) {
    let one = NonZeroUsize::MIN;
    let proofs = prove(files, &environment(), &solver(), one).expect("it can be asked");
    let bundle = load(files);
    let context = || {
        let text = |path| String::from_utf8_lossy(files.content(path).unwrap_or_default()).into_owned();
        format!("seed {seed}\n{}{}", text("rules/all.cedar"), text("guardrails/all.cedar"))
    };
    for proof in &proofs.proofs {
        match &proof.outcome {
            Outcome::Proven => tally.proven += 1,
            Outcome::Violated(found) => {
                tally.violated += 1;
                assert!(grants(&bundle, &found.request), "{proof:?}\n{}", context());
                assert!(matched(&bundle, &found.request).contains(&proof.guardrail), "{proof:?}\n{}", context());
                fits(&bundle, &found.request);
            }
            Outcome::Errs | Outcome::Unknown(_) => panic!("{proof:?}\n{}", context()),
        }
    }
    let mut numbers = Numbers(seed ^ 0x5eed);
    for _ in 0..REQUESTS_PER_BUNDLE {
        let asked = request(&mut numbers);
        if !grants(&bundle, &asked) {
            continue;
        }
        tally.granted += 1;
        fits(&bundle, &asked);
        for guardrail in matched(&bundle, &asked) {
            let is_it = |proof: &&vouchsafe_policy_proofs::prove::Proof| {
                proof.guardrail == guardrail && proof.audience == asked.request.audience
            };
            let proof = proofs.proofs.iter().find(is_it).expect("it is asked about");
            assert_ne!(proof.outcome, Outcome::Proven, "{guardrail} matches {asked:?}\n{}", context());
        }
    }
}

#[test]
fn evaluation_never_contradicts_proofs() {
    let mut tally = Tally { proven: 0, violated: 0, granted: 0 };
    for seed in 0..bundles() {
        let files = bundle(&mut Numbers(seed));
        check(seed, &files, &mut tally);
    }
    let Tally { proven, violated, granted } = tally;
    println!("{proven} proven, {violated} violated, {granted} granted requests");
    assert!(proven > 20 && violated > 100 && granted > 1000, "{proven} {violated} {granted}");
}
