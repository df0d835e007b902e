//! What `/readyz` and `serve` tell an operator to change.

use serde_json::Value;
use vouchsafe_harness::broker::{Setup, repository};
use vouchsafe_harness::bundle::BEYOND;
use vouchsafe_harness::exchange::{Form, Want, check};
use vouchsafe_harness::scene::Scene;
use vouchsafe_harness::{jwt, now};

/// The `/readyz` of a broker in production, and what it printed at start-up.
fn ready(audiences: &str) -> (Value, Vec<String>) {
    let hosts = ["https://token.actions.githubusercontent.com".to_owned()];
    let policies = repository().join("policies");
    let broker = Setup::broker(&[], &hosts)
        .argument("--policies")
        .argument(policies.display().to_string())
        .variable("issuer", "https://broker.example")
        .variable("development", "false")
        .variable("signer_audiences", audiences)
        .start();
    let response = broker.get("/readyz");
    assert_eq!(response.status, 200, "{}", response.text());
    broker.get("/healthz");
    (response.json()["warnings"].clone(), broker.printed_before("healthz"))
}

#[test]
fn warns_of_open_audience_ceiling() {
    let warning = "`signer_audiences` is `*`: the signer signs for every audience that the bundle may ever contain; list the audiences";
    let (warnings, printed) = ready("*");
    assert_eq!(warnings, serde_json::json!([warning]));
    assert_eq!(printed, [format!("warning: {warning}")]);
    let (warnings, printed) = ready("https://api.example https://deploy.example");
    assert_eq!((warnings, printed), (Value::Null, vec![]));
}

#[test]
fn warns_of_audience_beyond_signer_ceiling() {
    let warning = "audience `https://deploy.example` is beyond `signer_audiences`";
    let (warnings, printed) = ready("https://api.example https://deploy.exampel");
    assert_eq!(warnings, serde_json::json!([warning]));
    assert_eq!(printed, [format!("warning: {warning}")]);
}

/// The tests' bundle has an audience of tier `hsm`, and one that `signer_audiences` lacks.
#[test]
fn logs_warnings_once_per_instance() {
    let scene = Scene::new();
    let broker = scene.setup.start();
    let expected = serde_json::json!([
        "audience `https://beyond.example` is beyond `signer_audiences`",
        "audience `https://hsm.example` has tier `hsm`, and the signer has no HSM",
    ]);
    let mut warnings = broker.get("/readyz").json()["warnings"].clone();
    warnings.as_array_mut().expect("warnings").retain(|text| expected.as_array().expect("a list").contains(text));
    assert_eq!(warnings, expected);
    // `serve` asks before it accepts connections.
    let line = broker.line("readyz");
    assert_eq!((&line["level"], &line["status"]), (&"warn".into(), &200.into()), "{line}");
    assert!(line["warnings"].as_array().is_some_and(|logged| logged.len() >= 2), "{line}");
    let line = broker.line("readyz");
    assert_eq!((&line["level"], &line["warnings"]), (&"info".into(), &Value::Null), "{line}");
    broker.assert_healthy();
}

#[test]
fn logs_ceiling_that_refuses_audience() {
    let scene = Scene::new();
    let broker = scene.setup.start();
    let token = jwt::mint("ES256", &scene.issuer.claims(now()));
    assert_eq!(broker.send(&Form::of(&token).set("audience", BEYOND).request()).status, 400);
    let line = broker.line("token");
    assert_eq!(line["detail"], "the audience is beyond `signer_audiences`");
    assert_eq!(line["audience"], BEYOND);
}

/// Another root means other keys: verifiers with cached keys refuse the new tokens.
#[test]
fn warns_of_another_root_until_accepted() {
    let scene = Scene::new();
    let another = scene.setup.clone().variable("signer_root", &"A".repeat(43));
    let changed = |setup: &Setup| {
        let broker = setup.start();
        let ready = broker.get("/readyz");
        assert_eq!(ready.status, 200, "{}", ready.text());
        let token = jwt::mint("ES256", &scene.issuer.claims(now()));
        check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("it goes on");
        broker.kill();
        ready.text().contains("`signer_root` is not the one that this database has seen")
    };
    assert!(!changed(&scene.setup), "the first one");
    assert!(!changed(&scene.setup), "the same again");
    assert!(changed(&another));
    assert!(changed(&another), "a warning is not an acceptance");
    let database = rusqlite::Connection::open(scene.setup.database()).expect("the database");
    let forgotten = database.execute("DELETE FROM pointers WHERE name LIKE 'signer-root/%'", []);
    assert_eq!(forgotten, Ok(1));
    assert!(!changed(&another));
    assert!(changed(&scene.setup));
    let known: String = database
        .query_row("SELECT value FROM pointers WHERE name LIKE 'signer-root/%'", [], |row| row.get(0))
        .expect("a fingerprint");
    assert_eq!(known.len(), 22, "128 bits, and nothing of the root: {known}");
}
