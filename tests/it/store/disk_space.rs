//! A full disk: reported before it is full, and not ready once nothing can be written.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::exchange::{Form, Want, check, unavailable};
use vouchsafe_harness::http::{self, Request};
use vouchsafe_harness::ports::port;
use vouchsafe_harness::scene::Scene;
use vouchsafe_harness::{jwt, now};

const STORE: Want = unavailable("store.unavailable");
/// Makes writes beyond the limit fail with an error instead of a signal.
const WITHOUT_SIGNAL: &str = "trap '' XFSZ; exec \"$@\"";
/// Runs a command in a mount namespace of its own, which not every machine allows.
const OWN_MOUNTS: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];
const DISK_MIB: u64 = 64;
/// How long the host may take to notice free space, which it checks every 5 s.
const NOTED_WITHIN: Duration = Duration::from_secs(30);

fn new_token(scene: &Scene) -> String {
    jwt::mint("ES256", &scene.issuer.claims(now()))
}

fn present(scene: &Scene, broker: &Broker, want: Want) {
    let token = new_token(scene);
    check(broker, &Form::of(&token).request(), &token, want).expect("the expected response");
}

/// Limits the size of files that a process writes, like a quota; `unlimited` removes the limit.
fn limit_files(process: u32, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let status = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status();
    assert!(status.expect("prlimit runs").success());
}

#[test]
fn is_not_ready_while_store_is_unwritable() {
    let scene = Scene::new();
    let setup = scene.setup.clone().from_script(&[], WITHOUT_SIGNAL);
    let broker = setup.start();
    assert_eq!(broker.get("/readyz").status, 200);
    limit_files(broker.process(), "0");
    // The result of an earlier write counts for a second.
    std::thread::sleep(Duration::from_millis(1100));
    let ready = broker.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text());
    let description = ready.json()["error_description"].to_string();
    assert!(description.starts_with("\"the store is unavailable (request "), "{description}");
    assert_eq!(broker.get("/healthz").status, 200);
    present(&scene, &broker, STORE);
    limit_files(broker.process(), "unlimited");
    assert_eq!(broker.get("/readyz").status, 200);
    present(&scene, &broker, Want::Issued);
}

/// The state folder of `broker` as its own process sees it.
fn state_within(broker: &Broker, setup: &Setup) -> PathBuf {
    let state = setup.folder.join("state");
    let state = state.strip_prefix("/").expect("an absolute path");
    Path::new("/proc").join(broker.process().to_string()).join("root").join(state)
}

fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("a file");
    let block = [0; 1 << 16];
    while file.write_all(&block).is_ok() {}
}

#[test]
fn reports_low_space_before_disk_is_full() {
    if !Command::new(OWN_MOUNTS[0]).args(&OWN_MOUNTS[1..]).arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: this machine does not allow mount namespaces");
        return;
    }
    let scene = Scene::new();
    let state = scene.setup.folder.join("state");
    std::fs::create_dir(&state).expect("a folder");
    let script = format!("mount -t tmpfs -o mode=700,size={DISK_MIB}m tmpfs '{}'; exec \"$@\"", state.display());
    let setup = scene.setup.clone().from_script(&OWN_MOUNTS, &script);
    let broker = setup.start();
    let ready = broker.get("/readyz");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["store"]["space"], "low");
    present(&scene, &broker, Want::Issued);

    let filler = state_within(&broker, &setup).join("filler");
    fill(&filler);
    // Existing pages of the log are overwritten until it has to grow.
    let end = Instant::now() + NOTED_WITHIN;
    while broker.get("/readyz").status == 200 && Instant::now() < end {
        let token = new_token(&scene);
        let _issued_or_not = broker.send(&Form::of(&token).request());
    }
    assert_eq!(broker.get("/readyz").status, 503);
    let token = new_token(&scene);
    assert_eq!(broker.send(&Form::of(&token).request()).status, 503);

    std::fs::remove_file(&filler).expect("removed");
    assert_eq!(broker.get("/readyz").status, 200);
    let token = new_token(&scene);
    assert_eq!(broker.send(&Form::of(&token).request()).status, 200);
}

#[test]
fn exports_store_size_and_free_space() {
    let scene = Scene::new();
    let address = format!("127.0.0.1:{}", port());
    let setup = scene.setup.clone().argument("--metrics-listen");
    let broker = setup.argument(&address).start();
    let ready = broker.get("/readyz");
    assert_eq!(ready.json()["store"]["space"], "ok", "{}", ready.text());
    let metric = |name: &str| -> u64 {
        let answer = http::send(&address, &Request::get("/metrics")).expect("a response");
        let text = answer.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.unwrap_or_else(|| panic!("no {name} in\n{text}"));
        value.trim().parse().expect("a number")
    };
    let on_disk = || -> u64 {
        let database = scene.setup.database();
        let log = database.with_extension("db-wal");
        let length = |path: &Path| std::fs::metadata(path).expect("a file").len();
        length(&database) + length(&log)
    };
    let before = on_disk();
    let reported = metric("vouchsafe_store_bytes ");
    assert!((before..=on_disk()).contains(&reported), "{reported}");
    present(&scene, &broker, Want::Issued);
    assert!(metric("vouchsafe_store_bytes ") > before);
    assert!(metric("vouchsafe_store_free_bytes ") > 0);
}
