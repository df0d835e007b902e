//! Each kind of warning, with a bundle that has it and a similar one that does not.

use super::lints::said;
use super::support::*;
use vouchsafe_policy_tools::lint;

const RICH_SCHEMA: &str = "repository_id: String, repository?: String, event_name: String, path?: String, \
    environment?: String, workflow_ref?: String,";

fn schema() -> String {
    SCHEMA.replace("repository_id: String,", RICH_SCHEMA)
}

/// Warnings with `code` about the bundle of `support` with a richer schema and `changes`.
fn warned(code: &str, changes: &[(&str, Option<&str>)]) -> Vec<String> {
    let schema = schema();
    let mut all = vec![("schema.cedarschema", Some(schema.as_str()))];
    all.extend(changes);
    let report = lint::check(&files(&all), &environment());
    assert!(report.bundle.is_some(), "{report}");
    let of_code = report.warnings.iter().filter(|it| it.kind.code() == code);
    of_code.map(said).collect()
}

/// Like [`warned`], for a policy `api` with this condition and a limit of its scopes.
fn of_condition(code: &str, condition: &str) -> Vec<String> {
    let rule = PERMIT.replace("when { ", &format!("when {{ {condition} && "));
    warned(code, &[("rules/api.cedar", Some(&rule))])
}

#[test]
fn warns_of_unreachable_audience() {
    let other = [("audiences/other.toml", Some("id = \"https://other.example\"\n"))];
    let code = "audience-unreachable";
    assert_eq!(
        warned(code, &other),
        [
            "audiences/other.toml: nobody can get a token for audience `https://other.example`: no policy permits it: add a `permit` for it, or remove the file"
        ]
    );
    for resource in ["resource == Audience::\"https://other.example\"", "resource"] {
        let rule =
            PERMIT.replace("\"api\"", "\"other\"").replace("resource == Audience::\"https://api.example\"", resource);
        let reached = [other[0], ("rules/other.cedar", Some(rule.as_str()))];
        assert_eq!(warned(code, &reached), [""; 0], "{resource}");
    }
    // A policy that never permits makes nothing reachable.
    let dead = PERMIT
        .replace("\"api\"", "\"other\"")
        .replace("https://api.example", "https://other.example")
        .replace("when { ", "when { principal.ref == \"a\" && principal.ref == \"b\" && ");
    assert_eq!(warned(code, &[other[0], ("rules/other.cedar", Some(&dead))]).len(), 1);
}

#[test]
fn warns_of_contradicting_conditions() {
    let code = "rule-never-matches";
    let at = "rules/api.cedar: policy `api` can never match: ";
    let end = ": correct the condition, or remove the policy";
    assert_eq!(
        of_condition(code, "principal.ref == \"a\" && principal.ref == \"b\""),
        [format!("{at}`principal.ref` cannot be one of `a` and one of `b`{end}")]
    );
    assert_eq!(
        of_condition(code, "[\"a\", \"b\"].contains(principal.ref) && \"c\" == principal.ref"),
        [format!("{at}`principal.ref` cannot be one of `a`, `b` and one of `c`{end}")]
    );
    for condition in [
        "(principal.ref == \"a\" || principal.ref == \"b\")",
        "[\"a\", \"b\"].contains(principal.ref) && principal.ref == \"b\"",
        "principal.ref == \"a\" && principal.repository_id == \"b\"",
    ] {
        assert_eq!(of_condition(code, condition), [""; 0], "{condition}");
    }
}

#[test]
fn warns_of_policies_against_required_claims() {
    let code = "rule-never-matches";
    let issuer = format!("{GITHUB}require = {{ repository_id = [\"1\", \"2\"] }}\n");
    let of = |id: &str| {
        let rule = PERMIT.replace("when { ", &format!("when {{ principal.repository_id == \"{id}\" && "));
        warned(code, &[("issuers/github.toml", Some(&issuer)), ("rules/api.cedar", Some(&rule))])
    };
    assert_eq!(
        of("3"),
        [
            "rules/api.cedar: policy `api` can never match: `principal.repository_id` cannot be one of `1`, `2` and one of `3`: correct the condition, or remove the policy"
        ]
    );
    assert_eq!(of("2"), [""; 0]);
    let oidc = "issuer = \"https://two.example\"\nprovider = \"oidc\"\n";
    let typed = |name: &str| {
        let rule = PERMIT.replace("\"api\"", "\"two\"").replace("GitHub::Workflow in Issuer::\"github\"", name);
        warned(code, &[("issuers/two.toml", Some(oidc)), ("rules/two.cedar", Some(&rule))])
    };
    assert_eq!(
        typed("GitHub::Workflow in Issuer::\"two\""),
        ["rules/two.cedar: policy `two` can never match: principals of issuer `two` are `Oidc::Two`, \
             not `GitHub::Workflow`: correct the condition, or remove the policy"]
    );
    assert_eq!(typed("Oidc::Two in Issuer::\"two\""), [""; 0]);
}

