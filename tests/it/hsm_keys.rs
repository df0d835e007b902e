//! The life of an HSM key's versions through `vouchsafe keys`, real gateways, a real PKCS#11 module and
//! brokers that issue: a verifier that keeps its keys for as long as it may never meets one it can't know.

use crate::hsm::{HsmBench, events};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Instant;
use vouchsafe_tests::broker::profile_folder;
use vouchsafe_tests::bundle::{BROKER, HSM_ES256};
use vouchsafe_tests::exchange::Form;
use vouchsafe_tests::hsm::{Gateway, GatewaySetup, Token, certificates, eventually};
use vouchsafe_tests::jwt::{self, Issued};
use vouchsafe_tests::now;

/// For how long a version is published before it signs: 300 s for a verifier's copy, 60 s for a broker's,
/// 5 s for a gateway's, 60 s for clocks.
pub const PUBLISHED_SECONDS: u64 = 425;
/// `lifetime_max` of the test keys, and 300 s.
pub const WITHDRAWN_SECONDS: u64 = 900 + 300;
pub const KEY: &str = "es256";

/// What a command ended with, and all that it printed.
pub struct Ended {
    pub code: i32,
    pub text: String,
}

impl Ended {
    #[track_caller]
    pub fn is(&self, code: i32, words: &str) {
        assert!(
            self.code == code && self.text.contains(words),
            "wanted {code} and `{words}`, not {} and\n{}",
            self.code,
            self.text
        );
    }
}

