//! Policies that let in somebody whom their author cannot have meant, however they are written.

use super::lints::said;
use super::support::*;
use vouchsafe_policy_tools::lint;

pub const SCHEMA: &str = include_str!("../../../../../policies/schema.cedarschema");

/// A provider's issuer file and the scope of its principals.
pub struct Of {
    pub issuer: &'static str,
    pub scope: &'static str,
}

pub const GITHUB: Of = Of {
    issuer: "issuer = 'https://token.actions.githubusercontent.com'\nprovider = 'github'\n",
    scope: "principal is GitHub::Workflow in Issuer::\"it\"",
};
pub const GHES: Of = Of {
    issuer: "issuer = 'https://ghes.example/_services/token'\nprovider = 'github'\n",
    scope: "principal is GitHub::Workflow in Issuer::\"it\"",
};
pub const GITLAB: Of = Of {
    issuer: "issuer = 'https://gitlab.com'\nprovider = 'gitlab'\n",
    scope: "principal is GitLab::Job in Issuer::\"it\"",
};
pub const SELF_MANAGED: Of = Of {
    issuer: "issuer = 'https://gitlab.example'\nprovider = 'gitlab'\n",
    scope: "principal is GitLab::Job in Issuer::\"it\"",
};
pub const KUBERNETES: Of = Of {
    issuer: "issuer = 'https://cluster.example'\nprovider = 'kubernetes'\n",
    scope: "principal is Kubernetes::ServiceAccount in Issuer::\"it\"",
};
pub const SPIFFE: Of = Of {
    issuer: "issuer = 'spiffe://example.org'\nprovider = 'spiffe'\nkeys = { jwks_uri = 'https://b.example/k' }\n",
    scope: "principal is Spiffe::Workload in Issuer::\"it\"",
};
pub const GOOGLE: Of = Of {
    issuer: "issuer = 'https://accounts.google.com'\nprovider = 'google'\nrequire = { project_id = 'octo' }\n",
    scope: "principal is Google::ServiceAccount in Issuer::\"it\"",
};
pub const AWS: Of = Of {
    issuer: "issuer = 'https://0.tokens.sts.global.api.aws'\nprovider = 'aws'\n",
    scope: "principal is Aws::Principal in Issuer::\"it\"",
};
pub const AZURE: Of = Of {
    issuer: "issuer = 'https://sts.windows.net/0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec/'\nprovider = 'azure'\n",
    scope: "principal is Azure::Workload in Issuer::\"it\"",
};
pub const TERRAFORM: Of = Of {
    issuer: "issuer = 'https://app.terraform.io'\nprovider = 'terraform'\n\
        require = { terraform_organization_id = 'org-1' }\n",
    scope: "principal is Terraform::Run in Issuer::\"it\"",
};
pub const CIRCLECI: Of = Of {
    issuer: "issuer = 'https://oidc.circleci.com/org/1'\nprovider = 'circleci'\n",
    scope: "principal is CircleCi::Job in Issuer::\"it\"",
};
pub const BUILDKITE: Of = Of {
    issuer: "issuer = 'https://agent.buildkite.com'\nprovider = 'buildkite'\nrequire = { organization_id = '1' }\n",
    scope: "principal is Buildkite::Job in Issuer::\"it\"",
};
pub const OIDC: Of = Of {
    issuer: "issuer = 'https://idp.example'\nprovider = 'oidc'\n\
        [claims]\nteam = { type = 'text' }\nlevel = { type = 'integer' }\nroles = { type = 'text-set', required = false }\n",
    scope: "principal is Oidc::It in Issuer::\"it\"",
};

