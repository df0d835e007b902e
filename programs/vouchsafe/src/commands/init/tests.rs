//! `init` by flags and by answers.

use super::providers::SAMPLES;
use super::*;
use clap::Parser as _;
use std::os::unix::fs::PermissionsExt as _;
use vouchsafe_policy::{Environment, folder};
use vouchsafe_policy_tools::lint;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// A folder that does not exist, removed when dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vouchsafe-init-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        Self(path)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.join(path)).expect(path)
    }

    /// Runs `init` here; with answers, as on a terminal.
    fn init(&self, flags: &[&str], answers: Option<&str>) -> Result<String, Failure> {
        let dir = self.0.display().to_string();
        let line = Line::try_parse_from([&["init", dir.as_str()][..], flags].concat()).expect("flags");
        make(&line.args, answers.is_some(), &mut answers.unwrap_or_default().as_bytes())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

const BROKER: [&str; 6] =
    ["--issuer", "https://broker.example", "--audience", "https://deploy.example", "--scope", "deploy:write"];

#[test]
fn every_provider_gets_clean_bundle() {
    for (provider, url, claims) in SAMPLES {
        let place = Place::new(provider);
        let mut flags = [&BROKER[..], &["--provider", provider]].concat();
        if !url.is_empty() {
            flags.extend(["--provider-url", url]);
        }
        flags.extend(claims.iter().flat_map(|claim| ["--claim", *claim]));
        place.init(&flags, None).unwrap_or_else(|failure| panic!("{provider}: {}", failure.message));
        let files = folder::read(&place.0.join("policies")).expect(provider);
        let environment =
            Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 };
        let report = lint::check(&files, &environment);
        assert_eq!(report.to_string(), "", "{provider}");
        let suite = vouchsafe_policy_tools::run(&files, &environment).expect(provider);
        assert!(suite.passed(), "{provider}");
        let bundle = report.bundle.expect("a bundle");
        assert_eq!(bundle.issuers_of_all_environments().count(), 1, "{provider}");
        let path = place.0.join("spin.toml");
        let items = crate::commands::policy::hosts::compare(&path, &bundle, false).expect(provider);
        let missing: Vec<_> = items.iter().filter(|item| item.code == "host-missing").collect();
        assert!(missing.is_empty(), "{provider}: {missing:?}");
    }
}

