//! The spans of diagnostics.

use super::support::*;
use vouchsafe_policy::Diagnostic;
use vouchsafe_policy_tools::lint;

/// The code and text of each diagnostic of a bundle with `changes`.
fn pointed(changes: &[(&str, Option<&str>)]) -> Vec<(&'static str, String)> {
    let files = files(changes);
    let report = lint::check(&files, &environment());
    let errors = report.errors.iter().map(|it| (it.kind.code(), text_at(&files, it)));
    let warnings = report.warnings.iter();
    let warnings = warnings.map(|it| (it.kind.code(), text_at(&files, it)));
    errors.chain(warnings).collect()
}

fn text_at<P>(files: &vouchsafe_policy::BundleFiles, diagnostic: &Diagnostic<P>) -> String {
    let text = std::str::from_utf8(files.content(&diagnostic.file).unwrap_or_default());
    let (Some(position), Some(length)) = (diagnostic.position, diagnostic.length) else {
        return String::new();
    };
    let line = text.unwrap_or_default().lines().nth(position.line - 1);
    let rest = line.unwrap_or_default().chars().skip(position.column - 1);
    rest.take(length).collect()
}

fn of_rule(condition: &str) -> Vec<(&'static str, String)> {
    let schema = SCHEMA.replace(
        "repository_id: String,",
        "repository_id: String, repository: String, event_name: String, head_ref?: String, workflow_ref: String, \
         environment?: String,",
    );
    // Comments and strings are not mistaken for names.
    let rule = PERMIT.replace(
        "when { ",
        &format!("when {{ // principal.ref principal.repository\n  \"principal.ref\" != \"a\" && {condition} && "),
    );
    pointed(&[("schema.cedarschema", Some(&schema)), ("rules/api.cedar", Some(&rule))])
}

