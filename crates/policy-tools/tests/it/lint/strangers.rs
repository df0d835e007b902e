//! Policies open to strangers: tenants of shared issuers, and runs of proposed code.

use super::lints::{brief, said};
use super::support::*;
use vouchsafe_policy_tools::lint;

const STANDARD: &str = include_str!("../../../../../policies/schema.cedarschema");
const PUBLIC: &str = "issuer = \"https://token.actions.githubusercontent.com\"\nprovider = \"github\"\n";
const GITLAB: &str = "issuer = \"https://gitlab.com\"\nprovider = \"gitlab\"\n";

/// Warnings with these codes about the bundle of `support` with `changes` and the default schema.
fn warned(codes: &[&str], changes: &[(&str, Option<&str>)]) -> Vec<String> {
    let mut all = vec![("schema.cedarschema", Some(STANDARD))];
    if !changes.iter().any(|(path, _)| *path == "issuers/github.toml") {
        all.push(("issuers/github.toml", Some(PUBLIC)));
    }
    all.extend(changes);
    let report = lint::check(&files(&all), &environment());
    assert!(report.bundle.is_some(), "{report}");
    let warnings = report.warnings.iter();
    let of_codes = warnings.filter(|it| codes.contains(&it.kind.code()));
    of_codes.map(said).map(brief).collect()
}

/// The policy `api` of `support` with this principal scope and these conditions.
fn rule(principal: &str, condition: &str) -> String {
    PERMIT
        .replace("is GitHub::Workflow in Issuer::\"github\"", principal)
        .replace("when { ", &format!("when {{ {condition} && "))
}

const OF_GITHUB: &str = "is GitHub::Workflow in Issuer::\"github\"";

fn any_tenant(condition: &str, more: &[(&str, Option<&str>)]) -> Vec<String> {
    let rule = rule(OF_GITHUB, condition);
    let mut changes = vec![("rules/api.cedar", Some(rule.as_str()))];
    changes.extend(more);
    warned(&["any-tenant"], &changes)
}

const EVERYBODY: &str = "rules/api.cedar: policy `api` permits any tenant of issuer `github`, which issues tokens to \
    everyone: require one of `enterprise`, `enterprise_id`, `repository`, `repository_id`, `repository_owner`, \
    `repository_owner_id`, `workflow_ref` to equal yours with `==` in every branch of the condition";

#[test]
fn warns_of_policies_open_to_strangers() {
    let push = "principal.event_name == \"push\"";
    let id = "principal.repository_id == \"123456\"";
    for open in [
        push.to_owned(),
        format!("principal.repository_id != \"1\" && {push}"),
        format!("!({id}) && {push}"),
        "principal.repository_id like \"*\"".to_owned(),
        "principal.repository_owner_id like \"*5*\"".to_owned(),
        "principal.repository_id like \"12*\"".to_owned(),
        format!("({id} || 1 == 1)"),
        format!("({id} || {push})"),
        format!("(if {push} then true else {id})"),
        format!("(if {id} then true else {push})"),
        format!("!(principal.repository_id != \"1\" && {push})"),
        "(principal has enterprise_id || principal.ref == \"a\")".to_owned(),
        "[\"1\", principal.repository_owner_id].contains(principal.repository_id)".to_owned(),
        "principal.repository == principal.repository".to_owned(),
        "principal.repository like \"octo-org*\"".to_owned(),
        "principal.repository like \"*/deploy\"".to_owned(),
        "principal.repository_owner like \"octo-*\"".to_owned(),
        "principal.actor == \"octocat\"".to_owned(),
        // Anyone can call the reusable workflow of a public repository.
        "principal has job_workflow_ref && principal.job_workflow_ref == \"o/r/.github/workflows/a.yml@refs/heads/b\""
            .to_owned(),
        "context has client_ip && context.client_ip.isInRange(ip(\"0.0.0.0/0\"))".to_owned(),
    ] {
        assert_eq!(any_tenant(&open, &[]), [EVERYBODY], "{open}");
    }
    for narrow in [
        id.to_owned(),
        format!("{id} && {push}"),
        format!("({id} || principal.repository_owner_id == \"65\")"),
        format!("(if {push} then {id} else false)"),
        format!("!(principal.repository_id != \"1\" || !({push}))"),
        "[\"1\", \"2\"].contains(principal.repository_id)".to_owned(),
        "[\"1\", \"2\"].containsAll([principal.repository_id])".to_owned(),
        "[principal.repository_id].containsAny([\"1\", \"2\"])".to_owned(),
        "principal.repository like \"octo-org/*\"".to_owned(),
        "principal.repository_owner like \"octo-org\"".to_owned(),
        "principal has enterprise_id && principal.enterprise_id == \"5\"".to_owned(),
        "principal has workflow_ref && principal.workflow_ref like \"octo-org/*\"".to_owned(),
        "principal == GitHub::Workflow::\"repo:o/r:ref:refs/heads/main\"".to_owned(),
    ] {
        assert_eq!(any_tenant(&narrow, &[]), [""; 0], "{narrow}");
    }
}

