//! The life of an HSM key's versions with `vouchsafe keys`, real gateways, a real PKCS#11 module and brokers that
//! issue: a verifier that caches its keys as long as allowed must never meet an unknown one.

use serde_json::{Value, json};
use std::process::Command;
use vouchsafe_harness::broker::profile_folder;
use vouchsafe_harness::bundle::HSM_ES256;
use vouchsafe_harness::hsm::{
    At, Ended, GatewaySetup, HsmFixture, KEY, PUBLISHED_SECONDS, Pkcs11Token, WITHDRAWN_SECONDS, certificates,
    check_states, eventually, keys, staged, states,
};
use vouchsafe_harness::jwt::Issued;
use vouchsafe_harness::now;

/// Every key set that a verifier may still have, with its fetch time, and every token.
#[derive(Default)]
struct Verifiers {
    sets: Vec<(u64, Value)>,
    tokens: Vec<Issued>,
}

impl Verifiers {
    /// Fetches keys, issues tokens, and verifies each live token with each key set that may still be in use.
    #[track_caller]
    fn fetch_and_verify(&mut self, at: &At) {
        self.sets.push((at.now(), at.fixture.broker.jwks()));
        self.tokens.extend((0..4).map(|_| at.issue()));
        let now = at.now();
        self.sets.retain(|(fetched, _)| now - fetched <= 300);
        self.tokens.retain(|token| token.number("exp") > now);
        for token in &self.tokens {
            for (fetched, jwks) in &self.sets {
                assert!(token.verifies(jwks), "a token of {} and keys of {fetched}, at {now}", token.number("iat"));
            }
        }
    }
}

