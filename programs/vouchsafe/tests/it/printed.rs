//! Commands whose output nobody reads to its end, or that can't be written.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit code and standard error of a command whose standard output is `stdout`.
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

/// A pipe whose reader has left, as `head` does.
fn unheard() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    for arguments in [
        &["policy", "check", "policies"][..],
        &["policy", "test", "policies"],
        &["policy", "graph", "policies"],
        &["policy", "schema", "--kind", "issuer"],
    ] {
        let (code, errors) = run(unheard(), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        assert!(!errors.contains("error"), "{arguments:?}: {errors}");
    }
}

#[test]
fn watching_ends_when_nobody_reads() {
    let (code, errors) = run(unheard(), &["policy", "test", "policies", "--watch"]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = File::options().write(true).open("/dev/full");
    let arguments = ["policy", "schema", "--kind", "issuer"];
    let (code, errors) = run(full.expect("Linux"), &arguments);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.starts_with("error: standard output: "), "{errors}");
}
