//! Audit records on PostgreSQL: verified, exported and pruned from outside.

use super::postgres::{Scene, present, vouchsafe};
use serde_json::Value;
use vouchsafe_harness::broker::Broker;
use vouchsafe_harness::hsm::eventually;
use vouchsafe_harness::http::Request;

/// A broker that issued tokens, one of which was presented again; its log has all of them.
fn used(scene: &Scene) -> Broker {
    let broker = scene.setup().start();
    for _ in 0..3 {
        let token = scene.token();
        assert_eq!(present(&broker, &token).status, 200);
        assert_eq!(present(&broker, &token).status, 400);
    }
    // Transactions of other tests on the same server keep records out of the log for a moment.
    eventually("a checkpoint of all records", || {
        let checkpoint = broker.send(&Request::get("/log/checkpoint")).text();
        (checkpoint.lines().nth(1) == Some("6")).then_some(())
    });
    broker
}

/// Writes a policy that trusts the log of the broker.
fn policy(scene: &Scene, broker: &Broker) -> String {
    let key = broker.send(&Request::get("/log/key")).text();
    let path = std::env::temp_dir().join(format!("vouchsafe-policy-{}", scene.database));
    std::fs::write(&path, format!("log {} https://broker.example/log\nquorum none\n", key.trim())).expect("written");
    path.display().to_string()
}

fn verified(scene: &Scene, policy: &str) -> (Option<i32>, Vec<String>, u64) {
    let (code, text) = vouchsafe(&["audit", "verify", &scene.address(), "--policy", policy, "--format", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{code:?}: {text}"));
    let findings = report["findings"].as_array().expect("findings");
    let slugs = findings.iter().map(|it| it["finding"].as_str().unwrap_or_default().to_owned());
    (code, slugs.collect(), report["records"]["verified"].as_u64().unwrap_or(0))
}

#[test]
fn verification_finds_edited_deleted_and_inserted_records() {
    let scene = Scene::new();
    let broker = used(&scene);
    let policy = policy(&scene, &broker);
    assert_eq!(verified(&scene, &policy), (Some(0), vec![], 6));
    let sql = |text: &str| scene.server.sql(&scene.database, text);
    let one = sql("SELECT min(decision_id) FROM audit");
    sql(&format!("UPDATE audit SET subject = 'somebody else' WHERE decision_id = '{one}'"));
    assert_eq!(verified(&scene, &policy), (Some(1), vec!["edited".to_owned()], 5));
    sql(&format!("DELETE FROM audit WHERE decision_id = '{one}'"));
    assert_eq!(verified(&scene, &policy), (Some(1), vec!["deleted".to_owned()], 5));
    let columns = "decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules, cedar_request, \
        issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings";
    sql(&format!(
        "INSERT INTO audit (decision_id, {columns}) SELECT 'inserted', {columns} FROM audit ORDER BY seq LIMIT 1"
    ));
    let (code, mut findings, _) = verified(&scene, &policy);
    findings.sort();
    assert_eq!((code, findings), (Some(1), vec!["deleted".to_owned(), "unlogged".to_owned()]));
}

#[test]
fn exports_every_record_and_continues_at_the_cursor() {
    let scene = Scene::new();
    let broker = used(&scene);
    let folder = std::env::temp_dir().join(format!("vouchsafe-export-{}", scene.database));
    let (file, cursor) = (folder.join("audit.jsonl"), folder.join("cursor"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let export = || {
        let (address, to) = (scene.address(), format!("file:{}", file.display()));
        let cursor = cursor.display().to_string();
        let arguments = ["audit", "export", &address, "--format", "jsonl", "--to", &to, "--cursor", &cursor];
        let (code, text) = vouchsafe(&arguments);
        assert_eq!(code, Some(0), "{text}");
        let lines = std::fs::read_to_string(&file).expect("lines");
        let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        rows
    };
    let rows = export();
    let slugs: Vec<_> = rows.iter().map(|row| row["slug"].as_str().unwrap_or_default()).collect();
    assert_eq!(slugs, ["issued", "replay.spent"].repeat(3));
    assert!(rows.iter().all(|row| row["repeats"] == 0 && row["seq"].is_u64()), "{rows:?}");
    assert_eq!(present(&broker, &scene.token()).status, 200);
    let rows = export();
    assert_eq!((rows.len(), rows[6]["slug"].as_str()), (7, Some("issued")));
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn pruned_records_leave_a_log_that_verifies() {
    let scene = Scene::new();
    let broker = used(&scene);
    let policy = policy(&scene, &broker);
    let prune = || {
        let (code, text) = vouchsafe(&["audit", "prune", &scene.address(), "--before", "1d"]);
        assert_eq!(code, Some(0), "{text}");
        text
    };
    assert_eq!(prune(), "0 records deleted\n", "all are from today");
    // Two records from the day before yesterday. They no longer are what was recorded, but are about to be deleted.
    let old = "decided_at_ms - 172800000";
    let sql = |text: &str| scene.server.sql(&scene.database, text);
    sql("SELECT create_partitions(1)");
    sql(&format!(
        "UPDATE audit SET decided_at_ms = {old} WHERE decision_id IN (SELECT decision_id FROM log_leaves ORDER BY seq LIMIT 2)"
    ));
    assert_eq!(prune(), "2 records deleted\n");
    let (code, findings, verified) = verified(&scene, &policy);
    assert_eq!((code, findings, verified), (Some(0), vec![], 4));
}
