//! The output of `policy check` and `policy explain` for the default bundle.

mod cases;
mod changes;
mod commits;
mod decisions;
mod manifest;
#[cfg(feature = "proofs")]
mod proofs;
mod writing;

use super::{check, explain};
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use vouchsafe_cli::Failure;

#[derive(Parser)]
struct CheckCommand {
    #[command(flatten)]
    args: check::Args,
}

#[derive(Parser)]
struct ExplainCommand {
    #[command(flatten)]
    args: explain::Args,
}

const CLAIMS: &str = r#"{
  "iss": "http://127.0.0.1:7000", "aud": "https://broker.example", "exp": 1798761900,
  "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "actor": "octocat", "event_name": "push",
  "ref": "refs/heads/main", "repository": "octo-org/octo-repo", "repository_id": "123456",
  "repository_owner": "octo-org", "repository_owner_id": "65", "run_id": "1", "workflow": "deploy"
}"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn default_bundle() -> String {
    root().join("policies").display().to_string()
}

/// A copy of the default bundle for one test.
fn scratch(name: &str) -> PathBuf {
    let target = std::env::temp_dir().join(format!("vouchsafe-policy-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&target);
    copy(&root().join("policies"), &target);
    target
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the entry can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}

fn run_check(args: &[&str]) -> Result<(String, bool), Failure> {
    let command = CheckCommand::try_parse_from([&["check"], args].concat()).expect("the arguments are right");
    check::check(&command.args, false)
}

fn run_explain(claims: &str, args: &[&str]) -> Result<(String, bool), Failure> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("vouchsafe-claims-{}-{number}", std::process::id());
    let file = std::env::temp_dir().join(name);
    fs::write(&file, claims).expect("the file can be written");
    let (dir, file_text) = (default_bundle(), file.display().to_string());
    let fixed = ["explain", &dir, "--at", "1798761600", "--claims", &file_text];
    let command = ExplainCommand::try_parse_from([&fixed[..], args].concat()).expect("right");
    let explained = explain::explain(&command.args);
    fs::remove_file(&file).expect("the file can be removed");
    explained
}

/// The message, hint and exit code of a failure.
fn said<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> (String, Option<String>, u8) {
    let failure = outcome.expect_err("it fails");
    (failure.message, failure.hint, failure.code)
}

#[test]
fn accepts_default_bundle_and_manifest() {
    let manifest = root().join("spin.toml").display().to_string();
    let (text, passed) = run_check(&[&default_bundle(), "--manifest", &manifest]).expect("it runs");
    let (head, tail) = text.split_once(", sha256 ").expect("the digest is named");
    assert_eq!(head, "bundle default 1: 2 issuers, 2 audiences, 6 policies");
    assert_eq!(&tail[64..], "\n0 errors, 0 warnings\n");
    assert!(passed);
}

#[test]
fn reports_file_line_and_column() {
    let dir = scratch("wrong");
    let rules = dir.join("rules/api.cedar");
    let text = fs::read_to_string(&rules).expect("it reads");
    fs::write(&rules, text.replacen("principal.repository_id", "principal.repositry_id", 1)).expect("it writes");
    let shown = dir.display().to_string();
    let (text, passed) = run_check(&[&shown]).expect("it runs");
    assert_eq!(
        text,
        "error[cedar]: rules/api.cedar:11:3: for policy `api-read`, attribute `repositry_id` on entity type \
         `GitHub::Workflow` not found\n\
         \x20 11 |   principal.repositry_id == \"123456\" &&\n\
         \x20    |   ^^^^^^^^^^^^^^^^^^^^^^\n\
         \x20 fix: did you mean `repository_id`?\n1 error, 0 warnings\n"
    );
    assert!(!passed);
    let (text, _) = run_check(&[&shown, "--format", "json"]).expect("it runs");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["errors"][0]["line"], 11);
    assert_eq!(json["errors"][0]["file"], "rules/api.cedar");
    assert_eq!(json["bundle"], serde_json::Value::Null);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn compares_hosts_of_issuers_and_manifest() {
    let dir = scratch("hosts");
    let manifest = dir.join("../").join(format!("vouchsafe-spin-{}.toml", std::process::id()));
    let text = fs::read_to_string(root().join("spin.toml")).expect("it reads");
    let changed = text.replace("https://token.actions.githubusercontent.com", "https://idp.example");
    assert_ne!(text, changed);
    fs::write(&manifest, changed).expect("it writes");
    let shown = manifest.display().to_string();
    let (text, passed) = run_check(&[&dir.display().to_string(), "--manifest", &shown]).expect("it runs");
    let expected = format!(
        "error[host-missing]: {shown}: issuer `github` needs \
         `https://token.actions.githubusercontent.com:443` in `allowed_outbound_hosts`\n  fix: add it\n\
         warning[host-unused]: {shown}: no issuer needs `https://idp.example` of \
         `allowed_outbound_hosts`\n  fix: remove it, so that the component can reach only what it needs\n"
    );
    assert!(text.starts_with(&expected), "{text}");
    assert!(!passed);
    fs::remove_file(manifest).expect("it can be removed");
    fs::remove_dir_all(dir).expect("it can be removed");
}

/// Hosts of gateways are not those of issuers, and a variable contains them.
#[test]
fn allows_hosts_of_gateways() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let at = |name: &str| root.join(name).display().to_string();
    let arguments = [&at("policies"), "--manifest", &at("spin.hsm.toml")];
    let (text, _) = run_check(&arguments).expect("it runs");
    assert!(!text.contains("host-unused"), "{text}");
}

