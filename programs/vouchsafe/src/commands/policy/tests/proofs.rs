//! `policy prove`, with a real solver.

use super::{Failure, PathBuf, root, scratch};
use crate::commands::policy::{access, check, diff, prove};
use clap::Parser;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use vouchsafe_policy::{Environment, folder};
use vouchsafe_policy_tools::run;

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
    let mut command = vec!["prove", &dir];
    if !options.contains(&"--solver") {
        command.extend(["--solver", &solver]);
    }
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
         error[guardrail-violated]: rules/oops.cedar:1:1: guardrail `deploy-from-main` is violated by policy `oops`: \
         a GitHub::Workflow of issuer `github` gets scope `deploy:read` for `https://deploy.example`, with event_name \
         = \"push\", ref = \"refs/heads/main\", repository_id = \"example\"\n  \
         1 | @id(\"oops\")\n    | ^^^^^^^^^^^\n  \
         fix: narrow the policy until the request is denied; `--save-cases` keeps it as a test case\n  \
         request:\n    a GitHub::Workflow of issuer `github` gets scope `deploy:read` for `https://deploy.example`\n    \
         event_name = \"push\"\n    ref = \"refs/heads/main\"\n    repository_id = \"example\"\n\
         1 guardrail: 1 violated, 0 not decided, N ms"
    );
}

#[test]
fn saved_case_fails_until_rule_is_fixed() {
    let dir = guarded("saved", true);
    prove_with(&dir, &["--save-cases"]).expect("it is decided");
    let path = dir.join("tests/oops/deny/guardrail deploy-from-main.toml");
    let text = fs::read_to_string(&path).expect("it is saved");
    assert_eq!(
        text,
        "# Guardrail `deploy-from-main` forbids it.\nissuer = \"github\"\nrules = []\n\n[claims]\n\
         repository_id = \"example\"\n\n[request]\naudience = \"https://deploy.example\"\nscopes = [\"deploy:read\"]\n"
    );
    let unmet = || {
        let files = folder::read(&dir).expect("it is readable");
        let environment =
            Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 };
        let suite = run(&files, &environment).expect("it loads");
        suite.failures().map(|it| it.case.path.clone()).collect::<Vec<_>>()
    };
    assert!(unmet().contains(&"tests/oops/deny/guardrail deploy-from-main.toml".to_owned()));
    fs::write(dir.join("rules/oops.cedar"), DANGEROUS.replace("!= \"1\"", "== \"1\"")).expect("it is written");
    assert_eq!(unmet(), Vec::<String>::new());
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

#[test]
fn annotates_the_policy_that_breaks_guardrail() {
    let dir = guarded("annotated", true);
    let (text, _) = prove_with(&dir, &["--format", "github"]).expect("it is decided");
    let start =
        format!("::error file={}/rules/oops.cedar,line=1,col=1,", dir.display().to_string().trim_start_matches("./"));
    assert!(text.starts_with(&start) && text.contains(",title=guardrail-violated::"), "{text}");
    let (text, _) = prove_with(&dir, &["--format", "sarif"]).expect("it is decided");
    let log: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(log.pointer("/runs/0/results/0/ruleId"), Some(&"guardrail-violated".into()));
    let (text, _) = prove_with(&dir, &["--format", "json"]).expect("it is decided");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json.pointer("/guardrails/0/holds"), Some(&false.into()));
    assert_eq!(json.pointer("/guardrails/0/proofs/0/outcome"), Some(&"violated".into()));
    let claims = json.pointer("/guardrails/0/proofs/0/counterexample/claims_that_matter/repository_id");
    assert_eq!(claims, Some(&"\"example\"".into()));
}

#[test]
fn explains_assumptions_without_a_solver() {
    let dir = guarded("assumed", false).display().to_string();
    let arguments = ["prove", &dir, "--solver", "/nowhere", "--explain-assumptions"];
    let parsed = ProveCommand::try_parse_from(arguments).expect("it parses");
    let (text, passed) = prove::output(&parsed.args, false).expect("no solver is asked");
    assert!(passed);
    let block = "GitHub::Workflow of issuer `github` for `https://deploy.example`:\n  \
                 the token comes from issuer `github`\n    principal in Issuer::\"github\"\n";
    assert!(text.contains(block), "{text}");
    assert!(text.contains("    [\"deploy:read\", \"deploy:write\"].containsAll(context.scopes)\n"), "{text}");
}

