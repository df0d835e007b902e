//! A database that is restored from an older copy has forgotten uses, and takes no token that may have had
//! one.

use crate::cases::files;
use std::path::{Path, PathBuf};
use vouchsafe_tests::broker::Setup;
use vouchsafe_tests::bundle::{BROKER, DEPLOY};
use vouchsafe_tests::exchange::{Form, Want, bad, check};
use vouchsafe_tests::issuer::{Issuer, Script};
use vouchsafe_tests::jwt;

const START: u64 = 1_800_000_000;
const SPENT: Want = bad("replay.spent");
const PREDATES: Want = bad("replay.predates_store");

struct Scene {
    issuer: Issuer,
    setup: Setup,
}

impl Scene {
    fn new() -> Self {
        let issuer = Issuer::start([("main", Script::honest())]);
        let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
        Self { issuer, setup }
    }

    fn token(&self, seconds: u64) -> String {
        let claims = jwt::claims(&self.issuer.url("main"), BROKER, START + seconds);
        jwt::mint("ES256", &claims)
    }

    /// Presents tokens to a broker that starts so many seconds after `START` and is killed afterwards.
    fn at(&self, seconds: u64, presented: &[(&str, &String, Want)]) {
        let setup = self.setup.clone().argument("--danger-now");
        let broker = setup.argument((START + seconds).to_string()).start();
        for (name, token, want) in presented {
            let request = Form::of(token).set("audience", DEPLOY).request();
            let answer = check(&broker, &request, token, *want);
            answer.unwrap_or_else(|error| panic!("{name} at {seconds} s: {error}"));
        }
        broker.kill();
    }

    /// The database's file and its journals, with their contents.
    fn copy(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.database_files()
            .into_iter()
            .map(|path| (path.clone(), std::fs::read(path).expect("a file")))
            .collect()
    }

    fn restore(&self, copy: &[(PathBuf, Vec<u8>)]) {
        for path in self.database_files() {
            std::fs::remove_file(path).expect("removed");
        }
        for (path, content) in copy {
            std::fs::write(path, content).expect("a file");
        }
    }

    fn database_files(&self) -> Vec<PathBuf> {
        let database = self.setup.database();
        let name = database.file_name().expect("a name").to_string_lossy();
        let of_it = |path: &PathBuf| {
            let file = path.file_name().expect("a name").to_string_lossy();
            file.starts_with(&*name)
        };
        let folder = database.parent().unwrap_or(Path::new("."));
        let files = std::fs::read_dir(folder).expect("a folder").flatten();
        files.map(|entry| entry.path()).filter(of_it).collect()
    }
}

#[test]
fn a_restored_database_takes_no_token_whose_use_it_has_forgotten() {
    let scene = Scene::new();
    let [remembered, forgotten, unused] = [scene.token(0), scene.token(1), scene.token(2)];
    scene.at(0, &[("remembered", &remembered, Want::Issued)]);
    let copy = scene.copy();
    scene.at(8, &[("forgotten", &forgotten, Want::Issued)]);
    scene.restore(&copy);
    let new = scene.token(60);
    scene.at(
        60,
        &[
            ("forgotten", &forgotten, PREDATES),
            // The price: nobody can tell that this one was not used.
            ("unused", &unused, PREDATES),
            ("remembered", &remembered, SPENT),
            ("new", &new, Want::Issued),
            ("new", &new, SPENT),
        ],
    );
}

#[test]
fn a_restart_without_a_pause_takes_tokens_of_before_and_no_token_twice() {
    let scene = Scene::new();
    let [used, unused] = [scene.token(0), scene.token(0)];
    scene.at(0, &[("used", &used, Want::Issued)]);
    scene.at(
        15,
        &[("used", &used, SPENT), ("unused", &unused, Want::Issued)],
    );
}

/// A use is remembered for as long as any bundle could take the token: the limits of bundle and exchange are
/// the same numbers.
#[test]
fn uses_are_remembered_for_as_long_as_a_bundle_can_take_tokens() {
    use vouchsafe_exchange::limits as exchange;
    use vouchsafe_policy::limits as policy;
    assert_eq!(
        exchange::TOKEN_AGE_SECONDS_MAX,
        policy::TOKEN_AGE_SECONDS_MAX
    );
    assert_eq!(exchange::LEEWAY_SECONDS_MAX, policy::LEEWAY_SECONDS_MAX);
}
