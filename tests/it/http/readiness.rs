//! What `/readyz` and `serve` tell an operator to change.

use serde_json::Value;
use vouchsafe_harness::broker::{Setup, repository};

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
