//! Rules that give tokens to runs of code that nobody of the project has taken yet: proposals, from forks too.
//!
//! Each [`Proposal`] is a kind of run with what its token says. A rule that reads one of those claims is
//! evaluated with them, and with everything else unknown: what is not certainly false lets the run through.

use super::caution::Caution;
use super::conditions::{Conditions, attribute_read, sole_member, text_literal, text_literals};
use crate::bundle::Bundle;
use crate::rules::{Rule, is_issuer};
use cedar_policy::{PrincipalConstraint, ResourceConstraint};
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
const PROPOSALS: [Proposal; 6] = [
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

/// Proposals that a `permit` for principals of `provider` lets through although it looks at what tells them.
pub(super) fn cautions(
    rule: &Rule,
    bundle: &Bundle,
    provider: &str,
    read: &BTreeSet<&str>,
) -> Option<Caution> {
    let est = rule.policy.to_json().unwrap_or_default();
    let forbids: Vec<Value> = bundle.rules().iter().filter_map(forbid_for_all).collect();
    let looked_at = |proposal: &&Proposal| {
        let mut claims = proposal.claims.iter();
        proposal.provider == provider && claims.any(|(claim, _)| read.contains(claim))
    };
    let let_through = |proposal: &&Proposal| {
        let forbidden = |forbid: &Value| matches(forbid, proposal.claims) == Some(true);
        matches(&est, proposal.claims) != Some(false) && !forbids.iter().any(forbidden)
    };
    let proposals = PROPOSALS.iter().filter(looked_at).filter(let_through);
    let starts: Vec<(&str, &str)> = proposals
        .filter_map(|it| it.claims.first().copied())
        .collect();
    let (claim, _) = *starts.first()?;
    let events: Vec<&str> = starts.iter().map(|(_, event)| *event).collect();
    Some(Caution::EventOfStrangers {
        rule: rule.id.clone(),
        claim,
        event: events.join("`, `"),
    })
}

/// A GitLab rule that trusts a branch by its name alone, which a fork's branch may have too.
pub(super) fn branch_by_name(
    rule: &Rule,
    provider: &str,
    read: &BTreeSet<&str>,
) -> Option<Caution> {
    let telling = ["pipeline_source", "ref_path", "ref_protected"];
    let told = telling.iter().any(|claim| read.contains(claim));
    let unchecked = provider == "gitlab" && read.contains("ref") && !told;
    unchecked.then(|| Caution::BranchOfStrangers(rule.id.clone()))
}

/// The rule in Cedar's JSON format, if it is a `forbid` whose scope takes every request of an issuer or of all.
fn forbid_for_all(rule: &Rule) -> Option<Value> {
    let whole = match rule.policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => is_issuer(&uid),
        PrincipalConstraint::Eq(_) => false,
    };
    let resources = matches!(
        rule.policy.resource_constraint(),
        ResourceConstraint::Any | ResourceConstraint::Is(_)
    );
    let est = || rule.policy.to_json().ok();
    (rule.is_forbid() && whole && resources).then(est).flatten()
}

/// Whether the conditions of a rule hold for a token with these claims; none where other claims decide.
fn matches(est: &Value, claims: &[(&str, &str)]) -> Option<bool> {
    let Conditions { when, unless } = Conditions::of(est);
    let when = when.into_iter().map(|body| holds(body, claims));
    let unless = unless
        .into_iter()
        .map(|body| holds(body, claims).map(|it| !it));
    when.chain(unless).fold(Some(true), and)
}

fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn holds(expression: &Value, claims: &[(&str, &str)]) -> Option<bool> {
    let (operator, operands) = sole_member(expression)?;
    let operand = |name: &str| operands.get(name).unwrap_or(&Value::Null);
    let truth = |name: &str| holds(operand(name), claims);
    let claim = |expression: &Value| {
        let read = attribute_read(expression)?;
        let name = read.strip_prefix("principal.")?.to_owned();
        let mut known = claims.iter();
        known
            .find(|(claim, _)| *claim == name)
            .map(|(_, value)| *value)
    };
    let equal = || match (claim(operand("left")), claim(operand("right"))) {
        (Some(value), None) => Some(text_literal(operand("right"))? == value),
        (None, Some(value)) => Some(text_literal(operand("left"))? == value),
        _ => None,
    };
    match operator {
        "Value" => operands.as_bool(),
        "&&" => and(truth("left"), truth("right")),
        "||" => and(truth("left").map(|it| !it), truth("right").map(|it| !it)).map(|it| !it),
        "!" => truth("arg").map(|it| !it),
        "if-then-else" => match truth("if") {
            Some(true) => truth("then"),
            Some(false) => truth("else"),
            None => truth("then").filter(|then| truth("else") == Some(*then)),
        },
        "==" => equal(),
        "!=" => equal().map(|it| !it),
        "contains" => {
            let value = claim(operand("right"))?;
            Some(text_literals(operand("left"))?.contains(&value))
        }
        "like" => {
            let value = claim(operand("left"))?;
            Some(fits(operand("pattern").as_array()?, value))
        }
        "has" => {
            let principal = operand("left").get("Var").and_then(Value::as_str) == Some("principal");
            let name = operand("attr").as_str()?;
            (principal && claims.iter().any(|(claim, _)| *claim == name)).then_some(true)
        }
        _ => None,
    }
}

/// Whether `text` fits a pattern of Cedar's JSON format, a list of literals and wildcards.
fn fits(pattern: &[Value], text: &str) -> bool {
    let Some((first, rest)) = pattern.split_first() else {
        return text.is_empty();
    };
    match first.get("Literal").and_then(Value::as_str) {
        Some(literal) => text
            .strip_prefix(literal)
            .is_some_and(|text| fits(rest, text)),
        None => {
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.any(|at| text.get(at..).is_some_and(|text| fits(rest, text)))
        }
    }
}
