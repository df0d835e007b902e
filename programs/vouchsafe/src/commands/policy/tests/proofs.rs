//! `policy prove`, with a real solver.

use super::{Failure, PathBuf, root, scratch};
use crate::commands::policy::prove;
use clap::Parser;
use std::fs;
use std::path::Path;

#[derive(Parser)]
struct ProveCommand {
    #[command(flatten)]
    args: prove::Args,
}

const GUARDRAIL: &str = "@id(\"deploy-from-main\")
@description(\"Only pushes to main of repository 123456 get tokens for https://deploy.example.\")
forbid (principal, action, resource == Audience::\"https://deploy.example\")
unless {
  principal is GitHub::Workflow && principal in Issuer::\"github\" &&
  principal.repository_id == \"123456\" && principal.ref == \"refs/heads/main\" && principal.event_name == \"push\"
};
";

const DANGEROUS: &str = "@id(\"oops\")
permit (
  principal is GitHub::Workflow in Issuer::\"github\", action == Action::\"issue\",
  resource == Audience::\"https://deploy.example\"
)
when { principal.repository_id != \"1\" && [\"deploy:read\"].containsAll(context.scopes) };
";

fn solver() -> String {
    let installed = root().join(".state/solver/cvc5");
    let program = std::env::var_os("CVC5").map_or(installed, PathBuf::from);
    assert!(program.exists(), "no solver at `{}`: run scripts/solver", program.display());
    program.display().to_string()
}

fn prove_with(dir: &Path, options: &[&str]) -> Result<(String, bool), Failure> {
    let (dir, solver) = (dir.display().to_string(), solver());
    let command = ["prove", &dir, "--solver", &solver];
    let parsed = ProveCommand::try_parse_from(command.iter().chain(options)).expect("it parses");
    prove::output(&parsed.args, false)
}

/// The default bundle with a guardrail, and with a rule that breaks it if `dangerous`.
fn guarded(name: &str, dangerous: bool) -> PathBuf {
    let dir = scratch(name);
    fs::create_dir(dir.join("guardrails")).expect("it is new");
    fs::write(dir.join("guardrails/deploy.cedar"), GUARDRAIL).expect("it is written");
    if dangerous {
        fs::write(dir.join("rules/oops.cedar"), DANGEROUS).expect("it is written");
    }
    dir
}

/// `text` without the times that proofs took.
fn timeless(text: &str) -> String {
    let words = text.split_inclusive(' ').collect::<Vec<_>>();
    let is_number = |word: &str| word.trim().bytes().all(|byte| byte.is_ascii_digit());
    let mut kept = String::new();
    for (at, word) in words.iter().enumerate() {
        let before_unit = words.get(at + 1).is_some_and(|next| next.starts_with("ms"));
        kept.push_str(if before_unit && is_number(word) { "N " } else { word });
    }
    kept
}

#[test]
fn prints_proven_guardrail() {
    let (text, passed) = prove_with(&guarded("proven", false), &[]).expect("it is proven");
    assert!(passed);
    let (lines, solver) = text.rsplit_once(" of ").expect("a last line");
    assert!(solver.starts_with("cvc5 "), "{text}");
    assert_eq!(
        timeless(lines),
        "proven: deploy-from-main (1 request environment, N ms)\n  \
         Only pushes to main of repository 123456 get tokens for https://deploy.example.\n\
         1 guardrail: 0 violated, 0 not decided, N ms"
    );
}

#[test]
fn prints_request_that_breaks_guardrail() {
    let (text, passed) = prove_with(&guarded("violated", true), &[]).expect("it is decided");
    assert!(!passed);
    let (lines, _) = text.rsplit_once(" of ").expect("a last line");
    assert_eq!(
        timeless(lines),
        "violated: deploy-from-main (1 request environment, N ms)\n  \
         Only pushes to main of repository 123456 get tokens for https://deploy.example.\n\
         error[guardrail-violated]: rules/oops.cedar:1:1: guardrail `deploy-from-main` is violated: `oops` permits \
         GitHub::Workflow of issuer `github` gets scope `deploy:read` for `https://deploy.example`, with ...\n"
    );
}

#[test]
fn saved_case_fails_until_rule_is_fixed() {
    let dir = guarded("saved", true);
    prove_with(&dir, &["--save-cases"]).expect("it is decided");
    let path = dir.join("tests/oops/deny/guardrail deploy-from-main.toml");
    let text = fs::read_to_string(&path).expect("it is saved");
    assert_eq!(text, "");
}

#[test]
fn records_only_what_is_proven() {
    let dir = guarded("recorded", true);
    let record = dir.join("guardrails/proof.toml");
    prove_with(&dir, &["--record"]).expect("it is decided");
    assert!(!record.exists());
    fs::remove_file(dir.join("rules/oops.cedar")).expect("it is there");
    prove_with(&dir, &["--record"]).expect("it is decided");
    let text = fs::read_to_string(&record).expect("it is written");
    assert!(text.starts_with("# Written by `vouchsafe policy prove --record`.\ndigest = \""), "{text}");
}
