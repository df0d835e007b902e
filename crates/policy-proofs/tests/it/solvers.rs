//! Solvers that are missing, old, stuck, or know nothing. Programs that pretend to be cvc5 stand in for them.

use crate::support::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vouchsafe_policy_proofs::prove::{Outcome, ProveError, prove};
use vouchsafe_policy_proofs::{NoAnswer, SolverOptions, StartError};

/// A program that answers like cvc5 of this version, and then runs `rest`.
fn pretender(name: &str, version: &str, rest: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("solvers");
    fs::create_dir_all(&folder).expect("it can be made");
    let path = folder.join(name);
    let script =
        format!("#!/bin/sh\nread -r _\nread -r _\nprintf '(:name \"cvc5\")\\n(:version \"{version}\")\\n'\n{rest}\n");
    fs::write(&path, script).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

fn options(program: &Path) -> SolverOptions {
    SolverOptions { program: program.to_owned(), query_time_max: Duration::from_secs(1), memory_bytes_max: 1 << 30 }
}

fn asked(options: &SolverOptions) -> Result<Outcome, ProveError> {
    let files = bundle(
        &permit("a", "principal.repository_id == \"1\""),
        &guardrail("g", "principal is GitHub::Workflow && principal.ref == \"x\""),
    );
    let mut proofs = prove(&files, &environment(), options, TWO)?;
    assert!(!proofs.hold());
    Ok(proofs.proofs.remove(0).outcome)
}

fn start_error(options: &SolverOptions) -> StartError {
    match asked(options) {
        Err(ProveError::Solver(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_program_that_is_missing() {
    let error = start_error(&options(Path::new("/nowhere/cvc5"))).to_string();
    assert_eq!(error, "solver `/nowhere/cvc5` cannot be run: No such file or directory (os error 2)");
}

#[test]
fn refuses_programs_that_are_no_solver() {
    let error = start_error(&options(Path::new("/bin/true"))).to_string();
    assert_eq!(error, "`/bin/true` does not answer like cvc5");
}

#[test]
fn requires_first_supported_version() {
    let old = pretender("old", "1.3.0", "");
    let error = start_error(&options(&old)).to_string();
    assert_eq!(error, format!("solver `{}` is cvc5 1.3.0, and 1.3.1 or newer is needed", old.display()));
    let unknowing = "while read -r line; do [ \"$line\" != '(check-sat)' ] || echo unknown; done";
    for version in ["1.3.1", "1.10.0", "2.0.0", "1.4.2-modified"] {
        let outcome = asked(&options(&pretender(version, version, unknowing))).expect("it is new enough");
        assert_eq!(outcome, Outcome::Unknown(NoAnswer::Unknown), "{version}: an unknown answer is a failure");
    }
}

#[test]
fn ends_solver_that_takes_too_long() {
    let pid_file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("solvers/stuck.pid");
    let stuck = pretender("stuck", "1.4.2", &format!("echo $$ >'{}'\nwhile read -r _; do :; done", pid_file.display()));
    assert_eq!(asked(&options(&stuck)).expect("it starts"), Outcome::Unknown(NoAnswer::TimedOut(1)));
    let pid = fs::read_to_string(pid_file).expect("it ran");
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let is_running = !state.is_empty() && !state.contains(") Z ");
    assert!(!is_running, "{state}");
}

#[test]
fn reports_solver_that_dies() {
    let outcome = asked(&options(&pretender("dying", "1.4.2", "exit 1"))).expect("it starts");
    assert!(matches!(outcome, Outcome::Unknown(NoAnswer::Failed(_))), "{outcome:?}");
}

#[test]
fn limits_memory() {
    let enough = solver();
    assert!(matches!(asked(&enough), Ok(Outcome::Violated(_))));
    let little = SolverOptions { memory_bytes_max: 24 << 20, ..enough };
    let error = start_error(&little).to_string();
    assert!(error.ends_with("does not answer like cvc5"), "{error}");
}
