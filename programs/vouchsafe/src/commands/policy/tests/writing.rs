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
    new::make(&command.args, answers.is_some(), &mut input, &mut std::io::sink())
}

/// The prompts on a terminal, with `answers`, and the outcome.
fn prompts(args: &[&str], answers: &str) -> (String, Result<String, Failure>) {
    let command = NewCommand::try_parse_from([&["new"], args].concat()).expect("right");
    let mut prompts = Vec::new();
    let outcome = new::make(&command.args, true, &mut answers.as_bytes(), &mut prompts);
    (String::from_utf8(prompts).expect("text"), outcome)
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
    assert_eq!(lines[6], format!("next: add more cases, and run them with `vouchsafe policy test {shown}`"));
    let (checked, passed) = super::run_check(&[&shown, "--deny-warnings"]).expect("it runs");
    assert!(passed, "{checked}");
    let (message, _, code) = said(run_new(&arguments, None));
    assert_eq!((message.as_str(), code), ("`rules/release-deploys.cedar` already exists", 1));
    let replaced = run_new(&[&arguments[..], &["--claim", "workflow=release", "--replace"]].concat(), None);
    let replaced = replaced.expect("it runs");
    assert_eq!(replaced.lines().count(), 9, "{replaced}");
    let warning = "warning: rules/release-deploys.cedar:";
    let chosen = "policy `release-deploys` trusts `workflow`, which the requester of the token chose";
    assert!(replaced.lines().any(|line| line.starts_with(warning) && line.contains(chosen)), "{replaced}");
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn new_refuses_values_that_match_nothing() {
    let dir = scratch("new-values");
    let shown = dir.display().to_string();
    let new = |claim: &str| {
        let audience = ["--issuer-name", "github", "--audience", "https://deploy.example", "--scope", "deploy:write"];
        said(run_new(&[&["rule", "new", &shown][..], &audience, &["--claim", claim]].concat(), None))
    };
    let (message, _, code) = new("ref=");
    assert_eq!((message.as_str(), code), ("claim `ref` has no value", 2));
    let (message, _, code) = new("ref=refs/heads/*");
    let expected = "claim `ref` would have to be `refs/heads/*` literally: name one value, and edit the policy to \
        compare with `like`";
    assert_eq!((message.as_str(), code), (expected, 2));
    assert!(!dir.join("rules/new.cedar").exists());
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
        let fixed = ["issuer", name, &shown, "--provider", "oidc", "--url", &url, "--pinned", &keys_shown];
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
    let arguments = ["audience", "files", &shown];
    assert_eq!(said(run_new(&arguments, None)), ("`--id URL` is missing".to_owned(), None, 2));
    run_new(&arguments, Some("https://files.example\nread\nwrite\n\n")).expect("it runs");
    let text = fs::read_to_string(dir.join("audiences/files.toml")).expect("it reads");
    assert_eq!(text, "id = \"https://files.example\"\nscopes = [\"read\", \"write\"]\n");
    let rule = ["rule", "files", &shown];
    let answers = "github\nhttps://files.example\nread\n\nrepository_id=1\n\n";
    run_new(&rule, Some(answers)).expect("it runs");
    assert!(dir.join("rules/files.cedar").is_file());
    let rule = ["rule", "more", &shown];
    let (message, hint, code) = said(run_new(&rule, Some("github\nhttps://files.example\nread\n\n")));
    assert_eq!((message.as_str(), code), ("`--claim NAME=VALUE` is missing", 2));
    let hint = hint.expect("the claims");
    assert!(hint.starts_with("A claim that the workloads must have, as NAME=VALUE: actor, "), "{hint}");
    let issuer = ["issuer", "gitlab", &shown];
    let text = run_new(&issuer, Some("gitlab\nhttps://gitlab.example\n")).expect("it runs");
    assert!(text.contains("allowed_outbound_hosts"), "{text}");
    assert!(dir.join("tests/gitlab.toml").is_file());
    fs::remove_dir_all(dir).expect("it can be removed");
}

/// A wrong answer costs one more prompt, not all answers.
#[test]
fn new_lists_choices_and_asks_again() {
    let dir = scratch("new-again");
    let shown = dir.display().to_string();
    let answers = "gihub\ngithub\nhttps://deploy.exmaple\nhttps://deploy.example\ndeploy:wirte\ndeploy:write\n\n\
                   repository_id\nrepositry_id=7\nrepository_id=7\n\n";
    let (prompts, outcome) = prompts(&["rule", "deploys", &shown], answers);
    outcome.expect("it is written");
    for line in [
        "The issuer of the workloads (dev, github): error: the bundle has no issuer `gihub`; it has `dev`, `github`\n",
        "The audience of the tokens (https://api.example, https://deploy.example): error: the bundle has no audience \
         `https://deploy.exmaple`; it has `https://api.example`, `https://deploy.example`\n",
        "A scope that the workloads may request (deploy:read, deploy:write): error: audience \
         `https://deploy.example` does not offer scope `deploy:wirte`; it offers `deploy:read`, `deploy:write`\n",
        "one more, or empty to finish: A claim that the workloads must have, as NAME=VALUE (actor, ",
        "error: `repository_id` is not a claim with its value, such as `ref=refs/heads/main`\n",
        "error: GitHub::Workflow has no claim `repositry_id`; it has `actor`, ",
    ] {
        assert!(prompts.contains(line), "{line}\n{prompts}");
    }
    let rule = fs::read_to_string(dir.join("rules/deploys.cedar")).expect("it reads");
    assert!(rule.contains("principal.repository_id == \"7\" && [\"deploy:write\"].containsAll"), "{rule}");
    let answers = "nope\nterraform\nhttp://app.terraform.io\nhttps://app.terraform.io\norg-1\nsub=x\n\
                   terraform_organization_id=org-1\n";
    let (prompts, outcome) = self::prompts(&["issuer", "terraform", &shown], answers);
    outcome.expect("it is written");
    for line in [
        "error: unknown provider `nope`; known providers: `aws`",
        "error: `issuer` ",
        "A claim that only your tokens have, as NAME=VALUE (terraform_organization_id, terraform_organization_name): \
         error: `org-1` is not a claim with its value, such as `ref=refs/heads/main`\n",
        "error: issuers of provider `terraform` sign for all tenants",
    ] {
        assert!(prompts.contains(line), "{line}\n{prompts}");
    }
    let issuer = fs::read_to_string(dir.join("issuers/terraform.toml")).expect("it reads");
    assert!(issuer.contains("require = { \"terraform_organization_id\" = \"org-1\" }"), "{issuer}");
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn new_refuses_wrong_flags() {
    let dir = scratch("new-flags");
    let shown = dir.display().to_string();
    let fixed = [
        "rule",
        "a",
        &shown,
        "--issuer-name",
        "github",
        "--audience",
        "https://deploy.example",
        "--scope",
        "deploy:write",
    ];
    let of = |more: &[&str]| said(run_new(&[&fixed[..], more].concat(), None));
    let claim = ["--claim", "ref=a"];
    for (more, expected) in [
        (&["--claim", "ref"][..], "`ref` is not a claim with its value, such as `ref=refs/heads/main`"),
        (
            &["--scope", "deploy:wirte"],
            "audience `https://deploy.example` does not offer scope `deploy:wirte`; it offers `deploy:read`, `deploy:write`",
        ),
        (&["--ip", "0.0.0.0/0"], "`0.0.0.0/0` is not a network such as `192.0.2.0/24`, or contains every address"),
        (&["--office-hours", "berlin:9"], "`berlin:9` is not working hours such as `berlin` or `berlin:9-17`"),
        (&["--office-hours", "berlin"], "`bundle.toml` names no time zone `berlin`; it names none"),
    ] {
        let arguments = if more[0] == "--claim" { more.to_vec() } else { [&claim[..], more].concat() };
        let (message, _, code) = of(&arguments);
        assert_eq!((message.as_str(), code), (expected, 2));
    }
    let bundle = dir.join("bundle.toml");
    let text = fs::read_to_string(&bundle).expect("it reads");
    fs::write(&bundle, text + "[zones]\nberlin = \"Europe/Berlin\"\n").expect("it writes");
    let more = ["--claim", "repository_id=9", "--environment", "production", "--ip", "192.0.2.0/24"];
    let text = run_new(&[&fixed[..], &more, &["--office-hours", "berlin"]].concat(), None).expect("it is written");
    assert!(text.contains("tests/a/deny/without environment.toml\n"), "{text}");
    let (checked, passed) = super::run_check(&[&shown]).expect("it runs");
    assert!(passed, "{checked}");
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn graph_draws_default_bundle() {
    let dir = default_bundle();
    let draw = |args: &[&str]| {
        let command = GraphCommand::try_parse_from([&["graph", &dir], args].concat()).expect("right");
        graph::draw(&command.args).expect("it draws")
    };
    let mermaid = draw(&[]);
    assert!(mermaid.starts_with("---\ntitle: \"default 1, sha256 "), "{mermaid}");
    assert!(mermaid.contains("\n  p0[\"permit api-read if …\"]\n  k1 --- p0\n  p0 --> a0\n"), "{mermaid}");
    assert!(draw(&["--format", "svg"]).starts_with("<svg "));
}

#[test]
fn graph_counts_recorded_decisions() {
    let export = std::env::temp_dir().join(format!("vouchsafe-graph-{}.jsonl", std::process::id()));
    let row = serde_json::json!({
        "decision_id": "a", "decided_at_ms": 1, "outcome": "issued", "slug": "ok", "bundle_digest": "0",
        "determining_rules": ["deploy-from-main"], "cedar_request": super::decisions::cedar_request(), "repeats": 4,
    });
    let refused_early = serde_json::json!({
        "decision_id": "b", "decided_at_ms": 1, "outcome": "refused", "slug": "token.expired", "bundle_digest": "0",
        "determining_rules": [], "cedar_request": "{}",
    });
    fs::write(&export, format!("{row}\n{refused_early}\n")).expect("it writes");
    let (dir, shown) = (default_bundle(), export.display().to_string());
    let draw = |more: &[&str]| {
        let arguments = [&["graph", &dir, "--replay", &shown], more].concat();
        graph::draw(&GraphCommand::try_parse_from(arguments).expect("right").args).expect("it draws")
    };
    assert_eq!(draw(&[]).matches("==>|5|").count(), 1, "{}", draw(&[]));
    assert!(!draw(&["--since", "24h"]).contains("==>"), "it was long ago");
    fs::remove_file(export).expect("it can be removed");
}
