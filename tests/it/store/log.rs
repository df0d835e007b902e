//! The log of audit records, as monitors see it, and what `vouchsafe audit` finds in a database.

use crate::cli::command::{Ended, run};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use vouchsafe_harness::broker::{Broker, Setup, profile_folder};
use vouchsafe_harness::exchange::{Form, Want, check, refused};
use vouchsafe_harness::hsm::eventually;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::scene::Scene;
use vouchsafe_harness::{jwt, now};

pub fn audit(words: &[&str]) -> Ended {
    run(Command::new(profile_folder().join("vouchsafe")).arg("audit").args(words), b"")
}

/// Issues `count` tokens, and returns their decisions.
pub fn issue(broker: &Broker, issuer: &Issuer, count: usize) -> Vec<String> {
    let issued = |_| {
        let token = jwt::mint("ES256", &issuer.claims(now()));
        let answer = check(broker, &Form::of(&token).request(), &token, Want::Issued).expect("issued");
        let jwt = answer.json()["access_token"].as_str().expect("a token").to_owned();
        jwt::Issued::parse(&jwt).claims["jti"].as_str().expect("a jti").to_owned()
    };
    (0..count).map(issued).collect()
}

/// The checkpoint, once it covers `size` decisions: another instance may be adding them.
pub fn checkpoint(broker: &Broker, size: usize) -> String {
    let start = Instant::now();
    loop {
        let text = broker.get("/log/checkpoint").text();
        if text.lines().nth(1) == Some(&size.to_string()) {
            return text;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Writes a policy that trusts the log of `broker`.
pub fn write_policy(setup: &Setup, broker: &Broker) -> PathBuf {
    let Ended { code, stdout, stderr } = audit(&["policy", "--broker", &format!("http://{}", broker.address)]);
    assert_eq!(code, 0, "{stderr}");
    let path = setup.folder.join("log-policy");
    std::fs::write(&path, stdout).expect("written");
    path
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn serves_checkpoint_tiles_and_proofs() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let broker = setup.start();
    assert_eq!(broker.get("/log/checkpoint").status, 404, "nothing was recorded");
    let ids = issue(&broker, &issuer, 3);
    checkpoint(&broker, 3);
    let checkpoint = broker.get("/log/checkpoint");
    assert_eq!((checkpoint.status, checkpoint.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let lines: Vec<_> = checkpoint.text().lines().map(str::to_owned).collect();
    assert_eq!(lines[1], "3");
    let log = lines[0].rsplit('/').next().expect("a number");
    assert_eq!(broker.get(&format!("/log/{log}/checkpoint")).text(), checkpoint.text());
    for (path, status, bytes) in [
        ("/log/tile/0/000.p/3".to_owned(), 200, 96),
        (format!("/log/{log}/tile/0/000.p/2"), 200, 64),
        ("/log/tile/0/000".to_owned(), 404, 0),
        ("/log/tile/0/000.p/4".to_owned(), 404, 0),
        ("/log/tile/1/000.p/1".to_owned(), 404, 0),
        ("/log/1/tile/0/000.p/1".to_owned(), 404, 0),
        ("/log/99999999999999999999/checkpoint".to_owned(), 404, 0),
        ("/log/".to_owned(), 404, 0),
        ("/log/proof/AAAA".to_owned(), 404, 0),
    ] {
        let answer = broker.get(&path);
        assert_eq!(answer.status, status, "{path}");
        if status == 200 {
            assert_eq!((answer.body.len(), answer.header("content-type")), (bytes, Some("application/octet-stream")));
        }
    }
    let policy = write_policy(&setup, &broker);
    let at = format!("http://{}", broker.address);
    for id in &ids {
        let proof = audit(&["proof", id, "--broker", &at, "--policy", text(&policy)]);
        assert_eq!((proof.code, proof.stdout), (0, broker.get(&format!("/log/proof/{id}")).text()), "{}", proof.stderr);
    }
    let site = audit(&["verify", &at, "--policy", text(&policy)]);
    assert_eq!((site.code, site.stdout.contains(&format!("log {log}: 3 leaves\n"))), (0, true), "{}", site.stdout);
    broker.assert_healthy();
}

#[test]
fn proof_is_pending_until_a_checkpoint_covers_it() {
    let issuer = Issuer::honest();
    let broker = Setup::trusting(&issuer).start();
    let first = issue(&broker, &issuer, 1);
    // While the host brings the log up to date, the answer is the checkpoint before.
    eventually("a checkpoint of the first record", || {
        assert_eq!(broker.get("/log/checkpoint").status, 200);
        (broker.get(&format!("/log/proof/{}", first[0])).status == 200).then_some(())
    });
    // Now and then, an exchange brings the log up to date.
    let proof = |_| broker.get(&format!("/log/proof/{}", issue(&broker, &issuer, 1)[0]));
    let pending = (0..20).map(proof).find(|answer| answer.status != 200).expect("a pending proof");
    assert_eq!((pending.status, pending.header("retry-after")), (503, Some("2")), "{}", pending.text());
    assert!(pending.text().contains("no checkpoint covers this decision yet"), "{}", pending.text());
    broker.assert_healthy();
}

/// A database with decisions in the log, and a policy that trusts it.
struct Written {
    setup: Setup,
    policy: PathBuf,
    kept: PathBuf,
    ids: Vec<String>,
}

fn written() -> Written {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let broker = setup.start();
    let ids = issue(&broker, &issuer, 6);
    let checkpoint = checkpoint(&broker, 6);
    let policy = write_policy(&setup, &broker);
    let kept = setup.folder.join("kept");
    std::fs::write(&kept, checkpoint).expect("written");
    broker.kill();
    Written { setup, policy, kept, ids }
}

impl Written {
    /// The output of `vouchsafe audit verify` after `change` to a copy.
    fn verify(&self, change: &str, more: &[&str]) -> Ended {
        let copy = self.setup.folder.join("copy.db");
        drop(std::fs::remove_file(&copy));
        let database = Connection::open(self.setup.database()).expect("opens");
        database.execute("VACUUM INTO ?1", [text(&copy)]).expect("copied");
        Connection::open(&copy).expect("opens").execute_batch(change).expect(change);
        audit(&[&["verify", text(&copy), "--policy", text(&self.policy)][..], more].concat())
    }
}

#[test]
fn names_each_changed_record() {
    let written = written();
    let ids = &written.ids;
    let clean = written.verify("", &["--checkpoint", text(&written.kept)]);
    assert_eq!(clean.code, 0, "{} {}", clean.stdout, clean.stderr);
    assert!(clean.stdout.contains("records: 6 verified, 0 from before the log"), "{}", clean.stdout);
    let row = |id: &str| format!("decision_id = '{id}'");
    for (change, findings) in [
        (format!("UPDATE audit SET subject = 'x' WHERE {}", row(&ids[1])), vec![format!("edited: decision {}", ids[1])]),
        (format!("UPDATE audit SET salt = NULL WHERE {}", row(&ids[1])), vec![format!("edited: decision {}", ids[1])]),
        (format!("DELETE FROM audit WHERE {}", row(&ids[2])), vec![format!("deleted: decision {}, leaf 2 ", ids[2])]),
        (
            format!("UPDATE audit SET seq = CASE seq WHEN 1 THEN -2 WHEN 2 THEN -1 END WHERE {} OR {}; UPDATE audit SET seq = -seq WHERE seq < 0", row(&ids[0]), row(&ids[1])),
            vec![format!("swapped: decision {}", ids[0]), format!("swapped: decision {}", ids[1])],
        ),
        (
            "INSERT INTO audit SELECT 100, 'new', decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules, \
             cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings, \
             NULL, NULL, NULL, NULL, 0, NULL, NULL, actors, salt, token_digest, leaf, jkt, status_list, status_index FROM audit LIMIT 1"
                .to_owned(),
            vec!["inserted: decision new, record 100".to_owned()],
        ),
        (
            "INSERT INTO audit SELECT 100, 'new', decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules, \
             cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings, \
             NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM audit LIMIT 1"
                .to_owned(),
            vec!["unlogged: decision new, record 100".to_owned()],
        ),
        (
            format!("DELETE FROM audit WHERE {0}; DELETE FROM log_leaves WHERE {0}", row(&ids[5])),
            vec!["truncated: log ".to_owned()],
        ),
        (
            format!("DELETE FROM audit WHERE {0}; DELETE FROM log_leaves WHERE {0}", row(&ids[3])),
            vec!["deleted: leaf 3 of log ".to_owned()],
        ),
        (
            "UPDATE log_leaves SET hash = (SELECT hash FROM log_leaves WHERE log_index = 1) WHERE log_index = 0".to_owned(),
            vec!["forked: the first 6 leaves of log ".to_owned(), format!("edited: decision {}", ids[0])],
        ),
        ("UPDATE pointers SET value = replace(value, '\n6\n', '\n7\n')".to_owned(), vec!["signature: the database: ".to_owned()]),
    ] {
        let ended = written.verify(&change, &[]);
        assert_eq!(ended.code, 1, "{change} {} {}", ended.stdout, ended.stderr);
        for finding in findings {
            assert!(ended.stdout.contains(&finding), "{change}: no `{finding}` in {}", ended.stdout);
        }
    }
}

/// With the end cut off and no checkpoint in the database, nothing there shows it; a checkpoint from elsewhere does.
#[test]
fn only_a_kept_checkpoint_shows_a_cut_end() {
    let written = written();
    let cut = "DELETE FROM audit WHERE seq > 4; DELETE FROM log_leaves WHERE seq > 4; DELETE FROM pointers WHERE name LIKE 'log/%'";
    let alone = written.verify(cut, &[]);
    assert_eq!(alone.code, 0, "{}", alone.stdout);
    assert!(alone.stdout.contains("only a checkpoint from elsewhere shows"), "{}", alone.stdout);
    let kept = written.verify(cut, &["--checkpoint", text(&written.kept)]);
    assert_eq!(kept.code, 1, "{}", kept.stdout);
    assert!(kept.stdout.contains("has 4 leaves, but 6 in the checkpoint in "), "{}", kept.stdout);
}

#[test]
fn pruned_records_keep_the_log_provable() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let old = now() - 48 * 3600;
    let broker = setup.clone().at_time(old).start();
    for _ in 0..6 {
        let token = jwt::mint("ES256", &issuer.claims(old));
        check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("issued");
    }
    let checkpoint = checkpoint(&broker, 6);
    let policy = write_policy(&setup, &broker);
    broker.kill();
    let kept = setup.folder.join("kept");
    std::fs::write(&kept, checkpoint).expect("written");
    let database = setup.database();
    let prune = |before: &str| audit(&["prune", text(&database), "--before", before]);
    let early = prune("23h");
    assert_eq!(early.code, 2);
    assert!(early.stderr.contains("error: --before must be at least a day ago"), "{}", early.stderr);
    assert_eq!(prune("72h").stdout, "0 records deleted\n");
    let pruned = prune("25h");
    assert_eq!((pruned.code, pruned.stdout.as_str()), (0, "5 records deleted\n"), "{}", pruned.stderr);
    let verified = audit(&["verify", text(&database), "--policy", text(&policy), "--checkpoint", text(&kept)]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(
        verified.stdout.contains("1 verified, 0 from before the log, 0 not in the log yet, 5 pruned"),
        "{}",
        verified.stdout
    );
    assert_eq!(prune("25h").stdout, "0 records deleted\n");
}

#[test]
fn exports_by_time_and_subject() {
    let written = written();
    let database = written.setup.database();
    let export = |words: &[&str]| audit(&[&["export", text(&database)][..], words].concat());
    let all = export(&["--format", "jsonl"]);
    let rows: Vec<serde_json::Value> =
        all.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids: Vec<_> = rows.iter().map(|row| row["decision_id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(ids, written.ids);
    let subject = rows[0]["subject"].as_str().expect("a subject");
    for (words, count) in [
        (vec!["--subject", subject], 6),
        (vec!["--subject", "another"], 0),
        (vec!["--audience", "https://another.example"], 0),
        (vec!["--since", "1h"], 6),
        (vec!["--until", "1h"], 0),
    ] {
        let ended = export(&[&["--format", "ocsf"][..], words.as_slice()].concat());
        assert_eq!((ended.code, ended.stdout.lines().count()), (0, count), "{words:?}");
    }
    let csv = export(&["--format", "csv"]);
    assert!(csv.stdout.starts_with("seq,decision_id,decided_at_ms,"), "{}", csv.stdout);
    assert_eq!(csv.stdout.lines().count(), 7);
}

/// A copy that is put back may have gone on elsewhere, so its log must not.
#[test]
fn restored_copy_begins_another_log() {
    let scene = Scene::new();
    let token = |seconds| jwt::mint("ES256", &scene.claims_at(seconds));
    let issue = |broker: &Broker, seconds| {
        let token = token(seconds);
        check(broker, &Form::of(&token).request(), &token, Want::Issued).expect("issued");
    };
    let origin = |text: &str| text.lines().next().expect("an origin").to_owned();
    let broker = scene.start_at(0);
    issue(&broker, 0);
    let first = origin(&checkpoint(&broker, 1));
    issue(&broker, 1);
    broker.kill();
    let database = scene.setup.database();
    let copy = database.with_extension("copy");
    Connection::open(&database).expect("opens").execute("VACUUM INTO ?1", [text(&copy)]).expect("copied");
    let broker = scene.start_at(5);
    issue(&broker, 5);
    assert_eq!(origin(&checkpoint(&broker, 3)), first, "a quick restart goes on");
    broker.kill();
    for journal in ["db-wal", "db-shm"] {
        drop(std::fs::remove_file(database.with_extension(journal)));
    }
    std::fs::rename(&copy, &database).expect("restored");
    let broker = scene.start_at(60);
    issue(&broker, 60);
    let old = first.rsplit('/').next().expect("a number");
    let old = broker.get(&format!("/log/{old}/checkpoint")).text();
    let covered: usize = old.lines().nth(1).expect("a size").parse().expect("a number");
    // The two decisions of the copy and the new one: none is lost, whether or not a checkpoint of the copy covered it.
    assert_ne!(origin(&checkpoint(&broker, 3 - covered)), first);
    broker.assert_healthy();
}

#[test]
fn refusals_are_in_the_log_too() {
    let issuer = Issuer::honest();
    let broker = Setup::trusting(&issuer).start();
    let mut claims = issuer.claims(now());
    claims["repository_id"] = "999".into();
    let token = jwt::mint("ES256", &claims);
    for _ in 0..5 {
        check(&broker, &Form::of(&token).request(), &token, refused(400, "invalid_target", "policy.denied"))
            .expect("denied");
    }
    checkpoint(&broker, 3);
    assert_eq!(broker.get("/log/tile/0/000.p/4").status, 404, "the others are counted");
    broker.assert_healthy();
}
