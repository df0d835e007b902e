//! `policy diff`.

use super::{default_bundle, said, scratch};
use crate::commands::policy::diff;
use clap::Parser;
use std::fs;
use std::path::Path;
use vouchsafe_cli::Failure;

#[derive(Parser)]
struct DiffCommand {
    #[command(flatten)]
    args: diff::Args,
}

pub fn run(args: &[&str]) -> Result<(String, bool), Failure> {
    let command = DiffCommand::try_parse_from([&["diff"], args].concat()).expect("right");
    diff::compare(&command.args)
}

/// 2200-01-01T00:00:00Z.
const YEAR_2200_MS: u64 = 7_258_118_400_000;

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("it reads");
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed, "{from}");
    fs::write(path, changed).expect("it writes");
}

#[test]
fn ignores_changes_without_effect() {
    let dir = scratch("diff-same");
    edit(&dir.join("rules/api.cedar"), "// Pushes to any branch", "// Pushes to each branch");
    edit(&dir.join("rules/api.cedar"), "when\n{", "when {\n\n");
    let shown = dir.display().to_string();
    let (text, failed) = run(&[&default_bundle(), &shown]).expect("it runs");
    assert_eq!(
        text,
        "0 changes: 0 widening, 0 either way, 0 narrowing; no issuer URL or key source changed; 31 requests decided by both bundles\n"
    );
    assert!(!failed);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn shows_widening_and_narrowing() {
    let dir = scratch("diff-widens");
    let rules = dir.join("rules/deploy.cedar");
    edit(&rules, "  principal.ref == \"refs/heads/main\" &&\n", "");
    edit(&dir.join("audiences/api.toml"), "replay", "max_lifetime = \"10m\"\nreplay");
    let shown = dir.display().to_string();
    let old = default_bundle();
    let (text, failed) = run(&[&old, &shown, "--fail-on", "widening"]).expect("it runs");
    assert_eq!(
        text,
        "widening:\n  \
         case tests/deploy-from-main/deny/a push to another branch.toml: deny by no policy -> permit by \
         `deploy-from-main`\n  \
         case tests/deploy-from-main/deny/a tag of the same name.toml: deny by no policy -> permit by \
         `deploy-from-main`\n  \
         rule deploy-from-main: principal.ref == \"refs/heads/main\" -> without\n\
         narrowing:\n  \
         audience https://api.example max_lifetime: 900 -> 600\n\
         4 changes: 3 widening, 0 either way, 1 narrowing; no issuer URL or key source changed; 31 requests decided by both bundles\n"
    );
    assert!(failed);
    let (_, failed) = run(&[&old, &shown, "--fail-on", "never"]).expect("it runs");
    assert!(!failed);
    // The inverse change narrows and widens the same.
    let (text, failed) = run(&[&shown, &old, "--fail-on", "narrowing"]).expect("it runs");
    assert!(text.contains("4 changes: 1 widening, 0 either way, 3 narrowing; "), "{text}");
    assert!(failed);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn fail_on_widening_allows_narrowing() {
    let dir = scratch("diff-narrows");
    fs::remove_file(dir.join("rules/api.cedar")).expect("it can be removed");
    for rule in ["api-read", "api-write-from-main", "dev-api"] {
        fs::remove_dir_all(dir.join("tests").join(rule)).expect("it can be removed");
    }
    let shown = dir.display().to_string();
    let arguments = [&default_bundle(), shown.as_str(), "--fail-on", "widening"];
    let (text, failed) = run(&arguments).expect("it runs");
    assert!(!failed, "{text}");
    assert!(
        text.contains("\n  pair github -> https://api.example: by `api-read`, `api-write-from-main` -> by no policy\n"),
        "{text}"
    );
    let (_, failed) = run(&[&default_bundle(), &shown]).expect("it runs");
    assert!(failed);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn warns_of_changed_issuer_url() {
    let dir = scratch("diff-url");
    edit(
        &dir.join("issuers/github.toml"),
        "https://token.actions.githubusercontent.com",
        "https://ghes.example/_services/token",
    );
    let shown = dir.display().to_string();
    let arguments = [&default_bundle(), shown.as_str(), "--fail-on", "widening"];
    let (text, failed) = run(&arguments).expect("it runs");
    assert!(
        text.starts_with(
            "warning: issuer `github` would be https://ghes.example/_services/token instead of \
             https://token.actions.githubusercontent.com: its workloads would get what those of the \
             old issuer get\n"
        ),
        "{text}"
    );
    assert!(failed);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn decides_recorded_requests_with_both() {
    let dir = scratch("diff-replay");
    edit(&dir.join("rules/deploy.cedar"), "\"push\" &&", "\"release\" &&");
    let export = dir.with_extension("jsonl");
    let request = super::decisions::cedar_request();
    let row = |id: &str, at: u64, request: &str| {
        serde_json::json!({
            "decision_id": id, "decided_at_ms": at, "outcome": "issued", "slug": "ok",
            "bundle_digest": "0", "determining_rules": "[]", "cedar_request": request,
        })
        .to_string()
    };
    // Refused three times: first at 1 ms, last in the year 2200.
    let repeated =
        row("repeated", 1, &request).replacen('{', &format!("{{\"repeats\":2,\"last_at_ms\":{YEAR_2200_MS},"), 1);
    let rows = [row("old", 0, &request), row("new", YEAR_2200_MS, &request), repeated, row("odd", 1, "{}")];
    fs::write(&export, rows.join("\n")).expect("it writes");
    let (shown, export_shown) = (dir.display().to_string(), export.display().to_string());
    let old = default_bundle();
    let arguments = [old.as_str(), &shown, "--replay", &export_shown];
    let (text, failed) = run(&arguments).expect("it runs");
    for line in [
        "\n  5 decisions of `github:repo:octo-org/octo-repo:ref:refs/heads/main` for `https://deploy.example`, last at \
         2200-01-01T00:00:00Z: permit by `deploy-from-main` -> deny by no policy\n",
        "\nnote: skipped 1 recorded request that cannot be parsed\n",
        "; 34 requests decided by both bundles\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(failed);
    let recent = [&arguments[..], &["--since", "24h", "--format", "json"]].concat();
    let (text, _) = run(&recent).expect("it runs");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["decided"], 33);
    let ids = json["narrowing"].as_array().expect("changes").iter().filter(|change| change["kind"] == "decision");
    assert_eq!(ids.map(|change| change["name"].clone()).collect::<Vec<_>>(), ["new", "repeated"]);
    let (message, hint, code) = said(run(&[&arguments[..], &["--since", "soon"]].concat()));
    assert_eq!(message, "`soon` is not a duration");
    assert_eq!(hint.as_deref(), Some("use a duration such as 30m, 24h or 7d"));
    assert_eq!(code, 2);
    fs::remove_file(export).expect("it can be removed");
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[cfg(feature = "host")]
#[test]
fn counts_repeats_of_database_by_last_time() {
    let dir = scratch("diff-database");
    edit(&dir.join("rules/deploy.cedar"), "\"push\" &&", "\"release\" &&");
    let state = dir.with_extension("state");
    fs::create_dir_all(&state).expect("it can be made");
    let columns = "seq INTEGER PRIMARY KEY, decision_id TEXT, decided_at_ms INTEGER, outcome TEXT, slug TEXT, \
                   bundle_digest TEXT, determining_rules TEXT, cedar_request TEXT";
    let (shown, state_shown) = (dir.display().to_string(), state.display().to_string());
    let request = super::decisions::cedar_request();
    let decided = |more: &str, values: &str| {
        let path = state.join("sqlite.db");
        let _ = fs::remove_file(&path);
        let database = rusqlite::Connection::open(path).expect("it opens");
        database.execute_batch(&format!("CREATE TABLE audit ({columns}{more})")).expect("it is made");
        let insert = format!("INSERT INTO audit VALUES (1, 'd', 1, 'refused', 'policy.denied', '0', '[]', ?1{values})");
        database.execute(&insert, [&request]).expect("it is written");
        let arguments = [&default_bundle(), shown.as_str(), "--replay", &state_shown, "--since", "24h"];
        run(&arguments).expect("it runs").0
    };
    let counted = ", repeats INTEGER NOT NULL DEFAULT 0, last_at_ms INTEGER";
    let text = decided(counted, &format!(", 2, {YEAR_2200_MS}"));
    assert!(text.contains("\n  3 decisions of `github:repo:octo-org/octo-repo"), "{text}");
    assert!(text.contains("; 32 requests decided by both bundles\n"), "{text}");
    for (more, values) in [(counted, ", 2, 2"), (counted, ", 0, NULL"), ("", "")] {
        let text = decided(more, values);
        assert!(text.contains("; 31 requests decided by both bundles\n"), "{more}{values}: {text}");
    }
    fs::remove_dir_all(state).expect("it can be removed");
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn warns_of_changed_key_source() {
    let dir = scratch("diff-keys");
    let issuer = dir.join("issuers/github.toml");
    let text = fs::read_to_string(&issuer).expect("it reads");
    fs::write(&issuer, format!("{text}\nkeys = {{ jwks_uri = \"https://attacker.example/jwks\" }}\n"))
        .expect("it writes");
    let shown = dir.display().to_string();
    let (text, failed) = run(&[&default_bundle(), &shown, "--fail-on", "widening"]).expect("it runs");
    assert_eq!(
        text,
        "warning: the keys of issuer `github` would be from https://attacker.example/jwks instead of discovery: \
         whoever has the new keys could sign for its workloads\n\
         0 changes: 0 widening, 0 either way, 0 narrowing; 0 issuer URLs and 1 key source changed; 31 requests decided by both bundles\n"
    );
    assert!(failed);
    let (text, _) = run(&[&default_bundle(), &shown, "--format", "json"]).expect("it runs");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let expected =
        serde_json::json!([{ "issuer": "github", "old": "discovery", "new": "https://attacker.example/jwks" }]);
    assert_eq!((&json["key_sources"], &json["issuer_urls"]), (&expected, &serde_json::json!([])));
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn markdown_has_tables_and_escapes() {
    let dir = scratch("diff-markdown");
    edit(&dir.join("audiences/api.toml"), "\"read\", \"write\"", "\"read\", \"write\", \"<a|b>[x](y)\"");
    edit(&dir.join("rules/deploy.cedar"), "  principal.ref == \"refs/heads/main\" &&\n", "");
    let shown = dir.display().to_string();
    let (text, failed) = run(&[&default_bundle(), &shown, "--format", "markdown"]).expect("it runs");
    assert_eq!(
        text,
        "### Widening\n\n| what | before | after |\n|---|---|---|\n\
         | case <code>tests/deploy-from-main/deny/a push to another branch.toml</code> | <code>deny by no policy</code> | \
         <code>permit by \\`deploy-from-main\\`</code> |\n\
         | case <code>tests/deploy-from-main/deny/a tag of the same name.toml</code> | <code>deny by no policy</code> | \
         <code>permit by \\`deploy-from-main\\`</code> |\n\
         | rule <code>deploy-from-main</code> | <code>principal.ref == \"refs/heads/main\"</code> | <code>without</code> |\n\
         | audience <code>https://api.example scopes</code> | <code>{\"read\", \"write\"}</code> | \
         <code>{\"&lt;a\\|b>\\[x\\](y)\", \"read\", \"write\"}</code> |\n\n\
         4 changes: 4 widening, 0 either way, 0 narrowing; no issuer URL or key source changed; 31 requests decided by both bundles.\n"
    );
    assert!(failed);
    fs::remove_dir_all(dir).expect("it can be removed");
}
