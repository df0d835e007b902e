//! `policy explain` of past decisions, what would be permitted, and JSON.

use super::{CLAIMS, default_bundle, run_explain, said};
use crate::commands::policy::explain;
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, Environment, Principal, TokenRequest, folder};

#[derive(Parser)]
struct ExplainCommand {
    #[command(flatten)]
    args: explain::Args,
}

/// The Cedar request of a push to main that deploys, as the broker would record it.
pub fn cedar_request() -> String {
    let environment =
        Environment { issuer: "https://broker.example".to_owned(), development: true, epoch_seconds: 3600 };
    let files = folder::read(Path::new(&default_bundle())).expect("it reads");
    let bundle = Bundle::load(&files, &environment).expect("it loads");
    let text = |(name, value): &(&str, &str)| Attribute {
        name: (*name).to_owned(),
        value: AttributeValue::Text((*value).to_owned()),
    };
    let attributes = [
        ("actor", "octocat"),
        ("event_name", "push"),
        ("ref", "refs/heads/main"),
        ("repository", "octo-org/octo-repo"),
        ("repository_id", "123456"),
        ("repository_owner", "octo-org"),
        ("repository_owner_id", "65"),
        ("run_id", "1"),
        ("workflow", "deploy"),
    ];
    let principal = Principal {
        entity_type: "GitHub::Workflow".to_owned(),
        id: "repo:octo-org/octo-repo:ref:refs/heads/main".to_owned(),
        issuer_name: "github".to_owned(),
        attributes: attributes.iter().map(text).collect(),
    };
    let request = TokenRequest {
        audience: "https://deploy.example".to_owned(),
        scopes: vec!["deploy:read".to_owned()],
        requested_lifetime_seconds: 300,
        client_ip: None,
        proof_of_possession: false,
    };
    let decision = bundle.decide(&principal, &request, 1_798_761_600);
    decision.expect("it is decided").cedar_request
}

fn explain_decision(state: &Path, id: &str, more: &[&str]) -> Result<(String, bool), vouchsafe_cli::Failure> {
    let (dir, state) = (default_bundle(), state.display().to_string());
    let fixed = ["explain", &dir, "--decision", id, "--state-dir", &state];
    let command = ExplainCommand::try_parse_from([&fixed[..], more].concat()).expect("right");
    explain::explain(&command.args)
}

