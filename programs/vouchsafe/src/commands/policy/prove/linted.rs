//! Warnings of `policy check --prove`.

use super::show::on_one_line;
use crate::commands::policy::solver::SolverArgs;
use vouchsafe_cli::Failure;
use vouchsafe_policy::authoring::span::diagnostic_in;
use vouchsafe_policy::{Bundle, BundleFiles, Diagnostic, Environment, NamedPolicy};
use vouchsafe_policy_proofs::lints::{Lint, lints as proven};
use vouchsafe_policy_proofs::prove::brokers;
use vouchsafe_policy_proofs::unintended::Unintended;
use vouchsafe_policy_tools::lint::{Report, Warning, writing_scopes};

/// What is proven about the policies of a bundle, without what `report` has already.
pub fn lints(
    files: &BundleFiles,
    environment: &Environment,
    solver: &SolverArgs,
    report: &Report,
) -> Result<Vec<Diagnostic<Warning>>, Failure> {
    let found = proven(files, environment, &solver.options(), solver.jobs()).map_err(|error| solver.failed(error))?;
    let brokers = brokers(files, environment).map_err(|error| solver.failed(error.into()))?;
    let mut warnings = Vec::new();
    for (id, lints) in found {
        let bundles = brokers.iter().map(|(_, bundle)| bundle);
        let Some((bundle, policy)) = bundles.filter_map(|bundle| Some((bundle, named(bundle, &id)?))).next() else {
            continue;
        };
        for lint in lints {
            let warning = diagnostic_in(files, policy, None, of_lint(bundle, policy, lint));
            let is_known = |known: &&Diagnostic<Warning>| {
                let is_same = known.kind.code() == warning.kind.code() || both_about_runs(&known.kind, &warning.kind);
                known.file == warning.file && is_same && mentions(known, &id)
            };
            if !report.warnings.iter().any(|known| is_known(&known)) {
                warnings.push(warning);
            }
        }
    }
    Ok(warnings)
}

/// Whether a sample has already shown what was proven about runs of unreviewed code.
fn both_about_runs(known: &Warning, proven: &Warning) -> bool {
    matches!(proven, Warning::PolicyPermitsUnreviewedCode { .. })
        && matches!(
            known,
            Warning::BranchOfStrangers(_)
                | Warning::BuildOfFork { .. }
                | Warning::EventOfStrangers { .. }
                | Warning::EventUnchecked { .. }
                | Warning::EventsUnbounded { .. }
        )
}

fn mentions(warning: &Diagnostic<Warning>, policy: &str) -> bool {
    warning.kind.to_string().contains(&format!("`{policy}`"))
}

fn named<'b>(bundle: &'b Bundle, id: &str) -> Option<&'b NamedPolicy> {
    bundle.policies().iter().find(|policy| policy.id == id)
}

fn of_lint(bundle: &Bundle, policy: &NamedPolicy, lint: Lint) -> Warning {
    let (policy, scopes) = (policy.id.clone(), writing_scopes(policy));
    match lint {
        Lint::CanErr => Warning::PolicyCanFail(policy),
        Lint::Equivalent(other) => Warning::PolicyEquivalent { policy, other },
        Lint::ForbidsNothing => Warning::PolicyForbidsNothing(policy),
        Lint::Implied(other) => Warning::PolicyImplied { policy, others: format!("`{other}` permits") },
        Lint::ImpliedByOthers => Warning::PolicyImplied { policy, others: "other policies permit".to_owned() },
        Lint::NeverMatches => {
            let reason = "no request meets its conditions".to_owned();
            Warning::PolicyNeverMatches { policy, reason }
        }
        Lint::Overruled => {
            let forbids = bundle.policies().iter().filter(|it| it.is_forbid()).map(|it| it.id.clone());
            Warning::PolicyOverruled { policy, by: forbids.collect::<Vec<_>>().join("`, `") }
        }
        Lint::Permits(kind, found) => {
            let request = on_one_line(&found);
            match kind {
                Unintended::NoScopes => Warning::ScopesOptional { policy, scopes: scopes.join("`, `") },
                Unintended::Stranger => {
                    let issuer = found.request.principal.issuer_name.clone();
                    Warning::NoWorkload { policy, issuer, stranger: request }
                }
                Unintended::UnreviewedCode => Warning::PolicyPermitsUnreviewedCode { policy, request },
            }
        }
        Lint::Undecided(why) => Warning::PolicyUndecided { policy, why: why.to_string() },
    }
}