#[test]
fn warns_of_overruled_permit() {
    let of = |forbid: &str| {
        let rule = PERMIT.replace("when { ", "when { principal.ref == \"a\" && ");
        let forbid = format!("@id(\"never\") forbid ({forbid};");
        warned("rule-overruled", &[("rules/api.cedar", Some(&rule)), ("rules/never.cedar", Some(&forbid))])
    };
    let overruled = [
        "rules/api.cedar: policy `api` never takes effect: `never` forbids everything that it permits: narrow the `forbid`, or remove the policy",
    ];
    for forbid in [
        "principal, action, resource)",
        "principal is GitHub::Workflow, action, resource)",
        "principal in Issuer::\"github\", action, resource)",
        "principal, action, resource == Audience::\"https://api.example\")",
        "principal is GitHub::Workflow, action, resource) when { principal.ref == \"a\" }",
    ] {
        assert_eq!(of(forbid), overruled, "{forbid}");
    }
    for forbid in [
        "principal is GitHub::Workflow, action, resource) when { principal.ref == \"b\" }",
        "principal is GitHub::Workflow, action, resource) when { principal.ref == \"a\" && context.proof_of_possession }",
        "principal, action, resource) unless { context.proof_of_possession }",
        "principal == GitHub::Workflow::\"a\", action, resource)",
    ] {
        assert_eq!(of(forbid), [""; 0], "{forbid}");
    }
}

#[test]
fn warns_of_patterns_across_separators() {
    let code = "like-crosses-separator";
    let of = |claim: &str, pattern: &str| {
        of_condition(code, &format!("principal has {claim} && principal.{claim} like \"{pattern}\""))
    };
    let warning = |claim: &str, pattern: &str, value: &str| {
        format!(
            "rules/api.cedar: policy `api` accepts `{claim}` like `{pattern}`, whose `*` also matches \
             `/`, `:` and `@`: `{value}` is permitted: compare with `==`, or put `*` at the end of the pattern, after \
             a separator"
        )
    };
    for (claim, pattern, value) in [
        ("repository", "octo-org*", "octo-orgevil/evil"),
        ("repository", "octo-org/*-service", "octo-org/evil/evil-service"),
        ("ref", "refs/heads/release-*", "refs/heads/release-evil/evil"),
        ("path", "/ns/*/sa/deploy", "/ns/evil/evil/sa/deploy"),
        ("environment", "prod:*-eu", "prod:evil:evil-eu"),
        ("path", "/ns/*/*", "/ns/evil/evil/evil/evil"),
    ] {
        assert_eq!(of(claim, pattern), [warning(claim, pattern, value)], "{pattern}");
    }
    for (claim, pattern) in [
        ("repository", "octo-org/*"),
        ("ref", "refs/heads/main"),
        ("path", "/ns/payments/*"),
        ("environment", "prod-*"),
        ("environment", "prod:*"),
    ] {
        assert_eq!(of(claim, pattern), [""; 0], "{pattern}");
    }
    let guarded = "principal.ref like \"refs/heads/release-*\" && !(principal.ref like \"refs/heads/release-*/*\")";
    assert_eq!(of_condition(code, guarded), [""; 0]);
    // Where the pattern does not decide, it may match anything.
    let other =
        "(principal.ref == \"a\" || principal.ref like \"refs/heads/r-*\" && principal.ref == \"refs/heads/r-1\")";
    assert_eq!(of_condition(code, other), [""; 0]);
}