/// Code and text of each warning about a policy with this scope and condition, except that it has no case.
pub fn of_rule(of: &Of, scope: &str, resource: &str, condition: &str) -> Vec<(&'static str, String)> {
    let rule = format!("@id(\"api\") permit ({scope}, action, {resource}) when {{ {condition} }};");
    let bundle = "name = \"test\"\nversion = \"1\"\n[zones]\nberlin = \"Europe/Berlin\"\n";
    let files = files(&[
        ("bundle.toml", Some(bundle)),
        ("schema.cedarschema", Some(SCHEMA)),
        ("issuers/github.toml", None),
        ("issuers/it.toml", Some(of.issuer)),
        ("audiences/api.toml", Some("id = \"https://api.example\"\nscopes = [\"read\", \"deploy:write\"]\n")),
        ("rules/api.cedar", Some(&rule)),
    ]);
    let report = lint::check(&files, &environment());
    assert!(report.errors.is_empty() && report.bundle.is_some(), "{condition}: {report}");
    let warnings = report.warnings.iter().filter(|it| it.kind.code() != "rule-without-test");
    let text = |it| said(it).replace("rules/api.cedar: policy `api` ", "");
    warnings.map(|it| (it.kind.code(), text(it))).collect()
}

pub const API: &str = "resource == Audience::\"https://api.example\"";

/// Like [`of_rule`], for the provider's scope, one audience and bounded scopes.
pub fn of(of: &Of, condition: &str) -> Vec<(&'static str, String)> {
    let bounded = format!("{condition} && [\"read\"].containsAll(context.scopes)");
    of_rule(of, of.scope, API, &bounded)
}

/// Each condition has a warning with this code that has this in its text.
pub fn warns(of_provider: &Of, code: &str, text: &str, conditions: &[&str]) {
    for condition in conditions {
        let found = of(of_provider, condition);
        let is_it = |(known, said): &&(&str, String)| *known == code && said.contains(text);
        assert!(found.iter().any(|one| is_it(&one)), "{code} for {condition}: {found:#?}");
    }
}

#[test]
fn finds_strangers_on_github() {
    let push = "principal.event_name == \"push\"";
    let evil = of(&GITHUB, push);
    let expected = "permits any tenant of issuer `it`, which issues tokens to everyone: a run of `evil/evil`, repository id 666, with `event_name` `push` is permitted: require one of";
    assert_eq!(evil.len(), 1, "{evil:#?}");
    assert!(evil[0].1.starts_with(expected), "{evil:#?}");
    warns(
        &GITHUB,
        "any-tenant",
        "a run of `evil/evil`, repository id 666",
        &[
            "principal.repository_id != \"1\"",
            "!(principal.repository_id == \"1\" && principal.event_name == \"push\")",
            "principal.repository_id like \"*\"",
            "(principal.repository_id == \"123456\" || true)",
            "(if principal.repository_id == \"1\" then true else principal.event_name == \"push\")",
            "principal.workflow == \"release\"",
            "principal.actor == \"octocat\"",
            "principal has environment && principal.environment == \"production\"",
            "principal has base_ref && principal.base_ref == \"main\"",
            "principal.ref like \"refs/*\" && principal.ref like \"*/main\"",
            "[principal.repository, \"a\"].containsAny([principal.repository, \"b\"])",
            "principal.repository_id != \"\"",
            "context.requested_lifetime_seconds <= 300",
            "principal has job_workflow_ref && principal.job_workflow_ref like \"octo-org/a/*@refs/heads/main\"",
            "(!(principal has environment) || principal.repository_id == \"1\")",
            "!(principal in [GitHub::Workflow::\"a\", GitHub::Workflow::\"b\"])",
            "!([\"1\", \"2\"].contains(principal.repository_id))",
            "(principal.repository_id == \"1\" || context.local.berlin.hour >= 0)",
            "principal.repository_owner_id == principal.repository_id",
        ],
    );
    let of_owner = "a run of `evil/evil`, repository id 666, with `actor` `evil` and `repository_owner` `evil`";
    warns(&GITHUB, "any-tenant", of_owner, &["principal.repository_owner == principal.actor"]);
    let fifty = "repository id 6665666";
    warns(&GITHUB, "any-tenant", fifty, &["principal.repository_id like \"*5*\""]);
    warns(&GITHUB, "any-tenant", "`octo-orgevil/evil`", &["principal.repository like \"octo-org*\""]);
    warns(&GITHUB, "any-tenant", "repository id 6666", &["principal.repository_id != \"666\""]);
}

