//! Subject tokens whose bearer acts for the subject (RFC 8693 §4).

use serde_json::{Value, json};
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER, IssuerFile};
use vouchsafe_harness::exchange::{Form, Want, bad, check, refused};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::{jwt, now};

const INVALID: Want = bad("token.claim_invalid");
const DENIED: Want = refused(400, "invalid_target", "policy.denied");

const RULE: &str = "@id(\"not-through-others\")\npermit (\n  principal is Oidc::Idp in Issuer::\"idp\",\n  \
    action == Action::\"issue\",\n  resource == Audience::\"https://api.example\"\n)\n\
    when { if principal has act_sub then principal.act_sub == \"batch\" else true };\n";

/// Starts a broker that trusts an `oidc` issuer `idp` whose file has these further lines.
fn start(issuer: &Issuer, more: &str, rule: &str) -> (Setup, Broker) {
    let mut files = issuer.files();
    files.push(IssuerFile::new("idp", issuer.url("idp"), more).of("oidc"));
    let setup = Setup::broker(&files, &[issuer.origin()]);
    std::fs::write(setup.folder.join("policies/rules/idp.cedar"), rule).expect("a rule");
    let broker = setup.start();
    (setup, broker)
}

fn ask(broker: &Broker, issuer: &Issuer, more: &Value, want: Want) {
    let mut claims = jwt::claims(&issuer.url("idp"), BROKER, now());
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    let token = jwt::mint("RS256", &claims);
    let request = Form::of(&token).set("audience", API).request();
    check(broker, &request, &token, want).unwrap_or_else(|failure| panic!("{more}: {failure}"));
}

fn realms() -> Issuer {
    Issuer::start(["main", "other", "idp"].map(|realm| (realm, Script::honest())))
}

#[test]
fn rejects_delegated_tokens_by_default() {
    let issuer = realms();
    let rule = RULE.replace("if principal has act_sub then principal.act_sub == \"batch\" else true", "true");
    let (_, broker) = start(&issuer, "", &rule);
    ask(&broker, &issuer, &json!({}), Want::Issued);
    for name in ["act", "may_act"] {
        let more = json!({ name: { "sub": "batch" } });
        ask(&broker, &issuer, &more, INVALID);
    }
    broker.assert_healthy();
}

#[test]
fn passes_actor_to_policies_and_records() {
    let issuer = realms();
    let (setup, broker) = start(&issuer, "allow_act = true\n", RULE);
    ask(&broker, &issuer, &json!({}), Want::Issued);
    let acting = |sub: &str| json!({ "act": { "sub": sub } });
    ask(&broker, &issuer, &acting("batch"), Want::Issued);
    ask(&broker, &issuer, &acting("cron"), DENIED);
    ask(&broker, &issuer, &json!({ "act": {} }), INVALID);
    let database = rusqlite::Connection::open(setup.database()).expect("the database");
    let mut rows = database.prepare("SELECT cedar_request FROM audit ORDER BY seq").expect("the audit table");
    let records = rows
        .query_map([], |row| row.get::<_, String>(0))
        .expect("records")
        .map(|record| serde_json::from_str::<Value>(&record.expect("text")).expect("JSON"));
    let actors: Vec<_> = records.map(|record| actor_of(&record)).collect();
    assert_eq!(actors, [None, Some("batch".to_owned()), Some("cron".to_owned())]);
    broker.assert_healthy();
}

/// The principal's attribute `act_sub` in a recorded Cedar request.
fn actor_of(record: &Value) -> Option<String> {
    let entities = record["entities"].as_array().expect("entities");
    entities.iter().find_map(|entity| entity["attrs"]["act_sub"].as_str()).map(str::to_owned)
}
