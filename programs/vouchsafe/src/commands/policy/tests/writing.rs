//! `policy fmt`, `policy new` and `policy graph`.

use super::{default_bundle, said, scratch};
use crate::commands::policy::{fmt, graph, new};
use clap::Parser;
use std::fs;
use vouchsafe_cli::Failure;

#[derive(Parser)]
struct FmtCommand {
    #[command(flatten)]
    args: fmt::Args,
}

#[derive(Parser)]
struct GraphCommand {
    #[command(flatten)]
    args: graph::Args,
}

#[derive(Parser)]
struct NewCommand {
    #[command(flatten)]
    args: new::Args,
}

fn run_fmt(args: &[&str]) -> Result<(String, bool), Failure> {
    let command = FmtCommand::try_parse_from([&["fmt"], args].concat()).expect("right");
    fmt::format(&command.args)
}

/// With `answers`, as on a terminal; else without one.
fn run_new(args: &[&str], answers: Option<&str>) -> Result<String, Failure> {
    let command = NewCommand::try_parse_from([&["new"], args].concat()).expect("right");
    let mut input = answers.unwrap_or_default().as_bytes();
    new::make(&command.args, answers.is_some(), &mut input)
}

#[test]
fn fmt_formats_and_check_only_reports() {
    let dir = scratch("fmt");
    let shown = dir.display().to_string();
    assert_eq!(run_fmt(&[&shown]).expect("it runs"), (String::new(), true));
    let path = dir.join("rules/api.cedar");
    let before = fs::read_to_string(&path).expect("it reads");
    fs::write(&path, before.replace("permit (", "permit(")).expect("it writes");
    let file = path.display();
    let expected = (format!("{file} is not formatted\n"), false);
    assert_eq!(run_fmt(&[&shown, "--check"]).expect("it runs"), expected);
    let expected = (format!("{file} written\n"), true);
    assert_eq!(run_fmt(&[&shown]).expect("it runs"), expected);
    assert_eq!(fs::read_to_string(&path).expect("it reads"), before);
    fs::write(&path, "permit (").expect("it writes");
    let (message, _, code) = said(run_fmt(&[&shown]));
    assert_eq!((message, code), (format!("{file}: unexpected end of input"), 1));
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn new_writes_policy_with_cases() {
    let dir = scratch("new-rule");
    let shown = dir.display().to_string();
    let arguments = [
        "rule",
        "release-deploys",
        "--dir",
        &shown,
        "--issuer-name",
        "github",
        "--audience",
        "https://deploy.example",
        "--scope",
        "deploy:write",
        "--claim",
        "repository_id=777",
        "--claim",
        "ref=refs/heads/main",
        "--claim",
        "event_name=push",
    ];
    let text = run_new(&arguments, None).expect("it runs");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7, "{text}");
    assert_eq!(lines[0], dir.join("rules/release-deploys.cedar").display().to_string());
    assert_eq!(lines[6], "next: add more cases, and run them with `vouchsafe policy test`");
    let (checked, passed) = super::run_check(&[&shown, "--deny-warnings"]).expect("it runs");
    assert!(passed, "{checked}");
    let (message, _, code) = said(run_new(&arguments, None));
    assert_eq!((message.as_str(), code), ("`rules/release-deploys.cedar` already exists", 1));
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn new_copies_pinned_keys() {
    let dir = scratch("new-pinned");
    let (shown, keys) = (dir.display().to_string(), dir.with_extension("jwks"));
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    fs::write(&keys, set).expect("it writes");
    let keys_shown = keys.display().to_string();
    let issuer = |name: &str, end: &[&str]| {
        let url = format!("https://{name}.example");
        let fixed = ["issuer", name, "--dir", &shown, "--provider", "oidc", "--url", &url, "--pinned", &keys_shown];
        run_new(&[&fixed[..], end].concat(), None)
    };
    issuer("sealed", &["--expires", "2027-06-01"]).expect("it is written");
    let text = fs::read_to_string(dir.join("issuers/sealed.toml")).expect("it reads");
    assert!(text.contains("pinned = "), "{text}");
    assert!(text.contains("expires = \"2027-06-01\""), "{text}");
    let copied = fs::read_dir(dir.join("issuers"))
        .expect("it reads")
        .filter_map(|entry| fs::read_to_string(entry.expect("it reads").path()).ok())
        .filter(|text| text.trim() == set)
        .count();
    assert_eq!(copied, 1);
    let (_, _, code) = said(issuer("never", &["--expires", "soon"]));
    assert_ne!(code, 0);
    assert!(!dir.join("issuers/never.toml").exists());
    let without = NewCommand::try_parse_from([
        "new",
        "issuer",
        "never",
        "--provider",
        "oidc",
        "--url",
        "https://never.example",
        "--pinned",
        &keys_shown,
    ]);
    let error = without.map(|_| ()).expect_err("no date").to_string();
    assert!(error.contains("--expires <DATE>"), "{error}");
    fs::remove_dir_all(dir).expect("it can be removed");
    fs::remove_file(keys).expect("it can be removed");
}

#[test]
fn new_reports_broken_cases() {
    let dir = scratch("new-disturbs");
    let shown = dir.display().to_string();
    let arguments = [
        "rule",
        "again",
        "--dir",
        &shown,
        "--issuer-name",
        "github",
        "--audience",
        "https://deploy.example",
        "--scope",
        "deploy:read",
        "--claim",
        "repository_id=123456",
        "--claim",
        "event_name=push",
    ];
    let text = run_new(&arguments, None).expect("it runs");
    let wider = "\nnote: a scope beyond is still permitted by `deploy-from-main`: narrow or remove it\n";
    assert!(text.contains(wider), "{text}");
    let note = "\nnote: tests/deploy-from-main/allow/one scope of two is enough.toml is no longer met\n";
    assert!(text.contains(note), "{text}");
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn new_prompts_only_on_terminal() {
    let dir = scratch("new-asks");
    let shown = dir.display().to_string();
    let arguments = ["audience", "files", "--dir", &shown];
    let (message, hint, code) = said(run_new(&arguments, None));
    assert_eq!(message, "missing the `aud` of issued tokens");
    assert_eq!((hint.as_deref(), code), (Some("add `--id`"), 2));
    run_new(&arguments, Some("https://files.example\nread\nwrite\n\n")).expect("it runs");
    let text = fs::read_to_string(dir.join("audiences/files.toml")).expect("it reads");
    assert_eq!(text, "id = \"https://files.example\"\nscopes = [\"read\", \"write\"]\n");
    let rule = ["rule", "files", "--dir", &shown];
    let answers = "github\nhttps://files.example\nread\n\nrepository_id=1\n\n";
    run_new(&rule, Some(answers)).expect("it runs");
    assert!(dir.join("rules/files.cedar").is_file());
    // An empty answer counts as none.
    let rule = ["rule", "more", "--dir", &shown];
    let (message, ..) = said(run_new(&rule, Some("github\nhttps://files.example\nread\n\n\n")));
    assert_eq!(message, "missing claims that the workloads must have, as NAME=VALUE");
    let issuer = ["issuer", "gitlab", "--dir", &shown];
    let text = run_new(&issuer, Some("gitlab\nhttps://gitlab.example\n")).expect("it runs");
    assert!(text.contains("allowed_outbound_hosts"), "{text}");
    assert!(dir.join("tests/gitlab.toml").is_file());
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn new_refuses_claims_without_values() {
    let dir = default_bundle();
    let arguments = ["rule", "a", "--dir", &dir, "--issuer-name", "github", "--audience", "b", "--claim", "ref"];
    let (message, hint, code) = said(run_new(&arguments, None));
    assert_eq!(message, "`ref` is not a claim with a value");
    assert_eq!(hint.as_deref(), Some("write NAME=VALUE, such as ref=refs/heads/main"));
    assert_eq!(code, 2);
}

#[test]
fn graph_draws_default_bundle() {
    let dir = default_bundle();
    let draw = |args: &[&str]| {
        let command = GraphCommand::try_parse_from([&["graph", &dir], args].concat()).expect("right");
        graph::draw(&command.args).expect("it draws")
    };
    let mermaid = draw(&[]);
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    assert!(mermaid.contains("  k1 -- \"api-read<br/>api-write-from-main\" --> a0\n"), "{mermaid}");
    assert!(draw(&["--format", "svg"]).starts_with("<svg "));
}
