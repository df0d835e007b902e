//! Texts that a claim with a documented list of values never has. A policy that compares with a misspelt one has no
//! effect, and a `forbid` like that forbids nothing.

use super::facts::Rule;
use super::value::Variable;
use super::warning::Warning;
use cedar_policy::PrincipalConstraint;
use std::collections::BTreeSet;
use vouchsafe_policy::authoring::{is_issuer, suggest};
use vouchsafe_policy::{Bundle, Issuer, NamedPolicy};

/// The values of a provider's claim.
struct Listed(&'static str, &'static str, &'static [&'static str]);

const TRUTH: &[&str] = &["true", "false"];
const REF_TYPES: &[&str] = &["branch", "tag"];

/// From the documentation of the platforms.
static LISTED: [Listed; 19] = [
    Listed("azure", "appidacr", &["0", "1", "2"]),
    Listed("azure", "azpacr", &["0", "1", "2"]),
    Listed("azure", "idtyp", &["app", "user"]),
    Listed("azure", "ver", &["1.0", "2.0"]),
    Listed("buildkite", "build_source", &["api", "schedule", "trigger_job", "ui", "webhook"]),
    Listed("github", "event_name", GITHUB_EVENTS),
    Listed("github", "ref_protected", TRUTH),
    Listed("github", "ref_type", REF_TYPES),
    Listed("github", "repository_visibility", &["internal", "private", "public"]),
    Listed("github", "runner_environment", &["github-hosted", "self-hosted"]),
    Listed("gitlab", "deployment_tier", &["development", "other", "production", "staging", "testing"]),
    Listed("gitlab", "environment_action", &["access", "prepare", "start", "stop", "verify"]),
    Listed("gitlab", "environment_protected", TRUTH),
    Listed("gitlab", "pipeline_source", GITLAB_SOURCES),
    Listed("gitlab", "project_visibility", &["internal", "private", "public"]),
    Listed("gitlab", "ref_protected", TRUTH),
    Listed("gitlab", "ref_type", REF_TYPES),
    Listed("gitlab", "runner_environment", &["gitlab-hosted", "self-hosted"]),
    Listed("terraform", "terraform_run_phase", &["apply", "plan"]),
];

const GITHUB_EVENTS: &[&str] = &[
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "dynamic",
    "fork",
    "gollum",
    "image_version",
    "issue_comment",
    "issues",
    "label",
    "merge_group",
    "milestone",
    "page_build",
    "project",
    "project_card",
    "project_column",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_target",
    "push",
    "registry_package",
    "release",
    "repository_dispatch",
    "schedule",
    "status",
    "watch",
    "workflow_call",
    "workflow_dispatch",
    "workflow_run",
];

const GITLAB_SOURCES: &[&str] = &[
    "api",
    "chat",
    "container_registry_push",
    "duo_workflow",
    "external",
    "external_pull_request_event",
    "merge_request_event",
    "ondemand_dast_scan",
    "ondemand_dast_validation",
    "parent_pipeline",
    "pipeline",
    "pipeline_execution_policy_schedule",
    "push",
    "schedule",
    "security_orchestration_policy",
    "trigger",
    "web",
    "webide",
];

/// A warning for each text or pattern that no value of its claim equals or fits.
pub(super) fn unknown(rule: &Rule<'_>, bundle: &Bundle) -> Vec<Warning> {
    let policy = rule.policy;
    let providers: BTreeSet<&str> = issuers(policy, bundle).map(|issuer| issuer.provider.name).collect();
    let mut claims: BTreeSet<&str> = BTreeSet::new();
    claims.extend(LISTED.iter().filter(|listed| providers.contains(listed.0)).map(|listed| listed.1));
    let mut warnings = Vec::new();
    for claim in claims.into_iter().filter(|claim| rule.reads(&Variable::claim(claim))) {
        let lists = LISTED.iter().filter(|listed| listed.1 == claim && providers.contains(listed.0));
        let known: Vec<&str> = lists.flat_map(|listed| listed.2).copied().collect();
        let variable = Variable::claim(claim);
        let texts = rule.facts.texts(&variable).filter(|text| !text.is_empty() && !known.contains(text));
        let patterns = rule.facts.patterns(&variable).filter(|pattern| !known.iter().any(|one| pattern.fits(one)));
        let all = texts.map(str::to_owned).chain(patterns.map(|pattern| pattern.shown()));
        warnings.extend(all.map(|value| Warning::ValueUnknown {
            policy: policy.id.clone(),
            claim: claim.to_owned(),
            suggestion: suggest(&value, known.iter().copied()),
            known: known.join("`, `"),
            value,
        }));
    }
    warnings
}

/// The issuers whose principals can match the scope.
fn issuers<'b>(policy: &NamedPolicy, bundle: &'b Bundle) -> impl Iterator<Item = &'b Issuer> {
    let constraint = policy.cedar.principal_constraint();
    let wanted = match &constraint {
        PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => Some(name.to_string()),
        PrincipalConstraint::Eq(uid) => Some(uid.type_name().to_string()),
        PrincipalConstraint::Any | PrincipalConstraint::In(_) => None,
    };
    let within = match constraint {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) if is_issuer(&uid) => Some(uid),
        _ => None,
    };
    bundle.issuers_of_all_environments().filter(move |issuer| {
        wanted.as_ref().is_none_or(|wanted| *wanted == issuer.entity_type())
            && within.as_ref().is_none_or(|uid| uid.id().unescaped() == issuer.name)
    })
}
