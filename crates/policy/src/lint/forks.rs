//! Rules that give tokens to runs of code that nobody of the project has taken yet: proposals, from forks too.
//!
//! Each [`Proposal`] is a kind of run with what its token says. Each `permit` is evaluated for it together with the
//! bundle's `forbid`s, everything else being open: what is not certainly kept out is let through.

use super::candidate::{Candidate, Forbids};
use super::caution::Caution;
use super::permits::is_looked_at;
use crate::rules::Rule;
use serde_json::Value;
use std::collections::BTreeSet;

/// A kind of run that can build what somebody proposes, with claims of its token.
struct Proposal {
    provider: &'static str,
    /// First the claim that says what started the run.
    claims: &'static [(&'static str, &'static str)],
}

/// What started such runs, and what else is certain of their tokens.
///
/// GitHub: `pull_request_target`, `workflow_run` and `issue_comment` runs have the base repository's identity and
/// its default or base branch's `ref`, whatever they check out; a `pull_request` run has the merge's `ref`, and a
/// token where the repository gives write tokens to forks. GitLab: a merge request of a fork runs as the target
/// project when a member starts it there, under the name of the source's branch.
static PROPOSALS: [Proposal; 6] = [
    Proposal {
        provider: "github",
        claims: &[("event_name", "issue_comment")],
    },
    Proposal {
        provider: "github",
        claims: &[("event_name", "pull_request"), ("ref", "refs/pull/1/merge")],
    },
    Proposal {
        provider: "github",
        claims: &[("event_name", "pull_request_target")],
    },
    Proposal {
        provider: "github",
        claims: &[("event_name", "workflow_run")],
    },
    Proposal {
        provider: "gitlab",
        claims: &[
            ("pipeline_source", "external_pull_request_event"),
            ("ref_protected", "false"),
        ],
    },
    Proposal {
        provider: "gitlab",
        claims: &[
            ("pipeline_source", "merge_request_event"),
            ("ref_protected", "false"),
        ],
    },
];

/// Proposals that a `permit` lets through, by what it looks at: what started a run, its `ref`, or neither.
pub(super) fn cautions(
    rule: &Rule,
    est: &Value,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
    forbids: &Forbids<'_>,
) -> Vec<Caution> {
    let (mut told, mut by_ref, mut unbounded) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    // A development issuer's tokens are minted by hand.
    for candidate in candidates.iter().filter(|it| !it.issuer.development) {
        let is_read = |claim: &str| is_looked_at(claim, read, candidate);
        for proposal in proposals_of(candidate) {
            let Some((claim, event)) = proposal.claims.first().copied() else {
                continue;
            };
            let mut claims = proposal.claims.iter();
            let run = claims.try_fold(candidate.clone(), |run, (claim, value)| {
                run.with(claim, [*value])
            });
            if !run.is_some_and(|run| run.is_let_through(rule, est, forbids)) {
                continue;
            }
            // Most rules for GitLab go by `ref_protected` or not at all: see `branch_by_name`.
            let is_github = proposal.provider == "github";
            if proposal.claims.iter().any(|(claim, _)| is_read(claim)) {
                told.insert((claim, event));
            } else if is_github && is_read("ref") {
                by_ref.insert(event);
            } else if is_github && candidate.has_claim(claim) {
                unbounded.insert(event);
            }
        }
    }
    let rule = || rule.id.clone();
    let listed = |events: BTreeSet<&str>| Vec::from_iter(events).join("`, `");
    let claims: BTreeSet<&str> = told.iter().map(|(claim, _)| *claim).collect();
    let told = claims.into_iter().map(|claim| {
        let events = told.iter().filter(|(of, _)| *of == claim);
        Caution::EventOfStrangers {
            rule: rule(),
            claim,
            event: listed(events.map(|(_, event)| *event).collect()),
        }
    });
    let mut cautions: Vec<Caution> = told.collect();
    if !by_ref.is_empty() {
        let (rule, events) = (rule(), listed(by_ref));
        cautions.push(Caution::EventUnchecked { rule, events });
    }
    if !unbounded.is_empty() {
        let (rule, events) = (rule(), listed(unbounded));
        cautions.push(Caution::EventsUnbounded { rule, events });
    }
    cautions
}

fn proposals_of(candidate: &Candidate<'_>) -> impl Iterator<Item = &'static Proposal> {
    let provider = candidate.issuer.provider.name;
    PROPOSALS.iter().filter(move |it| it.provider == provider)
}

/// A GitLab rule that trusts a branch by its name alone, which a fork's branch may have too.
pub(super) fn branch_by_name(
    rule: &Rule,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
) -> Option<Caution> {
    let telling = ["pipeline_source", "ref_path", "ref_protected"];
    let unchecked = |candidate: &Candidate<'_>| {
        let is_read = |claim: &str| is_looked_at(claim, read, candidate);
        candidate.issuer.provider.name == "gitlab"
            && is_read("ref")
            && !telling.iter().any(|claim| is_read(claim))
    };
    let unchecked = candidates.iter().any(unchecked);
    unchecked.then(|| Caution::BranchOfStrangers(rule.id.clone()))
}

/// Rules for CircleCI and Buildkite, whose builds of a fork's pull request have the ids of the project that they are
/// proposed to. CircleCI's tokens name the fork in `vcs_origin`. Buildkite's don't, so a rule has to look at what
/// started the build.
pub(super) fn builds_of_forks(
    rule: &Rule,
    est: &Value,
    read: &BTreeSet<&str>,
    candidates: &[Candidate<'_>],
    forbids: &Forbids<'_>,
) -> Vec<Caution> {
    let mut cautions = Vec::new();
    for candidate in candidates.iter().filter(|it| !it.issuer.development) {
        let (builds, unit, fix) = match candidate.issuer.provider.name {
            "circleci" if candidate.has_claim("vcs_origin") => (
                candidate.clone().foreign(["vcs_origin"]),
                "project",
                "require `vcs_origin` to equal your repository, with `==`",
            ),
            "buildkite" if !is_looked_at("build_source", read, candidate) => (
                Some(candidate.clone()),
                "pipeline",
                "turn off builds of forks for the pipeline, and compare `build_source`",
            ),
            _ => continue,
        };
        if builds.is_some_and(|builds| builds.is_let_through(rule, est, forbids)) {
            let rule = rule.id.clone();
            cautions.push(Caution::BuildOfFork { rule, unit, fix });
        }
    }
    cautions.dedup();
    cautions
}