#[test]
fn respects_conditions_that_exclude_strangers() {
    let push = "principal.event_name == \"push\"";
    let with = |key: &str, value: &str| {
        let issuer = format!("{PUBLIC}require = {{ {key} = \"{value}\" }}\n");
        any_tenant(push, &[("issuers/github.toml", Some(&issuer))])
    };
    assert_eq!(with("repository_owner_id", "65"), [""; 0]);
    assert_eq!(with("sub", "repo:o/r:ref:refs/heads/main"), [""; 0]);
    // Anyone can have such a run.
    assert_eq!(with("event_name", "push"), [EVERYBODY]);
    assert_eq!(any_tenant(push, &[("issuers/github.toml", Some(GITHUB))]), [""; 0]);
    let forbid = |text: &str| {
        let forbid = format!("@id(\"no\") forbid {text};");
        any_tenant(push, &[("rules/no.cedar", Some(&forbid))])
    };
    let ours = "unless { principal.repository_owner_id == \"65\" }";
    let api = "resource == Audience::\"https://api.example\"";
    for covering in [
        format!("(principal is GitHub::Workflow, action, resource) {ours}"),
        format!("(principal is GitHub::Workflow in Issuer::\"github\", action, resource) {ours}"),
        format!("(principal is GitHub::Workflow, action, {api}) {ours}"),
        "(principal, action, resource) unless { principal is GitHub::Workflow && \
         principal.repository_owner_id == \"65\" }"
            .to_owned(),
    ] {
        assert_eq!(forbid(&covering), [""; 0], "{covering}");
    }
    for partial in [
        format!("(principal is GitHub::Workflow, action, resource) when {{ {push} && principal.ref == \"a\" }}"),
        "(principal is GitHub::Workflow, action, resource) unless { principal.repository_owner_id != \"65\" }"
            .to_owned(),
        format!("(principal is GitHub::Workflow, action, resource) {ours} when {{ context.proof_of_possession }}"),
    ] {
        assert_eq!(forbid(&partial), [EVERYBODY], "{partial}");
    }
}

#[test]
fn ignores_unrelated_forbids() {
    let dev = "issuer = \"http://127.0.0.1:7000\"\nprovider = \"github\"\ndevelopment = true\n";
    let other = "id = \"https://other.example\"\n";
    let of = |scope: &str| {
        let forbid = format!("@id(\"no\") forbid ({scope}) unless {{ principal.repository_owner_id == \"65\" }};");
        any_tenant(
            "principal.event_name == \"push\"",
            &[
                ("issuers/dev.toml", Some(dev)),
                ("audiences/other.toml", Some(other)),
                ("rules/no.cedar", Some(&forbid)),
            ],
        )
    };
    let whole = "principal is GitHub::Workflow, action, resource";
    assert_eq!(of(whole), [""; 0]);
    let of_dev = "principal is GitHub::Workflow in Issuer::\"dev\", action, resource";
    assert_eq!(of(of_dev), [EVERYBODY]);
    let of_other = "principal is GitHub::Workflow, action, resource == Audience::\"https://other.example\"";
    assert_eq!(of(of_other), [EVERYBODY]);
}

