//! `policy test`.

use super::{said, scratch};
use crate::commands::policy::{test, watch};
use clap::Parser;
use std::fs;
use vouchsafe_cli::Failure;

#[derive(Parser)]
struct TestCommand {
    #[command(flatten)]
    args: test::Args,
}

fn run(args: &[&str]) -> Result<(String, bool), Failure> {
    let command = TestCommand::try_parse_from([&["test"], args].concat()).expect("right");
    test::test(&command.args)
}

/// The output without the elapsed time.
fn timeless(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once("; ") {
        Some((head, tail)) if tail.ends_with(" ms") => head.to_owned(),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

#[test]
fn meets_cases_of_default_bundle() {
    let (text, passed) = run(&[&super::default_bundle()]).expect("it runs");
    assert_eq!(timeless(&text), "31 cases of default: 31 met, 0 not; 6 of 6 policies tested\n");
    assert!(passed);
}

#[test]
fn fails_on_unmet_case_or_untested_policy() {
    let dir = scratch("test-unmet");
    let shown = dir.display().to_string();
    let case = dir.join("tests/api-read/allow/any branch may read.toml");
    let text = fs::read_to_string(&case).expect("it reads");
    fs::write(&case, text.replace("\"read\"", "\"write\"")).expect("it writes");
    fs::remove_dir_all(dir.join("tests/no-code-of-strangers")).expect("it can be removed");
    let (text, passed) = run(&[&shown]).expect("it runs");
    assert_eq!(
        timeless(&text),
        format!(
            "FAIL tests/api-read/allow/any branch may read.toml: expected permit by `api-read`, found deny by \
             no policy\n  \
             hint: `vouchsafe policy explain {shown} --case 'tests/api-read/allow/any branch may read.toml'` shows why\n\
             FAIL policy `no-code-of-strangers` determines no case: add one in `tests/no-code-of-strangers/`\n\
             26 cases of default: 25 met, 1 not; 5 of 6 policies tested\n"
        )
    );
    assert!(!passed);
    let (text, passed) = run(&[&shown, "--explain"]).expect("it runs");
    let explained = "found deny by no policy\n  \
                     note: the case expects permit by `api-read`, and finds deny by no policy\n  \
                     principal: GitHub::Workflow::";
    assert!(text.contains(explained), "{text}");
    assert!(text.contains("\n    FAILS [\"read\"].containsAll(context.scopes)\n"), "{text}");
    assert!(!text.contains("hint:") && !passed, "{text}");
    let (text, passed) = run(&[&shown, "--format", "json"]).expect("it runs");
    let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["untested_rules"], serde_json::json!(["no-code-of-strangers"]));
    assert_eq!(json["passed"], false);
    assert_eq!(json["coverage"], serde_json::Value::Null);
    assert!(!passed);
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn coverage_lists_conditions_never_false() {
    let dir = super::default_bundle();
    let (text, passed) = run(&[&dir, "--coverage"]).expect("it runs");
    let (_, tail) = text.split_once('\n').expect("lines");
    assert_eq!(
        tail,
        "api-write-from-main (rules/api.cedar:16), evaluated by 13 cases:\n  \
         never false: [\"read\", \"write\"].containsAll(context.scopes)\n\
         17 of 18 conditions seen both true and false\n"
    );
    assert!(passed);
    let (required, passed) = run(&[&dir, "--require-coverage"]).expect("it runs");
    assert!(required.ends_with("17 of 18 conditions seen both true and false\n"), "{required}");
    assert!(!passed);
}

#[test]
fn writes_junit_and_cedar_files() {
    let dir = scratch("test-files");
    let out = dir.with_extension("out");
    fs::create_dir_all(&out).expect("it can be made");
    let (junit, cedar) = (out.join("results.xml"), out.join("cedar"));
    let arguments = [
        super::default_bundle(),
        "--junit".to_owned(),
        junit.display().to_string(),
        "--export-cedar".to_owned(),
        cedar.display().to_string(),
    ];
    let (_, passed) = run(&arguments.each_ref().map(String::as_str)).expect("it runs");
    assert!(passed);
    let xml = fs::read_to_string(&junit).expect("it reads");
    assert!(xml.contains("<testsuites name=\"default\" tests=\"31\" failures=\"0\" errors=\"0\""));
    let tests = fs::read_to_string(cedar.join("tests.json")).expect("it reads");
    let tests: serde_json::Value = serde_json::from_str(&tests).expect("it is JSON");
    assert_eq!(tests.as_array().map(Vec::len), Some(31));
    assert!(cedar.join("policies.cedar").is_file());
    assert!(cedar.join("schema.cedarschema.json").is_file());
    fs::remove_dir_all(out).expect("it can be removed");
    fs::remove_dir_all(dir).expect("it can be removed");
}

#[test]
fn invalid_bundle_fails_in_both_formats() {
    let dir = scratch("test-invalid");
    fs::write(dir.join("notes.md"), "").expect("it writes");
    let shown = dir.display().to_string();
    let outcome = run(&[&shown]).expect("it runs");
    assert_eq!(outcome, ("error: notes.md: does not belong in a bundle\n".to_owned(), false));
    let (text, passed) = run(&[&shown, "--format", "json"]).expect("it runs");
    assert_eq!(text, "{\"errors\":[\"notes.md: does not belong in a bundle\"]}\n");
    assert!(!passed);
    fs::remove_dir_all(dir).expect("it can be removed");
    let (message, _, code) = said(run(&["/nonexistent/bundle"]));
    assert_eq!((message.as_str(), code), ("`/nonexistent/bundle` is not a folder", 2));
}

#[test]
fn watch_notices_all_file_changes() {
    let dir = scratch("test-watch");
    let seen = watch::marks(&dir);
    assert_eq!(watch::marks(&dir), seen);
    let path = dir.join("rules/api.cedar");
    let text = fs::read_to_string(&path).expect("it reads");
    fs::write(&path, format!("{text}\n")).expect("it writes");
    let changed = watch::marks(&dir);
    assert_ne!(changed, seen);
    fs::write(dir.join("rules/new.cedar"), "").expect("it writes");
    assert_eq!(watch::marks(&dir).len(), changed.len() + 1);
    fs::remove_file(dir.join("rules/new.cedar")).expect("it can be removed");
    assert_eq!(watch::marks(&dir), changed);
    fs::remove_dir_all(dir).expect("it can be removed");
}
