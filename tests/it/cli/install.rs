//! A broker from a release archive: unpacked, set up, checked and run, with an empty home and without a compiler.

use super::command::{Ended, run};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use vouchsafe_harness::broker::{Folder, profile_folder, repository};
use vouchsafe_harness::bundle::DEPLOY;
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::hsm::certificates;
use vouchsafe_harness::http;
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::now;
use vouchsafe_harness::tls::TlsIssuer;

const BROKER: &str = "https://broker.example";

/// An unpacked archive in a folder of its own, with an empty home.
struct Installed {
    folder: Arc<Folder>,
    program: PathBuf,
}

impl Installed {
    /// Packs the built programs and components as a release is packed, and unpacks the archive.
    fn new() -> Self {
        let folder = Folder::new();
        let components = repository().join("target/wasm32-wasip2/component");
        let mut pack = Command::new(repository().join("scripts/dist"));
        pack.arg("--pack").args([&profile_folder(), &components, &folder.to_path_buf()]);
        let packed = run(pack.env("SOURCE_DATE_EPOCH", "1800000000"), b"");
        assert_eq!(packed.code, 0, "{}", packed.stderr);
        let mut files = std::fs::read_dir(&**folder).expect("a folder").flatten();
        let archive = files.next().expect("an archive").path();
        assert!(files.next().is_none(), "one archive");
        let unpacked = run(Command::new("tar").arg("-xzf").arg(&archive).current_dir(&**folder), b"");
        assert_eq!(unpacked.code, 0, "{}", unpacked.stderr);
        let name = archive.file_name().and_then(|name| name.to_str()?.strip_suffix(".tar.gz")).expect("a name");
        let program = folder.join(name).join("bin/vouchsafe");
        std::fs::create_dir(folder.join("home")).expect("a home");
        Self { folder, program }
    }

    /// The program in the home directory, with an environment that has nothing else.
    fn command(&self, at: &str, arguments: &[&str]) -> Command {
        let home = self.folder.join("home");
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().env("HOME", &home).env("PATH", "/nonexistent").current_dir(home.join(at));
        command
    }

    fn run(&self, at: &str, arguments: &[&str]) -> Ended {
        run(&mut self.command(at, arguments), b"")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join("home").join(path)
    }
}

/// A running broker, which ends with this value.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("not ready: {line:?}"));
        Self { address: address.to_owned(), child }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Trusts the tests' certificate authority for `localhost`.
fn runtime_config(path: &Path) {
    let roots = certificates().join("issuers-ca.pem");
    let config = format!(
        "[[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"localhost\"]\nca_roots_file = \"{}\"\n",
        roots.display()
    );
    std::fs::write(path, config).expect("a file");
}

#[test]
fn archive_serves_tokens_from_empty_home() {
    let installed = Installed::new();
    let issuer = TlsIssuer::start("issuers.pem");
    let url = issuer.url();
    let flags = [
        &["init", "broker", "--issuer", BROKER, "--audience", DEPLOY, "--scope", "deploy:write"][..],
        &["--provider", "github", "--provider-url", &url, "--claim", "repository_id=123456"],
    ];
    let made = installed.run(".", &flags.concat());
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    let checked =
        installed.run("broker", &["policy", "check", "policies", "--deny-warnings", "--manifest", "spin.toml"]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let tested = installed.run("broker", &["policy", "test", "policies"]);
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);

    runtime_config(&installed.path("broker/runtime.toml"));
    let examined = installed.run("broker", &["doctor", "--runtime-config-file", "runtime.toml", "--format", "json"]);
    assert_eq!((examined.code, examined.stderr.as_str()), (0, ""), "{}", examined.stdout);
    let examined: Value = serde_json::from_str(&examined.stdout).expect("JSON");
    let results: Vec<_> = examined["findings"].as_array().expect("findings").iter().map(|it| &it["result"]).collect();
    // The tests' issuer sends no `Date`.
    assert_eq!(results.iter().filter(|result| **result != "ok").count(), 1, "{examined}");

    let serve = ["serve", "--listen", "127.0.0.1:0", "--runtime-config-file", "runtime.toml"];
    let serving = Serving::start(installed.command("broker", &serve));
    let token = jwt::mint("RS256", &jwt::claims(&url, BROKER, now()));
    let form = Form::of(&token).set("audience", DEPLOY).and("scope", "deploy:write");
    let answer = http::send(&serving.address, &form.request()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let issued = Issued::parse(answer.json()["access_token"].as_str().expect("a token"));
    assert_eq!((&issued.claims["iss"], &issued.claims["aud"]), (&BROKER.into(), &DEPLOY.into()));
    let keys = http::send(&serving.address, &http::Request::get("/.well-known/jwks.json")).expect("keys");
    assert!(issued.verifies(&keys.json()));
}

#[test]
fn archives_manifests_are_next_to_components() {
    let installed = Installed::new();
    let share = installed.program.ancestors().nth(2).expect("a folder").join("share/vouchsafe");
    for name in ["spin.toml", "spin.hsm.toml"] {
        let text = std::fs::read_to_string(share.join(name)).expect(name);
        let sources: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
        assert_eq!(sources.len(), 5, "{text}");
        for source in sources {
            assert!(share.join(source.trim_matches('"')).is_file(), "{name}: {source}");
        }
        assert!(!text.contains("cargo build"), "{text}");
    }
    assert!(share.join("../doc/vouchsafe/LICENSE").is_file());
}

#[test]
fn missing_components_are_named_with_flag() {
    let installed = Installed::new();
    let flags = ["init", "--issuer", BROKER, "--audience", DEPLOY, "--scope", "s", "--provider", "gitlab"];
    assert_eq!(installed.run(".", &[&flags[..], &["--claim", "project_id=1"]].concat()).code, 0);
    let served = installed.run(".", &["serve", "--components", "elsewhere"]);
    let expected = "error: elsewhere/vouchsafe_broker.wasm: No such file or directory (os error 2)\n\
                    hint: set --components to the folder of the components";
    assert_eq!(served.code, 2, "{}", served.stderr);
    assert!(served.stderr.contains(expected), "{}", served.stderr);
}
