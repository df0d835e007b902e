//! Commands whose output is not read to its end, or can't be written.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command with `stdout`; returns its exit code and standard error.
fn run(stdout: impl Into<Stdio>, arguments: &[&str]) -> (Option<i32>, String) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let output = Command::new(env!("CARGO_BIN_EXE_vouchsafe"))
        .args(arguments)
        .current_dir(repository.expect("a repository"))
        .stdin(Stdio::null())
        .stdout(stdout)
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), errors)
}

/// A pipe whose reader is gone, as after `head`.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[test]
fn closed_pipe_is_not_a_failure() {
    for arguments in [
        &["policy", "check", "policies"][..],
        &["policy", "test", "policies"],
        &["policy", "graph", "policies"],
        &["policy", "schema", "--kind", "issuer"],
    ] {
        let (code, errors) = run(closed_pipe(), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        assert!(!errors.contains("error"), "{arguments:?}: {errors}");
    }
}

#[test]
fn watch_ends_when_the_pipe_is_closed() {
    let (code, errors) = run(closed_pipe(), &["policy", "test", "policies", "--watch"]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn full_disk_is_a_failure() {
    let full = File::options().write(true).open("/dev/full");
    let arguments = ["policy", "schema", "--kind", "issuer"];
    let (code, errors) = run(full.expect("Linux"), &arguments);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.starts_with("error: standard output: "), "{errors}");
}
