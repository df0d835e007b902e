//! The policy component decides like the policy tools, and its decisions can be explained later.

use rusqlite::Connection;
use serde_json::{Value, json};
use std::process::Command;
use vouchsafe_harness::broker::{Setup, profile_folder};
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY, EDDSA, EPOCH_SECONDS};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::{jwt, now};
use vouchsafe_policy::{Bundle, Effect, Environment, folder};
use vouchsafe_policy_tools::RecordedRequest;

/// Policies in addition to the tests' permits: scopes, lifetimes, groups, local time, a template, and a `forbid` whose
/// evaluation fails.
const RULES: &str = r#"
@id("topic-reads")
permit (principal is GitHub::Workflow in Issuer::"main", action == Action::"issue", resource)
when { principal.ref like "refs/heads/*" && ["read"].containsAll(context.scopes) }
unless { principal.event_name == "pull_request" };

@id("short-lives")
permit (principal is GitHub::Workflow in Issuer::"main", action == Action::"issue", resource in AudienceGroup::"some")
when { context.requested_lifetime_seconds <= 60 };

@id("group")
permit (principal in WorkloadGroup::"some", action == Action::"issue", resource)
when { context.local.berlin.hour >= 0 && context.scopes.isEmpty() };

@id("errs")
forbid (principal is GitHub::Workflow, action == Action::"issue", resource == Audience::"https://eddsa.example")
when { context.requested_lifetime_seconds + 9223372036854775747 > 0 };

@id("no-targets")
forbid (principal is GitHub::Workflow, action, resource)
when { principal.event_name == "pull_request_target" };

@id("template")
permit (principal is GitHub::Workflow in ?principal, action == Action::"issue", resource == ?resource)
when { principal.repository_id == "4" };
"#;
const LINKS: &str = "[[link]]\nid = \"filled\"\ntemplate = \"template\"\nprincipal = 'Issuer::\"main\"'\n\
    resource = 'Audience::\"https://deploy.example\"'\n";
const GROUP: &str = "audiences = [\"https://api.example\", \"https://eddsa.example\"]\n\
    [[workloads]]\nissuer = \"main\"\nclaims = { repository_id = \"2\" }\n";
const HEAD: &str = "name = \"tests\"\nversion = \"1\"\n[zones]\nberlin = \"Europe/Berlin\"\n";

const REQUESTS: u64 = 500;

/// A generator whose sequence never changes for a seed (Steele and others, SplitMix64).
struct Random(u64);

impl Random {
    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        choices[((mixed ^ (mixed >> 31)) % choices.len() as u64) as usize]
    }
}

fn setup(issuer: &Issuer) -> Setup {
    let setup = Setup::trusting(issuer);
    let bundle = setup.folder.join("policies");
    std::fs::create_dir_all(bundle.join("entities")).expect("a folder");
    for (path, text) in
        [("bundle.toml", HEAD), ("entities/some.toml", GROUP), ("rules/more.cedar", RULES), ("rules/more.toml", LINKS)]
    {
        std::fs::write(bundle.join(path), text).expect("a file");
    }
    setup
}

#[test]
fn decides_500_exchanges_like_policy_tools() {
    let issuer = Issuer::honest();
    let setup = setup(&issuer);
    let broker = setup.start();
    let mut random = Random(7);
    for number in 0..REQUESTS {
        let mut claims = issuer.claims(now());
        // With one subject only, the limit on denials would apply.
        claims["sub"] = json!(format!("repo:octo-org/octo-repo:request:{number}"));
        claims["repository_id"] = json!(random.pick(&["123456", "2", "3", "4"]));
        claims["ref"] = json!(random.pick(&["refs/heads/main", "refs/heads/topic", "refs/tags/v1"]));
        claims["event_name"] = json!(random.pick(&["push", "push", "pull_request", "pull_request_target"]));
        let form = Form::of(&jwt::mint("RS256", &claims)).set("audience", random.pick(&[API, DEPLOY, EDDSA]));
        let form = match random.pick(&["", "read", "read write"]) {
            "" => form,
            scope => form.and("scope", scope),
        };
        let lifetime = random.pick(&["60", "61"]);
        broker.send(&form.and("requested_expires_in", lifetime).request());
    }
    let files = folder::read(&setup.folder.join("policies")).expect("the bundle");
    let environment = Environment { issuer: BROKER.to_owned(), development: true, epoch_seconds: EPOCH_SECONDS };
    let bundle = Bundle::load(&files, &environment).unwrap_or_else(|invalid| panic!("{invalid}"));
    let rows = rows(&setup);
    assert_eq!(rows.len() as u64, REQUESTS);
    let (mut permitted, mut denied, mut erred) = (0, 0, 0);
    for [cedar_request, determining, erring, slug, digest] in &rows {
        let asked = RecordedRequest::parse(cedar_request).expect("a record");
        let decision = bundle.decide(&asked.principal, &asked.request, asked.now).expect("it is decided");
        assert_eq!(digest, bundle.digest());
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("it is JSON");
        let decided = value(&decision.cedar_request);
        assert_eq!(decided, value(cedar_request), "a record is incomplete");
        assert_eq!(&json!(decision.determining_rules).to_string(), determining, "{cedar_request}");
        assert_eq!(&json!(decision.erring_rules).to_string(), erring, "{cedar_request}");
        let is_denied = slug == "policy.denied";
        assert_eq!(decision.effect == Effect::Deny, is_denied, "{slug}: {cedar_request}");
        denied += usize::from(is_denied);
        permitted += usize::from(!is_denied);
        erred += usize::from(erring != "[]");
    }
    // The generated requests cover everything that is compared.
    assert!(permitted > 50 && denied > 50 && erred > 20, "{permitted} {denied} {erred}");
}

/// Cedar request, determining and failing policies, slug and digest of every record.
fn rows(setup: &Setup) -> Vec<[String; 5]> {
    let database = Connection::open(setup.database()).expect("opens");
    let mut statement = database
        .prepare("SELECT cedar_request, determining_rules, erring_rules, slug, bundle_digest FROM audit ORDER BY seq")
        .expect("a table");
    let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<[String; 5]> {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
    };
    let rows = statement.query_map([], row).expect("rows");
    rows.collect::<Result<_, _>>().expect("text")
}

#[test]
fn explains_denial_from_broker_records() {
    let issuer = Issuer::honest();
    let setup = setup(&issuer);
    let broker = setup.start();
    let mut claims = issuer.claims(now());
    claims["event_name"] = json!("pull_request_target");
    let response = broker.send(&Form::of(&jwt::mint("RS256", &claims)).request());
    let id = response.json()["decision_id"].as_str().expect("an id").to_owned();
    let policies = setup.folder.join("policies");
    let output = Command::new(profile_folder().join("vouchsafe"))
        .args(["policy", "explain"])
        .arg(&policies)
        .args(["--decision", &id, "--format", "json", "--issuer", BROKER])
        .args(["--epoch-seconds", &EPOCH_SECONDS.to_string()])
        .arg("--state-dir")
        .arg(setup.folder.join("state"))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["decision"], "deny");
    assert_eq!(json["determining_rules"], json!(["no-targets"]));
    let notes = json!([format!("decision {id} was refused (policy.denied), determined by `no-targets`")]);
    assert_eq!(json["notes"], notes, "another bundle decided");
}