#[test]
fn names_bundle_near_wrong_folder() {
    let pass = Some("pass the folder that contains `bundle.toml`".to_owned());
    let expected = ("`/nonexistent/bundle` is not a folder".to_owned(), pass.clone(), 2);
    assert_eq!(said(run_check(&["/nonexistent/bundle"])), expected);
    let root = root().display().to_string();
    let expected = (format!("no `bundle.toml` in `{root}`"), Some(format!("did you mean `{root}/policies`?")), 2);
    assert_eq!(said(run_check(&[&root])), expected);
    let empty = scratch("wrong-folder");
    let rules = empty.join("rules").display().to_string();
    assert_eq!(said(run_check(&[&rules])), (format!("no `bundle.toml` in `{rules}`"), pass, 2));
    fs::remove_dir_all(empty).expect("it can be removed");
}

#[test]
fn commands_use_policies_folder_by_default() {
    let command = CheckCommand::try_parse_from(["check"]).expect("no folder is needed");
    // This crate has no folder `policies`.
    assert_eq!(said(check::check(&command.args, false)).0, "`policies` is not a folder");
}

#[test]
fn explains_permit_by_its_policy() {
    let (text, issued) =
        run_explain(CLAIMS, &["--audience", "https://deploy.example", "--scope", "deploy:read", "--development"])
            .expect("it runs");
    assert!(issued);
    assert_eq!(
        text,
        "principal: GitHub::Workflow::\"repo:octo-org/octo-repo:ref:refs/heads/main\" in Issuer::\"dev\"
request: https://deploy.example, scopes deploy:read, 300 s, at 2027-01-01T00:00:00Z
decision: permit, by `dev-deploy-from-main`

permit dev-deploy-from-main (rules/deploy.cedar:19): matches
  holds principal.repository_id == \"123456\"
  holds principal.ref == \"refs/heads/main\"
  holds principal.event_name == \"push\"
  holds [\"deploy:read\", \"deploy:write\"].containsAll(context.scopes)

forbid no-code-of-strangers (rules/untrusted-code.cedar:4): does not match
  FAILS [\"issue_comment\", \"pull_request_target\", \"workflow_run\"].contains(principal.event_name)
        principal.event_name is \"push\"

policies for another principal, issuer or audience:
  api-read: another principal, resource
  api-write-from-main: another principal, resource
  dev-api: another resource
  deploy-from-main: another principal
"
    );
}

#[test]
fn explains_denial_by_failing_condition() {
    let claims = CLAIMS.replace("refs/heads/main\", \"repository\"", "refs/heads/topic\", \"repository\"");
    assert_ne!(claims, CLAIMS);
    let (text, issued) =
        run_explain(&claims, &["--audience", "https://deploy.example", "--scope", "deploy:read", "--development"])
            .expect("it runs");
    assert!(!issued);
    assert!(text.contains("\ndecision: deny: no policy permits\n"), "{text}");
    let condition = "\n  FAILS principal.ref == \"refs/heads/main\"\n        principal.ref is \"refs/heads/topic\"\n";
    assert!(text.contains(condition), "{text}");
}

#[test]
fn explains_denial_by_forbid() {
    let claims = CLAIMS.replace("\"push\"", "\"pull_request_target\"");
    let (text, issued) =
        run_explain(&claims, &["--audience", "https://api.example", "--development"]).expect("it runs");
    assert!(!issued);
    assert!(text.contains("\ndecision: deny: forbidden by `no-code-of-strangers`\n"), "{text}");
}

#[test]
fn notes_refusals_before_policies() {
    let claims = CLAIMS.replace("https://broker.example", "https://other.example");
    let (text, _) = run_explain(
        &claims.replace("1798761900", "1798761570"),
        &["--audience", "https://api.example", "--scope", "admin", "--requested-expires-in", "901", "--development"],
    )
    .expect("it runs");
    let expected = "note: the broker would refuse the token: its `aud` is not `https://broker.example`
note: the broker would refuse the token: it has expired
note: the broker would refuse scope `admin`: the audience does not offer it
note: the broker would refuse 901 s: the audience allows at most 900 s
principal: ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn reports_missing_input() {
    let api = ["--audience", "https://api.example"];
    assert_eq!(
        said(run_explain(CLAIMS, &api)),
        (
            "the bundle does not trust issuer `http://127.0.0.1:7000`".to_owned(),
            Some("it is marked `development = true`; add `--development`".to_owned()),
            1
        )
    );
    assert_eq!(
        said(run_explain("{}", &api)),
        ("the claims have no `iss`".to_owned(), Some("add `--issuer-name NAME`".to_owned()), 2)
    );
    assert_eq!(
        said(run_explain("{\"sub\":\"a\"}", &[&api[..], &["--issuer-name", "github"]].concat())),
        ("the broker would refuse the token: claim `actor` is missing".to_owned(), None, 1)
    );
    assert_eq!(
        said(run_explain(CLAIMS, &["--audience", "https://api.exmaple", "--development"])),
        (
            "the bundle has no audience `https://api.exmaple`".to_owned(),
            Some("it has `https://api.example`, `https://deploy.example`".to_owned()),
            1
        )
    );
}

#[test]
fn decodes_token_without_verifying() {
    use base64::Engine;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(CLAIMS);
    let file = std::env::temp_dir().join(format!("vouchsafe-token-{}", std::process::id()));
    let (dir, shown) = (default_bundle(), file.display().to_string());
    let explain_token = |token: &str| {
        fs::write(&file, token).expect("it can be written");
        let args = ["explain", &dir, "--token", &shown, "--audience", "https://api.example", "--development"];
        explain::explain(&ExplainCommand::try_parse_from(args).expect("right").args)
    };
    let (text, _) = explain_token(&format!("e30.{payload}.AAAA\n")).expect("it runs");
    assert!(text.starts_with("note: the token was only decoded; its signature was not verified\n"), "{text}");
    for token in ["", "e30", &format!("e30.{payload}"), &format!("e30.{payload}.AA.AA"), "e30.!.AA"] {
        let expected = ("the token is not a compact JWT".to_owned(), None, 2);
        assert_eq!(said(explain_token(token)), expected, "{token}");
    }
    fs::remove_file(&file).expect("it can be removed");
}

#[test]
fn broker_limits_apply_despite_permit() {
    for (arguments, issued) in [
        (&["--scope", "read"][..], true),
        (&["--scope", "read", "--requested-expires-in", "900"], true),
        (&["--scope", "read", "--requested-expires-in", "901"], false),
        (&["--scope", "read", "--requested-expires-in", "1"], true),
        (&["--scope", "read", "--requested-expires-in", "0"], false),
    ] {
        let arguments = [&["--audience", "https://api.example", "--development"], arguments].concat();
        let (text, found) = run_explain(CLAIMS, &arguments).expect("it runs");
        assert!(text.contains("\ndecision: permit"), "{text}");
        assert_eq!(found, issued, "{arguments:?}\n{text}");
    }
}

#[test]
fn reports_folder_errors_in_both_formats() {
    let dir = scratch("folder");
    fs::write(dir.join(".DS_Store"), "").expect("it writes");
    std::os::unix::fs::symlink("bundle.toml", dir.join("link.toml")).expect("it links");
    let shown = dir.display().to_string();
    let (text, passed) = run_check(&[&shown]).expect("it runs");
    assert_eq!(
        text,
        "error[hidden-file]: .DS_Store: hidden files are not allowed in a bundle\n\
         \x20 fix: move it out of the bundle\n\
         error[symbolic-link]: link.toml: symbolic links are not allowed in a bundle\n\
         \x20 fix: move it out of the bundle\n2 errors, 0 warnings\n"
    );
    assert!(!passed);
    let (text, passed) = run_check(&[&shown, "--format", "json"]).expect("it runs");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["errors"][1]["file"], "link.toml");
    assert!(!passed);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn warnings_fail_only_if_denied() {
    let dir = scratch("warnings");
    fs::remove_dir_all(dir.join("tests/no-code-of-strangers")).expect("it can be removed");
    let shown = dir.display().to_string();
    let (text, passed) = run_check(&[&shown]).expect("it runs");
    assert!(text.ends_with("0 errors, 1 warning\n"), "{text}");
    assert!(passed);
    let (denied, passed) = run_check(&[&shown, "--deny-warnings"]).expect("it runs");
    assert_eq!(denied, text);
    assert!(!passed);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn requires_dev_issuer_host_only_in_development() {
    let dir = scratch("dev-host");
    let manifest = dir.with_extension("toml");
    let text = fs::read_to_string(root().join("spin.toml")).expect("it reads");
    let without = text.replace("\"http://127.0.0.1:7000\", ", "");
    let without = without.replace(", \"http://127.0.0.1:7000\"", "");
    assert_ne!(text, without);
    fs::write(&manifest, without).expect("it writes");
    let (shown, manifest_shown) = (dir.display().to_string(), manifest.display().to_string());
    let arguments = [shown.as_str(), "--manifest", &manifest_shown];
    let (text, passed) = run_check(&arguments).expect("it runs");
    assert!(passed, "{text}");
    let (text, passed) = run_check(&[&arguments[..], &["--development"]].concat()).expect("it runs");
    let expected = format!(
        "error[host-missing]: {manifest_shown}: issuer `dev` needs `http://127.0.0.1:7000` in \
         `allowed_outbound_hosts`\n"
    );
    assert!(text.starts_with(&expected), "{text}");
    assert!(!passed);
    fs::remove_file(manifest).expect("it can be removed");
    fs::remove_dir_all(dir).expect("it can be removed");
}