#[test]
fn warns_of_events_of_strangers() {
    let code = "event-of-strangers";
    let warning = |events: &str| {
        [format!(
            "rules/api.cedar: policy `api` accepts `{events}` runs, which can build untrusted code: accept only runs of reviewed code, such as `event_name == \"push\"`, or forbid the others"
        )]
    };
    let others = "issue_comment`, `pull_request`, `pull_request_review`, `pull_request_review_comment`, `workflow_run";
    for (condition, events) in [
        ("principal.event_name == \"pull_request_target\"", "pull_request_target"),
        ("[\"push\", \"pull_request_target\"].contains(principal.event_name)", "pull_request_target"),
        (
            "(principal.event_name == \"push\" || principal.event_name == \"pull_request_target\")",
            "pull_request_target",
        ),
        ("principal.event_name == \"workflow_run\"", "workflow_run"),
        (
            "principal.event_name like \"pull_request*\"",
            "pull_request`, `pull_request_review`, `pull_request_review_comment`, `pull_request_target",
        ),
        ("principal.event_name != \"pull_request_target\"", others),
        ("!(principal.event_name == \"pull_request_target\")", others),
        (
            "(if principal.ref == \"a\" then principal.event_name == \"push\" else true)",
            "issue_comment`, \
          `pull_request`, `pull_request_review`, `pull_request_review_comment`, \
          `pull_request_target`, `workflow_run",
        ),
        // By the `ref` that only such runs have.
        ("principal.ref like \"refs/pull/*\"", "pull_request`, `pull_request_review`, `pull_request_review_comment"),
        ("principal.ref like \"refs/*\"", "pull_request`, `pull_request_review`, `pull_request_review_comment"),
        ("principal.ref != \"refs/heads/dev\"", "pull_request`, `pull_request_review`, `pull_request_review_comment"),
    ] {
        assert_eq!(of_condition(code, condition), warning(events), "{condition}");
    }
    for condition in [
        "principal.event_name == \"push\"",
        "[\"push\", \"release\"].contains(principal.event_name)",
        "principal.ref == \"refs/heads/main\"",
        "principal.ref like \"refs/heads/*\"",
        "principal.event_name == \"push\" && principal.ref like \"refs/*\"",
        "principal.ref like \"refs/*\" && !(principal.ref like \"refs/pull/*\")",
        "principal.repository_id == \"1\"",
    ] {
        assert_eq!(of_condition(code, condition), [""; 0], "{condition}");
    }
}

#[test]
fn respects_forbids_of_events() {
    let code = "event-of-strangers";
    let of = |forbid: &str| {
        let rule = PERMIT.replace("when { ", "when { principal.event_name like \"pull_request*\" && ");
        let forbid = format!("@id(\"no\") forbid {forbid};");
        warned(code, &[("rules/api.cedar", Some(&rule)), ("rules/no.cedar", Some(&forbid))])
    };
    let event = "principal.event_name like \"pull_request*\"";
    let scope = "(principal is GitHub::Workflow, action, resource)";
    assert_eq!(of(&format!("{scope} when {{ {event} }}")), [""; 0]);
    let allowed = format!("{scope} unless {{ [\"push\"].contains(principal.event_name) }}");
    assert_eq!(of(&allowed), [""; 0]);
    let of_audience = format!(
        "(principal, action, resource == Audience::\"https://api.example\") when {{ principal is \
         GitHub::Workflow && {event} }}"
    );
    assert_eq!(of(&of_audience), [""; 0]);
    for narrow in [
        format!("{scope} when {{ {event} && principal.ref == \"a\" }}"),
        format!("(principal == GitHub::Workflow::\"a\", action, resource) when {{ {event} }}"),
    ] {
        assert_eq!(of(&narrow).len(), 1, "{narrow}");
    }
}

/// Like `of_condition`, for jobs of GitLab.
fn of_gitlab(code: &str, condition: &str) -> Vec<String> {
    let schema = SCHEMA
        .replace("namespace GitHub", "namespace GitLab")
        .replace("entity Workflow", "entity Job")
        .replace("GitHub::Workflow", "GitLab::Job")
        .replace("repository_id: String,", "project_id: String, pipeline_source: String,")
        .replace("ref_protected?: Bool", "ref_protected?: String");
    let issuer = "issuer = \"https://gitlab.example\"\nprovider = \"gitlab\"\n";
    let rule = PERMIT
        .replace("GitHub::Workflow in Issuer::\"github\"", "GitLab::Job in Issuer::\"gitlab\"")
        .replace("when { ", &format!("when {{ {condition} && "));
    let changes = [
        ("schema.cedarschema", Some(schema.as_str())),
        ("issuers/github.toml", None),
        ("issuers/gitlab.toml", Some(issuer)),
        ("rules/api.cedar", Some(rule.as_str())),
    ];
    let report = lint::check(&files(&changes), &environment());
    assert!(report.bundle.is_some(), "{report}");
    let of_code = report.warnings.iter().filter(|it| it.kind.code() == code);
    of_code.map(said).collect()
}