/// Runs `vouchsafe keys` for these gateways.
pub fn keys(gateways: &[&GatewaySetup], arguments: &[&str]) -> Ended {
    let mut command = Command::new(profile_folder().join("vouchsafe"));
    command.arg("keys").args(arguments);
    for gateway in gateways {
        command.args(["--gateway", &gateway.admin_url()]);
    }
    let output = command
        .arg("--admin-token-file")
        .arg(gateways[0].folder.join("admin"))
        .output()
        .expect("vouchsafe runs");
    let text = [output.stdout, output.stderr].concat();
    Ended {
        code: output.status.code().expect("an exit code"),
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

/// State of each version of the key, such as `1 active, 2 canary 5%`.
pub fn states(gateway: &Gateway) -> String {
    let listing = gateway.administer("/v1/admin/keys", None).json();
    let keys = listing["keys"].as_array().expect("keys");
    let key = keys.iter().find(|key| key["name"] == KEY).expect("the key");
    let versions = key["versions"].as_array().expect("versions").iter();
    let words = versions.map(|it| {
        let share = it["share"].as_u64().map(|share| format!(" {share}%"));
        let state = it["state"].as_str().expect("a state");
        format!("{} {state}{}", it["version"], share.unwrap_or_default())
    });
    words.collect::<Vec<_>>().join(", ")
}

#[track_caller]
pub fn check_states(gateway: &Gateway, expected: &str) {
    assert_eq!(states(gateway), expected);
}

/// Gateway and broker at a moment of the test's own time.
pub struct At {
    pub gateway: Gateway,
    pub bench: HsmBench,
    start: u64,
    started: Instant,
}

impl At {
    pub fn new(setup: &GatewaySetup, start: u64) -> Self {
        let started = Instant::now();
        let danger = |start: u64| ["--danger-now".to_owned(), start.to_string()];
        let [option, value] = danger(start);
        let gateway = setup.clone().argument(option).argument(value).start();
        let at = start + started.elapsed().as_secs();
        let bench = HsmBench::start_with(&[setup], |broker| {
            let [option, value] = danger(at);
            broker.argument(option).argument(value)
        });
        Self {
            gateway,
            bench,
            start,
            started,
        }
    }

    pub fn now(&self) -> u64 {
        self.start + self.started.elapsed().as_secs()
    }

    pub fn issue(&self) -> Issued {
        let claims = jwt::claims(&self.bench.issuer.url("main"), BROKER, self.now());
        issue(&self.bench, &claims)
    }

    fn version_that_signed_last(&self) -> u64 {
        let log = events(&self.gateway, "signature");
        log.last().expect("a line")["version"]
            .as_u64()
            .expect("a number")
    }
}

pub fn issue(bench: &HsmBench, claims: &Value) -> Issued {
    issue_for(bench, HSM_ES256, claims)
}

pub fn issue_for(bench: &HsmBench, audience: &str, claims: &Value) -> Issued {
    let form = Form::of(&jwt::mint("RS256", claims)).set("audience", audience);
    let response = bench.broker.send(&form.request());
    assert_eq!(response.status, 200, "{}", response.text());
    Issued::parse(response.json()["access_token"].as_str().expect("a token"))
}

/// Every key set that some verifier may still have, with when it was fetched; and every token.
#[derive(Default)]
struct Verifiers {
    sets: Vec<(u64, Value)>,
    tokens: Vec<Issued>,
}

impl Verifiers {
    /// Fetches and issues, and holds each live token against each set that may be kept.
    #[track_caller]
    fn meet(&mut self, at: &At) {
        self.sets.push((at.now(), at.bench.broker.jwks()));
        self.tokens.extend((0..4).map(|_| at.issue()));
        let now = at.now();
        self.sets.retain(|(fetched, _)| now - fetched <= 300);
        self.tokens.retain(|token| token.number("exp") > now);
        for token in &self.tokens {
            for (fetched, jwks) in &self.sets {
                assert!(
                    token.verifies(jwks),
                    "a token of {} and keys of {fetched}, at {now}",
                    token.number("iat")
                );
            }
        }
    }
}

/// Stage, wait, canary, promote, wait, retire, destroy, with verifiers that keep keys to the last second.
#[test]
fn a_rotation_from_the_first_stage_to_a_destroyed_key_fails_no_token() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let mut verifiers = Verifiers::default();
    let staged = now() + 10;
    let at = At::new(&setup, staged);
    verifiers.meet(&at);
    let ask = |arguments: &[&str]| keys(&[&setup], arguments);
    ask(&["canary", KEY, "5%"]).is(1, "there is no version to canary");
    ask(&["stage", KEY]).is(0, "1 active, 2 pending (was 1 active)");
    ask(&["stage", KEY]).is(0, "unchanged, 1 active, 2 pending");
    ask(&["canary", KEY, "5%"]).is(1, "verifiers may not know version 2 yet");
    ask(&["promote", KEY]).is(1, "version 2 is pending");
    verifiers.meet(&at);
    drop(at);

    // The last verifier that fetched before the stage still has its keys when the new one is published.
    let at = At::new(&setup, staged + 290);
    verifiers.meet(&at);
    ask(&["canary", KEY, "100%"]).is(1, "verifiers may not know version 2 yet");
    drop(at);

    let at = At::new(&setup, staged + PUBLISHED_SECONDS + 5);
    verifiers.meet(&at);
    ask(&["canary", KEY, "100%"]).is(0, "1 active, 2 canary 100%");
    ask(&["canary", KEY, "100%"]).is(0, "unchanged");
    ask(&["stage", KEY]).is(1, "version 2 is the canary");
    verifiers.meet(&at);
    assert_eq!(at.version_that_signed_last(), 2);
    ask(&["retire", KEY, "--version", "2"]).is(1, "version 2 signs tokens");
    ask(&["promote", KEY]).is(1, "the canary can't be judged yet: 16 outcomes are wanting");
    let broker = format!("http://{}", at.bench.broker.address);
    ask(&["promote", KEY, "--broker", &broker])
        .is(0, "1 retiring, 2 active (was 1 active, 2 canary 100%)");
    ask(&["promote", KEY, "--broker", &broker]).is(0, "unchanged");
    verifiers.meet(&at);
    ask(&["retire", KEY]).is(1, "tokens of version 1 may live");
    let promoted = at.now();
    drop(at);

    // The last token of version 1 is about to end.
    let at = At::new(&setup, promoted + 890);
    verifiers.meet(&at);
    ask(&["retire", KEY]).is(1, "tokens of version 1 may live");
    let over = at.bench.broker.jwks();
    drop(at);

    let at = At::new(&setup, promoted + WITHDRAWN_SECONDS + 5);
    verifiers.meet(&at);
    ask(&["retire", KEY]).is(0, "1 retired, 2 active");
    ask(&["retire", KEY]).is(0, "unchanged");
    verifiers.meet(&at);
    let keys_of = |jwks: &Value| jwks["keys"].as_array().expect("keys").len();
    let left = eventually("a set without version 1", || {
        let jwks = at.bench.broker.jwks();
        (keys_of(&jwks) < keys_of(&over)).then_some(jwks)
    });
    assert_eq!(keys_of(&left) + 1, keys_of(&over));
    ask(&["rollback", KEY]).is(0, "nothing to roll back");
    ask(&["rollback", KEY, "--version", "2"]).is(1, "there is no version to rollback");
    ask(&["retire", KEY, "--version", "1", "--destroy"]).is(0, "1 destroyed, 2 active");
    ask(&["retire", KEY, "--version", "1", "--destroy"]).is(0, "unchanged");
    ask(&["stage", KEY]).is(0, "1 destroyed, 2 active, 3 pending");
    check_states(&at.gateway, "1 destroyed, 2 active, 3 pending");
    verifiers.meet(&at);
    let label = "vouchsafe:token:es256:v1";
    let objects = |kind: &str| {
        let output = setup.token.pkcs11_tool(&["--list-objects", "--type", kind]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        !objects("privkey").contains(label),
        "the private key is gone"
    );
    assert!(
        objects("pubkey").contains(label),
        "its number is remembered"
    );
    let acts = events(&at.gateway, "admin");
    let names: Vec<_> = acts
        .iter()
        .map(|line| line["act"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(
        names,
        ["stage", "canary", "promote", "retire", "retire", "stage"]
    );
    assert!(acts.iter().all(|line| line["caller"] == "ops"));
    assert_eq!(acts[1]["before"], "1 active, 2 pending");
    assert_eq!(acts[1]["after"], "1 active, 2 canary 100%");
}

/// A gateway in front of a token that has a staged version for long enough.
pub fn staged() -> (GatewaySetup, At) {
    staged_with(GatewaySetup::new(&Token::new()).with_keys())
}

pub fn staged_with(setup: GatewaySetup) -> (GatewaySetup, At) {
    let start = now() + 10;
    let at = At::new(&setup, start);
    keys(&[&setup], &["stage", KEY]).is(0, "2 pending");
    let staged = at.now();
    drop(at);
    let at = At::new(&setup, staged + PUBLISHED_SECONDS + 10);
    (setup, at)
}

/// Whoever dies between the two writes of a promotion leaves a token on which two versions are active.
#[test]
fn two_active_versions_on_the_token_are_read_as_one() {
    let (setup, at) = staged();
    let twin = setup
        .twin()
        .argument("--danger-now")
        .argument(at.now().to_string());
    let other = twin.start();
    keys(&[&setup], &["canary", KEY, "1%"]).is(0, "2 canary 1%");
    // The first write of a promotion, and no other: state and share, and a later moment.
    let label = format!("vouchsafe:token:{KEY}:v2");
    let id = id_of(&setup.token, &label);
    assert_eq!((&id[..6], &id[6..10]), ("767331", "6301"), "{id}");
    let since = u64::from_str_radix(&id[18..34], 16).expect("a number") + 60;
    let promoted = format!("7673316100{}{since:016x}{}", &id[10..18], &id[34..]);
    let set = setup
        .token
        .pkcs11_tool(&["--type", "privkey", "--id", &id, "--set-id", &promoted]);
    assert!(set.status.success(), "{set:?}");
    for gateway in [&at.gateway, &other] {
        eventually("one active version", || {
            (states(gateway) == "1 retiring, 2 active").then_some(())
        });
    }
    at.issue();
    assert_eq!(at.version_that_signed_last(), 2);
    // The next act ends what was begun, and a gateway that starts anew reads the same.
    keys(&[&setup, &twin], &["promote", KEY]).is(0, "1 retiring, 2 active");
    let first = id_of(&setup.token, &format!("vouchsafe:token:{KEY}:v1"));
    assert_eq!(
        &first[6..8],
        "6c",
        "version 1 says that it retires: {first}"
    );
}

/// `CKA_ID` of a private key, in hexadecimal digits.
fn id_of(token: &Token, label: &str) -> String {
    let output = token.pkcs11_tool(&["--list-objects", "--type", "privkey"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let object = text
        .split("Private Key Object")
        .find(|it| it.contains(label));
    let line = object
        .expect("the key")
        .lines()
        .find(|line| line.contains("ID:"));
    let id = line.expect("an id").split(':').nth(1).expect("digits");
    id.trim().to_owned()
}

/// Two gateways of one token: an act at one is followed by the other within a second, also a new key.
#[test]
fn gateways_of_one_token_agree() {
    let token = Token::new();
    let setup = GatewaySetup::new(&token).with_keys();
    let twin = setup.twin();
    let (first, second) = (setup.start(), twin.start());
    let bench = HsmBench::start(&[&setup, &twin]);
    let both = [&setup, &twin];
    let staged = keys(&both, &["stage", KEY]);
    staged.is(0, "1 active, 2 pending (was 1 active)");
    staged.is(0, "unchanged, 1 active, 2 pending");
    for gateway in [&first, &second] {
        check_states(gateway, "1 active, 2 pending");
    }
    keys(&[&twin], &["retire", KEY, "--version", "2"]).is(0, "2 retiring");
    eventually("the other gateway follows", || {
        (states(&first) == "1 active, 2 retiring").then_some(())
    });
    let jwks = bench.broker.jwks();
    first.kill();
    assert!(bench.issue(HSM_ES256).verifies(&jwks));
    keys(&both, &["stage", KEY]).is(3, "3 pending");
}

/// Nobody but an admin changes a key, and an admin can do nothing else.
#[test]
fn a_brokers_credential_changes_nothing_and_an_admins_signs_nothing() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let gateway = setup.start();
    let act = json!({ "key": KEY, "act": "stage" });
    let routes = [
        ("/v1/admin/keys", None),
        ("/v1/admin/act", Some(&act)),
        ("/v1/admin/probe", Some(&act)),
        ("/v1/admin/probe-outcome", Some(&act)),
        ("/v1/admin/rotate", Some(&act)),
    ];
    for (path, body) in routes {
        for credential in [&setup.credential, &setup.other_credential, &String::new()] {
            let response = gateway.administer_as(credential, path, body);
            assert_eq!(
                (response.status, &response.json()["error"]),
                (401, &"credential.unknown".into()),
                "{path}"
            );
        }
        assert_eq!(
            gateway.ask(path, body).status,
            404,
            "{path} is not where brokers ask"
        );
        let other_method = match body {
            None => Some(&act),
            Some(_) => None,
        };
        assert_eq!(gateway.administer(path, other_method).status, 405, "{path}");
    }
    for path in ["/v1/keys", "/v1/epoch-seed", "/v1/sign-token", "/readyz"] {
        assert_eq!(
            gateway.administer(path, None).status,
            404,
            "{path} is not where admins ask"
        );
    }
    let admin = &setup.admin_credential;
    assert_eq!(gateway.ask_as(admin, "/v1/keys", None).status, 401);
    assert_eq!(
        gateway.ask_as(admin, "/v1/sign-token", Some(&act)).status,
        401
    );
    for (body, slug) in [
        (json!({ "key": KEY, "act": "explode" }), "request.malformed"),
        (
            json!({ "key": KEY, "act": "stage", "more": 1 }),
            "request.malformed",
        ),
        (
            json!({ "key": KEY, "act": "canary", "share": 0 }),
            "version.share",
        ),
        (json!({ "key": "nobody", "act": "stage" }), "key.forbidden"),
    ] {
        let response = gateway.administer("/v1/admin/act", Some(&body));
        assert_eq!(response.json()["error"], slug, "{body}");
    }
    check_states(&gateway, "1 active");
    let refusals = events(&gateway, "refusal");
    assert_eq!(
        refusals.len(),
        4,
        "those of known callers are on record: {refusals:?}"
    );
    gateway.kill();
    // Without the member there is no such listener.
    let (admin, credential) = (
        format!("admin_listen = \"127.0.0.1:{}\"\n", setup.admin_port),
        std::fs::read_to_string(setup.folder.join("admin.sha256")).expect("a hash"),
    );
    let without = setup.clone().change(&admin, "");
    let (code, text) = without.run(&["serve"]);
    assert!(code == 2 && text.contains("go together"), "{text}");
    let credential = format!("[[admin]]\nname = \"ops\"\n{credential}\n");
    let _gateway = without.change(&credential, "").start();
    keys(&[&setup], &["list"]).is(3, "no answer from");
}

/// The list has what an operator has to know, for people and for programs.
#[test]
fn the_list_shows_states_uses_epochs_and_what_is_overdue() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let start = now() + 10;
    let at = At::new(&setup, start);
    at.issue();
    keys(&[&setup], &["stage", KEY]).is(0, "2 pending");
    let text = keys(&[&setup], &["list", "--deny-warnings"]);
    for words in [
        "generation 1, standby 2, hsm up",
        "default  delegated  http://127.0.0.1:3999  epochs of 1200 s",
        "1 current",
        "2 standby",
        "es256  hsm  ES256  group default",
        "may sign in 7 min",
    ] {
        text.is(0, words);
    }
    let listing = at.gateway.administer("/v1/admin/keys", None).json();
    let key = |name: &str| {
        let keys = listing["keys"].as_array().expect("keys").clone();
        keys.into_iter()
            .find(|key| key["name"] == name)
            .expect("the key")
    };
    let (used, unused) = (&key(KEY)["versions"][0], &key("eddsa")["versions"][0]);
    assert!(used["first_use"].as_u64() >= Some(start), "{used}");
    assert_eq!(used["figures"]["signed"], 1);
    assert!(unused["first_use"].is_null(), "{unused}");
    let epochs = listing["groups"][0]["epochs"].as_array().expect("epochs");
    assert_eq!(
        epochs.len(),
        2 * 4 * 2,
        "two generations, four epochs, two algorithms"
    );
    drop(at);
    let year = 366 * 86_400;
    let at = At::new(&setup, start + year);
    let text = keys(&[&setup], &["list", "--deny-warnings"]);
    text.is(
        1,
        "warning: version 1 is active for 366 days: stage the next one",
    );
    text.is(
        1,
        "warning: version 2 is pending for 366 days: try it, or retire it",
    );
    drop(at);
}

/// As in production: TLS by a private authority, and a certificate on either side.
#[test]
fn an_admin_comes_over_mutual_tls() {
    let pem = |name: &str| certificates().join(name).display().to_string();
    let setup = GatewaySetup::new(&Token::new())
        .with_keys()
        .over_mutual_tls();
    let _gateway = setup.start();
    let url = format!("https://localhost:{}", setup.admin_port);
    let list = |more: &[&str]| {
        let output = Command::new(profile_folder().join("vouchsafe"))
            .args(["keys", "list", "--gateway", &url, "--admin-token-file"])
            .arg(setup.folder.join("admin"))
            .args(more)
            .output()
            .expect("vouchsafe runs");
        let text = [output.stdout, output.stderr].concat();
        Ended {
            code: output.status.code().expect("an exit code"),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    };
    let (ca, certificate, key) = (pem("ca.pem"), pem("client.pem"), pem("client.key"));
    let shown = ["--client-certificate", &certificate, "--client-key", &key];
    list(&[&["--ca", &ca], &shown[..]].concat()).is(0, "es256  hsm  ES256");
    list(&["--ca", &ca]).is(3, "no answer from");
    list(&shown).is(3, "no answer from");
    list(&["--ca", &key]).is(2, "no certificate found");
}
