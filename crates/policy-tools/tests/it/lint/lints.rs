//! Errors and warnings of `policy check`.

use super::support::*;
use vouchsafe_policy::Diagnostic;
use vouchsafe_policy_tools::access;
use vouchsafe_policy_tools::lint::{self, Warning};

/// A case of policy `api`, so that nothing warns of its absence.
const CASE: &str = "issuer = \"github\"\nid = \"a\"\nrules = [\"api\"]\n\
    claims = { repository_id = \"1\", ref = \"a\" }\n\
    [request]\naudience = \"https://api.example\"\nscopes = [\"read\"]\n";

/// A diagnostic with its file and fix on one line. The `spans` module tests positions.
pub fn said(diagnostic: &Diagnostic<Warning>) -> String {
    let (file, problem) = (&diagnostic.file, &diagnostic.kind);
    match problem.fix() {
        Some(fix) => format!("{file}: {problem}: {fix}"),
        None => format!("{file}: {problem}"),
    }
}

/// A warning without the stranger that it shows; `dangerous` tests those.
pub fn brief(warning: String) -> String {
    let shown = [": a run of ", ": a job of "].into_iter().find_map(|start| {
        let (before, rest) = warning.split_once(start)?;
        let (_, after) = rest.split_once(" is permitted")?;
        Some(format!("{before}{after}"))
    });
    shown.unwrap_or(warning)
}

fn warnings(changes: &[(&str, Option<&str>)]) -> Vec<String> {
    let report = lint::check(&files(changes), &environment());
    assert!(report.bundle.is_some(), "{report}");
    let warnings = report.warnings.iter().map(said);
    // Many policies of this module are about something else than whose tokens they accept.
    warnings.filter(|warning| !warning.contains("names no workload")).collect()
}

/// Warnings about a policy with this condition and a case.
fn of_condition(condition: &str) -> Vec<String> {
    let rule = PERMIT.replace("when { [\"read\"].containsAll(context.scopes) }", condition);
    warnings(&[("rules/api.cedar", Some(&rule)), ("tests/api/allow/a.toml", Some(CASE))])
}

#[test]
fn accepts_faultless_bundle() {
    let rule = PERMIT.replace("when { ", "when { principal.repository_id == \"1\" && ");
    let files = files(&[("rules/api.cedar", Some(&rule)), ("tests/api/allow/a.toml", Some(CASE))]);
    let report = lint::check(&files, &environment());
    assert!(report.errors.is_empty() && report.warnings.is_empty(), "{report}");
}

#[test]
fn warns_of_untested_policies_and_orphan_cases() {
    assert_eq!(warnings(&[]), ["rules/api.cedar: policy `api` determines no test case: add one in `tests/api/`"]);
    assert_eq!(
        warnings(&[("tests/gone/allow/a.toml", Some(CASE))]),
        ["tests/gone/allow/a.toml: the case is for policy `gone`, which is not in the bundle: rename the folder, \
         or remove it"]
    );
}

#[test]
fn warns_of_unlimited_scopes() {
    let unbounded = ["rules/api.cedar: policy `api` does not limit the scopes: add \
                      `[…].containsAll(context.scopes)` to its `when`"];
    let bound = "[\"read\"].containsAll(context.scopes)";
    for condition in [
        format!("when {{ {bound} }}"),
        format!("when {{ principal.repository_id == \"a\" && {bound} }}"),
        format!("when {{ (principal.repository_id == \"a\" && {bound}) || context.scopes.isEmpty() }}"),
        "when { context.scopes == [\"read\"] }".to_owned(),
        format!("when {{ principal.repository_id == \"a\" }} when {{ {bound} }}"),
        format!("unless {{ !({bound}) }}"),
        format!("unless {{ principal.repository_id == \"a\" || !{bound} }}"),
        format!("when {{ if principal.repository_id == \"a\" then {bound} else context.scopes.isEmpty() }}"),
        format!("when {{ if {bound} then true else false }}").replace("else false", "else {X}").replace("{X}", bound),
        // Bounded from both sides.
        format!("when {{ {bound} && context.scopes.containsAll([\"read\"]) }}"),
    ] {
        assert_eq!(of_condition(&condition), [""; 0], "{condition}");
    }
    for condition in [
        String::new(),
        "when { principal.repository_id == \"a\" }".to_owned(),
        format!("when {{ principal.repository_id == \"a\" || {bound} }}"),
        format!("when {{ !{bound} }}"),
        format!("unless {{ {bound} }}"),
        format!("unless {{ principal.repository_id == \"a\" && !{bound} }}"),
        format!("when {{ if principal.repository_id == \"a\" then {bound} else true }}"),
        "when { context.scopes.contains(\"read\") }".to_owned(),
        // The wrong way round.
        "when { context.scopes.containsAll([\"read\"]) }".to_owned(),
        "when { !context.scopes.contains(\"write\") }".to_owned(),
    ] {
        assert_eq!(of_condition(&condition), unbounded, "{condition}");
    }
}