#[test]
fn finds_whoever_takes_a_name_over() {
    let found = of(&GHES, "principal.repository == \"octo/app\" && principal.event_name == \"push\"");
    let expected = "trusts `repository`, a name that someone else can take over: a run of `octo/app`, repository id 666, with `event_name` `push` is permitted: also compare `repository_id`";
    assert_eq!(found, [("name-without-id", expected.to_owned())]);
    let either = "(principal.repository_id == \"1\" || principal.repository == \"octo/app\")";
    warns(&GITHUB, "name-without-id", "a run of `octo/app`, repository id 666", &[either]);
    let owner = "principal.repository like \"octo/*\" && principal.repository_id != \"1\"";
    warns(&GITHUB, "name-without-id", "trusts `repository`", &[owner]);
    warns(&GITLAB, "name-without-id", "trusts `project_path`", &["principal.project_path like \"corp/*\""]);
    let workspace = "principal.terraform_workspace_name == \"prod\"";
    warns(&TERRAFORM, "name-without-id", "a run of workspace `prod`, workspace id `ws-666`", &[workspace]);
    warns(&BUILDKITE, "name-without-id", "trusts `pipeline_slug`", &["principal.pipeline_slug == \"app\""]);
    let origin = "principal has vcs_origin && principal.vcs_origin == \"github.com/octo/app\"";
    warns(&CIRCLECI, "name-without-id", "trusts `vcs_origin`", &[origin]);
}

#[test]
fn finds_other_workloads_of_private_issuers() {
    let found = of(&KUBERNETES, "true");
    let expected = "names no workload of issuer `it`: service account `evil` of namespace `evil` is permitted: compare a claim that identifies your workload with `==`";
    assert_eq!(found, [("no-workload-named", expected.to_owned())]);
    let code = "no-workload-named";
    warns(&KUBERNETES, code, "namespace `buildevil`", &["principal.namespace like \"build*\""]);
    warns(&KUBERNETES, code, "namespace `evil`", &["principal has pod_uid", "principal.namespace != \"kube-system\""]);
    let gitlab = "a job of `evil/evil`, project id 666";
    warns(
        &SELF_MANAGED,
        code,
        gitlab,
        &[
            "principal.user_login == \"alice\"",
            "principal.namespace_id == \"12\"",
            "principal has ref_protected && principal.ref_protected == \"true\"",
            "principal.project_path like \"*\"",
        ],
    );
    warns(&GHES, code, "a run of `evil/evil`, repository id 666", &["principal.ref == \"refs/heads/main\""]);
    warns(
        &SPIFFE,
        code,
        "workload `/evil`",
        &[
            "true",
            "principal.trust_domain == \"example.org\"",
            "principal.path like \"*\"",
            "principal.path like \"/*\"",
        ],
    );
    warns(&GOOGLE, code, "unique id `666`", &["principal has email_verified && principal.email_verified"]);
    warns(&AWS, code, "role/evil`", &["principal.aws_account == \"123456789012\""]);
    warns(&AWS, code, "role/evil`", &["principal.principal_arn != \"arn:aws:iam::123456789012:role/batch\""]);
    let tenant = "principal.tid == \"0e3e2e88-8caf-41ca-b4da-e3b33b6c52ec\"";
    warns(&AZURE, code, "an identity with object id `66666666-", &[tenant]);
    warns(&AZURE, code, "an identity with", &["principal has idtyp && principal.idtyp == \"app\""]);
    let organization = "principal.terraform_organization_id == \"org-1\"";
    warns(&TERRAFORM, code, "workspace id `ws-666`", &[organization, "principal.terraform_run_phase == \"apply\""]);
    warns(&BUILDKITE, code, "pipeline id `666`", &["principal.build_branch == \"main\""]);
    warns(&CIRCLECI, code, "project `666`", &["principal has vcs_ref && principal.vcs_ref == \"refs/heads/main\""]);
    warns(
        &OIDC,
        code,
        "subject `evil`",
        &["principal.level > 3", "principal.team != \"guests\"", "principal.team like \"*\""],
    );
}

