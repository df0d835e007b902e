//! A broker from a release archive: unpacked, set up, checked and run, with an empty home and without a compiler.

use super::command::{Ended, run};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use vouchsafe_harness::broker::{Folder, profile_folder, repository};
use vouchsafe_harness::bundle::{BROKER, DEPLOY};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::http;
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::now;

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
        let packed = run(pack.env("SOURCE_DATE_EPOCH", "1700000000"), b"");
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

    fn has_manifests_next_to_components(&self) {
        let share = self.program.ancestors().nth(2).expect("a folder").join("share/vouchsafe");
        for name in ["spin.toml", "spin.hsm.toml"] {
            let text = std::fs::read_to_string(share.join(name)).expect(name);
            let sources: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
            assert_eq!(sources.len(), 7, "five components, two of them twice: {text}");
            for source in sources {
                assert!(share.join(source.trim_matches('"')).is_file(), "{name}: {source}");
            }
            assert!(!text.contains("cargo build"), "{text}");
        }
        for file in ["doc/vouchsafe/LICENSE", "man/man1/vouchsafe.1", "bash-completion/completions/vouchsafe"] {
            assert!(share.join("..").join(file).is_file(), "{file}");
        }
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

#[test]
fn archive_serves_tokens_from_empty_home() {
    let installed = Installed::new();
    installed.has_manifests_next_to_components();
    let flags =
        ["init", "broker", "--issuer", "https://broker.example", "--audience", DEPLOY, "--scope", "deploy:write"];
    let github = ["--provider", "github", "--claim", "repository_id=123456"];
    let made = installed.run(".", &[&flags[..], &github].concat());
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    for command in [
        &["policy", "check", "policies", "--deny-warnings", "--manifest", "spin.toml"][..],
        &["policy", "test", "policies"],
    ] {
        let ended = installed.run("broker", command);
        assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    }
    let served = installed.run("broker", &["serve", "--components", "elsewhere"]);
    let expected = "error: elsewhere/vouchsafe_broker.wasm: No such file or directory (os error 2)\n\
                    hint: set --components to the folder of the components";
    assert_eq!(served.code, 2, "{}", served.stderr);
    assert!(served.stderr.contains(expected), "{}", served.stderr);

    // The tests have no public host, so the broker and its issuer move to loopback, in development mode.
    let issuer = Issuer::start([("main", Script::honest())]);
    let text = format!("issuer = \"{}\"\nprovider = \"github\"\ndevelopment = true\n", issuer.url("main"));
    std::fs::write(installed.path("broker/policies/issuers/github.toml"), text).expect("written");
    let manifest = std::fs::read_to_string(installed.path("broker/spin.toml")).expect("the manifest");
    let manifest = manifest.replace("https://token.actions.githubusercontent.com", &issuer.origin());
    std::fs::write(installed.path("broker/spin.toml"), manifest).expect("written");
    let broker = format!("issuer={BROKER}");
    let variables = ["--variable", "development=true", "--variable", &broker];

    let examined = installed.run("broker", &[&["doctor", "--format", "json"], &variables[..]].concat());
    assert_eq!((examined.code, examined.stderr.as_str()), (0, ""), "{}", examined.stdout);
    let examined: Value = serde_json::from_str(&examined.stdout).expect("JSON");
    let findings = examined["findings"].as_array().expect("findings");
    let not_ok: Vec<_> = findings.iter().filter(|it| it["result"] != "ok").map(|it| &it["what"]).collect();
    // The issuer sends no `Date`.
    assert_eq!(not_ok, ["configuration", "clock"], "{examined}");

    let serve = [&["serve", "--listen", "127.0.0.1:0"], &variables[..]].concat();
    let serving = Serving::start(installed.command("broker", &serve));
    let token = jwt::mint("RS256", &jwt::claims(&issuer.url("main"), BROKER, now()));
    let form = Form::of(&token).set("audience", DEPLOY).and("scope", "deploy:write");
    let answer = http::send(&serving.address, &form.request()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let issued = Issued::parse(answer.json()["access_token"].as_str().expect("a token"));
    assert_eq!((&issued.claims["iss"], &issued.claims["aud"]), (&BROKER.into(), &DEPLOY.into()));
    let keys = http::send(&serving.address, &http::Request::get("/.well-known/jwks.json")).expect("keys");
    assert!(issued.verifies(&keys.json()));
}