#[test]
fn requires_no_scope_limit_without_scopes() {
    let none = "id = \"https://api.example\"\n";
    let bound = "[\"read\"].containsAll(context.scopes)";
    let rule = PERMIT.replace(bound, "principal.repository_id == \"1\"");
    let case = CASE.replace("scopes = [\"read\"]\n", "");
    let forbid = "@id(\"never\") forbid (principal, action, resource) when { context.proof_of_possession };";
    let forbidden = "issuer = \"github\"\nid = \"a\"\nrules = [\"never\"]\n\
        claims = { repository_id = \"1\", ref = \"a\" }\n\
        [request]\naudience = \"https://api.example\"\nproof_of_possession = true\n";
    assert_eq!(
        warnings(&[
            ("audiences/api.toml", Some(none)),
            ("rules/api.cedar", Some(&rule)),
            ("rules/never.cedar", Some(forbid)),
            ("tests/api/allow/a.toml", Some(&case)),
            ("tests/never/deny/a.toml", Some(forbidden)),
        ]),
        [""; 0]
    );
}

#[test]
fn refuses_unknown_issuers_and_audiences() {
    let rule = "@id(\"api\")\npermit (principal is GitHub::Workflow in Issuer::\"gitub\", action, \
        resource == Audience::\"https://api.exmaple\") when { context.scopes.isEmpty() };\n";
    let expected = [
        "rules/api.cedar:2:79: policy `api` names audience `https://api.exmaple`, which no audience file defines",
        "rules/api.cedar:2:42: policy `api` names issuer `gitub`, which no issuer file defines",
    ];
    for rule in [rule.to_owned(), rule.replace("permit", "forbid")] {
        let report = lint::check(&files(&[("rules/api.cedar", Some(&rule))]), &environment());
        let errors: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{rule}");
        assert!(report.bundle.is_none());
    }
}

#[test]
fn warns_of_policy_that_never_matches() {
    let found = of_condition("when { context.scopes.isEmpty() && principal is Audience }");
    let never = "rules/api.cedar: for policy `api`, policy is impossible: the policy \
                 expression evaluates to false for all valid requests";
    let nobody = "audiences/api.toml: nobody can get a token for audience `https://api.example`: no policy permits it: add a `permit` for it, or remove the file";
    assert_eq!(found, [nobody, never]);
}