#[test]
fn finds_service_accounts_of_other_namespaces() {
    let found = of(&KUBERNETES, "principal.service_account_name == \"deployer\"");
    let expected = "permits a service account of any namespace: service account `deployer` of namespace `evil` is permitted: also compare `namespace` with `==`";
    assert_eq!(found, [("any-namespace", expected.to_owned())]);
    warns(
        &KUBERNETES,
        "any-namespace",
        "service account `deployer` of namespace `buildevil`",
        &["principal.namespace like \"build*\" && principal.service_account_name == \"deployer\""],
    );
    warns(
        &KUBERNETES,
        "any-namespace",
        "namespace `evil`",
        &["principal has node_name && principal.node_name == \"n1\""],
    );
}

#[test]
fn finds_runs_of_proposed_code() {
    let id = |condition: &str| format!("principal.repository_id == \"1\" && {condition}");
    let code = "event-of-strangers";
    warns(
        &GITHUB,
        code,
        "`pull_request`, `pull_request_target`",
        &[&id("principal has base_ref && principal.base_ref == \"main\"")],
    );
    warns(&GITHUB, code, "`pull_request_target`", &[&id("principal.event_name like \"*target\"")]);
    warns(&GITHUB, code, "`workflow_run`", &[&id("!([\"push\", \"pull_request\"].contains(principal.event_name))")]);
    warns(&GITHUB, "events-unbounded", "`pull_request`", &[&id("true")]);
    warns(&GITHUB, "event-unchecked", "`workflow_run`", &[&id("principal.ref == \"refs/heads/release\"")]);
    let chosen = &id("principal.workflow == \"release\"");
    warns(&GITHUB, "chosen-by-caller", "trusts `workflow`", &[chosen]);
    warns(&GITHUB, "attempt-unchecked", "trusts `actor`", &[&id("principal.actor == \"octocat\"")]);
    let twice = id("principal.actor == \"octocat\" && principal has run_attempt && principal.run_attempt != \"2\"");
    warns(&GITHUB, "attempt-unchecked", "trusts `actor`", &[&twice]);
    let again = id("principal.actor == \"octocat\" && principal has run_attempt && principal.run_attempt != \"3\"");
    warns(&GITHUB, "attempt-unchecked", "trusts `actor`", &[&again]);
    let found = of(&BUILDKITE, "principal has pipeline_id && principal.pipeline_id == \"p\"");
    let expected = "accepts builds of forks: a fork's pull request has the ids of this pipeline: a job of pipeline `evil`, pipeline id `p` is permitted: turn off builds of forks for the pipeline, and compare `build_source`";
    assert_eq!(found, [("build-of-fork", expected.to_owned())]);
    let by_push = "principal has pipeline_id && principal.pipeline_id == \"p\" && principal has build_source && \
        [\"webhook\", \"ui\"].contains(principal.build_source)";
    warns(&BUILDKITE, "build-of-fork", "pipeline id `p`", &[by_push]);
    let branch = "principal.project_id == \"20\" && principal.ref == \"main\"";
    warns(&GITLAB, "branch-of-strangers", "trusts a branch by its name alone", &[branch]);
    let merges = "accepts `external_pull_request_event`, `merge_request_event` runs, which can build untrusted code: \
        compare `pipeline_source == \"push\"`, or forbid these events";
    warns(&GITLAB, "events-unbounded", merges, &["principal.project_id == \"20\""]);
    let found = of(&TERRAFORM, "principal.terraform_workspace_id == \"ws-1\"");
    let expected = "does not read `terraform_run_phase` and accepts `plan` runs, which can build untrusted code: compare \
        `terraform_run_phase == \"apply\"`, or forbid these events";
    assert_eq!(found, [("events-unbounded", expected.to_owned())]);
    warns(
        &TERRAFORM,
        code,
        "`plan`",
        &["principal.terraform_workspace_id == \"ws-1\" && principal.terraform_run_phase != \"\""],
    );
}

#[test]
fn finds_environments_that_nobody_set_up() {
    let id = "principal.repository_id == \"1\" && principal.event_name == \"push\"";
    let expected = "requires an `environment`, but any will do: whoever can change a workflow can name one without protection: compare `environment` with `==`";
    let present = format!("{id} && principal has environment");
    assert_eq!(of(&GITHUB, &present), [("any-environment", expected.to_owned())]);
    let other = format!("{present} && principal.environment != \"test\"");
    warns(
        &GITHUB,
        "any-environment",
        "any will do",
        &[&other, &format!("{present} && principal.environment like \"*\"")],
    );
}