#[test]
fn warns_of_merge_requests_of_forks() {
    let code = "event-of-strangers";
    let takes = |events: &str| {
        [format!(
            "rules/api.cedar: policy `api` accepts `{events}` runs, which can build untrusted code: accept only runs of reviewed code, such as `pipeline_source == \"push\"`, or forbid the others"
        )]
    };
    let merge = "principal.pipeline_source == \"merge_request_event\"";
    assert_eq!(of_gitlab(code, merge), takes("merge_request_event"));
    let any = "principal has ref_protected && principal.ref_protected == \"false\"";
    assert_eq!(of_gitlab(code, any), takes("external_pull_request_event`, `merge_request_event"));
    let protected = "principal has ref_protected && principal.ref_protected == \"true\"";
    for fine in ["principal.pipeline_source == \"push\"", protected] {
        assert_eq!(of_gitlab(code, fine), [""; 0], "{fine}");
    }
    let code = "branch-of-strangers";
    let branch = "principal.project_id == \"1\" && principal.ref == \"main\"";
    assert_eq!(
        of_gitlab(code, branch),
        [
            "rules/api.cedar: policy `api` trusts a branch by its name alone: a merge request of a fork that a member starts runs as this project, with the name of the fork's branch: also compare \
             `ref_protected == \"true\"`, `ref_path` or `pipeline_source`"
        ]
    );
    for fine in [
        format!("{branch} && {protected}"),
        format!("{branch} && principal.pipeline_source == \"push\""),
        "principal.project_id == \"1\"".to_owned(),
    ] {
        assert_eq!(of_gitlab(code, &fine), [""; 0], "{fine}");
    }
    // GitHub has full refs and events.
    assert_eq!(of_condition(code, "principal.ref == \"a\""), [""; 0]);
}

#[test]
fn warns_of_policy_for_every_event() {
    let code = "events-unbounded";
    let warning = |events: &str| {
        [format!(
            "rules/api.cedar: policy `api` does not read `event_name` and accepts `{events}` runs, which can build untrusted code: compare `event_name == \"push\"`, or forbid these events"
        )]
    };
    assert_eq!(
        of_condition(code, "principal.repository_id == \"1\""),
        warning(
            "issue_comment`, `pull_request`, `pull_request_review`, `pull_request_review_comment`, `pull_request_target`, `workflow_run"
        )
    );
    assert_eq!(of_condition(code, "principal.event_name == \"push\""), [""; 0]);
    let rule = PERMIT.replace("when { ", "when { principal.repository_id == \"1\" && ");
    let forbid = "@id(\"no-targets\") forbid (principal is GitHub::Workflow, action, resource) \
        when { principal.event_name == \"pull_request_target\" };";
    let changes = [("rules/api.cedar", Some(rule.as_str())), ("rules/no.cedar", Some(forbid))];
    assert_eq!(
        warned(code, &changes),
        warning("issue_comment`, `pull_request`, `pull_request_review`, `pull_request_review_comment`, `workflow_run")
    );
}

#[test]
fn warns_of_replay_despite_unique_jti() {
    let of = |lines: &str| {
        let issuer = format!("{GITHUB}{lines}");
        warned("replay-allowed", &[("issuers/github.toml", Some(&issuer))])
    };
    assert_eq!(
        of("replay = \"allow\"\n"),
        [
            "issuers/github.toml: `replay` is `allow`, although every token of provider `github` has a unique `jti`: remove it: `single-use` is the default"
        ]
    );
    for lines in ["", "replay = \"bounded(2)\"\n", "replay = \"allow\"\ndevelopment = true\n"] {
        assert_eq!(of(lines), [""; 0], "{lines}");
    }
}