#[test]
fn reports_unreadable_cases() {
    let errors = |content: &str| {
        let files = files(&[("tests/api/allow/a.toml", Some(content))]);
        let report = lint::check(&files, &environment());
        report.errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let at = |what: &str| vec![format!("tests/api/allow/a.toml:{what}")];
    assert_eq!(errors(&CASE.replace("\"github\"", "\"gitub\"")), at("1:10: issuer `gitub` is not in the bundle"));
    assert_eq!(
        errors(&CASE.replace("ref = \"a\"", "ref = 1.5")),
        at("4:39: claim `ref` must be a string, an integer, a boolean or an array of strings")
    );
    assert_eq!(
        errors(&format!("at = \"soon\"\n{CASE}")),
        at("1:6: `at` must be a date such as `2027-01-01T00:00:00Z`")
    );
    assert_eq!(
        errors(&format!("decision = \"allow\"\n{CASE}")),
        at("1:1: unknown field `decision`, expected one of `issuer`, `id`, `at`, `profile`, `token`, `keys`, \
            `refused`, `claims`, `absent`, `actor`, `request`, `rules`, `erring`")
    );
}

#[test]
fn warns_of_names_without_ids() {
    let schema = SCHEMA.replace(
        "repository_id: String,",
        "repository_id: String, repository_owner_id?: String, repository?: String, workflow_ref?: String, \
         event_name?: String,",
    );
    let of = |condition: &str| {
        let bound = "[\"read\"].containsAll(context.scopes)";
        let rule = PERMIT.replace(bound, &format!("{bound} && {condition}"));
        let report = lint::check(
            &files(&[("schema.cedarschema", Some(&schema)), ("rules/api.cedar", Some(&rule))]),
            &environment(),
        );
        assert!(report.bundle.is_some(), "{report}");
        let warnings = report.warnings.iter().map(said).map(brief);
        warnings.filter(|warning| !is_other(warning)).collect::<Vec<_>>()
    };
    let warning = |name: &str| {
        format!(
            "rules/api.cedar: policy `api` trusts `{name}`, a name that someone else can take over: also compare `repository_id`"
        )
    };
    let repository = "principal has repository && principal.repository == \"octo-org/octo-repo\"";
    let workflow = "principal has workflow_ref && principal.workflow_ref like \"octo-org/*@refs/heads/main\"";
    let owner = "principal has repository_owner_id && principal.repository_owner_id == \"65\"";
    assert_eq!(of(repository), [warning("repository")]);
    assert_eq!(of(workflow), [warning("workflow_ref")]);
    assert_eq!(of(&format!("(({repository}) || ({workflow}))")), [warning("repository"), warning("workflow_ref")]);
    // Testing whether an id is present is not comparing it.
    assert_eq!(of(&format!("principal has repository_owner_id && {repository}")), [warning("repository")]);
    for condition in [
        "principal has repository".to_owned(),
        format!("{repository} && principal.repository_id == \"123456\""),
        format!("{repository} && {owner}"),
        format!("{workflow} && {owner}"),
        "principal.ref == \"refs/heads/main\" && principal has event_name && \
         principal.event_name == \"push\""
            .to_owned(),
    ] {
        assert_eq!(of(&condition), [""; 0], "{condition}");
    }
}

#[test]
fn allows_forbids_by_name() {
    let schema = SCHEMA.replace("repository_id: String,", "repository_id: String, repository?: String,");
    let forbid = "@id(\"never\") forbid (principal is GitHub::Workflow, action, resource) \
        when { principal has repository && principal.repository == \"octo-org/archive\" };";
    let found = warnings(&[
        ("schema.cedarschema", Some(&schema)),
        ("rules/never.cedar", Some(forbid)),
        ("tests/api/allow/a.toml", Some(CASE)),
    ]);
    assert_eq!(found, ["rules/never.cedar: policy `never` determines no test case: add one in `tests/never/`"]);
}

/// Whether a warning is irrelevant to a test.
fn is_other(warning: &str) -> bool {
    let others =
        ["determines no test case", "does not read `event_name`", "names no workload", "whose `*` also matches"];
    others.iter().any(|other| warning.contains(other))
}

/// The default bundle's issuer of github.com, with one policy.
fn of_github(condition: &str, more: &[(&str, Option<&str>)]) -> Vec<String> {
    let schema = SCHEMA.replace(
        "repository_id: String,",
        "repository_id: String, event_name: String, head_ref?: String, job_workflow_ref?: String, \
         environment?: String, run_attempt?: String, actor?: String, actor_id?: String,",
    );
    let issuer = "issuer = \"https://token.actions.githubusercontent.com\"\nprovider = \"github\"\n";
    let bound = "[\"read\"].containsAll(context.scopes)";
    let rule = PERMIT.replace(bound, &format!("{bound} && {condition}"));
    let mut changes = vec![
        ("schema.cedarschema", Some(schema.as_str())),
        ("issuers/github.toml", Some(issuer)),
        ("rules/api.cedar", Some(rule.as_str())),
    ];
    changes.extend_from_slice(more);
    let report = lint::check(&files(&changes), &environment());
    assert!(report.bundle.is_some(), "{report}");
    let warnings = report.warnings.iter().map(said).map(brief);
    warnings
        .filter(|warning| !is_other(warning))
        .map(|warning| warning.replace("rules/api.cedar: policy `api` ", ""))
        .collect()
}

#[test]
fn warns_of_permit_for_any_tenant() {
    let everybody = "permits any tenant of issuer `github`, which issues tokens to everyone: require one of \
        `enterprise`, `enterprise_id`, `repository`, `repository_id`, `repository_owner`, \
        `repository_owner_id`, `workflow_ref` to equal yours with `==` in every branch of the condition";
    assert_eq!(of_github("principal.event_name == \"push\"", &[]), [everybody]);
    assert_eq!(of_github("principal.repository_id == \"1\"", &[]), [""; 0]);
    // The issuer file can require it for all policies.
    let required = "issuer = \"https://token.actions.githubusercontent.com\"\nprovider = \"github\"\n\
        require = { repository_id = \"1\" }\n";
    let narrowed = [("issuers/github.toml", Some(required))];
    assert_eq!(of_github("principal.event_name == \"push\"", &narrowed), [""; 0]);
}

/// A `forbid` with a misspelled `has` would keep nobody out.
#[test]
fn refuses_has_of_unknown_names() {
    let errors = |rule: &str| {
        let report = lint::check(&files(&[("rules/api.cedar", Some(rule))]), &environment());
        let errors = report.errors.iter().map(ToString::to_string);
        errors.collect::<Vec<_>>()
    };
    let error = |place: &str, name: &str| {
        format!("rules/api.cedar:{place}: policy `api` tests `{name}`, but no request that it can match has it")
    };
    let permit = |condition: &str| PERMIT.replace("when { ", &format!("when {{ {condition} && "));
    let misspelt = "!(principal has ref_protekted)";
    assert_eq!(errors(&permit(misspelt)), [error("6:12", "principal has ref_protekted")]);
    assert_eq!(errors(&permit("!(context has clientip)")), [error("6:12", "context has clientip")]);
    let forbid = permit("(principal.ref == \"a\" || principal has rum)").replace("permit (", "forbid (");
    assert_eq!(errors(&forbid), [error("6:35", "principal has rum")]);
    let anybody = "@id(\"api\") forbid (principal, action, resource) unless { principal has rum };";
    assert_eq!(errors(anybody), [error("1:58", "principal has rum")]);
    for fine in ["principal has run", "context has client_ip"] {
        assert_eq!(errors(&permit(fine)), [""; 0], "{fine}");
    }
}

#[test]
fn warns_of_actor_without_run_attempt() {
    let warning = |claim: &str| {
        format!(
            "trusts `{claim}`, who started the first attempt: others can run it again and get the same \
             claim: also compare `run_attempt == \"1\"`"
        )
    };
    let of = "principal.repository_id == \"1\" && principal has actor_id && \
        principal.actor_id == \"7\"";
    assert_eq!(of_github(of, &[]), [warning("actor_id")]);
    let by_name = "principal.repository_id == \"1\" && principal has actor && principal.actor == \"octocat\" && \
        principal has actor_id && principal.actor_id == \"7\"";
    assert_eq!(of_github(by_name, &[]), [warning("actor"), warning("actor_id")]);
    let first = format!("{of} && principal has run_attempt && principal.run_attempt == \"1\"");
    assert_eq!(of_github(&first, &[]), [""; 0]);
}

#[test]
fn warns_of_ref_without_event_name() {
    let of = "principal.repository_id == \"1\" && principal.ref == \"refs/heads/main\"";
    let warning = |events: &str| {
        [format!(
            "trusts `ref` without `event_name`: `{events}` runs have the `ref` of a branch of the repository, \
             whatever code they build: compare `event_name == \"push\"`, or forbid these events"
        )]
    };
    let all = "issue_comment`, `pull_request_target`, `workflow_run";
    assert_eq!(of_github(of, &[]), warning(all));
    assert_eq!(of_github(&format!("{of} && principal.event_name == \"push\""), &[]), [""; 0]);
    let forbid = |events: &str| {
        let forbid = format!(
            "@id(\"no\") forbid (principal is GitHub::Workflow, action, resource) when {{ \
             [{events}].contains(principal.event_name) }};"
        );
        of_github(of, &[("rules/no.cedar", Some(&forbid))])
    };
    assert_eq!(forbid("\"pull_request_target\""), warning("issue_comment`, `workflow_run"));
    assert_eq!(forbid("\"issue_comment\", \"pull_request_target\", \"workflow_run\""), [""; 0]);
}

#[test]
fn warns_of_claims_chosen_by_caller() {
    let of = "principal.repository_id == \"1\" && principal has head_ref && principal.head_ref == \"a\"";
    let warning = "trusts `head_ref`, which the requester of the token chose: compare a claim that the platform sets";
    assert_eq!(of_github(of, &[]), [warning]);
}

#[test]
fn warns_of_reusable_workflows_at_any_ref() {
    let of = |pattern: &str| {
        of_github(
            &format!(
                "principal.repository_id == \"1\" && principal has job_workflow_ref && \
                 principal.job_workflow_ref like \"{pattern}\""
            ),
            &[],
        )
    };
    let warning = "accepts `job_workflow_ref` at any ref: a workflow file of any branch would match: \
        write the whole pattern, such as `…/deploy.yml@refs/heads/main`";
    for open in [
        "octo-org/a/.github/workflows/b.yml@*",
        "octo-org/a/.github/workflows/*",
        "octo-org/a/.github/workflows/b.yml@refs/heads/*",
        "octo-org/a/.github/workflows/b.yml@refs/tags/*",
        "octo-org/a/.github/workflows/b.yml@r*",
    ] {
        assert_eq!(of(open), [warning], "{open}");
    }
    for pinned in [
        "octo-org/a/.github/workflows/b.yml@refs/heads/main",
        "octo-org/a/.github/workflows/*@refs/heads/main",
        "octo-org/a/.github/workflows/b.yml@refs/heads/release-*",
    ] {
        assert_eq!(of(pinned), [""; 0], "{pinned}");
    }
}

/// These claims do not require others.
#[test]
fn allows_environments_and_attempts() {
    for condition in [
        "principal has environment && principal.environment == \"production\"",
        "principal has run_attempt && principal.run_attempt == \"1\"",
    ] {
        let of = format!("principal.repository_id == \"1\" && {condition}");
        assert_eq!(of_github(&of, &[]), [""; 0], "{condition}");
    }
}

/// Both sides of the notice period and of the expiry.
#[test]
fn warns_two_weeks_before_pinned_keys_expire() {
    use vouchsafe_policy::parse_unix_seconds;
    let issuer = "issuer = \"https://idp.example\"\nprovider = \"github\"\n\
        keys = { pinned = \"keys.json\", expires = \"2027-03-01\" }\n";
    let files = files(&[("issuers/github.toml", Some(issuer))]);
    let at = |time: &str| {
        let found = lint::expiring_keys(&files, parse_unix_seconds(time).expect("a time"));
        found.iter().map(said).collect::<Vec<_>>()
    };
    let soon = |days: u64| {
        format!(
            "issuers/github.toml: the pinned keys expire on 2027-03-01T00:00:00Z, in {days} days: fetch and pin new keys"
        )
    };
    assert_eq!(at("2027-02-14T23:59:59Z"), [""; 0]);
    assert_eq!(at("2027-02-15T00:00:00Z"), [soon(14)]);
    assert_eq!(at("2027-02-28T23:59:59Z"), [soon(0)]);
    let expired = "issuers/github.toml: the pinned keys expired on 2027-03-01T00:00:00Z: every token \
        of this issuer is refused: fetch and pin new keys";
    assert_eq!(at("2027-03-01T00:00:00Z"), [expired]);
    assert_eq!(at("2030-01-01"), [expired]);
}

#[test]
fn warns_of_template_without_link() {
    let template = PERMIT.replace("@id(\"api\")", "@id(\"reader\")").replace("Issuer::\"github\"", "?principal");
    let warnings = warnings(&[("rules/more.cedar", Some(&template))]);
    let expected = "rules/more.cedar: template `reader` is never linked: add a `[[link]]` with \
        `template = \"reader\"`, or remove it";
    assert!(warnings.iter().any(|it| it == expected), "{warnings:?}");
}

#[test]
fn finds_access_through_workload_groups() {
    let rule = PERMIT.replace("Issuer::\"github\"", "WorkloadGroup::\"payments\"");
    let group = "[[workloads]]\nissuer = \"github\"\nclaims = { repository_id = \"1\" }\n";
    let bundle = load(&[("rules/api.cedar", Some(&rule)), ("entities/payments.toml", Some(group))]);
    let access = access(&bundle.expect("loads"));
    let pair = ("github".to_owned(), "https://api.example".to_owned());
    assert_eq!(access.into_keys().collect::<Vec<_>>(), [pair]);
}