#[test]
fn warns_of_strangers_on_gitlab_com() {
    let of = |condition: &str| {
        let rule = rule("is GitLab::Job in Issuer::\"gitlab\"", condition);
        warned(&["any-tenant"], &[("issuers/gitlab.toml", Some(GITLAB)), ("rules/api.cedar", Some(&rule))])
    };
    let everybody = "rules/api.cedar: policy `api` permits any tenant of issuer `gitlab`, which issues tokens to \
        everyone: require one of `job_namespace_id`, `job_namespace_path`, `job_project_id`, `job_project_path`, \
        `namespace_id`, `namespace_path`, `project_id`, `project_path` to equal yours with `==` in every branch of the condition";
    assert_eq!(of("principal.project_id != \"20\""), [everybody]);
    assert_eq!(of("principal.ref == \"main\""), [everybody]);
    assert_eq!(of("principal.project_id == \"20\""), [""; 0]);
    assert_eq!(of("principal.project_path like \"corp/*\""), [""; 0]);
}

/// A group's workloads constrain its principals.
fn of_group(codes: &[&str], entry: &str, condition: &str) -> Vec<String> {
    let group = format!("[[workloads]]\nissuer = \"github\"\nclaims = {{ {entry} }}\n");
    let rule = rule("in WorkloadGroup::\"team\"", condition);
    warned(codes, &[("entities/team.toml", Some(&group)), ("rules/api.cedar", Some(&rule))])
}

#[test]
fn warns_of_groups_with_proposed_code() {
    let codes = ["event-of-strangers", "event-unchecked", "events-unbounded"];
    let all = "issue_comment`, `pull_request`, `pull_request_review`, `pull_request_review_comment`, \
        `pull_request_target`, `workflow_run";
    let unbounded = |events: &str| {
        [format!(
            "rules/api.cedar: policy `api` does not read `event_name` and accepts `{events}` runs, which can build untrusted code: compare `event_name == \"push\"`, or forbid these events"
        )]
    };
    let id = "repository_id = \"1\"";
    assert_eq!(of_group(&codes, id, "true"), unbounded(all));
    let main = format!("{id}, ref = \"refs/heads/main\"");
    let by_ref = "rules/api.cedar: policy `api` trusts `ref` without `event_name`: `issue_comment`, \
        `pull_request_target`, `workflow_run` runs have the `ref` of a branch of the repository, whatever code they \
        build: compare `event_name == \"push\"`, or forbid these events";
    assert_eq!(of_group(&codes, &main, "true"), [by_ref]);
    let takes = "rules/api.cedar: policy `api` accepts `pull_request` runs, which can build untrusted code: accept only runs of reviewed code, such as `event_name == \"push\"`, or forbid the others";
    let pull = format!("{id}, event_name = \"pull_request\"");
    assert_eq!(of_group(&codes, &pull, "true"), [takes]);
    let push = format!("{id}, event_name = \"push\"");
    assert_eq!(of_group(&codes, &push, "true"), [""; 0]);
    assert_eq!(of_group(&codes, id, "principal.event_name == \"push\"").len(), 0);
}

#[test]
fn warns_of_group_and_policy_for_strangers() {
    let codes = ["any-tenant", "attempt-unchecked", "chosen-by-caller", "name-without-id"];
    assert_eq!(of_group(&codes, "event_name = \"push\"", "true"), [EVERYBODY]);
    let id = "principal.repository_id == \"1\"";
    assert_eq!(of_group(&codes, "event_name = \"push\"", id), [""; 0]);
    assert_eq!(of_group(&codes, "repository_id = \"1\"", "true"), [""; 0]);
    assert_eq!(of_group(&codes, "sub = \"a\"", "true"), [""; 0]);
    let name = "principal.repository == \"o/r\"";
    assert_eq!(of_group(&codes, "repository_id = \"1\"", name), [""; 0]);
    let chosen = "rules/api.cedar: policy `api` trusts `workflow`, which the requester of the token chose: compare a claim that the platform sets";
    let release = "repository_id = \"1\", workflow = \"release\"";
    assert_eq!(of_group(&codes, release, "true"), [chosen]);
    let actor = "rules/api.cedar: policy `api` trusts `actor_id`, who started the first attempt: others can run it again and get the same claim: also compare `run_attempt == \"1\"`";
    let by_actor = "repository_id = \"1\", actor_id = \"7\"";
    assert_eq!(of_group(&codes, by_actor, "true"), [actor]);
    let first = format!("{by_actor}, run_attempt = \"1\"");
    assert_eq!(of_group(&codes, &first, "true"), [""; 0]);
}