#[test]
fn finds_values_away_from_their_claim() {
    let id = "principal.repository_id == \"1\" && principal.event_name == \"push\"";
    let chosen =
        format!("{id} && principal.workflow == (if principal.ref == \"refs/heads/main\" then \"m\" else \"n\")");
    warns(&GITHUB, "chosen-by-caller", "trusts `workflow`", &[&chosen]);
    for lifetime in ["lifetime * 2 == 1800", "lifetime + 100 == 1000", "lifetime - 50 == 850", "1000 - lifetime == 100"]
    {
        let lifetime = lifetime.replace("lifetime", "context.requested_lifetime_seconds");
        warns(&GITHUB, "any-tenant", "`evil/evil`", &[&lifetime]);
    }
}

#[test]
fn finds_whole_accounts() {
    let role = "arn:aws:iam::123456789012:role";
    for pattern in [format!("{role}/*"), "arn:aws:iam::123456789012:*".to_owned()] {
        let condition = format!("principal.principal_arn like \"{pattern}\"");
        warns(&AWS, "no-workload-named", "principal `arn:aws:iam::123456789012:", &[&condition]);
    }
}

#[test]
fn finds_characters_that_look_like_nothing() {
    let condition = "principal.repository_id == \"1\" && principal.event_name == \"push\" && \
        principal.ref == \"refs/heads/main\u{3164}\"";
    let expected = "the file contains U+3164, which is displayed as nothing or as a space: remove it, or write it as an \
        escape such as `\\u{3164}`";
    warns(&GITHUB, "character-invisible", expected, &[condition]);
}

#[test]
fn finds_workflow_files_of_any_ref() {
    let id = "principal.repository_owner_id == \"65\" && principal has job_workflow_ref && \
        principal.job_workflow_ref like";
    for open in ["octo/a/.github/workflows/b.yml@*", "octo/a/*", "octo/a/.github/workflows/b.yml@refs/tags/*"] {
        let condition = format!("{id} \"{open}\"");
        warns(&GITHUB, "workflow-at-any-ref", "at any ref", &[&condition]);
    }
}

#[test]
fn finds_conditions_that_limit_no_address() {
    let id = "principal.repository_id == \"1\" && principal.event_name == \"push\"";
    let range =
        |ranges: &str| format!("{id} && context has client_ip && context.client_ip.isInRange(ip(\"{ranges}\"))");
    let found = of(&GITHUB, &range("0.0.0.0/0"));
    let expected = "keeps no client address out: it permits a request from `203.0.113.66`: require `context has client_ip && context.client_ip.isInRange(ip(\"…\"))` with your network";
    assert_eq!(found, [("address-unbounded", expected.to_owned())]);
    for condition in [
        range("::/0"),
        range("0.0.0.0/1"),
        range("16.0.0.0/4"),
        range("100.0.0.0/6"),
        range("2001::/16"),
        range("2001:d000::/19"),
        format!("{id} && context has client_ip"),
        format!("{id} && context has client_ip && context.client_ip.isIpv4()"),
        format!("{id} && context has client_ip && !context.client_ip.isInRange(ip(\"192.0.2.0/24\"))"),
        format!("{id} && (context has client_ip || !(context has client_ip))"),
    ] {
        warns(&GITHUB, "address-unbounded", "permits a request from ", &[&condition]);
    }
    let unknown =
        format!("{id} && (if context has client_ip then context.client_ip.isInRange(ip(\"10.0.0.0/8\")) else true)");
    warns(&GITHUB, "address-unbounded", "a request without a client address", &[&unknown]);
}

