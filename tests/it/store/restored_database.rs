//! A database restored from an older copy has lost uses, so it rejects every token that may have had one.

use std::path::{Path, PathBuf};
use vouchsafe_harness::bundle::DEPLOY;
use vouchsafe_harness::exchange::{Form, Want, bad, check};
use vouchsafe_harness::jwt;
use vouchsafe_harness::scene::Scene;

const SPENT: Want = bad("replay.spent");
const PREDATES: Want = bad("replay.predates_store");

fn token(scene: &Scene, seconds: u64) -> String {
    jwt::mint("ES256", &scene.claims_at(seconds))
}

/// Presents tokens to a broker that starts `seconds` after the scene and is killed afterwards.
fn present(scene: &Scene, seconds: u64, tokens: &[(&str, &String, Want)]) {
    let broker = scene.start_at(seconds);
    for (name, token, want) in tokens {
        let request = Form::of(token).set("audience", DEPLOY).request();
        let answer = check(&broker, &request, token, *want);
        answer.unwrap_or_else(|error| panic!("{name} at {seconds} s: {error}"));
    }
    broker.kill();
}

/// The database file and its journals, with their contents.
fn copy(scene: &Scene) -> Vec<(PathBuf, Vec<u8>)> {
    database_files(scene).into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect()
}

fn restore(scene: &Scene, copy: &[(PathBuf, Vec<u8>)]) {
    for path in database_files(scene) {
        std::fs::remove_file(path).expect("removed");
    }
    for (path, content) in copy {
        std::fs::write(path, content).expect("a file");
    }
}

fn database_files(scene: &Scene) -> Vec<PathBuf> {
    let database = scene.setup.database();
    let name = database.file_name().expect("a name").to_string_lossy();
    let of_it = |path: &PathBuf| {
        let file = path.file_name().expect("a name").to_string_lossy();
        file.starts_with(&*name)
    };
    let folder = database.parent().unwrap_or(Path::new("."));
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    files.map(|entry| entry.path()).filter(of_it).collect()
}

#[test]
fn rejects_tokens_whose_use_was_forgotten() {
    let scene = Scene::new();
    let [remembered, forgotten, unused] = [token(&scene, 0), token(&scene, 1), token(&scene, 2)];
    present(&scene, 0, &[("remembered", &remembered, Want::Issued)]);
    let copy = copy(&scene);
    present(&scene, 8, &[("forgotten", &forgotten, Want::Issued)]);
    restore(&scene, &copy);
    let new = token(&scene, 60);
    present(
        &scene,
        60,
        &[
            ("forgotten", &forgotten, PREDATES),
            // The price: nothing shows that this one was not used.
            ("unused", &unused, PREDATES),
            ("remembered", &remembered, SPENT),
            ("new", &new, Want::Issued),
            ("new", &new, SPENT),
        ],
    );
}

#[test]
fn accepts_unused_tokens_after_quick_restart() {
    let scene = Scene::new();
    let [used, unused] = [token(&scene, 0), token(&scene, 0)];
    present(&scene, 0, &[("used", &used, Want::Issued)]);
    present(&scene, 15, &[("used", &used, SPENT), ("unused", &unused, Want::Issued)]);
}

/// A use is remembered for as long as any bundle could accept the token: bundle and exchange have the same limits.
#[test]
fn remembers_uses_for_maximum_token_age() {
    use vouchsafe_exchange::limits as exchange;
    use vouchsafe_policy::limits as policy;
    assert_eq!(exchange::TOKEN_AGE_SECONDS_MAX, policy::TOKEN_AGE_SECONDS_MAX);
    assert_eq!(exchange::LEEWAY_SECONDS_MAX, policy::LEEWAY_SECONDS_MAX);
}
