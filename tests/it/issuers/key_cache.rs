//! The states of an issuer's key set, through the built components. Each step is a process with its own clock on the
//! same database.

use std::time::Duration;
use vouchsafe_harness::broker::Broker;
use vouchsafe_harness::bundle::IssuerFile;
use vouchsafe_harness::exchange::{Form, Want, bad, check, unavailable};
use vouchsafe_harness::issuer::Script;
use vouchsafe_harness::jwt;
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::scene::Scene;

/// Requests per fetch: discovery document and key set.
const FETCH: usize = 2;
/// How often a test checks for what happens in the background.
const LATER_TRIES: usize = 200;

/// Starts a broker `seconds` after the scene.
fn at(scene: &Scene, seconds: u64) -> Moment<'_> {
    Moment { scene, seconds, broker: scene.start_at(seconds) }
}

fn fetches(scene: &Scene) -> usize {
    scene.issuer.fetches("main")
}

/// The key sets in the store.
fn stored_keys(scene: &Scene) -> Vec<(String, String)> {
    let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
    let mut rows = database.prepare("SELECT name, body FROM documents ORDER BY name").expect("prepared");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.expect("rows").collect::<Result<_, _>>().expect("a row")
}

struct Moment<'s> {
    scene: &'s Scene,
    seconds: u64,
    broker: Broker,
}

impl Moment<'_> {
    fn claims(&self) -> serde_json::Value {
        self.scene.claims_at(self.seconds)
    }

    /// Presents a new token signed with the issuer's key for `alg`.
    fn present(&self, alg: &str, want: Want) {
        let token = jwt::mint(alg, &self.claims());
        let answer = check(&self.broker, &Form::of(&token).request(), &token, want);
        answer.unwrap_or_else(|error| panic!("{} s: {error}", self.seconds));
    }

    fn present_kid(&self, kid: &str, want: Want) {
        let header = serde_json::json!({ "alg": "RS256", "kid": kid }).to_string();
        let token = jwt::mint_raw(&Key::issuer("RS256"), header, self.claims().to_string());
        let answer = check(&self.broker, &Form::of(&token).request(), &token, want);
        answer.unwrap_or_else(|error| panic!("{kid}: {error}"));
    }
}

const DOWN: Want = unavailable("issuer.unavailable");
const UNKNOWN: Want = bad("token.key_unknown");

fn only(algorithms: &[&str]) -> Script {
    Script::Keys(Script::keys(algorithms))
}

/// A removed key is rejected at the end of its lifetime, with a known `kid` or not, restart or not (regressions.md, row 2).
#[test]
fn trusts_removed_key_until_end_of_lifetime() {
    let scene = Scene::new();
    at(&scene, 0).present("RS256", Want::Issued);
    scene.issuer.set_script("main", only(&["ES256"]));
    assert_eq!(fetches(&scene), FETCH);
    at(&scene, 200).present("RS256", Want::Issued);
    assert_eq!(fetches(&scene), FETCH, "fetched although the store has the keys");
    let end = at(&scene, 300);
    end.present("RS256", UNKNOWN);
    end.present("ES256", Want::Issued);
    end.broker.assert_healthy();
}

/// A flood of unknown `kid`s causes one fetch per window, and known keys keep working (regressions.md, row 1).
#[test]
fn fetches_once_for_flood_of_unknown_kids() {
    let scene = Scene::new();
    let moment = at(&scene, 0);
    moment.present("RS256", Want::Issued);
    for number in 0..50 {
        moment.present_kid(&format!("unknown-{number}"), UNKNOWN);
        moment.present("RS256", Want::Issued);
    }
    assert_eq!(fetches(&scene), 2 * FETCH);
    drop(moment);
    at(&scene, 10).present_kid("unknown", UNKNOWN);
    assert_eq!(fetches(&scene), 2 * FETCH);
    at(&scene, 11).present_kid("unknown", UNKNOWN);
    assert_eq!(fetches(&scene), 3 * FETCH);
}

/// In the last quarter of its lifetime at the latest, a request refreshes the key set without waiting.
#[test]
fn refreshes_aging_keys_in_background() {
    let scene = Scene::new();
    at(&scene, 0).present("RS256", Want::Issued);
    {
        let ageing = at(&scene, 299);
        // A request that waited for this issuer would fail or time out.
        scene.issuer.set_script("main", Script::Silent);
        ageing.present("RS256", Want::Issued);
        scene.issuer.set_script("main", only(&["RS256"]));
    }
    let fetched = fetches(&scene);
    let ageing = at(&scene, 298);
    ageing.present("RS256", Want::Issued);
    let renewed = (0..LATER_TRIES).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        fetches(&scene) >= fetched + FETCH
    });
    // The previous process may still have the lease; then nothing is fetched within its window.
    if renewed {
        drop(ageing);
        let before = fetches(&scene);
        at(&scene, 400).present("RS256", Want::Issued);
        assert_eq!(fetches(&scene), before, "fetched although the refreshed keys are valid");
    }
}

