//! The gateway alone: its keys, its commands, and what a stolen credential gets.

use serde_json::{Value, json};
use std::path::Path;
use vouchsafe_tests::bundle::{BROKER, EPOCH_SECONDS, HSM_ES256};
use vouchsafe_tests::hsm::{self, Gateway, GatewaySetup, Token};
use vouchsafe_tests::http::Request;
use vouchsafe_tests::jwt::{base64url, from_base64url};
use vouchsafe_tests::keys;
use vouchsafe_tests::now;

/// Not a test: [`Token::import_root`] runs it in a process of its own.
#[test]
#[ignore = "run by the tests that import a root"]
fn imports_a_root() {
    hsm::import_root();
}

/// Not a test: [`Token::try_to_take_keys_out`] runs it in a process of its own.
#[test]
#[ignore = "run by the test of keys that stay"]
fn tries_to_take_keys_out() {
    hsm::try_to_take_keys_out();
}

fn setup() -> GatewaySetup {
    GatewaySetup::new(&Token::new()).with_keys()
}

fn epoch_at(now: u64) -> u64 {
    now / EPOCH_SECONDS * EPOCH_SECONDS
}

fn seed_request(epoch_start: u64) -> Value {
    json!({ "group": "default", "generation": 1, "algorithm": "ES256", "epoch_start": epoch_start })
}

/// Asks again if the second changed meanwhile: then both sides of an edge are exact.
fn ask_at(gateway: &Gateway, path: &str, body: impl Fn(u64) -> Value) -> (u16, Value) {
    loop {
        let second = now();
        let response = gateway.ask(path, Some(&body(second)));
        if now() == second {
            return (response.status, response.json());
        }
    }
}