fn is_there(found: &[(&'static str, String)], code: &str, text: &str) {
    let there = found.iter().any(|(known, at)| *known == code && at == text);
    assert!(there, "{code} at {text}: {found:?}");
}

#[test]
fn warnings_point_at_their_expression() {
    for (condition, code, text) in [
        ("principal.ref == \"a\"", "event-unchecked", "principal.ref"),
        ("principal.repository == \"o/r\"", "name-without-id", "principal.repository"),
        ("principal has head_ref && principal.head_ref == \"a\"", "chosen-by-caller", "principal.head_ref"),
        ("principal.event_name == \"workflow_run\"", "event-of-strangers", "\"workflow_run\""),
        ("principal.event_name != \"push\"", "event-of-strangers", "principal.event_name"),
        ("principal.ref like \"refs/heads/r-*\"", "like-crosses-separator", "principal.ref like \"refs/heads/r-*\""),
        (
            "principal.workflow_ref like \"o/r/.github/workflows/a.yml@*\"",
            "workflow-at-any-ref",
            "principal.workflow_ref like \"o/r/.github/workflows/a.yml@*\"",
        ),
        ("principal.repository_id == \"1\"", "events-unbounded", "Issuer::\"github\""),
        ("principal.event_name == \"pusch\"", "value-unknown", "\"pusch\""),
        ("context has client_ip", "address-unbounded", "context has client_ip"),
        ("context.now > datetime(\"2000-01-01\")", "time-unbounded", "context.now"),
        ("[\"wirte\"].containsAll(context.scopes)", "scope-unknown", "\"wirte\""),
        ("principal.repository_id == \"1\"", "rule-without-test", "@id(\"api\")"),
    ] {
        is_there(&of_rule(condition), code, text);
    }
}

#[test]
fn policy_errors_point_at_wrong_name() {
    let rule = PERMIT.replace("\"github\"", "\"gitub\"");
    let found = pointed(&[("rules/api.cedar", Some(&rule))]);
    assert_eq!(found, [("rule-issuer-unknown", "Issuer::\"gitub\"".to_owned())]);
    let rule = PERMIT.replace("api.example", "api.exmaple");
    let found = pointed(&[("rules/api.cedar", Some(&rule))]);
    let audience = "Audience::\"https://api.exmaple\"".to_owned();
    assert_eq!(found, [("rule-audience-unknown", audience)]);
    is_there(&of_rule("principal has enviroment"), "rule-name-unknown", "principal has enviroment");
}

/// After an unknown claim, Cedar ignores `has` tests of others.
#[test]
fn reports_misspelled_claim_once() {
    let asked = "principal has environment && principal.environment == \"a\"";
    let misspelt = of_rule(&format!("principal.repositry_id == \"1\" && {asked}"));
    assert_eq!(misspelt, [("cedar", "principal.repositry_id".to_owned())]);
    // Reading without a `has` test is an error of its own.
    let both = of_rule("principal.repositry_id == \"1\" && principal.environment == \"a\"");
    let texts: Vec<&str> = both.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["principal.repositry_id", "principal.environment"]);
}

#[test]
fn suggests_names_for_typos() {
    let fix = |changes: &[(&str, Option<&str>)]| {
        let report = lint::check(&files(changes), &environment());
        report.errors.first().and_then(|error| error.kind.fix())
    };
    let of_rule = |from: &str, to: &str| fix(&[("rules/api.cedar", Some(&PERMIT.replace(from, to)))]);
    let meant = |name: &str| Some(format!("did you mean `{name}`?"));
    assert_eq!(of_rule("\"github\"", "\"gitub\""), meant("github"));
    assert_eq!(of_rule("api.example", "api.exmaple"), meant("https://api.example"));
    assert_eq!(of_rule("\"github\"", "\"cluster\"").as_deref(), Some("correct the name, or add a file in `issuers/`"));
    let copied = format!("{API}claims = [\"repositry_id\"]\n");
    assert_eq!(fix(&[("audiences/api.toml", Some(&copied))]), meant("repository_id"));
}

const CASE: &str = "issuer = \"github\"\nid = \"a\"\nrules = [\"api\"]\n[claims]\nrepository_id = \"1\"\n\
    ref = \"a\"\n[request]\naudience = \"https://api.example\"\nscopes = [\"read\"]\n";

/// File, span, message and fix of the error that keeps a case from being decided.
fn of_case(from: &str, to: &str) -> (String, String, String) {
    let case = CASE.replace(from, to);
    let files = files(&[("tests/api/allow/a.toml", Some(&case))]);
    let report = lint::check(&files, &environment());
    let [error] = report.errors.as_slice() else {
        panic!("{report}");
    };
    let fix = error.kind.fix().unwrap_or_default();
    (text_at(&files, error), error.kind.to_string(), fix)
}

#[test]
fn reports_unfitting_claims_of_cases() {
    for (from, to, place, message, fix) in [
        ("ref = \"a\"", "reff = \"a\"", "reff", "GitHub::Workflow has no claim `reff`", "did you mean `ref`?"),
        (
            "ref = \"a\"",
            "ref = 1",
            "ref",
            "claim `ref` is an integer, but must be a string for GitHub::Workflow",
            "write it as in the issuer's tokens; see `schema.cedarschema` and the issuer file",
        ),
        (
            "ref = \"a\"\n",
            "",
            "\"github\"",
            "claim `ref` is missing; every GitHub::Workflow has it",
            "add it to the case, or to the default claims of its issuer",
        ),
        (
            "https://api.example",
            "https://api.exmaple",
            "\"https://api.exmaple\"",
            "no audience file defines audience `https://api.exmaple`",
            "did you mean `https://api.example`?",
        ),
        (
            "[request]",
            "[request]\nclient_ip = \"here\"",
            "\"here\"",
            "the case cannot be decided: client address is not an IP address",
            "write an address such as `192.0.2.1` or `2001:db8::1`",
        ),
        (
            "rules = [\"api\"]",
            "rules = []",
            "[]",
            "the case is not met: expected permit by no policy, found permit by `api`",
            "correct the policy or the case; `vouchsafe policy explain --case FILE` shows why",
        ),
    ] {
        let found = of_case(from, to);
        let expected = (place.to_owned(), message.to_owned(), fix.to_owned());
        assert_eq!(found, expected, "{to}");
    }
}

/// An error in default claims is reported once, there.
#[test]
fn reports_errors_in_default_claims_once() {
    let case = CASE.replace("ref = \"a\"\n", "");
    let base = "[claims]\nreff = \"a\"\nref = \"a\"\n";
    let files = files(&[
        ("tests/github.toml", Some(base)),
        ("tests/api/allow/a.toml", Some(&case)),
        ("tests/api/allow/b.toml", Some(&case)),
    ]);
    let report = lint::check(&files, &environment());
    let errors: Vec<String> = report.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["tests/github.toml:2:1: GitHub::Workflow has no claim `reff`"]);
}

/// With an unreadable file, other errors are still reported, but not consequences.
#[test]
fn checks_remaining_files() {
    use vouchsafe_policy::BundleError;
    let unread = || vec![Diagnostic::of_file("audiences/deploy.toml", BundleError::SymbolicLink)];
    let rule = PERMIT.replace("api.example", "deploy.example").replace("\"api\"", "\"deploy\"");
    let misspelt = PERMIT.replace("when { ", "when { principal.reff == \"a\" && ");
    let check = |rules: &[(&str, Option<&str>)]| {
        let report = lint::check_readable(&files(rules), &environment(), unread());
        assert!(report.bundle.is_none());
        report.errors.iter().map(|it| it.kind.code()).collect::<Vec<_>>()
    };
    assert_eq!(check(&[("rules/deploy.cedar", Some(&rule))]), ["symbolic-link"]);
    assert_eq!(check(&[("rules/api.cedar", Some(&misspelt))]), ["symbolic-link", "cedar"]);
}