/// A `forbid` counts only for the events that it forbids.
#[test]
fn counts_only_forbidden_events() {
    let codes = ["event-of-strangers", "event-unchecked", "events-unbounded"];
    let events_left = |condition: &str, forbid: &str| {
        let rule = rule(OF_GITHUB, &format!("principal.repository_id == \"1\" && {condition}"));
        let forbid = format!("@id(\"no\") forbid (principal is GitHub::Workflow, action, resource) {forbid};");
        let found = warned(&codes, &[("rules/api.cedar", Some(&rule)), ("rules/no.cedar", Some(&forbid))]);
        let events = ["issue_comment", "pull_request`", "pull_request_target", "workflow_run"];
        let named = move |it: &&str| found.iter().any(|warning| warning.contains(&format!("`{it}")));
        events.into_iter().filter(named).collect::<Vec<_>>()
    };
    let (any, main) = ("true", "principal.ref == \"refs/heads/main\"");
    let target = "when { principal.event_name == \"pull_request_target\" }";
    assert_eq!(events_left(any, target), ["issue_comment", "pull_request`", "workflow_run"]);
    assert_eq!(events_left(main, target), ["issue_comment", "workflow_run"]);
    let three =
        "when { [\"issue_comment\", \"pull_request_target\", \"workflow_run\"].contains(principal.event_name) }";
    assert_eq!(events_left(any, three), ["pull_request`"]);
    assert_eq!(events_left(main, three), [""; 0]);
    let read_only = "when { principal.event_name == \"push\" && principal.ref == \"a\" }";
    assert_eq!(events_left(main, read_only), ["issue_comment", "pull_request_target", "workflow_run"]);
    let but_push = "unless { principal.event_name == \"push\" }";
    assert_eq!(events_left(any, but_push), [""; 0]);
}

#[test]
fn ignores_events_of_development_issuers() {
    let dev = "issuer = \"http://127.0.0.1:7000\"\nprovider = \"github\"\ndevelopment = true\n";
    let rule = rule(OF_GITHUB, "principal.repository_id == \"1\"");
    let codes = ["events-unbounded"];
    let changes = |issuer| [("issuers/github.toml", Some(issuer)), ("rules/api.cedar", Some(rule.as_str()))];
    assert_eq!(warned(&codes, &changes(dev)), [""; 0]);
    assert_eq!(warned(&codes, &changes(PUBLIC)).len(), 1);
}

/// Claims that an issuer file requires exclude events like conditions do.
#[test]
fn respects_events_required_by_issuer() {
    let issuer = format!("{PUBLIC}require = {{ event_name = [\"push\", \"workflow_run\"] }}\n");
    let rule = rule(OF_GITHUB, "principal.repository_id == \"1\"");
    let found = warned(
        &["event-of-strangers", "events-unbounded"],
        &[("issuers/github.toml", Some(&issuer)), ("rules/api.cedar", Some(&rule))],
    );
    let expected = "rules/api.cedar: policy `api` accepts `workflow_run` runs, which can build untrusted code: accept only runs of reviewed code, such as `event_name == \"push\"`, or forbid the others";
    assert_eq!(found, [expected]);
}

/// Warnings about builds of forks for a policy for this provider's jobs.
fn of_forks(provider: &str, issuer: &str, kind: &str, condition: &str) -> Vec<String> {
    let issuer = format!("provider = \"{provider}\"\n{issuer}");
    let rule = rule(&format!("is {kind} in Issuer::\"ci\""), condition);
    warned(&["build-of-fork"], &[("issuers/ci.toml", Some(&issuer)), ("rules/api.cedar", Some(&rule))])
}