/// `docs/epoch-keys.md`: what the HSM derives is what the page says, byte for byte.
#[test]
fn derives_the_published_test_vectors_inside_of_the_hsm() {
    let token = Token::new();
    let root: Vec<u8> = (0..32).collect();
    token.import_root(&root, 1);
    let page = vouchsafe_tests::broker::repository().join("docs/epoch-keys.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let mut gateway = GatewaySetup::new(&token)
        .change(BROKER, "https://broker.example")
        .change(
            &format!("epoch_seconds = {EPOCH_SECONDS}"),
            "epoch_seconds = 3600",
        )
        .argument("--danger-now")
        .argument("1800000000");
    // The keys of tier `hsm` are not on this token.
    for (name, group) in [
        ("rs256", "default"),
        ("eddsa", "default"),
        ("es256", "default"),
        ("theirs", "other"),
    ] {
        gateway = gateway.change(
            &format!("[[key]]\nname = \"{name}\"\ngroup = \"{group}\"\n"),
            &format!("[[key]]\nname = \"{name}-gone\"\ngroup = \"{group}\"\n"),
        );
    }
    let (code, text) = gateway.run(&["status"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("generation 1  stays in the token, came from outside"),
        "{text}"
    );
    for name in ["rs256-gone", "eddsa-gone", "es256-gone", "theirs-gone"] {
        let (code, text) = gateway.run(&["add-key", name]);
        assert_eq!(code, 0, "{text}");
    }
    let gateway = gateway.start();
    for algorithm in ["ES256", "EdDSA"] {
        let body = json!({ "group": "default", "generation": 1, "algorithm": algorithm, "epoch_start": 1_800_000_000_u64 });
        let response = gateway.ask("/v1/epoch-seed", Some(&body));
        assert_eq!(response.status, 200, "{}", response.text());
        let seed =
            from_base64url(response.json()["seed"].as_str().expect("a seed")).expect("base64url");
        let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            page.contains(&format!("| seed | `{hex}` |")),
            "{algorithm}: {hex}"
        );
    }
    let keys = gateway.ask("/v1/keys", None).text();
    for kid in [
        "4oazcEnfedU8UZsOdS2GAUyGX45U9SFfJYNsR4K6N1E",
        "x93njDmtZnlMdKMBfBM0ddFN-zzv1pQSFUqrW59zxco",
    ] {
        assert!(page.contains(kid) && keys.contains(kid), "{kid}");
    }
}

/// `pkcs11-tool` is a program of others.
#[test]
fn no_key_can_be_taken_out_of_the_token() {
    let setup = setup();
    let list = setup.token.pkcs11_tool(&["--list-objects"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let private: Vec<_> = list
        .split("Key Object")
        .filter(|object| object.contains("Access:     sensitive"))
        .collect();
    assert_eq!(private.len(), 5, "a root and four keys: {list}");
    for object in private {
        assert!(
            object.contains("sensitive, always sensitive, never extractable, local"),
            "{object}"
        );
        assert!(
            object.contains("Usage:      sign\n") || object.contains("label:      vouchsafe:root"),
            "{object}"
        );
    }
    let read = [
        "--read-object",
        "--type",
        "secrkey",
        "--label",
        "vouchsafe:root",
    ];
    let read = setup.token.pkcs11_tool(&read);
    assert!(read.stdout.is_empty(), "{read:?}");
    setup.token.try_to_take_keys_out();
}

/// `pkcs11-spy` writes down every call that the gateway makes.
#[test]
fn the_gateway_itself_never_asks_for_a_key() {
    let (setup, calls) = setup().spied_on();
    let gateway = setup.start();
    let (status, answer) = ask_at(&gateway, "/v1/epoch-seed", |now| {
        seed_request(epoch_at(now))
    });
    assert_eq!(status, 200, "{answer}");
    assert_eq!(sign(&gateway, "es256", &claims(now())).0, 200);
    let calls = std::fs::read_to_string(calls).expect("calls");
    assert!(
        calls.contains("C_Sign\n") && calls.contains("C_Login"),
        "the spy saw nothing"
    );
    assert_eq!(
        calls.matches("C_Login\n").count(),
        1,
        "one login for all sessions"
    );
    for never in [
        "C_WrapKey",
        "C_UnwrapKey",
        "C_DeriveKey",
        "C_CopyObject",
        "C_GetObjectSize",
        "CKA_VALUE ",
        "CKA_PRIVATE_EXPONENT",
    ] {
        assert!(!calls.contains(never), "{never}");
    }
}

#[test]
fn commands_say_what_is_there_and_what_is_missing() {
    let token = Token::new();
    let setup = GatewaySetup::new(&token);
    let (code, text) = setup.run(&["doctor"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("WRONG vouchsafe:root: the token has no `vouchsafe:root`"),
        "{text}"
    );
    let setup = setup.with_keys();
    let (code, text) = setup.run(&["doctor"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ok    vouchsafe:token:rs256:v1"), "{text}");
    let (code, text) = setup.run(&["init"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("error: the token has `vouchsafe:root` already\nhint: "),
        "{text}"
    );
    let (code, text) = setup.run(&["status", "--format", "json"]);
    assert_eq!(code, 0, "{text}");
    let status: Value = serde_json::from_str(&text).expect("JSON");
    let keys = status["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 5, "{status}");
    for key in keys {
        assert_eq!(
            (
                &key["sensitive"],
                &key["extractable"],
                &key["never_extractable"],
                &key["sign_only"]
            ),
            (&true.into(), &false.into(), &true.into(), &true.into()),
            "{key}"
        );
    }
    let second = setup.clone().change("audiences", "version = 2\naudiences");
    let (code, text) = second.run(&["serve"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("no `vouchsafe:token:rs256:v2`") && text.contains("add-key rs256"),
        "{text}"
    );
    let (code, text) = second.run(&["add-key", "rs256"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(second.run(&["add-key", "rs256"]).0, 1);
    assert_eq!(second.run(&["add-key", "nobody"]).0, 2);
    drop(second.start());
}

/// A wrong PIN is tried once, by all that start, until somebody looks.
#[test]
fn a_refused_pin_is_never_tried_twice() {
    let (setup, calls) = setup().spied_on();
    let pin = |text: &str| std::fs::write(setup.folder.join("pin"), text).expect("a file");
    let logins = || {
        let calls = std::fs::read_to_string(&calls).unwrap_or_default();
        calls.matches("C_Login\n").count()
    };
    pin("4321");
    for _ in 0..3 {
        let (code, text) = setup.run(&["serve"]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("error: the token refuses the PIN"), "{text}");
        assert!(!text.contains("4321"), "{text}");
        assert_eq!(logins(), 1);
    }
    pin(hsm::PIN);
    assert_eq!(setup.run(&["doctor"]).0, 2, "nobody has looked yet");
    std::fs::remove_file(setup.folder.join("state/pin-refused")).expect("the note");
    assert_eq!(setup.run(&["doctor"]).0, 0);
    assert_eq!(logins(), 2);
}

#[test]
fn an_older_generation_does_not_come_back() {
    let setup = setup();
    drop(setup.start());
    let seen = setup.folder.join("state/generation");
    assert_eq!(std::fs::read_to_string(&seen).expect("a number"), "1\n");
    for (text, expected) in [
        ("2\n", "the token's generation is 1, and 2 was seen before"),
        ("x", "holds no number"),
    ] {
        std::fs::write(&seen, text).expect("a file");
        let (code, text) = setup.run(&["serve"]);
        assert!(code != 0 && text.contains(expected), "{text}");
    }
}

#[test]
fn every_route_below_v1_wants_a_known_credential() {
    let gateway = setup().start();
    let real = gateway.setup.credential.clone();
    let shorter = real[..real.len() - 1].to_owned();
    for (method, path) in [
        ("GET", "/v1/keys"),
        ("POST", "/v1/epoch-seed"),
        ("POST", "/v1/sign-token"),
    ] {
        let request = |authorization: Option<String>| {
            let mut request = Request::post(path, "application/json", "{}");
            request.method = method.into();
            match authorization {
                Some(value) => request.with("authorization", &value),
                None => request,
            }
        };
        for authorization in [
            None,
            Some(String::new()),
            Some("Bearer ".to_owned()),
            Some(format!("Bearer {shorter}")),
            Some(format!("Bearer {real}x")),
            Some(format!("Bearer  {real}")),
            Some(format!("bearer {real}")),
            Some(format!("Basic {real}")),
            Some(real.clone()),
        ] {
            let response = gateway.send(&request(authorization.clone()));
            assert_eq!(
                (response.status, response.text().as_str()),
                (401, r#"{"error":"credential.unknown"}"#),
                "{path} {authorization:?}"
            );
        }
        let twice = request(Some(format!("Bearer {real}")))
            .with("authorization", &format!("Bearer {real}"));
        assert_eq!(gateway.send(&twice).status, 401, "{path}");
    }
    assert_eq!(gateway.get("/healthz").status, 200);
    assert_eq!(gateway.get("/readyz").json()["status"], "ready");
    assert_eq!(gateway.get("/v1/nothing").status, 404);
    assert_eq!(gateway.ask("/v1/keys", Some(&json!({}))).status, 405);
    assert!(
        gateway.log().iter().all(|line| line["event"] != "refusal"),
        "strangers buy no disk"
    );
}

/// Tier `delegated`: what the thief of a credential can't have.
#[test]
fn a_stolen_credential_gets_no_seed_but_the_current_one_of_its_group() {
    let gateway = setup().start();
    let with = |name: &'static str, value: Value| {
        move |now: u64| {
            let mut body = seed_request(epoch_at(now));
            body[name] = value.clone();
            body
        }
    };
    let at = |steps: i64| {
        move |now: u64| {
            seed_request(epoch_at(now).wrapping_add_signed(steps * EPOCH_SECONDS as i64))
        }
    };
    type Body = Box<dyn Fn(u64) -> Value>;
    let cases: Vec<(&str, Body, &str)> = vec![
        ("an old epoch", Box::new(at(-2)), "seed.window"),
        ("the next epoch but one", Box::new(at(2)), "seed.window"),
        ("a far-future epoch", Box::new(at(100_000)), "seed.window"),
        (
            "no epoch",
            Box::new(|now| seed_request(epoch_at(now) + 1)),
            "seed.epoch",
        ),
        (
            "another group",
            Box::new(with("group", "other".into())),
            "group.forbidden",
        ),
        (
            "a group that is not there",
            Box::new(with("group", "nobody".into())),
            "group.forbidden",
        ),
        (
            "an old generation",
            Box::new(with("generation", 0.into())),
            "seed.generation",
        ),
        (
            "a future generation",
            Box::new(with("generation", 2.into())),
            "seed.generation",
        ),
        (
            "another algorithm",
            Box::new(with("algorithm", "RS256".into())),
            "seed.algorithm",
        ),
        (
            "something more",
            Box::new(with("more", 1.into())),
            "request.malformed",
        ),
        (
            "a negative epoch",
            Box::new(with("epoch_start", (-1).into())),
            "request.malformed",
        ),
    ];
    for (what, body, slug) in cases {
        let refusals = refusals(&gateway).len();
        let (_, answer) = ask_at(&gateway, "/v1/epoch-seed", body);
        assert_eq!(answer, json!({ "error": slug }), "{what}");
        let log = self::refusals(&gateway);
        assert!(log.len() > refusals, "{what} is on record");
        let line = log.last().expect("a line");
        assert_eq!(
            (&line["caller"], &line["slug"]),
            (&"broker".into(), &slug.into()),
            "{what}"
        );
    }
    let (status, answer) = ask_at(&gateway, "/v1/epoch-seed", |now| {
        seed_request(epoch_at(now))
    });
    assert_eq!(status, 200, "{answer}");
}

fn refusals(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.log().into_iter();
    lines.filter(|line| line["event"] == "refusal").collect()
}

/// Claims that the key `es256` may sign.
fn claims(now: u64) -> Value {
    json!({
        "iss": BROKER, "sub": "main:repo", "aud": HSM_ES256, "exp": now + 300, "iat": now, "nbf": now - 5,
        "jti": "AAECAwQFBgcICQoLDA0ODw", "client_id": "main:repo",
    })
}

fn kid(gateway: &Gateway, name: &str) -> String {
    let keys = gateway.ask("/v1/keys", None).json();
    let keys = keys["groups"][0]["token_keys"]
        .as_array()
        .expect("keys")
        .clone();
    let key = keys
        .iter()
        .find(|key| key["name"] == name)
        .expect("the key");
    key["jwk"]["kid"].as_str().expect("a kid").to_owned()
}

fn sign_text(gateway: &Gateway, key: &str, payload: &str) -> (u16, Value, String) {
    let header = json!({ "alg": "ES256", "kid": kid(gateway, "es256"), "typ": "at+jwt" });
    let input = format!("{}.{}", base64url(header.to_string()), base64url(payload));
    let response = gateway.ask(
        "/v1/sign-token",
        Some(&json!({ "key": key, "signing_input": input })),
    );
    (response.status, response.json(), input)
}

fn sign(gateway: &Gateway, key: &str, claims: &Value) -> (u16, Value) {
    let (status, answer, _) = sign_text(gateway, key, &claims.to_string());
    (status, answer)
}

/// Tier `hsm`: what the thief of a credential can't have signed.
#[test]
fn a_stolen_credential_gets_no_signature_beyond_its_keys_rules() {
    let gateway = setup().start();
    let (status, answer, input) = sign_text(&gateway, "es256", &claims(now()).to_string());
    assert_eq!(status, 200, "{answer}");
    let signature =
        from_base64url(answer["signature"].as_str().expect("a signature")).expect("base64url");
    let jwks = gateway.ask("/v1/keys", None).json();
    let key = &jwks["groups"][0]["token_keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["name"] == "es256")
        .expect("the key")["jwk"];
    assert!(keys::verifies(
        &json!({ "keys": [key] }),
        key["kid"].as_str().expect("a kid"),
        &input,
        &signature
    ));

    let changed = |name: &str, value: Value| {
        let mut claims = claims(now());
        claims[name] = value;
        claims.to_string()
    };
    let twice = claims(now())
        .to_string()
        .replacen('{', r#"{"aud":"https://evil.example","#, 1);
    let hidden =
        claims(now())
            .to_string()
            .replacen('{', r#"{"\u0061ud":"https://evil.example","#, 1);
    let cases = [
        (
            "another issuer",
            "es256",
            changed("iss", "https://other.example".into()),
            "token.issuer",
        ),
        (
            "another audience",
            "es256",
            changed("aud", "https://api.example".into()),
            "token.audience",
        ),
        (
            "two audiences",
            "es256",
            changed("aud", json!([HSM_ES256, "https://api.example"])),
            "token.audience",
        ),
        (
            "a longer life",
            "es256",
            changed("exp", (now() + 901).into()),
            "token.lifetime",
        ),
        (
            "a life without end",
            "es256",
            changed("exp", Value::Null),
            "token.times",
        ),
        (
            "a token for later",
            "es256",
            changed("iat", (now() + 3600).into()),
            "token.times",
        ),
        (
            "a token valid before",
            "es256",
            changed("nbf", 0.into()),
            "token.times",
        ),
        (
            "a claim that is not the key's",
            "es256",
            changed("admin", true.into()),
            "token.claim",
        ),
        (
            "a bound key",
            "es256",
            changed("cnf", json!({ "jkt": "x" })),
            "token.claim",
        ),
        (
            "another client",
            "es256",
            changed("client_id", "x".into()),
            "token.claim",
        ),
        ("a claim twice", "es256", twice, "token.malformed"),
        (
            "a claim twice, in disguise",
            "es256",
            hidden,
            "token.malformed",
        ),
        (
            "what is no JSON",
            "es256",
            "{".to_owned(),
            "token.malformed",
        ),
        (
            "what is no object",
            "es256",
            "[]".to_owned(),
            "token.malformed",
        ),
        ("nothing", "es256", String::new(), "token.malformed"),
        (
            "another group's key",
            "theirs",
            claims(now()).to_string(),
            "key.forbidden",
        ),
        (
            "a key that is not there",
            "nobody",
            claims(now()).to_string(),
            "key.forbidden",
        ),
        (
            "the root",
            "vouchsafe:root",
            claims(now()).to_string(),
            "key.forbidden",
        ),
        (
            "another key's audience",
            "eddsa",
            claims(now()).to_string(),
            "token.algorithm",
        ),
    ];
    for (what, key, payload, slug) in cases {
        let before = refusals(&gateway).len();
        let (status, answer, _) = sign_text(&gateway, key, &payload);
        assert_eq!(
            (status, &answer),
            (403, &json!({ "error": slug })),
            "{what}"
        );
        let log = refusals(&gateway);
        assert_eq!(log.len(), before + 1, "{what} is on record");
        assert_eq!(log[before]["slug"], slug, "{what}");
    }
    let theirs = gateway
        .ask_as(&gateway.setup.other_credential, "/v1/keys", None)
        .json();
    let names: Vec<_> = theirs["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["other"], "a credential sees its own groups alone");
    assert!(Path::new(&gateway.setup.folder.join("state/gateway.log")).is_file());
}

#[test]
fn a_key_is_used_no_more_often_than_its_rule_says() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    // The third [[key]] is `es256`.
    let mut limited = setup;
    for (from, to) in [
        ("name = \"es256\"", "version = 1\nname = \"es256\""),
        (
            "version = 1\nname = \"es256\"\ngroup = \"default\"\nalgorithm = \"ES256\"\naudiences = [\"https://hsm-es256.example\"]\nlifetime_max = 900\nclaims = [\"ref\", \"repository\"]\nrequests_per_second = 1000\nrequests_per_day = 100000",
            "name = \"es256\"\ngroup = \"default\"\nalgorithm = \"ES256\"\naudiences = [\"https://hsm-es256.example\"]\nlifetime_max = 900\nrequests_per_second = 1000\nrequests_per_day = 2",
        ),
    ] {
        limited = limited.change(from, to);
    }
    let gateway = limited.start();
    for expected in [200, 200, 429, 429] {
        let (status, answer) = sign(&gateway, "es256", &claims(now()));
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(
        refusals(&gateway).last().expect("a line")["slug"],
        "key.rate"
    );
}

/// Two of three shares rebuild a lost token: verifiers and brokers notice nothing of epoch keys.
#[test]
fn a_backup_in_shares_restores_the_same_epoch_keys() {
    let kids = |gateway: &Gateway| -> Vec<Value> {
        let keys = gateway.ask("/v1/keys", None).json();
        let keys = keys["groups"][0]["epoch_keys"]
            .as_array()
            .expect("keys")
            .clone();
        let current = epoch_at(now());
        let is_common = |key: &&Value| key["epoch_start"].as_u64() >= Some(current);
        keys.iter()
            .filter(is_common)
            .map(|key| key["jwk"]["kid"].clone())
            .collect()
    };
    let lost = GatewaySetup::new(&Token::new());
    let shares = lost.folder.join("shares");
    std::fs::create_dir(&shares).expect("a folder");
    let folder = shares.display().to_string();
    let share = |number: u8| {
        shares
            .join(format!("share-{number}-of-3"))
            .display()
            .to_string()
    };
    let (code, text) = lost.run(&["init", "--with-backup", "1-of-3", "--shares", &folder]);
    assert_eq!(code, 2, "{text}");
    let (code, text) = lost.run(&["init", "--with-backup", "2-of-3", "--shares", &folder]);
    assert_eq!(code, 0, "{text}");
    let before = kids(&lost.start());

    let found = lost.with_token(&Token::new());
    let (code, text) = found.run(&["restore", &share(1), &share(3)]);
    assert_eq!(code, 2, "the generation is for the operator to say: {text}");
    for (given, expected) in [
        (vec![share(1)], "1 shares are too few: these are 2-of-3"),
        (vec![share(1), share(1)], "share 2 is there twice"),
    ] {
        let given: Vec<_> = given.iter().map(String::as_str).collect();
        let (code, text) = found.run(&[&["restore", "--generation", "1"], &given[..]].concat());
        assert!(code == 1 && text.contains(expected), "{text}");
    }
    std::fs::write(found.folder.join("state/generation"), "2\n").expect("a file");
    let (code, text) = found.run(&["restore", "--generation", "1", &share(1), &share(3)]);
    assert!(
        code == 1 && text.contains("and 2 was seen before"),
        "{text}"
    );
    std::fs::write(found.folder.join("state/generation"), "1\n").expect("a file");
    let (code, text) = found.run(&["restore", "--generation", "1", &share(1), &share(3)]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = found.run(&["status"]);
    assert!(
        code == 0 && text.contains("stays in the token, came from outside"),
        "{text}"
    );
    assert_eq!(
        found
            .run(&["restore", "--generation", "1", &share(1), &share(3)])
            .0,
        1
    );
    let after = kids(&found.start());
    let common = before.iter().filter(|kid| after.contains(kid)).count();
    // An epoch that began meanwhile costs the oldest of the four.
    assert!(common >= 8, "{before:?} {after:?}");
}