/// Stage, wait, canary, promote, wait, retire, destroy, with verifiers that cache keys to the last second.
#[test]
fn rotates_key_without_failed_token() {
    let setup = GatewaySetup::initialized();
    let mut verifiers = Verifiers::default();
    let staged = now() + 10;
    let at = At::new(&setup, staged);
    verifiers.fetch_and_verify(&at);
    let ask = |arguments: &[&str]| keys(&[&setup], arguments);
    ask(&["canary", KEY, "5%"]).is(1, "there is no version to canary");
    ask(&["stage", KEY]).is(0, "1 active, 2 pending (was 1 active)");
    ask(&["stage", KEY]).is(0, "unchanged, 1 active, 2 pending");
    ask(&["canary", KEY, "5%"]).is(1, "verifiers may not know version 2 yet");
    ask(&["promote", KEY]).is(1, "version 2 is pending");
    verifiers.fetch_and_verify(&at);
    drop(at);

    // The last verifier that fetched before the stage still uses the old key set.
    let at = At::new(&setup, staged + 290);
    verifiers.fetch_and_verify(&at);
    ask(&["canary", KEY, "100%"]).is(1, "verifiers may not know version 2 yet");
    drop(at);

    let at = At::new(&setup, staged + PUBLISHED_SECONDS + 5);
    verifiers.fetch_and_verify(&at);
    ask(&["canary", KEY, "100%"]).is(0, "1 active, 2 canary 100%");
    ask(&["canary", KEY, "100%"]).is(0, "unchanged");
    ask(&["stage", KEY]).is(1, "version 2 is the canary");
    verifiers.fetch_and_verify(&at);
    assert_eq!(at.version_that_signed_last(), 2);
    ask(&["retire", KEY, "--version", "2"]).is(1, "version 2 signs tokens");
    ask(&["promote", KEY]).is(1, "not enough canary data: 16 more outcomes required");
    let broker = format!("http://{}", at.fixture.broker.address);
    ask(&["promote", KEY, "--broker", &broker]).is(0, "1 retiring, 2 active (was 1 active, 2 canary 100%)");
    ask(&["promote", KEY, "--broker", &broker]).is(0, "unchanged");
    verifiers.fetch_and_verify(&at);
    ask(&["retire", KEY]).is(1, "tokens of version 1 may still be valid");
    let promoted = at.now();
    drop(at);

    // The last token of version 1 is about to expire.
    let at = At::new(&setup, promoted + 890);
    verifiers.fetch_and_verify(&at);
    ask(&["retire", KEY]).is(1, "tokens of version 1 may still be valid");
    let over = at.fixture.broker.jwks();
    drop(at);

    let at = At::new(&setup, promoted + WITHDRAWN_SECONDS + 5);
    verifiers.fetch_and_verify(&at);
    ask(&["retire", KEY]).is(0, "1 retired, 2 active");
    ask(&["retire", KEY]).is(0, "unchanged");
    verifiers.fetch_and_verify(&at);
    let keys_of = |jwks: &Value| jwks["keys"].as_array().expect("keys").len();
    let left = eventually("a key set without version 1", || {
        let jwks = at.fixture.broker.jwks();
        (keys_of(&jwks) < keys_of(&over)).then_some(jwks)
    });
    assert_eq!(keys_of(&left) + 1, keys_of(&over));
    ask(&["rollback", KEY]).is(0, "nothing to roll back");
    ask(&["rollback", KEY, "--version", "2"]).is(1, "there is no version to rollback");
    ask(&["retire", KEY, "--version", "1", "--destroy"]).is(0, "1 destroyed, 2 active");
    ask(&["retire", KEY, "--version", "1", "--destroy"]).is(0, "unchanged");
    ask(&["stage", KEY]).is(0, "1 destroyed, 2 active, 3 pending");
    check_states(&at.gateway, "1 destroyed, 2 active, 3 pending");
    verifiers.fetch_and_verify(&at);
    let label = "vouchsafe:token:es256:v1";
    let objects = |kind: &str| {
        let output = setup.token.pkcs11_tool(&["--list-objects", "--type", kind]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(!objects("privkey").contains(label), "the private key still exists");
    assert!(objects("pubkey").contains(label), "the public key, which reserves the number, is gone");
    let acts = at.gateway.events("admin");
    let names: Vec<_> = acts.iter().map(|line| line["act"].as_str().unwrap_or("")).collect();
    assert_eq!(names, ["stage", "canary", "promote", "retire", "retire", "stage"]);
    assert!(acts.iter().all(|line| line["caller"] == "ops"));
    assert_eq!(acts[1]["before"], "1 active, 2 pending");
    assert_eq!(acts[1]["after"], "1 active, 2 canary 100%");
}

/// A gateway that dies between the two writes of a promotion leaves two active versions on the PKCS#11 token.
#[test]
fn reads_two_active_versions_as_one() {
    let (setup, at) = staged();
    let twin = setup.twin().at_time(at.now());
    let other = twin.start();
    keys(&[&setup], &["canary", KEY, "1%"]).is(0, "2 canary 1%");
    // Only the first write of a promotion: state, share and a later time.
    let label = format!("vouchsafe:token:{KEY}:v2");
    let id = id_of(&setup.token, &label);
    assert_eq!((&id[..6], &id[6..10]), ("767331", "6301"), "{id}");
    let since = u64::from_str_radix(&id[18..34], 16).expect("a number") + 60;
    let promoted = format!("7673316100{}{since:016x}{}", &id[10..18], &id[34..]);
    let set = setup.token.pkcs11_tool(&["--type", "privkey", "--id", &id, "--set-id", &promoted]);
    assert!(set.status.success(), "{set:?}");
    for gateway in [&at.gateway, &other] {
        eventually("one active version", || (states(gateway) == "1 retiring, 2 active").then_some(()));
    }
    at.issue();
    assert_eq!(at.version_that_signed_last(), 2);
    // The next operation completes the interrupted one, and a restarted gateway reads the same states.
    keys(&[&setup, &twin], &["promote", KEY]).is(0, "1 retiring, 2 active");
    let first = id_of(&setup.token, &format!("vouchsafe:token:{KEY}:v1"));
    assert_eq!(&first[6..8], "6c", "version 1 is not marked as retiring: {first}");
}

/// `CKA_ID` of a private key, in hexadecimal.
fn id_of(token: &Pkcs11Token, label: &str) -> String {
    let output = token.pkcs11_tool(&["--list-objects", "--type", "privkey"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let object = text.split("Private Key Object").find(|it| it.contains(label));
    let line = object.expect("the key").lines().find(|line| line.contains("ID:"));
    let id = line.expect("an id").split(':').nth(1).expect("digits");
    id.trim().to_owned()
}

/// Two gateways of one PKCS#11 token: an operation at one, even on a new key, reaches the other within a second.
#[test]
fn keeps_gateways_of_one_token_in_agreement() {
    let token = Pkcs11Token::new();
    let setup = GatewaySetup::new(&token).with_keys();
    let twin = setup.twin();
    let (first, second) = (setup.start(), twin.start());
    let fixture = HsmFixture::start(&[&setup, &twin]);
    let both = [&setup, &twin];
    let staged = keys(&both, &["stage", KEY]);
    staged.is(0, "1 active, 2 pending (was 1 active)");
    staged.is(0, "unchanged, 1 active, 2 pending");
    for gateway in [&first, &second] {
        check_states(gateway, "1 active, 2 pending");
    }
    keys(&[&twin], &["retire", KEY, "--version", "2"]).is(0, "2 retiring");
    eventually("the other gateway to follow", || (states(&first) == "1 active, 2 retiring").then_some(()));
    let jwks = fixture.broker.jwks();
    first.kill();
    assert!(fixture.issue(HSM_ES256).verifies(&jwks));
    keys(&both, &["stage", KEY]).is(3, "3 pending");
}

/// Only admins change keys, and admins can do nothing else.
#[test]
fn separates_broker_and_admin_credentials() {
    let setup = GatewaySetup::initialized();
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
            assert_eq!((response.status, &response.json()["error"]), (401, &"credential.unknown".into()), "{path}");
        }
        assert_eq!(gateway.ask(path, body).status, 404, "{path} on the brokers' listener");
        let other_method = match body {
            None => Some(&act),
            Some(_) => None,
        };
        assert_eq!(gateway.administer(path, other_method).status, 405, "{path}");
    }
    for path in ["/v1/keys", "/v1/epoch-seed", "/v1/sign-token", "/readyz"] {
        assert_eq!(gateway.administer(path, None).status, 404, "{path} on the admin listener");
    }
    let admin = &setup.admin_credential;
    assert_eq!(gateway.ask_as(admin, "/v1/keys", None).status, 401);
    assert_eq!(gateway.ask_as(admin, "/v1/sign-token", Some(&act)).status, 401);
    for (body, slug) in [
        (json!({ "key": KEY, "act": "explode" }), "request.malformed"),
        (json!({ "key": KEY, "act": "stage", "more": 1 }), "request.malformed"),
        (json!({ "key": KEY, "act": "canary", "share": 0 }), "version.share"),
        (json!({ "key": "nobody", "act": "stage" }), "key.forbidden"),
    ] {
        let response = gateway.administer("/v1/admin/act", Some(&body));
        assert_eq!(response.json()["error"], slug, "{body}");
    }
    check_states(&gateway, "1 active");
    let refusals = gateway.events("refusal");
    assert_eq!(refusals.len(), 4, "refusals of known callers: {refusals:?}");
    gateway.kill();
    // Without the setting there is no such listener.
    let (admin, credential) = (
        format!("admin_listen = \"127.0.0.1:{}\"\n", setup.admin_port),
        std::fs::read_to_string(setup.folder.join("admin.sha256")).expect("a hash"),
    );
    let without = setup.clone().change(&admin, "");
    let (code, text) = without.run(&["serve"]);
    assert!(code == 2 && text.contains("require each other"), "{text}");
    let credential = format!("[[admin]]\nname = \"ops\"\n{credential}\n");
    let _gateway = without.change(&credential, "").start();
    keys(&[&setup], &["list"]).is(3, "no answer from");
}

/// The list shows what an operator has to know, as text and as JSON.
#[test]
fn lists_states_uses_epochs_and_warnings() {
    let setup = GatewaySetup::initialized();
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
        keys.into_iter().find(|key| key["name"] == name).expect("the key")
    };
    let (used, unused) = (&key(KEY)["versions"][0], &key("eddsa")["versions"][0]);
    assert!(used["first_use"].as_u64() >= Some(start), "{used}");
    assert_eq!(used["figures"]["signed"], 1);
    assert!(unused["first_use"].is_null(), "{unused}");
    let epochs = listing["groups"][0]["epochs"].as_array().expect("epochs");
    assert_eq!(epochs.len(), 2 * 4 * 2, "two generations, four epochs, two algorithms");
    drop(at);
    // And an hour, because version 2 was staged some seconds after `start`.
    let year = 366 * 86_400 + 3_600;
    let at = At::new(&setup, start + year);
    let text = keys(&[&setup], &["list", "--deny-warnings"]);
    text.is(1, "warning: version 1 has been active for 366 days: stage the next one");
    text.is(1, "warning: version 2 has been pending for 366 days: make it the canary or retire it");
    drop(at);
}

/// TLS as in production: a private authority, and certificates on both sides.
#[test]
fn serves_admins_over_mutual_tls() {
    let pem = |name: &str| certificates().join(name).display().to_string();
    let setup = GatewaySetup::initialized().over_mutual_tls();
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
        Ended { code: output.status.code().expect("an exit code"), text: String::from_utf8_lossy(&text).into_owned() }
    };
    let (ca, certificate, key) = (pem("ca.pem"), pem("client.pem"), pem("client.key"));
    let shown = ["--client-certificate", &certificate, "--client-key", &key];
    list(&[&["--ca", &ca], &shown[..]].concat()).is(0, "es256  hsm  ES256");
    list(&["--ca", &ca]).is(3, "no answer from");
    list(&shown).is(3, "no answer from");
    list(&["--ca", &key]).is(2, "no certificate found");
}
