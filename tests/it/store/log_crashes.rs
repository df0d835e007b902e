//! SIGKILL while records are added to the log, and two brokers that do so at once: no leaf is lost and no tree forks.
//!
//! `VOUCHSAFE_KILLS` is the number of kills.

use super::log::{audit, issue, text, write_policy};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::http::{self, Request};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::{jwt, now};

const KILLS_DEFAULT: u64 = 3;
/// Checkpoints that clients have before the broker of a round is killed.
const CHECKPOINTS_PER_ROUND: usize = 1;
/// Longest time for a round.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// Exchanges tokens until `stop`, or until the broker is gone.
fn load(broker: &Broker, issuer: &Issuer, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let token = jwt::mint("ES256", &issuer.claims(now()));
        if http::send(&broker.address, &Form::of(&token).request()).is_err() {
            return;
        }
    }
}

/// Requests checkpoints until `stop`, or until the broker is gone.
fn poll(broker: &Broker, stop: &AtomicBool) {
    let request = Request::get("/log/checkpoint");
    while !stop.load(Relaxed) && http::send(&broker.address, &request).is_ok() {}
}

/// Requests checkpoints of all `brokers` while clients exchange tokens, until there are `wanted` different ones. Kills the
/// brokers about when the next one is made.
fn watch(brokers: &[&Broker], issuer: &Issuer, wanted: usize, round: u64) -> Vec<String> {
    let (stop, mut seen) = (AtomicBool::new(false), Vec::new());
    std::thread::scope(|scope| {
        for broker in brokers.iter().cycle().take(4) {
            scope.spawn(|| load(broker, issuer, &stop));
        }
        let start = Instant::now();
        while seen.len() < wanted {
            assert!(start.elapsed() < ROUND_MAX, "{} checkpoints in {ROUND_MAX:?}", seen.len());
            for broker in brokers {
                let checkpoint = http::send(&broker.address, &Request::get("/log/checkpoint")).expect("an answer");
                let text = checkpoint.text();
                if checkpoint.status == 200 && !seen.contains(&text) {
                    seen.push(text);
                }
            }
        }
        brokers.iter().for_each(|broker| drop(scope.spawn(|| poll(broker, &stop))));
        // A checkpoint is made once a second. No delay must change the outcome.
        std::thread::sleep(Duration::from_millis(900 + round * 37 % 250));
        brokers.iter().for_each(|broker| broker.kill());
        stop.store(true, Relaxed);
    });
    seen
}

/// Every checkpoint that anybody saw is one of the log that there is now, and every record is in it.
fn assert_consistent(setup: &Setup, policy: &std::path::Path, seen: &[String]) {
    let kept: Vec<PathBuf> = (0..seen.len()).map(|number| setup.folder.join(format!("checkpoint-{number}"))).collect();
    for (path, checkpoint) in kept.iter().zip(seen) {
        std::fs::write(path, checkpoint).expect("written");
    }
    let database = setup.database();
    let mut words = vec!["verify", text(&database), "--policy", text(policy)];
    kept.iter().for_each(|path| words.extend(["--checkpoint", text(path)]));
    let ended = audit(&words);
    assert_eq!(ended.code, 0, "{} {}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(" 0 from before the log, 0 not in the log yet"), "{}", ended.stdout);
}

#[test]
fn kills_lose_no_leaf_and_fork_no_tree() {
    let kills = std::env::var("VOUCHSAFE_KILLS").map_or(KILLS_DEFAULT, |text| text.parse().expect("a number"));
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let mut seen = Vec::new();
    for round in 0..kills {
        seen.extend(watch(&[&setup.start()], &issuer, CHECKPOINTS_PER_ROUND, round));
    }
    let broker = setup.start();
    issue(&broker, &issuer, 1);
    assert_eq!(until_merged(&broker), 200);
    let policy = write_policy(&setup, &broker);
    broker.kill();
    assert_consistent(&setup, &policy, &seen);
}

#[test]
fn two_brokers_on_one_database_make_one_log() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let [one, other] = [setup.start(), setup.start()];
    let seen = watch(&[&one, &other], &issuer, 6, 0);
    let broker = setup.start();
    issue(&broker, &issuer, 1);
    assert_eq!(until_merged(&broker), 200);
    let policy = write_policy(&setup, &broker);
    broker.kill();
    assert_consistent(&setup, &policy, &seen);
}

/// Requests the checkpoint until it covers the latest decision: another broker's lease may be in force for a second.
fn until_merged(broker: &Broker) -> u16 {
    let start = Instant::now();
    loop {
        let before = broker.get("/log/checkpoint").text();
        std::thread::sleep(Duration::from_millis(1100));
        let after = broker.get("/log/checkpoint");
        if after.text() == before || start.elapsed() > ROUND_MAX {
            return after.status;
        }
    }
}