/// A state directory whose database has one record.
fn state(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("vouchsafe-state-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("it can be made");
    dir
}

#[cfg(feature = "host")]
#[test]
fn explains_past_decision() {
    let dir = state("database");
    let database = rusqlite::Connection::open(dir.join("sqlite.db")).expect("it opens");
    database
        .execute_batch(
            "CREATE TABLE audit (seq INTEGER PRIMARY KEY, decision_id TEXT, decided_at_ms INTEGER, \
             outcome TEXT, slug TEXT, bundle_digest TEXT, determining_rules TEXT, cedar_request TEXT)",
        )
        .expect("it is made");
    database
        .execute(
            "INSERT INTO audit VALUES (1, 'd1', 1, 'refused', 'policy.denied', 'other', '[]', ?1)",
            [cedar_request()],
        )
        .expect("it is written");
    let (text, issued) = explain_decision(&dir, "d1", &[]).expect("it runs");
    assert!(
        text.starts_with(
            "note: decision d1 was refused (policy.denied), determined by no policy\n\
             note: another bundle made this decision: sha256 other; the following is for the current one\n\
             principal: GitHub::Workflow::\"repo:octo-org/octo-repo:ref:refs/heads/main\" in \
             Issuer::\"github\"\n\
             request: https://deploy.example, scopes deploy:read, 300 s, at 2027-01-01T00:00:00Z\n\
             decision: permit, by `deploy-from-main`\n"
        ),
        "{text}"
    );
    assert!(issued);
    let shown = dir.display().to_string();
    let expected = format!("no decision `d2` is recorded in `{shown}`");
    assert_eq!(said(explain_decision(&dir, "d2", &[])), (expected, None, 1));
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn reads_exported_file_like_database() {
    let dir = state("export");
    let row = serde_json::json!({
        "decision_id": "d1", "decided_at_ms": 1, "outcome": "issued", "slug": "ok", "bundle_digest": "other",
        "determining_rules": "[\"deploy-from-main\"]", "cedar_request": cedar_request(),
    });
    for (name, text) in [("array.json", serde_json::json!([row]).to_string()), ("lines.jsonl", format!("{row}\n\n"))] {
        let file = dir.join(name);
        fs::write(&file, text).expect("it writes");
        let (text, _) = explain_decision(&file, "d1", &["--format", "json"]).expect("it runs");
        let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(json["decision"], "permit");
        assert_eq!(json["notes"][0], "decision d1 was issued (ok), determined by `deploy-from-main`");
    }
    let file = dir.join("wrong");
    fs::write(&file, "{}\n").expect("it writes");
    let (message, _, code) = said(explain_decision(&file, "d1", &[]));
    assert_eq!((message, code), (format!("`{}`: line 1 is not a record of a decision", file.display()), 2));
    let (message, _, code) = said(explain_decision(&dir, "d1", &[]));
    assert_eq!((message, code), (format!("no database in `{}`", dir.display()), 2));
    fs::remove_dir_all(dir).expect("it can be removed");
}

/// A decision id is base64url: one in 64 starts with `-`.
#[test]
fn finds_decision_id_with_leading_hyphen() {
    let dir = state("hyphen");
    let row = serde_json::json!({
        "decision_id": "-w3q2-7w", "decided_at_ms": 1, "outcome": "issued", "slug": "ok",
        "bundle_digest": "other", "determining_rules": "[]", "cedar_request": cedar_request(),
    });
    let file = dir.join("decisions.jsonl");
    fs::write(&file, format!("{row}\n")).expect("it writes");
    let (text, issued) = explain_decision(&file, "-w3q2-7w", &[]).expect("it runs");
    let note = "note: decision -w3q2-7w was issued (ok), determined by no policy\n";
    assert!(text.starts_with(note), "{text}");
    assert!(issued);
    let expected = format!("no decision `-w` is recorded in `{}`", file.display());
    assert_eq!(said(explain_decision(&file, "-w", &[])), (expected, None, 1));
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn shows_repeats_of_refusal() {
    let dir = state("repeats");
    let file = dir.join("decisions.jsonl");
    for (repeats, expected) in [
        (serde_json::Value::Null, None),
        (0.into(), None),
        (1.into(), Some("note: this record also counts 1 further refusal of the same kind")),
        (2.into(), Some("note: this record also counts 2 further refusals of the same kind")),
    ] {
        let row = serde_json::json!({
            "decision_id": "d1", "decided_at_ms": 1, "outcome": "refused", "slug": "policy.denied",
            "bundle_digest": "other", "determining_rules": "[]", "cedar_request": cedar_request(),
            "repeats": repeats,
        });
        fs::write(&file, format!("{row}\n")).expect("it writes");
        let (text, _) = explain_decision(&file, "d1", &[]).expect("it runs");
        let found = text.lines().find(|line| line.contains("further refusal"));
        assert_eq!(found, expected, "{repeats}");
    }
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn shows_smallest_permitted_change() {
    let of = |claims: &str, args: &[&str]| {
        let (text, _) = run_explain(claims, &[args, &["--development"]].concat()).expect("it runs");
        let line = text.lines().find(|line| line.starts_with("would be permitted: "));
        line.map(|line| line.trim_start_matches("would be permitted: ").to_owned())
    };
    let deploy = ["--audience", "https://deploy.example"];
    let scoped = |scopes: &[&'static str]| {
        let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
        deploy.into_iter().chain(scopes).collect::<Vec<_>>()
    };
    assert_eq!(of(CLAIMS, &scoped(&["deploy:read"])), None);
    assert_eq!(
        of(CLAIMS, &scoped(&["deploy:read", "admin"])).as_deref(),
        Some("with scope deploy:read, by `dev-deploy-from-main`")
    );
    // No request by a job of another repository is permitted.
    let other = CLAIMS.replace("123456", "654321");
    assert_eq!(of(&other, &scoped(&["deploy:read"])), None);
    // Another audience permits it.
    let topic = CLAIMS.replace("refs/heads/main\", \"repository\"", "refs/heads/topic\", \"repository\"");
    assert_eq!(of(&topic, &deploy).as_deref(), Some("for audience https://api.example, by `dev-api`"));
    // With other scopes, it would be another request.
    assert_eq!(of(&topic, &scoped(&["deploy:read"])), None);
    let (text, _) =
        run_explain(&topic, &[&scoped(&["deploy:read"])[..], &["--development"]].concat()).expect("it runs");
    let near = "\ndecision: deny: no policy permits\n\
                no similar request would be permitted: tried other scopes, lifetimes, times, addresses and audiences\n";
    assert!(text.contains(near), "{text}");
}

/// The values of a case are those of its file and of the issuer's default claims.
#[test]
fn explains_test_case_by_name_or_path() {
    let dir = default_bundle();
    let case = "tests/deploy-from-main/deny/a push to another branch.toml";
    let explain_case = |dir: &str, file: &str, more: &[&str]| {
        let fixed = ["explain", dir, "--case", file];
        explain::explain(&ExplainCommand::try_parse_from([&fixed[..], more].concat()).expect("right").args)
    };
    let (text, issued) = explain_case(&dir, case, &[]).expect("it runs");
    assert!(text.starts_with("note: the case expects deny by no policy, and is met\nprincipal: "), "{text}");
    assert!(text.contains("\n  FAILS principal.ref == \"refs/heads/main\"\n"), "{text}");
    assert!(!issued);
    let path = Path::new(&dir).join(case).display().to_string();
    assert_eq!(explain_case(&dir, &path, &[]).expect("it runs"), (text, issued));
    let (text, issued) =
        explain_case(&dir, "tests/api-read/allow/any branch may read.toml", &["--format", "json"]).expect("it runs");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["notes"], serde_json::json!(["the case expects permit by `api-read`, and is met"]));
    assert!(issued);
    for other in ["rules/api.cedar", "tests/github.toml", "tests/none/allow/a.toml", "/etc/hostname"] {
        let (message, hint, code) = said(explain_case(&dir, other, &[]));
        assert_eq!((message, code), (format!("`{other}` is not a test case of `{dir}`"), 2));
        let cases = "cases are the files `tests/RULE/allow/NAME.toml` and `tests/RULE/deny/NAME.toml`";
        assert_eq!(hint.as_deref(), Some(cases));
    }
    let with = |more: &[&str]| ExplainCommand::try_parse_from([&["explain", "--case", case], more].concat()).is_err();
    assert!(with(&["--audience", "https://api.example"]) && with(&["--claims", "a"]) && with(&["--at", "1"]));
}

#[test]
fn json_has_every_condition_with_its_values() {
    let topic = CLAIMS.replace("refs/heads/main\", \"repository\"", "refs/heads/topic\", \"repository\"");
    let arguments = ["--audience", "https://deploy.example", "--development", "--format", "json", "--ip", "192.0.2.1"];
    let (text, issued) = run_explain(&topic, &arguments).expect("it runs");
    assert!(!issued);
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["decision"], "deny");
    assert_eq!(json["request"]["client_ip"], "192.0.2.1");
    assert_eq!(json["would_be_permitted"]["audience"], "https://api.example");
    // The closest policy comes first: one condition fails.
    assert_eq!(json["rules"][0]["rule"], "dev-deploy-from-main");
    assert_eq!(json["rules"][0]["distance"], 1);
    assert_eq!(
        json["rules"][0]["conditions"][1],
        serde_json::json!({
            "kind": "when", "text": "principal.ref == \"refs/heads/main\"", "verdict": "fails", "error": null,
            "inputs": { "principal.ref": "refs/heads/topic" },
        })
    );
    assert_eq!(json["other_rules"][0]["rule"], "api-read");
}
