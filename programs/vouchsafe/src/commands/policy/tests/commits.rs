//! `policy diff --base`: bundles of git commits.

use super::changes::run;
use super::{default_bundle, said, scratch};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn git(dir: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").arg("-C").arg(dir).args(identity).args(arguments).output().expect("git runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A repository with the default bundle in its folder `policies`, committed.
fn repository(name: &str) -> PathBuf {
    let dir = scratch(name);
    let target = dir.with_extension("repository");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(&target).expect("it can be made");
    fs::rename(&dir, target.join("policies")).expect("it can be moved");
    git(&target, &["init", "--quiet", "--initial-branch=main"]);
    git(&target, &["add", "--all"]);
    git(&target, &["commit", "--quiet", "--message=one"]);
    target
}

#[test]
fn compares_work_tree_with_commit() {
    let repository = repository("base");
    let policies = repository.join("policies");
    let shown = policies.display().to_string();
    let (text, failed) = run(&["--base", "main", &shown]).expect("it runs");
    let same = "0 changes: 0 widening, 0 either way, 0 narrowing; no issuer URL or key source changed; 31 requests decided by both bundles\n";
    assert_eq!((text.as_str(), failed), (same, false));
    let audience = policies.join("audiences/api.toml");
    let text = fs::read_to_string(&audience).expect("it reads");
    fs::write(&audience, text + "max_lifetime = \"16m\"\n").expect("it writes");
    let (text, failed) = run(&["--base", "HEAD", &shown, "--fail-on", "widening"]).expect("it runs");
    assert!(text.starts_with("widening:\n  audience https://api.example max_lifetime: 900 -> 960\n"), "{text}");
    assert!(failed);
    fs::remove_dir_all(repository).expect("it can be removed");
}

#[test]
fn names_wrong_commit_and_folder() {
    let repository = repository("base-errors");
    let policies = repository.join("policies").display().to_string();
    let failure = |arguments: &[&str]| said(run(arguments));
    for reference in ["nowhere", "-x", "", "main:policies"] {
        let message = format!("`{reference}` is not a commit of the git repository of `{policies}`");
        let hint = "fetch it first: a shallow clone has only one commit".to_owned();
        assert_eq!(failure(&[&format!("--base={reference}"), &policies]), (message, Some(hint), 2));
    }
    let other = repository.join("other");
    fs::create_dir_all(&other).expect("it can be made");
    fs::copy(repository.join("policies/bundle.toml"), other.join("bundle.toml")).expect("copied");
    let other = other.display().to_string();
    assert_eq!(failure(&["--base", "main", &other]), ("`main` has no folder `other`".to_owned(), None, 1));
    let outside = scratch("base-outside");
    let shown = outside.display().to_string();
    let (message, hint, code) = failure(&["--base", "main", &shown]);
    assert_eq!(message, format!("`{shown}` is not in the work tree of a git repository"));
    assert_eq!((hint.as_deref(), code), (Some("pass two folders instead of `--base`"), 2));
    let (message, hint, code) = failure(&[]);
    assert_eq!((message.as_str(), code), ("the bundle that is in use is missing", 2));
    assert_eq!(hint.as_deref(), Some("pass `--base GITREF`, such as `--base origin/main`, or its folder"));
    let (message, ..) = failure(&["--base", "main", &default_bundle(), &policies]);
    assert_eq!(message, "`--base` and two folders are given");
    fs::remove_dir_all(outside).expect("it can be removed");
    fs::remove_dir_all(repository).expect("it can be removed");
}

#[test]
fn refuses_in_commits_what_folders_refuse() {
    let repository = repository("base-links");
    let policies = repository.join("policies");
    std::os::unix::fs::symlink("bundle.toml", policies.join("link.toml")).expect("it links");
    fs::write(policies.join(".hidden"), "").expect("it writes");
    fs::write(policies.join("audiences/large.toml"), " ".repeat(256 * 1024 + 1)).expect("it writes");
    git(&repository, &["add", "--all"]);
    git(&repository, &["commit", "--quiet", "--message=two"]);
    for name in ["link.toml", ".hidden", "audiences/large.toml"] {
        fs::remove_file(policies.join(name)).expect("it can be removed");
    }
    let shown = policies.display().to_string();
    let (message, hint, code) = said(run(&["--base", "main", &shown]));
    assert_eq!(
        message,
        format!(
            "`main:{shown}` does not load\nlink.toml: symbolic links are not allowed in a bundle\n\
             .hidden: hidden files are not allowed in a bundle"
        )
    );
    assert_eq!(hint, Some(format!("check that commit out, and run `vouchsafe policy check {shown}`")));
    assert_eq!(code, 1);
    git(&repository, &["rm", "--quiet", "--cached", "policies/link.toml", "policies/.hidden"]);
    git(&repository, &["commit", "--quiet", "--message=three"]);
    let (message, ..) = said(run(&["--base", "main", &shown]));
    let large = format!("`main:{shown}` does not load\naudiences/large.toml: the file is larger than 262144 bytes");
    assert_eq!(message, large);
    fs::remove_dir_all(repository).expect("it can be removed");
}