#[test]
fn finds_time_windows_that_are_always_open() {
    let id = "principal.repository_id == \"1\" && principal.event_name == \"push\"";
    let always = format!("{id} && context.local.berlin.hour >= 0 && context.local.berlin.hour < 24");
    let expected = "tests the time, but permits at any time: correct the limits, or remove the condition";
    assert_eq!(of(&GITHUB, &always), [("time-unbounded", expected.to_owned())]);
    for condition in [
        "(context.local.berlin.hour >= 9 || context.local.berlin.hour < 17)",
        "!([\"sunnday\"].contains(context.local.berlin.weekday))",
        "context.now > datetime(\"2000-01-01\").offset(duration(\"1h\"))",
        "(if context.local.berlin.minute == 7 then true else true)",
        "context.now < datetime(\"2099-01-01\")",
        "context.now < datetime(\"9999-01-01\")",
    ] {
        warns(&GITHUB, "time-unbounded", "permits at any time", &[&format!("{id} && {condition}")]);
    }
}

#[test]
fn finds_scopes_that_nobody_asked_for() {
    let id = "principal.repository_id == \"1\" && principal.event_name == \"push\"";
    let of = |condition: &str| of_rule(&GITHUB, GITHUB.scope, API, &format!("{id} && {condition}"));
    let expected = "is for `deploy:write`, but also permits a token without any scope: set `scopes_required = true` in the audience's file, or add `!context.scopes.isEmpty()`";
    assert_eq!(of("[\"deploy:write\"].containsAll(context.scopes)"), [("scopes-optional", expected.to_owned())]);
    for fine in [
        "[\"deploy:write\"].containsAll(context.scopes) && !context.scopes.isEmpty()",
        "[\"deploy:write\"].containsAll(context.scopes) && context.scopes.contains(\"deploy:write\")",
        "context.scopes == [\"deploy:write\"]",
        "[\"read\", \"deploy:write\"].containsAll(context.scopes)",
        "context.scopes.isEmpty()",
    ] {
        assert!(of(fine).is_empty(), "{fine}");
    }
    for open in
        ["!context.scopes.contains(\"admin\")", "context.scopes.containsAny([\"read\", \"deploy:write\"])", "true"]
    {
        let found = of(open);
        assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["scopes-unbounded"], "{open}");
    }
}

#[test]
fn finds_unbounded_resources() {
    let condition = "principal.repository_id == \"1\" && principal.event_name == \"push\" && [\"read\"].containsAll(context.scopes)";
    for resource in ["resource", "resource is Audience"] {
        let found = of_rule(&GITHUB, GITHUB.scope, resource, condition);
        let expected = "permits any audience, also one that is added later: write `resource == Audience::\"…\"`, or `resource in AudienceGroup::\"…\"`";
        assert_eq!(found, [("resource-unbounded", expected.to_owned())], "{resource}");
    }
    let named = format!("{condition} && resource == Audience::\"https://api.example\"");
    assert!(of_rule(&GITHUB, GITHUB.scope, "resource", &named).is_empty());
}

#[test]
fn finds_values_that_claims_never_have() {
    let id = "principal.repository_id == \"1\"";
    let found = of(&GITHUB, &format!("{id} && principal.event_name == \"pusch\""));
    let expected = "compares `event_name` with `pusch`, which is none of its values: did you mean `push`?";
    assert_eq!(found, [("value-unknown", expected.to_owned())]);
    let found = of(
        &GITHUB,
        &format!(
            "{id} && principal has ref_type && principal.ref_type == \"commit\" && principal.event_name == \"push\""
        ),
    );
    let expected =
        "compares `ref_type` with `commit`, which is none of its values: compare it with one of `branch`, `tag`";
    assert_eq!(found, [("value-unknown", expected.to_owned())]);
    warns(
        &GITHUB,
        "value-unknown",
        "`pull_requst*`",
        &[&format!("{id} && !(principal.event_name like \"pull_requst*\")")],
    );
    let forbid = "@id(\"no\") forbid (principal, action, resource) when { principal is GitHub::Workflow && \
        [\"issue_comment\", \"pull_requst_target\"].contains(principal.event_name) };";
    let files = files(&[("schema.cedarschema", Some(SCHEMA)), ("rules/no.cedar", Some(forbid))]);
    let report = lint::check(&files, &environment());
    let found: Vec<String> = report.warnings.iter().map(said).collect();
    let expected = "rules/no.cedar: policy `no` compares `event_name` with `pull_requst_target`, which is none of its values: did you mean `pull_request_target`?";
    assert!(found.iter().any(|warning| warning == expected), "{found:#?}");
}
