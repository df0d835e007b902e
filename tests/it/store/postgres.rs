//! A store on a real PostgreSQL server: the same answers as on SQLite, from several brokers, through outages.

use std::process::Command;
use std::time::{Duration, Instant};
use vouchsafe_harness::broker::{Broker, Setup, profile_folder};
use vouchsafe_harness::bundle::DEPLOY;
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::http::Response;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::{jwt, now};
use vouchsafe_test_postgres::Server;

/// The call's deadline and the statement's, and some time for a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(6);
/// Longest time after which a broker works again.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

pub(super) struct Scene {
    pub(super) server: Server,
    pub(super) database: String,
    issuer: Issuer,
}

pub(super) fn vouchsafe(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(profile_folder().join("vouchsafe")).args(arguments).output().expect("vouchsafe runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

impl Scene {
    pub(super) fn new() -> Self {
        let scene = Self::without_schema();
        let (code, text) = scene.migrate("--apply");
        assert_eq!(code, Some(0), "{text}");
        scene
    }

    fn without_schema() -> Self {
        let server = Server::start();
        let database = server.create_database();
        Self { server, database, issuer: Issuer::honest() }
    }

    fn migrate(&self, what: &str) -> (Option<i32>, String) {
        vouchsafe(&["store", "migrate", what, "--address", &self.address()])
    }

    pub(super) fn address(&self) -> String {
        self.server.address(&self.database)
    }

    pub(super) fn setup(&self) -> Setup {
        self.setup_with(&self.address())
    }

    fn setup_with(&self, address: &str) -> Setup {
        let database = format!("postgres://127.0.0.1:{}", self.server.port());
        Setup::of("spin.postgres.toml", &self.issuer.files(), &[self.issuer.origin(), database])
            .with_root()
            .argument("--env")
            .argument(format!("POSTGRES_ADDRESS={address}"))
    }

    pub(super) fn token(&self) -> String {
        jwt::mint("ES256", &self.issuer.claims(now()))
    }
}

pub(super) fn present(broker: &Broker, token: &str) -> Response {
    broker.send(&Form::of(token).set("audience", DEPLOY).request())
}

fn is_spent(response: &Response) -> bool {
    response.status == 400 && response.text().contains("already used")
}

#[test]
fn exchanges_single_use_token_once_across_brokers() {
    let scene = Scene::new();
    let (setup, metrics) = scene.setup().with_metrics();
    let (one, other) = (setup.start(), scene.setup().start());
    let token = scene.token();
    let first = present(&one, &token);
    assert_eq!(first.status, 200, "{}", first.text());
    for broker in [&one, &other] {
        let again = present(broker, &token);
        assert!(is_spent(&again), "{} {}", again.status, again.text());
    }
    assert_eq!(scene.server.sql(&scene.database, "SELECT count(*) FROM audit WHERE outcome = 'issued'"), "1");
    let request = vouchsafe_harness::http::Request::get("/metrics");
    let text = vouchsafe_harness::http::send(&metrics, &request).expect("metrics").text();
    for name in ["connections_idle", "connections_open", "waiting"] {
        assert!(text.contains(&format!("\nvouchsafe_postgres_{name} ")), "{name}: {text}");
    }
}

/// Answers until the broker works again.
fn recovers(scene: &Scene, broker: &Broker) {
    let start = Instant::now();
    loop {
        let answer = present(broker, &scene.token());
        match answer.status {
            200 => return,
            // The store was out of use for a while, so tokens from before are refused.
            400 if answer.text().contains("issued before") => {}
            503 => {}
            _ => panic!("{} {}", answer.status, answer.text()),
        }
        assert!(start.elapsed() < RECOVERY_MAX, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Asserts that an exchange is answered in time, with the advice to retry.
fn is_unavailable(scene: &Scene, broker: &Broker) {
    let start = Instant::now();
    let answer = present(broker, &scene.token());
    assert!(start.elapsed() < ANSWER_MAX, "{:?}", start.elapsed());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some(), "{}", answer.text());
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
}

#[test]
fn dead_server_is_unavailable_until_it_is_back() {
    let scene = Scene::new();
    let broker = scene.setup().start();
    recovers(&scene, &broker);
    scene.server.kill();
    is_unavailable(&scene, &broker);
    is_unavailable(&scene, &broker);
    scene.server.resume();
    recovers(&scene, &broker);
}

#[test]
fn hanging_server_is_unavailable_until_it_answers() {
    let scene = Scene::new();
    let broker = scene.setup().start();
    recovers(&scene, &broker);
    scene.server.signal("STOP");
    is_unavailable(&scene, &broker);
    scene.server.signal("CONT");
    recovers(&scene, &broker);
}

/// The standby did not get the last use before the primary was lost.
#[test]
fn promoted_standby_accepts_no_token_twice() {
    let scene = Scene::new();
    let standby = scene.server.standby();
    let ports = format!("{},{}", scene.server.port(), standby.port());
    let address = format!("host=127.0.0.1,127.0.0.1 port={ports} user=postgres dbname={}", scene.database);
    let hosts = [scene.issuer.origin(), "postgres://127.0.0.1:*".to_owned()];
    let setup = Setup::of("spin.postgres.toml", &scene.issuer.files(), &hosts).with_root();
    let broker = setup.argument("--env").argument(format!("POSTGRES_ADDRESS={address}")).start();
    recovers(&scene, &broker);
    standby.kill();
    let token = scene.token();
    assert_eq!(present(&broker, &token).status, 200);
    scene.server.kill();
    standby.resume();
    standby.promote();
    assert_eq!(standby.sql(&scene.database, "SELECT pg_is_in_recovery()"), "f");
    let line = broker.line_with("serve: the database was ");
    assert!(line.contains("promoted or restored; single-use tokens issued before now are refused"), "{line}");
    let again = present(&broker, &token);
    assert_eq!(again.status, 400, "{}", again.text());
    assert!(again.text().contains("issued before"), "{}", again.text());
}

#[test]
fn starts_only_with_a_suitable_schema() {
    let scene = Scene::without_schema();
    let reason = |scene: &Scene| scene.setup().try_start().map(drop).expect_err("it must not start");
    let missing = reason(&scene);
    assert!(missing.contains("cannot use the store: the database has no tables of the store"), "{missing}");
    assert_eq!(
        scene.migrate("--check"),
        (Some(1), "the schema has version 0; version 3 is needed: run with --apply\n".into())
    );
    for _ in 0..2 {
        assert_eq!(scene.migrate("--apply"), (Some(0), "the schema has version 3, as needed\n".into()));
    }
    assert_eq!(scene.migrate("--check").0, Some(0));
    scene.server.sql(&scene.database, "UPDATE meta SET value = 4 WHERE name = 'schema'");
    let newer = reason(&scene);
    assert!(newer.contains("the schema of the database has version 4, but this program needs version 3"), "{newer}");
    let (code, text) = scene.migrate("--apply");
    assert_eq!(code, Some(1));
    assert!(text.contains("error: the schema has version 4, but this program knows only version 3"), "{text}");
}

#[test]
fn refuses_addresses_past_the_allow_list() {
    let scene = Scene::new();
    let port = scene.server.port();
    for (address, reason) in [
        (format!("host=127.0.0.1 hostaddr=127.0.0.1 port={port} user=postgres"), "contains `hostaddr`"),
        (format!("host=/tmp port={port} user=postgres"), "names a Unix socket"),
        (format!("host=127.0.0.2 port={port} user=postgres"), "`postgres://127.0.0.2:"),
        ("nonsense".to_owned(), "the address is invalid"),
    ] {
        let printed = scene.setup_with(&address).try_start().map(drop).expect_err("it must not start");
        assert!(printed.contains(reason), "{address}: {printed}");
    }
}