#[test]
fn warns_of_shared_subjects() {
    let of = |subject: &str| {
        let issuer = format!("{GITHUB}subject = \"{subject}\"\n");
        warned("subject-ambiguous", &[("issuers/github.toml", Some(&issuer))])
    };
    let warning = |claim: &str| {
        format!(
            "issuers/github.toml: `subject` is ambiguous: the value of `{claim}` can contain its neighbour's, so two workloads could share one: put ids first, separate placeholders with text, and put at most one free-text claim, last"
        )
    };
    assert_eq!(of("{repository_id}{ref}"), [warning("ref")]);
    assert_eq!(of("x:{ref}:{repository_id}"), [warning("ref")]);
    for fine in ["{repository_id}:{ref}", "r:{repository_id}"] {
        assert_eq!(of(fine), [""; 0], "{fine}");
    }
}

#[test]
fn warns_of_lifetimes_over_an_hour() {
    let fix = "shorten it: a job can request another token, and a stolen token is valid as long";
    let audience = |life: &str| {
        let audience = format!("{API}max_lifetime = \"{life}\"\n");
        let files = files(&[("audiences/api.toml", Some(&audience))]);
        let long = vouchsafe_policy::Environment { epoch_seconds: 7200, ..environment() };
        let report = lint::check(&files, &long);
        let of_code = report.warnings.iter().filter(|it| it.kind.code() == "lifetime-long");
        of_code.map(said).collect::<Vec<_>>()
    };
    assert_eq!(audience("1h"), [""; 0]);
    assert_eq!(
        audience("61m"),
        [format!("audiences/api.toml: `max_lifetime` of 3660 s is longer than an hour: {fix}")]
    );
}

#[test]
fn warns_of_scopes_not_offered() {
    let code = "scope-unknown";
    let of = |scope: &str| {
        let rule = PERMIT.replace("[\"read\"]", &format!("[\"read\", \"{scope}\"]"));
        warned(code, &[("rules/api.cedar", Some(&rule))])
    };
    assert_eq!(
        of("wirte"),
        ["rules/api.cedar: policy `api` lists scope `wirte`, which audience `https://api.example` does \
             not offer: correct the scope, or add it to the audience's file"]
    );
    assert_eq!(of("write"), [""; 0]);
}

#[test]
fn warns_of_groups_open_to_anyone() {
    let github = "issuer = \"https://token.actions.githubusercontent.com\"\nprovider = \"github\"\n";
    let of = |code: &str, claims: &str, issuer: &str| {
        let group = format!("[[workloads]]\nissuer = \"github\"\nclaims = {{ {claims} }}\n");
        warned(code, &[("entities/team.toml", Some(&group)), ("issuers/github.toml", Some(issuer))])
    };
    let everybody = "entities/team.toml: group `team` admits any tenant of issuer `github`, which issues tokens to \
        everyone: require one of `enterprise`, `enterprise_id`, `repository`, `repository_id`, `repository_owner`, \
        `repository_owner_id`, `workflow_ref` to equal yours with `==` in every branch of the condition";
    let code = "group-any-tenant";
    assert_eq!(of(code, "event_name = \"push\"", github), [everybody]);
    for claims in ["repository_id = \"1\", event_name = \"push\"", "sub = \"a\""] {
        assert_eq!(of(code, claims, github), [""; 0], "{claims}");
    }
    assert_eq!(of(code, "event_name = \"push\"", GITHUB), [""; 0], "an issuer of ones own");
    let code = "group-name-without-id";
    assert_eq!(
        of(code, "repository = \"o/r\"", GITHUB),
        ["entities/team.toml: group `team` trusts `repository`, a name that someone else can take over: \
             also compare `repository_id`"]
    );
    assert_eq!(of(code, "repository = \"o/r\", repository_id = \"1\"", GITHUB), [""; 0]);
}

/// The guide lists the code of every warning.
#[test]
fn guide_lists_every_warning() {
    let source = include_str!("../../../src/lint/warning.rs");
    let guide = include_str!("../../../../../docs/policy.md");
    let is_code = |text: &&str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let arms = source.split("=> \"").skip(1);
    let codes = arms.filter_map(|arm| arm.split_once("\",")).map(|(code, _)| code);
    let codes: Vec<&str> = codes.filter(is_code).collect();
    assert!(codes.len() > 20, "{codes:?}");
    for code in codes {
        assert!(guide.contains(&format!("`{code}`")), "{code}");
    }
}