#[test]
fn writes_secret_root_and_ignores_it_in_git() {
    let place = Place::new("secret");
    let flags = [&BROKER[..], &["--provider", "github", "--claim", "repository_id=1"]].concat();
    let text = place.init(&flags, None).expect("written");
    assert!(text.starts_with(&format!("{}/spin.toml\n", place.0.display())), "{text}");
    assert!(text.contains("  vouchsafe doctor\n  vouchsafe serve\n"), "{text}");
    let mode = std::fs::metadata(place.0.join(".env")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = place.read(".env");
    let root = secret.trim_end().rsplit_once('=').expect("a variable").1;
    assert_eq!(base64url::decode(root).map(|bytes| bytes.len()), Some(32));
    assert_eq!(place.read(".gitignore"), "/.env\n/.state\n");
    assert!(!text.contains(root), "{text}");
    let other = Place::new("secret-2");
    other.init(&flags, None).expect("written");
    assert_ne!(other.read(".env"), secret);
}

#[test]
fn second_run_names_what_exists() {
    let place = Place::new("again");
    let flags = [&BROKER[..], &["--provider", "github", "--claim", "repository_id=1"]].concat();
    place.init(&flags, None).expect("written");
    let before = (place.read(".env"), place.read("spin.toml"));
    let shown = place.0.display();
    let refused = |expected: &str| {
        let failure = place.init(&[], None).expect_err("exists");
        assert_eq!((failure.code, failure.message), (1, format!("`{shown}` already has {expected}")));
    };
    refused("`spin.toml`, `.env`, `policies`");
    assert_eq!((place.read(".env"), place.read("spin.toml")), before);
    std::fs::remove_file(place.0.join("spin.toml")).expect("removed");
    std::fs::remove_dir_all(place.0.join("policies")).expect("removed");
    refused("`.env`");
}

#[test]
fn keeps_existing_git_ignore() {
    let place = Place::new("git");
    std::fs::create_dir_all(&place.0).expect("a folder");
    std::fs::write(place.0.join(".gitignore"), "mine\n").expect("written");
    let flags = [&BROKER[..], &["--provider", "github", "--claim", "repository_id=1"]].concat();
    let text = place.init(&flags, None).expect("written");
    assert!(text.contains("note: `.gitignore` exists; add `/.env` to it"), "{text}");
    assert_eq!(place.read(".gitignore"), "mine\n");
}

#[test]
fn link_as_git_ignore_is_left_alone() {
    let place = Place::new("link");
    std::fs::create_dir_all(&place.0).expect("a folder");
    std::os::unix::fs::symlink("elsewhere", place.0.join(".gitignore")).expect("a link");
    let flags = [&BROKER[..], &["--provider", "github", "--claim", "repository_id=1"]].concat();
    let text = place.init(&flags, None).expect("written");
    assert!(text.contains("note: `.gitignore` exists; add `/.env` to it"), "{text}");
    assert!(!place.0.join("elsewhere").exists());
}

#[test]
fn refuses_folder_that_others_can_change() {
    let place = Place::new("shared");
    std::fs::create_dir_all(&place.0).expect("a folder");
    let set = |mode| std::fs::set_permissions(&place.0, std::fs::Permissions::from_mode(mode)).expect("set");
    set(0o757);
    let shown = place.0.display();
    let failure = place.init(&BROKER, None).expect_err("shared");
    assert_eq!(
        (failure.code, failure.message, failure.hint),
        (1, format!("`{shown}` can be changed by other users (mode 0757)"), Some(format!("chmod -R go-w {shown}")))
    );
    assert_eq!(std::fs::read_dir(&place.0).expect("a folder").count(), 0);
    set(0o755);
    let flags = [&BROKER[..], &["--provider", "github", "--claim", "repository_id=1"]].concat();
    place.init(&flags, None).expect("written");
    for folder in ["policies", "policies/rules", "policies/issuers"] {
        let mode = std::fs::metadata(place.0.join(folder)).expect(folder).permissions().mode();
        assert_eq!(mode & 0o022, 0, "{folder}");
    }
}

#[test]
fn writes_all_files_or_none() {
    let place = Place::new("none");
    let file = |path: &str| NewFile { path: path.to_owned(), mode: PUBLIC_MODE, content: String::new() };
    let failure = write_all(&place.0, &[file("a"), file("b/c"), file("a/d")]).expect_err("`a` is a file");
    assert_eq!(failure.code, 1);
    assert!(failure.message.starts_with(&format!("cannot write `{}/a/d`: ", place.0.display())), "{}", failure.message);
    assert!(!place.0.join("a").exists() && !place.0.join("b/c").exists());
}

#[test]
fn asks_again_after_wrong_answer() {
    let place = Place::new("answers");
    let answers = "http://broker.example\nhttps://broker.example\njenkins\nazure\ngithub\n\nocto-org/octo-repo\n123456\n\n\
        deploy example\nhttps://deploy.example\n\ndeploy:read deploy:write\n";
    place.init(&[], Some(answers)).expect("written");
    let rule = place.read("policies/rules/github-deploy.cedar");
    assert!(rule.contains("principal.repository_id == \"123456\""), "{rule}");
    assert!(rule.contains("principal.ref == \"refs/heads/main\""), "{rule}");
    assert!(rule.contains("[\"deploy:read\", \"deploy:write\"]"), "{rule}");
    assert!(place.read("spin.toml").contains("issuer = { default = \"https://broker.example\" }"));
}

#[test]
fn unanswered_question_writes_nothing() {
    let place = Place::new("unanswered");
    let failure = place.init(&[], Some("https://broker.example\n")).expect_err("no answer");
    assert_eq!(failure.code, 2);
    assert!(failure.message.starts_with("missing the platform of the first workload (aws, "), "{}", failure.message);
    assert!(!place.0.exists());
}

#[test]
fn flags_are_checked_without_terminal() {
    let github = ["--provider", "github"];
    for (flags, message, hint) in [
        (BROKER[2..].to_vec(), "missing the public URL of this broker", "add `--issuer`"),
        (
            vec!["--issuer", "http://broker.example"],
            "`http://broker.example` is not an https URL without query, fragment and user name",
            "it comes from `--issuer`",
        ),
        (
            [&BROKER[..], &github].concat(),
            "missing the repository's id (`gh api repos/OWNER/REPO --jq .id`)",
            "add `--claim repository_id=VALUE`",
        ),
        (
            [&BROKER[..], &github, &["--claim", "repository_id=octo"]].concat(),
            "`octo` is not a `repository_id`: it has digits only",
            "it comes from `--claim repository_id=VALUE`",
        ),
        (
            [&BROKER[..], &github, &["--claim", "repository_id"]].concat(),
            "`repository_id` is not a claim with a value",
            "write NAME=VALUE, such as repository_id=123456",
        ),
        (
            [&BROKER[..], &["--provider", "spiffe"]].concat(),
            "`spiffe` needs settings that `init` does not ask for; choose another platform first, then follow \
             docs/providers/spiffe.md",
            "it comes from `--provider`",
        ),
    ] {
        let place = Place::new("flags");
        let failure = place.init(&flags, None).expect_err(message);
        assert_eq!((failure.code, failure.message.as_str(), failure.hint.as_deref()), (2, message, Some(hint)));
        assert!(!place.0.exists(), "{message}");
    }
}

#[test]
fn refuses_claim_that_provider_lacks() {
    let place = Place::new("claim");
    let flags =
        [&BROKER[..], &["--provider", "github", "--claim", "repository_id=1", "--claim", "branch=main"]].concat();
    let failure = place.init(&flags, None).expect_err("no such claim");
    assert!(failure.message.starts_with("GitHub::Workflow has no claim `branch`; it has "), "{}", failure.message);
    assert_eq!(failure.code, 2);
    assert!(!place.0.exists());
}