#[test]
fn says_how_to_get_a_solver() {
    let dir = guarded("without", false).display().to_string();
    let parsed = ProveCommand::try_parse_from(["prove", &dir, "--solver", "/nowhere"]).expect("it parses");
    let failure = prove::output(&parsed.args, false).expect_err("there is none");
    assert_eq!(failure.code, 2);
    assert_eq!(failure.message, "solver `/nowhere` cannot be run: No such file or directory (os error 2)");
    assert!(failure.hint.is_some_and(|hint| hint.contains("scripts/solver")));
}

#[derive(Parser)]
struct DiffCommand {
    #[command(flatten)]
    args: diff::Args,
}

#[derive(Parser)]
struct CheckCommand {
    #[command(flatten)]
    args: check::Args,
}

#[derive(Parser)]
struct WhoCanCommand {
    #[command(flatten)]
    args: access::WhoCanArgs,
}

#[derive(Parser)]
struct CanCommand {
    #[command(flatten)]
    args: access::CanArgs,
}

fn default_bundle() -> String {
    root().join("policies").display().to_string()
}

fn compared(dir: &Path, fail_on: &str) -> (String, bool) {
    let (old, new, solver) = (default_bundle(), dir.display().to_string(), solver());
    let arguments = ["diff", &old, &new, "--prove", "--solver", &solver, "--fail-on", fail_on];
    let parsed = DiffCommand::try_parse_from(arguments).expect("it parses");
    diff::compare(&parsed.args).expect("it compares")
}

#[test]
fn refactoring_is_no_change() {
    let dir = scratch("refactored");
    let path = dir.join("rules/deploy.cedar");
    let text = fs::read_to_string(&path).expect("it is there");
    let other = text.replace("principal.event_name == \"push\" &&", "[\"push\"].contains(principal.event_name) &&");
    assert_ne!(text, other);
    fs::write(&path, other).expect("it is written");
    let (text, failed) = compared(&dir, "any");
    assert!(!failed, "{text}");
    assert!(text.contains("proven for all requests: the same is permitted (cvc5 "), "{text}");
    assert!(text.contains("  rule deploy-from-main: matches the same requests\n"), "{text}");
}

#[test]
fn widening_comes_with_a_request() {
    let dir = scratch("widened");
    fs::write(dir.join("rules/oops.cedar"), DANGEROUS).expect("it is written");
    let (text, failed) = compared(&dir, "widening");
    assert!(failed);
    assert!(text.contains("proven for all requests: more is permitted, and nothing less"), "{text}");
    assert!(text.contains("  more, by `oops`:\n    a GitHub::Workflow of issuer `github` gets scope"), "{text}");
    assert!(!compared(&dir, "narrowing").1);
}

#[test]
fn check_proves_what_changes_nothing() {
    let dir = scratch("idle");
    let rule = DANGEROUS.replace(
        "!= \"1\"",
        "== \"123456\" && principal.ref == \"refs/heads/main\" && principal.event_name == \"push\"",
    );
    fs::write(dir.join("rules/oops.cedar"), rule).expect("it is written");
    let (dir, solver) = (dir.display().to_string(), solver());
    let parsed = CheckCommand::try_parse_from(["check", &dir, "--prove", "--solver", &solver]).expect("it parses");
    let (text, _) = check::check(&parsed.args, false).expect("it checks");
    let expected = "warning[rule-implied]: rules/oops.cedar:1:1: policy `oops` changes nothing: `deploy-from-main` permits \
                    everything that it permits\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn prints_exact_condition_of_access() {
    let (dir, solver) = (default_bundle(), solver());
    let arguments = ["who-can", &dir, "--solver", &solver, "--audience", "https://api.example", "--scope", "write"];
    let parsed = WhoCanCommand::try_parse_from(arguments).expect("it parses");
    let (text, decided) = access::who_can_output(&parsed.args).expect("it is asked");
    assert!(decided);
    assert_eq!(
        text,
        "GitHub::Workflow of issuer `github`\n  if (api-write-from-main)\n    \
         principal.repository_id == \"123456\" &&\n    principal.ref == \"refs/heads/main\" &&\n    \
         principal.event_name == \"push\"\n  for example:\n    \
         a GitHub::Workflow of issuer `github` gets scope `write` for `https://api.example`\n    \
         event_name = \"push\"\n    ref = \"refs/heads/main\"\n    repository_id = \"123456\"\n"
    );
}

