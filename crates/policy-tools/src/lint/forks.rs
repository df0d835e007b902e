//! Policies that give tokens to runs of unreviewed code, including code from forks.
//!
//! Each [`Proposal`] is a kind of run with claims of its token. Each `permit` is evaluated for it together with the
//! bundle's `forbid`s, everything else being unknown.

use super::candidate::{Candidate, Forbids};
use super::warning::Warning;
use serde_json::Value;
use std::collections::BTreeSet;
use vouchsafe_policy::NamedPolicy;

/// A kind of run that can build unreviewed code, with claims of its token.
struct Proposal {
    provider: &'static str,
    /// The first one is the claim that identifies what triggered the run.
    claims: &'static [(&'static str, &'static str)],
}

/// The triggers of such runs, and known claims of their tokens.
///
/// GitHub: `pull_request_target`, `workflow_run` and `issue_comment` runs have the identity of the base repository and
/// the `ref` of its default or base branch, whatever they check out. A `pull_request` run has the `ref` of the merge,
/// and a token if the repository gives write tokens to forks. GitLab: a merge request of a fork runs as the target
/// project when a member starts it there, with the name of the source branch.
static PROPOSALS: [Proposal; 6] = [
    Proposal { provider: "github", claims: &[("event_name", "issue_comment")] },
    Proposal { provider: "github", claims: &[("event_name", "pull_request"), ("ref", "refs/pull/1/merge")] },
    Proposal { provider: "github", claims: &[("event_name", "pull_request_target")] },
    Proposal { provider: "github", claims: &[("event_name", "workflow_run")] },
    Proposal {
        provider: "gitlab",
        claims: &[("pipeline_source", "external_pull_request_event"), ("ref_protected", "false")],
    },
    Proposal { provider: "gitlab", claims: &[("pipeline_source", "merge_request_event"), ("ref_protected", "false")] },
];

/// Warnings about proposals that a `permit` lets through, by what it compares: the trigger, the `ref`, or neither.
pub(super) fn warnings(
    policy: &NamedPolicy,
    est: &Value,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
    forbids: &Forbids<'_>,
) -> Vec<Warning> {
    let (mut by_event, mut by_ref, mut unbounded) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    // Tokens of development issuers are made by hand.
    for candidate in candidates.iter().filter(|it| !it.issuer.development) {
        let is_read = |claim: &str| candidate.is_compared(claim, read);
        for proposal in proposals_of(candidate) {
            let Some((claim, event)) = proposal.claims.first().copied() else {
                continue;
            };
            let mut claims = proposal.claims.iter();
            let run = claims.try_fold(candidate.clone(), |run, (claim, value)| run.with(claim, [*value]));
            if !run.is_some_and(|run| run.is_let_through(policy, est, forbids)) {
                continue;
            }
            // Most policies for GitLab compare `ref_protected` or nothing: see `branch_by_name`.
            let is_github = proposal.provider == "github";
            if proposal.claims.iter().any(|(claim, _)| is_read(claim)) {
                by_event.insert((claim, event));
            } else if is_github && is_read("ref") {
                by_ref.insert(event);
            } else if is_github && candidate.has_claim(claim) {
                unbounded.insert(event);
            }
        }
    }
    let policy = || policy.id.clone();
    let listed = |events: BTreeSet<&str>| Vec::from_iter(events).join("`, `");
    let claims: BTreeSet<&str> = by_event.iter().map(|(claim, _)| *claim).collect();
    let by_event = claims.into_iter().map(|claim| {
        let events = by_event.iter().filter(|(of, _)| *of == claim);
        Warning::EventOfStrangers { policy: policy(), claim, event: listed(events.map(|(_, event)| *event).collect()) }
    });
    let mut warnings: Vec<Warning> = by_event.collect();
    if !by_ref.is_empty() {
        let (policy, events) = (policy(), listed(by_ref));
        warnings.push(Warning::EventUnchecked { policy, events });
    }
    if !unbounded.is_empty() {
        let (policy, events) = (policy(), listed(unbounded));
        warnings.push(Warning::EventsUnbounded { policy, events });
    }
    warnings
}

fn proposals_of(candidate: &Candidate<'_>) -> impl Iterator<Item = &'static Proposal> {
    let provider = candidate.issuer.provider.name;
    PROPOSALS.iter().filter(move |it| it.provider == provider)
}

/// A warning about a GitLab policy that compares only the name of a branch, which a branch of a fork can share.
pub(super) fn branch_by_name(
    policy: &NamedPolicy,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
) -> Option<Warning> {
    let telling = ["pipeline_source", "ref_path", "ref_protected"];
    let unchecked = |candidate: &Candidate<'_>| {
        let is_read = |claim: &str| candidate.is_compared(claim, read);
        candidate.issuer.provider.name == "gitlab" && is_read("ref") && !telling.iter().any(|claim| is_read(claim))
    };
    let unchecked = candidates.iter().any(unchecked);
    unchecked.then(|| Warning::BranchOfStrangers(policy.id.clone()))
}

/// Warnings about policies for CircleCI and Buildkite, whose builds of a fork's pull request have the ids of the target
/// project. CircleCI's tokens name the fork in `vcs_origin`. Buildkite's do not, so a policy must compare what
/// triggered the build.
pub(super) fn builds_of_forks(
    policy: &NamedPolicy,
    est: &Value,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
    forbids: &Forbids<'_>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for candidate in candidates.iter().filter(|it| !it.issuer.development) {
        let (builds, unit, fix) = match candidate.issuer.provider.name {
            "circleci" if candidate.has_claim("vcs_origin") => (
                candidate.clone().foreign(["vcs_origin"]),
                "project",
                "require `vcs_origin` to equal your repository with `==`",
            ),
            "buildkite" if !candidate.is_compared("build_source", read) => (
                Some(candidate.clone()),
                "pipeline",
                "turn off builds of forks for the pipeline, and compare `build_source`",
            ),
            _ => continue,
        };
        if builds.is_some_and(|builds| builds.is_let_through(policy, est, forbids)) {
            let policy = policy.id.clone();
            warnings.push(Warning::BuildOfFork { policy, unit, fix });
        }
    }
    warnings.dedup();
    warnings
}