#[test]
fn uses_refreshed_keys_without_another_fetch() {
    let scene = Scene::new();
    at(&scene, 0).present("RS256", Want::Issued);
    let stored = stored_keys(&scene);
    let ageing = at(&scene, 290);
    ageing.present("RS256", Want::Issued);
    // The fetched keys must reach the store, too.
    let renewed = (0..LATER_TRIES).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        stored_keys(&scene) != stored
    });
    assert!(renewed, "the keys were not refreshed");
    assert_eq!(fetches(&scene), 2 * FETCH);
    drop(ageing);
    let later = at(&scene, 300);
    later.present("RS256", Want::Issued);
    assert_eq!(fetches(&scene), 2 * FETCH);
    later.broker.assert_healthy();
}

/// Keys that were fetched under an old issuer file are not used under the new one (regressions.md, row 26).
#[test]
fn applies_changed_key_source_immediately() {
    let scene = Scene::new();
    scene.issuer.set_script("moved", only(&["ES256"]));
    at(&scene, 0).present("RS256", Want::Issued);
    let file = scene.setup.folder.join("policies/issuers/main.toml");
    let text = std::fs::read_to_string(&file).expect("the issuer file");
    let keys = format!("keys = {{ jwks_uri = \"{}/jwks\" }}\n", scene.issuer.url("moved"));
    std::fs::write(&file, text + &keys).expect("written");
    let after = at(&scene, 10);
    after.present("RS256", UNKNOWN);
    after.present("ES256", Want::Issued);
    assert_eq!(fetches(&scene), FETCH, "the old location was asked");
}

#[test]
fn retries_failing_issuer_after_10_20_40_seconds() {
    let scene = Scene::new();
    scene.issuer.set_script("main", Script::DiscoveryIs(500, "text/plain", b"no".to_vec()));
    for (seconds, asked) in [(0, 1), (10, 1), (11, 2), (31, 2), (32, 3), (72, 3), (73, 4)] {
        at(&scene, seconds).present("RS256", DOWN);
        assert_eq!(fetches(&scene), asked, "{seconds} s");
    }
    scene.issuer.set_script("main", Script::honest());
    at(&scene, 133).present("RS256", DOWN);
    at(&scene, 134).present("RS256", Want::Issued);
}

#[test]
fn uses_stale_keys_only_if_configured() {
    let scene = Scene::with(|issuer| {
        let lines = "stale_keys_max = \"2m\"\n";
        vec![IssuerFile::new("main", issuer.url("main"), lines)]
    });
    at(&scene, 0).present("RS256", Want::Issued);
    scene.issuer.set_script("main", Script::Reset);
    at(&scene, 300).present("RS256", Want::Issued);
    at(&scene, 419).present("RS256", Want::Issued);
    at(&scene, 420).present("RS256", DOWN);
    scene.issuer.set_script("main", only(&["ES256"]));
    at(&scene, 500).present("RS256", UNKNOWN);
}

/// Without `kid`, a key is used only if exactly one fits.
#[test]
fn uses_key_without_kid_only_if_unambiguous() {
    let unnamed = |alg: &str| {
        let mut jwk = Key::issuer(alg).jwk(alg);
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    };
    let scene = Scene::new();
    scene.issuer.set_script("main", Script::Keys(vec![unnamed("RS256"), unnamed("ES256")]));
    let moment = at(&scene, 0);
    let header = serde_json::json!({ "alg": "RS256" }).to_string();
    let token = jwt::mint_raw(&Key::issuer("RS256"), header, moment.claims().to_string());
    let form = Form::of(&token).request();
    check(&moment.broker, &form, &token, Want::Issued).expect("one key fits");
    moment.present("RS256", UNKNOWN);
    drop(moment);
    let mut stranger = Key::stranger("RS256").jwk("RS256");
    stranger.as_object_mut().expect("an object").remove("kid");
    scene.issuer.set_script("main", Script::Keys(vec![unnamed("RS256"), stranger]));
    let later = at(&scene, 400);
    let header = serde_json::json!({ "alg": "RS256" }).to_string();
    let token = jwt::mint_raw(&Key::issuer("RS256"), header, later.claims().to_string());
    check(&later.broker, &Form::of(&token).request(), &token, UNKNOWN).expect("two keys fit");
}

/// An intermediate cache must not answer with old keys (regressions.md, row 4).
#[test]
fn bypasses_caches_on_every_fetch() {
    let scene = Scene::new();
    let moment = at(&scene, 0);
    moment.present("RS256", Want::Issued);
    moment.present_kid("unknown", UNKNOWN);
    let heads = scene.issuer.heads();
    assert_eq!(heads.len(), 2 * FETCH);
    for head in heads {
        assert!(head.contains("\r\ncache-control: no-cache\r\n"), "{head}");
        assert!(!head.contains("\r\nauthorization:"), "{head}");
    }
}
