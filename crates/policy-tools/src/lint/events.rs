//! Policies that give tokens to runs of unreviewed code, including code from forks.

use super::search::{Adversary, Search, TooComplex};
use super::strangers::{Proposal, proposals};
use super::value::{Value, Variable};
use super::warning::Warning;
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_policy::NamedPolicy;

/// The proposals that a `permit` lets through, by what it compares, of all its scenes.
#[derive(Default)]
pub(super) struct Events {
    /// By the claim that identifies what triggered a run.
    by_trigger: BTreeMap<&'static str, BTreeSet<&'static str>>,
    by_ref: BTreeSet<&'static str>,
    /// By the claim that identifies what triggered a run.
    unbounded: BTreeMap<&'static str, BTreeSet<&'static str>>,
    branch_by_name: bool,
    builds: Vec<Warning>,
}

impl Events {
    pub fn add(&mut self, search: &Search<'_>) -> Result<(), TooComplex> {
        let provider = search.scene.issuer.provider.name;
        for proposal in proposals(provider) {
            self.add_proposal(search, proposal)?;
        }
        self.builds.extend(build_of_fork(search)?);
        Ok(())
    }

    fn add_proposal(&mut self, search: &Search<'_>, proposal: &Proposal) -> Result<(), TooComplex> {
        let Some(adversary) = adversary(search, proposal) else {
            return Ok(());
        };
        if search.permitted(&adversary)?.is_none() {
            return Ok(());
        }
        let (claim, event) = proposal.trigger();
        let is_compared = |claim: &str| search.rule.reads(&Variable::claim(claim)) || search.scene.is_pinned(claim);
        let is_github = proposal.provider == "github";
        if proposal.telling.iter().any(|claim| is_compared(claim)) {
            self.by_trigger.entry(claim).or_default().insert(event);
        } else if is_github && is_compared("ref") {
            self.by_ref.insert(event);
        } else if !is_github && search.decided_by(&Variable::claim("ref"), &adversary)?.is_some() {
            self.branch_by_name = true;
        } else if search.scene.claim_type(claim).is_some() {
            self.unbounded.entry(claim).or_default().insert(event);
        }
        Ok(())
    }

    pub fn warnings(self, policy: &NamedPolicy) -> Vec<Warning> {
        let policy = || policy.id.clone();
        let listed = |events: BTreeSet<&str>| Vec::from_iter(events).join("`, `");
        let by_trigger = self.by_trigger.into_iter();
        let mut warnings: Vec<Warning> = by_trigger
            .map(|(claim, events)| Warning::EventOfStrangers { policy: policy(), claim, event: listed(events) })
            .collect();
        if !self.by_ref.is_empty() {
            warnings.push(Warning::EventUnchecked { policy: policy(), events: listed(self.by_ref) });
        }
        let unbounded = self.unbounded.into_iter();
        warnings.extend(unbounded.map(|(claim, events)| Warning::EventsUnbounded {
            policy: policy(),
            claim,
            events: listed(events),
        }));
        warnings.extend(self.branch_by_name.then(|| Warning::BranchOfStrangers(policy())));
        warnings.extend(self.builds);
        warnings
    }
}

fn adversary(search: &Search<'_>, proposal: &Proposal) -> Option<Adversary> {
    let mut claims = proposal.claims.iter();
    let adversary = claims.try_fold(Adversary::default(), |run, (claim, value)| search.fixed(run, claim, value))?;
    if !proposal.on_branch {
        return Some(adversary);
    }
    let variable = Variable::claim("ref");
    let of_branch = |value: &Value| {
        let other = |text: &str| text.starts_with("refs/pull/") || text.starts_with("refs/tags/");
        value.as_text().is_some_and(|text| !other(text))
    };
    let pinned = search.scene.pins().get("ref").into_iter().flatten();
    let refs = search.values(&variable).into_iter().chain(pinned.map(|text| Value::text(text)));
    let refs = refs.filter(of_branch).collect();
    Some(adversary.with(variable, refs))
}

/// CircleCI and Buildkite: builds of a fork's pull request have the ids of the target project. CircleCI's tokens name
/// the fork in `vcs_origin`. Buildkite's do not, but say that a push started the build.
fn build_of_fork(search: &Search<'_>) -> Result<Option<Warning>, TooComplex> {
    let (build, unit, fix) = match search.scene.issuer.provider.name {
        "circleci" => {
            (search.foreign(["vcs_origin"]), "project", "require `vcs_origin` to equal your repository with `==`")
        }
        "buildkite" => (
            search.fixed(Adversary::default(), "build_source", "webhook"),
            "pipeline",
            "turn off builds of forks for the pipeline, and compare `build_source`",
        ),
        _ => return Ok(None),
    };
    let Some(build) = build else {
        return Ok(None);
    };
    let policy = || search.rule.policy.id.clone();
    let warning = |stranger: String| Warning::BuildOfFork { policy: policy(), unit, fix, stranger };
    Ok(search.permitted(&build)?.map(|state| warning(search.described(&state))))
}
