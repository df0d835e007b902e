//! The gateway alone: its keys and its commands.

use crate::hsm_stolen::{claims, sign};
use serde_json::{Value, json};
use vouchsafe_tests::bundle::{BROKER, EPOCH_SECONDS};
use vouchsafe_tests::hsm::{self, Gateway, GatewaySetup, Token};
use vouchsafe_tests::jwt::from_base64url;
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

pub fn setup() -> GatewaySetup {
    GatewaySetup::new(&Token::new()).with_keys()
}

pub fn epoch_at(now: u64) -> u64 {
    now / EPOCH_SECONDS * EPOCH_SECONDS
}

pub fn seed_request(epoch_start: u64) -> Value {
    json!({ "group": "default", "generation": 1, "algorithm": "ES256", "epoch_start": epoch_start })
}

/// Asks again if the second changed meanwhile: then both sides of an edge are exact.
pub fn ask_at(gateway: &Gateway, path: &str, body: impl Fn(u64) -> Value) -> (u16, Value) {
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
    let states = keys.iter().filter(|key| key["state"] == "active").count();
    assert_eq!(states, 4, "every first version: {status}");
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
    let more = setup.clone().change("name = \"rs256\"", "name = \"more\"");
    let (code, text) = more.run(&["serve"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("no `vouchsafe:token:more:v1`") && text.contains("add-key more"),
        "{text}"
    );
    let (code, text) = more.run(&["add-key", "more"]);
    assert!(code == 0 && text.contains("pending"), "{text}");
    assert_eq!(more.run(&["add-key", "more"]).0, 1);
    assert_eq!(more.run(&["add-key", "nobody"]).0, 2);
    drop(more.start());
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