#[test]
fn warns_of_builds_of_forks_on_circleci() {
    let issuer = "issuer = \"https://oidc.circleci.com/org/c9035eb6\"\n";
    let of = |condition: &str| of_forks("circleci", issuer, "CircleCi::Job", condition);
    let forks = "rules/api.cedar: policy `api` accepts builds of forks: a fork's pull request has the ids of this project: \
        require `vcs_origin` to equal your repository with `==`";
    let origin = "principal has vcs_origin && principal.vcs_origin == \"github.com/octo-org/octo-repo\"";
    for open in [
        "principal has vcs_ref && principal.vcs_ref == \"refs/heads/main\"",
        "principal.project_id == \"ecc458d2\"",
        "principal has vcs_origin && principal.vcs_origin != \"github.com/a/b\"",
        "principal has vcs_origin && principal.vcs_origin like \"github.com/*\"",
    ] {
        assert_eq!(of(open), [forks], "{open}");
    }
    for narrow in [
        format!("principal.project_id == \"ecc458d2\" && {origin}"),
        "principal has vcs_origin && principal.vcs_origin like \"github.com/octo-org/*\"".to_owned(),
    ] {
        assert_eq!(of(&narrow), [""; 0], "{narrow}");
    }
}

#[test]
fn warns_of_builds_of_forks_on_buildkite() {
    let issuer = "issuer = \"https://agent.buildkite.com\"\nrequire = { organization_id = \"o\" }\n";
    let of = |condition: &str| of_forks("buildkite", issuer, "Buildkite::Job", condition);
    let forks = "rules/api.cedar: policy `api` accepts builds of forks: a fork's pull request has the ids of this \
        pipeline: turn off builds of forks for the pipeline, and compare `build_source`";
    let main = "principal has pipeline_id && principal.pipeline_id == \"p\" && principal.build_branch == \"main\"";
    assert_eq!(of(main), [forks]);
    let started = format!("{main} && principal has build_source && principal.build_source == \"ui\"");
    assert_eq!(of(&started), [""; 0]);
}

#[test]
fn warns_of_names_chosen_by_runs() {
    let of = |issuer: &str, principal: &str, condition: &str| {
        let rule = rule(principal, condition);
        warned(&["chosen-by-caller"], &[("issuers/aws.toml", Some(issuer)), ("rules/api.cedar", Some(&rule))])
    };
    let chosen = |claim: &str| {
        [format!(
            "rules/api.cedar: policy `api` trusts `{claim}`, which the requester of the token chose: compare a claim that the platform sets"
        )]
    };
    let aws = "issuer = \"https://0.tokens.sts.global.api.aws\"\nprovider = \"aws\"\n";
    let id = "principal.repository_id == \"1\"";
    let by_name = format!("{id} && principal.workflow == \"release\"");
    assert_eq!(of(aws, OF_GITHUB, &by_name), chosen("workflow"));
    assert_eq!(of(aws, OF_GITHUB, id), [""; 0]);
    let of_aws = "is Aws::Principal in Issuer::\"aws\"";
    let session = "principal has source_identity && principal.source_identity == \"alice\"";
    assert_eq!(of(aws, of_aws, session), chosen("source_identity"));
    let role = "principal.principal_arn == \"arn:aws:iam::123456789012:role/batch\"";
    assert_eq!(of(aws, of_aws, role), [""; 0]);
    // A claim of the same name of another issuer does not count.
    let oidc = "issuer = \"https://idp.example\"\nprovider = \"oidc\"\n[claims]\nworkflow = { type = \"text\" }\n";
    let of_oidc = "is Oidc::Aws in Issuer::\"aws\"";
    assert_eq!(of(oidc, of_oidc, "principal.workflow == \"release\""), [""; 0]);
}

/// A broker with another profile has policies that are not in force here.
#[test]
fn warns_of_strangers_in_every_profile() {
    let bundle = "name = \"a\"\nversion = \"1\"\n[profiles]\nstaging = \"https://broker.staging.example\"\n";
    let rule =
        rule(OF_GITHUB, "principal.event_name == \"push\"").replace("\npermit", "\n@profile(\"staging\")\npermit");
    let changes = [("bundle.toml", Some(bundle)), ("rules/api.cedar", Some(rule.as_str()))];
    assert_eq!(warned(&["any-tenant"], &changes), [EVERYBODY]);
}