#[test]
fn prints_what_a_workload_can_get() {
    let dir = scratch("can");
    let claims = dir.join("job.json");
    fs::write(&claims, super::CLAIMS).expect("it is written");
    let (bundle, claims, solver) = (default_bundle(), claims.display().to_string(), solver());
    let arguments = ["can", &bundle, "--solver", &solver, "--claims", &claims, "--issuer-name", "github"];
    let parsed = CanCommand::try_parse_from(arguments).expect("it parses");
    let (text, decided) = access::can_output(&parsed.args).expect("it is asked");
    assert!(decided);
    assert_eq!(
        text,
        "https://api.example no scope: by `api-read`, `api-write-from-main`\n\
         https://api.example `read`: by `api-read`, `api-write-from-main`\n\
         https://api.example `write`: by `api-write-from-main`\n\
         https://deploy.example `deploy:read`: by `deploy-from-main`\n\
         https://deploy.example `deploy:write`: by `deploy-from-main`\n"
    );
}

/// A program that answers like cvc5, and knows nothing.
fn unknowing(dir: &Path) -> String {
    let path = dir.with_extension("solver");
    let script = "#!/bin/sh\nread -r _\nread -r _\nprintf '(:name \"cvc5\")\\n(:version \"1.4.2\")\\n'\n\
                  while read -r line; do [ \"$line\" != '(check-sat)' ] || echo unknown; done\n";
    fs::write(&path, script).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path.display().to_string()
}

#[test]
fn no_answer_is_a_failure() {
    let dir = guarded("unknown", false);
    let (text, passed) = prove_with(&dir, &["--solver", &unknowing(&dir)]).expect("it is asked");
    assert!(!passed);
    let expected =
        "guardrail `deploy-from-main` is not proven for `https://deploy.example`: the solver does not know\n";
    assert!(text.contains(expected), "{text}");
    let overflow = GUARDRAIL.replace(
        "principal is GitHub",
        "context.requested_lifetime_seconds * 9223372036854775807 > 0 && principal is GitHub",
    );
    fs::write(dir.join("guardrails/deploy.cedar"), overflow).expect("it is written");
    let (text, passed) = prove_with(&dir, &[]).expect("it is asked");
    assert!(!passed);
    let expected =
        "guardrail `deploy-from-main` can fail to evaluate, so it would not keep out every request that it describes\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn check_proves_each_kind_of_property() {
    let dir = scratch("properties");
    let when = |id: &str, effect: &str, when: &str| {
        format!(
            "@id(\"{id}\")\n{effect} (principal is GitHub::Workflow in Issuer::\"github\", action, \
             resource == Audience::\"https://api.example\") when {{ {when} }};\n"
        )
    };
    let rules = when("one", "permit", "principal.repository_id == \"7\"")
        + &when("same", "permit", "[\"7\"].contains(principal.repository_id)")
        + &when("idle", "forbid", "principal.repository_id == \"8\"")
        + &when(
            "fails",
            "permit",
            "principal.repository_id == \"9\" && context.requested_lifetime_seconds * 9223372036854775807 > 0",
        )
        // No sample has such a workflow.
        + &when(
            "rare",
            "permit",
            "principal.repository_id == \"10\" && principal.workflow like \"*q*w*\" && \
             !(principal.workflow like \"*qw*\") && !(principal.workflow like \"*evil*\") && \
             !(principal.workflow like \"*merge*\") && [\"write\"].containsAll(context.scopes)",
        );
    fs::write(dir.join("rules/more.cedar"), rules).expect("it is written");
    let shown = dir.display().to_string();
    let checked = |solver: &str| {
        let parsed = CheckCommand::try_parse_from(["check", &shown, "--prove", "--solver", solver]).expect("it parses");
        check::check(&parsed.args, false).expect("it checks").0
    };
    let text = checked(&solver());
    for expected in [
        "policies `one` and `same` match the same requests\n",
        "`forbid` policy `idle` changes nothing: without it, the same requests are permitted\n",
        "policy `fails` can fail to evaluate: for some requests a number is out of range\n",
        "policy `rare` permits a run that can build unreviewed code: ",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let text = checked(&unknowing(&dir));
    assert!(text.contains("nothing is proven about policy `one`: the solver does not know\n"), "{text}");
}
