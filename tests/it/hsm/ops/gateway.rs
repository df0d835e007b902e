//! A gateway without a broker: its keys and its commands.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use vouchsafe_harness::bundle::{BROKER, EPOCH_SECONDS};
use vouchsafe_harness::hsm::{self, Gateway, GatewaySetup, Pkcs11Token, epoch_at, sign, token_claims};
use vouchsafe_harness::jwt::from_base64url;
use vouchsafe_harness::now;

/// Not a test: [`Pkcs11Token::import_root`] runs it in a separate process.
#[test]
#[ignore = "run by the tests that import a root"]
fn import_root_in_own_process() {
    hsm::import_root();
}

/// The HSM derives exactly the bytes that `docs/epoch-keys.md` states.
#[test]
fn derives_published_test_vectors_in_hsm() {
    let token = Pkcs11Token::new();
    let keys = GatewaySetup::new(&token).with_keys();
    let delete = ["--delete-object", "--type", "secrkey", "--label", "vouchsafe:root"];
    let deleted = token.pkcs11_tool(&delete);
    assert!(deleted.status.success(), "{deleted:?}");
    let root: Vec<u8> = (0..32).collect();
    token.import_root(&root, 1);
    let page = vouchsafe_harness::broker::repository().join("docs/epoch-keys.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let gateway = keys
        .change(BROKER, "https://broker.example")
        .change(&format!("epoch_seconds = {EPOCH_SECONDS}"), "epoch_seconds = 3600")
        .at_time(1_800_000_000);
    let (code, text) = gateway.run(&["status"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("generation 1  stays in the token, imported"), "{text}");
    let gateway = gateway.start();
    for algorithm in ["ES256", "EdDSA"] {
        let body =
            json!({ "group": "default", "generation": 1, "algorithm": algorithm, "epoch_start": 1_800_000_000_u64 });
        let response = gateway.ask("/v1/epoch-seed", Some(&body));
        assert_eq!(response.status, 200, "{}", response.text());
        let seed = from_base64url(response.json()["seed"].as_str().expect("a seed")).expect("base64url");
        let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(page.contains(&format!("| seed | `{hex}` |")), "{algorithm}: {hex}");
    }
    let keys = gateway.ask("/v1/keys", None).text();
    for kid in ["4oazcEnfedU8UZsOdS2GAUyGX45U9SFfJYNsR4K6N1E", "x93njDmtZnlMdKMBfBM0ddFN-zzv1pQSFUqrW59zxco"] {
        assert!(page.contains(kid) && keys.contains(kid), "{kid}");
    }
}

#[test]
fn reports_present_and_missing_keys() {
    let token = Pkcs11Token::new();
    let setup = GatewaySetup::new(&token);
    let (code, text) = setup.run(&["doctor"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("WRONG vouchsafe:root: the PKCS#11 token has no `vouchsafe:root`"), "{text}");
    let setup = setup.with_keys();
    let (code, text) = setup.run(&["doctor"]);
    assert_eq!(code, 0, "{text}");
    for label in ["root-signing", "token:rs256:v1"] {
        assert!(text.contains(&format!("ok    vouchsafe:{label}")), "{text}");
    }
    let (code, text) = setup.run(&["init"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("error: the PKCS#11 token already has `vouchsafe:root`\nhint: "), "{text}");
    let (code, text) = setup.run(&["status", "--format", "json"]);
    assert_eq!(code, 0, "{text}");
    let status: Value = serde_json::from_str(&text).expect("JSON");
    let keys = status["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 6, "{status}");
    let states = keys.iter().filter(|key| key["state"] == "active").count();
    assert_eq!(states, 4, "every first version: {status}");
    for key in keys {
        assert_eq!(
            (&key["sensitive"], &key["extractable"], &key["never_extractable"], &key["sign_only"]),
            (&true.into(), &false.into(), &true.into(), &true.into()),
            "{key}"
        );
    }
    let more = setup.clone().change("name = \"rs256\"", "name = \"more\"");
    let (code, text) = more.run(&["serve"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("no `vouchsafe:token:more:v1`") && text.contains("add-key more"), "{text}");
    let (code, text) = more.run(&["add-key", "more"]);
    assert!(code == 0 && text.contains("pending"), "{text}");
    assert_eq!(more.run(&["add-key", "more"]).0, 1);
    assert_eq!(more.run(&["add-key", "nobody"]).0, 2);
    drop(more.start());
}

/// A wrong PIN is tried once by all processes together, until an operator intervenes.
#[test]
fn never_retries_rejected_pin() {
    let (setup, calls) = GatewaySetup::initialized().with_spy();
    let pin = |text: &str| std::fs::write(setup.folder.join("pin"), text).expect("a file");
    let logins = || {
        let calls = std::fs::read_to_string(&calls).unwrap_or_default();
        calls.matches("C_Login\n").count()
    };
    pin("4321");
    for _ in 0..3 {
        let (code, text) = setup.run(&["serve"]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("error: the PKCS#11 token rejected the PIN"), "{text}");
        assert!(!text.contains("4321"), "{text}");
        assert_eq!(logins(), 1);
    }
    pin(hsm::PIN);
    assert_eq!(setup.run(&["doctor"]).0, 2, "no operator has intervened yet");
    std::fs::remove_file(setup.folder.join("state/pin-refused")).expect("the note");
    assert_eq!(setup.run(&["doctor"]).0, 0);
    assert_eq!(logins(), 2);
}

/// The module comes from a vendor and may do anything with its environment.
#[test]
fn hides_environment_pin_from_worker() {
    const NAME: &str = "VOUCHSAFE_TEST_PIN";
    let setup = GatewaySetup::initialized()
        .change("pin_file = \"pin\"", &format!("pin_variable = \"{NAME}\""))
        .environment(NAME, hsm::PIN);
    let gateway = setup.start();
    let worker = gateway.worker().expect("a worker");
    let environment = std::fs::read(format!("/proc/{worker}/environ")).expect("Linux");
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("SOFTHSM2_CONF="), "{environment}");
    assert!(!environment.contains(NAME), "{environment}");
    // The next worker logs in with it, too.
    gateway.signal_worker("-KILL");
    gateway.next_worker(worker);
    hsm::eventually("a signature", || (sign(&gateway, "es256", &token_claims(now())).0 == 200).then_some(()));
}

#[test]
fn locks_state_dir_and_restricts_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = GatewaySetup::initialized();
    let set_mode = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(setup.folder.join(name), mode).expect("a mode");
    };
    let mode = |name: &str| {
        let about = std::fs::metadata(setup.folder.join(name)).expect("it is there");
        about.permissions().mode() & 0o777
    };
    set_mode("state", 0o755);
    let gateway = setup.start();
    assert_eq!(mode("state"), 0o700);
    // It has its own ports, but the same folder.
    let ports = [setup.port, setup.admin_port, setup.metrics_port];
    let second =
        ports.iter().fold(setup.clone(), |setup, port| setup.change(&format!("127.0.0.1:{port}\""), "127.0.0.1:0\""));
    let (code, text) = second.run(&["serve"]);
    assert!(code == 1 && text.contains("another gateway is using this `state_dir`"), "{text}");
    gateway.kill();
    drop(setup.start());
}

#[test]
fn does_not_start_with_readable_secrets() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = GatewaySetup::initialized().over_mutual_tls();
    let set_mode = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(setup.folder.join(name), mode).expect("a mode");
    };
    // Root owns them here, so a group may read them.
    for name in ["pin", "server.key"] {
        for (mode, is_refused) in [(0o600, false), (0o640, false), (0o660, true), (0o644, true), (0o604, true)] {
            set_mode(name, mode);
            let (code, text) = setup.run(&["serve", "--check"]);
            let said = format!("{name}: mode {mode:04o} lets others read or change this secret\nhint: ");
            assert_eq!(text.contains(&said), is_refused, "{name} {mode:o}: {text}");
            assert_eq!(code, if is_refused { 2 } else { 0 }, "{name} {mode:o}");
        }
        set_mode(name, 0o600);
    }
}

/// A failed login costs one of the token's attempts and must be remembered.
#[test]
fn does_not_log_in_without_writable_refusal_note() {
    let (setup, calls) = GatewaySetup::initialized().with_spy();
    let gateway = setup.start();
    let logins = || {
        let calls = std::fs::read_to_string(&calls).unwrap_or_default();
        calls.matches("C_Login\n").count()
    };
    let stage = || {
        let act = json!({ "key": "es256", "act": "stage" });
        let answer = gateway.administer("/v1/admin/act", Some(&act));
        (answer.status, answer.json()["error"].clone())
    };
    let before = logins();
    // Like a full disk: the probe for the note can't be written.
    let in_its_place = setup.folder.join("state/login-check");
    std::fs::create_dir(&in_its_place).expect("a folder");
    assert_eq!(stage(), (503, "hsm.unavailable".into()));
    assert_eq!(logins(), before, "a PIN was tried");
    std::fs::remove_dir(&in_its_place).expect("the folder");
    assert_eq!(stage(), (200, Value::Null), "objects were left behind");
    assert!(logins() > before, "the result is not checked by another worker");
}

#[test]
fn rejects_rollback_to_older_generation() {
    let setup = GatewaySetup::initialized();
    drop(setup.start());
    let seen = setup.folder.join("state/generation");
    assert_eq!(std::fs::read_to_string(&seen).expect("a number"), "1\n");
    for (text, expected) in
        [("2\n", "the PKCS#11 token's generation is 1, but generation 2 was seen before"), ("x", "not a number")]
    {
        std::fs::write(&seen, text).expect("a file");
        let (code, text) = setup.run(&["serve"]);
        assert!(code != 0 && text.contains(expected), "{text}");
    }
}

struct Shares {
    folder: String,
}

impl Shares {
    fn of(setup: &GatewaySetup) -> Self {
        let folder = setup.folder.join("shares");
        std::fs::create_dir(&folder).expect("a folder");
        let folder = folder.display().to_string();
        let init = ["init", "--with-backup", "2-of-3", "--shares", &folder];
        let (code, text) = setup.run(&init);
        assert_eq!(code, 0, "{text}");
        Self { folder }
    }

    fn path(&self, number: u8) -> String {
        format!("{}/share-{number}-of-3", self.folder)
    }
}

/// Public keys by `kid`: those of tier `hsm`, and those of epochs that have not ended.
fn kids(gateway: &Gateway, kind: &str) -> BTreeSet<String> {
    let keys = gateway.ask("/v1/keys", None).json();
    let keys = keys["groups"][0][kind].as_array().expect("keys").clone();
    let current = epoch_at(now());
    let is_common = |key: &&Value| {
        let start = key["epoch_start"].as_u64();
        start.is_none_or(|start| start >= current)
    };
    let keys = keys.iter().filter(is_common);
    keys.map(|key| key["jwk"]["kid"].to_string()).collect()
}

/// Two of three shares rebuild a lost PKCS#11 token; verifiers and brokers notice nothing.
#[test]
fn restores_all_keys_from_backup_shares() {
    let lost = GatewaySetup::new(&Pkcs11Token::new());
    let one = ["init", "--with-backup", "1-of-3", "--shares", "."];
    assert_eq!(lost.run(&one).0, 2, "a single share must be refused");
    let shares = Shares::of(&lost);
    let gateway = lost.start();
    let before = (kids(&gateway, "epoch_keys"), kids(&gateway, "token_keys"));
    assert_eq!(before.1.len(), 3, "RS256, EdDSA and ES256");
    let (code, root) = lost.run(&["root-certificate"]);
    assert_eq!(code, 0, "{root}");
    gateway.kill();

    let found = lost.with_token(&Pkcs11Token::new());
    let (first, third) = (shares.path(1), shares.path(3));
    let restore = ["restore", "--generation", "1", &first, &third];
    let (code, text) = found.run(&["restore", &first, &third]);
    assert_eq!(code, 2, "the generation is for the operator to say: {text}");
    let seen = |text: &str| std::fs::write(found.folder.join("state/generation"), text);
    seen("2\n").expect("a file");
    let (code, text) = found.run(&restore);
    assert!(code == 1 && text.contains("but generation 2 was seen before"), "{text}");
    seen("1\n").expect("a file");
    let (code, text) = found.run(&restore);
    assert_eq!(code, 0, "{text}");
    assert_eq!(found.run(&restore).0, 1, "the token has keys now");
    let (code, text) = found.run(&["doctor"]);
    assert_eq!(code, 0, "{text}");
    let (_, text) = found.run(&["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&text).expect("JSON");
    for key in status["keys"].as_array().expect("keys") {
        let stays = (&key["sensitive"], &key["extractable"], &key["sign_only"]);
        assert_eq!(stays, (&true.into(), &false.into(), &true.into()), "{key}");
        assert_eq!(key["never_extractable"], false, "it came from outside: {key}");
    }
    found.token.try_to_extract_keys(6);
    found.token.check_key_attributes(6, true);
    assert_eq!(found.run(&["root-certificate"]), (0, root));
    let gateway = found.start();
    assert_eq!(kids(&gateway, "token_keys"), before.1);
    let common = kids(&gateway, "epoch_keys");
    // If a new epoch began meanwhile, the oldest of the four keys is gone.
    assert!(common.intersection(&before.0).count() >= 8, "{before:?}");
    for key in ["rs256", "eddsa", "es256"] {
        let answer = sign(&gateway, key, &token_claims(now()));
        assert!(answer.0 == 200 || key != "es256", "{key}: {answer:?}");
    }
}

#[test]
fn names_unusable_shares_and_changes_nothing() {
    let setup = GatewaySetup::new(&Pkcs11Token::new());
    let shares = Shares::of(&setup);
    let other = GatewaySetup::new(&Pkcs11Token::new());
    let others = Shares::of(&other);
    let damaged = format!("{}/damaged", shares.folder);
    let text = std::fs::read_to_string(shares.path(3)).expect("a share");
    let (start, end) = text.trim().split_at(text.len() - 20);
    let last = if end.starts_with('A') { "B" } else { "A" };
    let text = format!("{start}{last}{}", &end[1..]);
    std::fs::write(&damaged, text).expect("a file");
    let old = format!("{}/old", shares.folder);
    std::fs::write(&old, "vouchsafe-root-share-v1 2-of-3 00 AA\n").expect("a file");
    let empty = setup.with_token(&Pkcs11Token::new());
    // The second file is share 3: its place on the command line is not its number.
    let first = shares.path(1);
    for (second, expected) in [
        (None, format!("not enough shares: 1 of 2 required (2-of-3): `{first}` (share 1)")),
        (Some(&first), format!("`{first}` (share 1) is a duplicate of `{first}` (share 1)")),
        (Some(&others.path(3)), format!("`{}` (share 3) belongs to another backup than `{first}`", others.path(3))),
        (Some(&damaged), format!("`{damaged}` (share 3) is damaged")),
        (Some(&old), format!("`{old}` has the first format")),
    ] {
        let mut arguments = vec!["restore", "--generation", "1", &first];
        arguments.extend(second.map(String::as_str));
        let (code, text) = empty.run(&arguments);
        assert!(code == 1 && text.contains(&expected), "{expected}: {text}");
    }
    let (code, text) = empty.run(&["status"]);
    assert!(code == 0 && text.contains("no keys of the gateway"), "{text}");
    // A key that has been replaced since must not sign again.
    let third = shares.path(3);
    let restore = |name: &str| {
        let without = ["restore", "--generation", "1", "--without", name];
        empty.run(&[&without[..], &[&first, &third]].concat())
    };
    let (code, text) = restore("nobody");
    assert!(code == 2 && text.contains("backup contains no key `nobody`"), "{text}");
    let (code, text) = restore("rs256");
    assert!(code == 0 && text.contains("`rs256` has no key"), "{text}");
    assert!(!text.contains("imported vouchsafe:token:rs256"), "{text}");
}

/// What a newcomer runs into.
#[test]
fn hints_at_missing_module_or_token() {
    let setup = GatewaySetup::new(&Pkcs11Token::new());
    let (code, text) = setup.run(&["status", "--config", "nowhere.toml"]);
    assert!(code == 2 && text.contains("nowhere.toml") && text.contains("hint: `--config FILE`"), "{text}");
    let (code, text) = setup.clone().without_softhsm_file().run(&["doctor"]);
    assert!(
        code == 1 && text.contains("no slot has an initialized PKCS#11 token") && text.contains("SOFTHSM2_CONF"),
        "{text}"
    );
    setup.token.initialize_another();
    let (code, text) = setup.run(&["doctor"]);
    assert!(
        code == 1
            && text.contains("error: 2 PKCS#11 tokens have the label `vouchsafe`; their serial numbers are ")
            && text.contains("hint: give each token its own label"),
        "{text}"
    );
}
