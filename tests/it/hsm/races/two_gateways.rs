//! Two gateways of one PKCS#11 token that act at once, and gateways that die during an operation.
//!
//! Calls to the PKCS#11 module are held to let the other gateway come in between, so that no test depends on speed.

use serde_json::{Value, json};
use std::thread;
use vouchsafe_harness::bundle::{API, HSM_EDDSA, HSM_ES256};
use vouchsafe_harness::hsm::{
    Gateway, GatewaySetup, HsmFixture, KEY, PUBLISHED_SECONDS, check_states, eventually, keys, kid_that_signs,
    sign_with, staged, states,
};
use vouchsafe_harness::http::Response;
use vouchsafe_harness::now;

const BEFORE_MAKING: &str = "before-C_GenerateKeyPair";
const AFTER_MAKING: &str = "after-C_GenerateKeyPair";

fn stage(gateway: &Gateway) -> Response {
    let body = json!({ "key": KEY, "act": "stage" });
    gateway.administer("/v1/admin/act", Some(&body))
}

/// Two gateways of one PKCS#11 token, whose calls to the module can be held.
fn pair() -> [Gateway; 2] {
    let setup = GatewaySetup::initialized();
    let twin = setup.twin();
    [setup.shimmed().start(), twin.shimmed().start()]
}

/// The gateway that finds that the other was faster removes what it made, and can be asked again.
#[test]
fn rolls_back_later_of_two_concurrent_stages() {
    let [first, second] = pair();
    first.setup.hold(BEFORE_MAKING, 1);
    second.setup.hold(BEFORE_MAKING, 1);
    thread::scope(|scope| {
        let one = scope.spawn(|| stage(&first));
        let other = scope.spawn(|| stage(&second));
        // Both have seen that the number is free.
        first.setup.wait_until_held(BEFORE_MAKING);
        second.setup.wait_until_held(BEFORE_MAKING);
        first.setup.release(BEFORE_MAKING);
        let won = one.join().expect("a response");
        assert_eq!((won.status, &won.json()["changed"]), (200, &true.into()));
        second.setup.release(BEFORE_MAKING);
        let lost = other.join().expect("a response");
        let answer = lost.json();
        assert_eq!((lost.status, &answer["error"]), (409, &"version.conflict".into()), "{answer}");
    });
    for gateway in [&first, &second] {
        eventually("one staged version", || (states(gateway) == "1 active, 2 pending").then_some(()));
    }
    let failed = second.events("admin");
    assert_eq!(failed.last().expect("lines")["failed"], "version.conflict");
    // It has a new worker.
    eventually("the gateway to accept requests again", || (stage(&second).status == 200).then_some(()));
    keys(&[&second.setup], &["stage", KEY]).is(0, "unchanged, 1 active, 2 pending");
    assert_eq!(first.setup.run(&["doctor"]).0, 0);
}

/// Whichever wins, if any: nothing is left half-done, and one of the next two attempts makes a version.
#[test]
fn leaves_at_most_one_version_after_race() {
    let [first, second] = pair();
    hold_until_made([&first, &second]);
    let answers = thread::scope(|scope| {
        let asked = [&first, &second].map(|gateway| scope.spawn(move || stage(gateway)));
        wait_until_made([&first, &second]);
        first.setup.release(AFTER_MAKING);
        second.setup.release(AFTER_MAKING);
        asked.map(|it| it.join().expect("a response"))
    });
    let won = answers.iter().filter(|it| it.status == 200).count();
    assert!(won <= 1, "both made the version");
    for answer in answers.iter().filter(|it| it.status != 200) {
        assert_eq!(answer.json()["error"], "version.conflict");
    }
    eventually("the gateway to accept requests again", || {
        let answer = stage(&first);
        println!("second attempt: {}", answer.text());
        (answer.status == 200).then_some(())
    });
    // The number of a removed version may be used up, because its public key can remain.
    let found = states(&first);
    let staged = found.strip_prefix("1 active, ").expect("the active one");
    let numbers = ["2 pending", "2 destroyed, 3 pending"];
    assert!(numbers.contains(&staged), "{found}");
    let (code, text) = second.setup.run(&["status"]);
    assert!(code == 0 && !text.contains("DUPLICATE"), "{text}");
}

/// Makes both see that the number is free before either makes the version.
fn hold_until_made(gateways: [&Gateway; 2]) {
    for gateway in gateways {
        gateway.setup.hold(BEFORE_MAKING, 1);
        gateway.setup.hold(AFTER_MAKING, 1);
    }
}

fn wait_until_made(gateways: [&Gateway; 2]) {
    for place in [BEFORE_MAKING, AFTER_MAKING] {
        for gateway in gateways {
            gateway.setup.wait_until_held(place);
        }
        for gateway in gateways.iter().filter(|_| place == BEFORE_MAKING) {
            gateway.setup.release(place);
        }
    }
}

/// A PKCS#11 token on which both gateways died after they had made the same version.
fn make_duplicate_version() -> [Gateway; 2] {
    let [first, second] = pair();
    hold_until_made([&first, &second]);
    thread::scope(|scope| {
        for gateway in [&first, &second] {
            scope.spawn(move || assert_eq!(stage(gateway).status, 503));
        }
        wait_until_made([&first, &second]);
        for gateway in [&first, &second] {
            gateway.signal_worker("-KILL");
        }
    });
    for gateway in [&first, &second] {
        gateway.setup.release(AFTER_MAKING);
    }
    [first, second]
}

/// If both die before they notice, nobody uses that version, and everything else keeps working.
#[test]
fn ignores_duplicate_version() {
    let [first, second] = make_duplicate_version();
    let setup = first.setup.clone();
    for gateway in [&first, &second] {
        eventually("the duplicate to be noticed", || (states(gateway) == "1 active, 2 doubled").then_some(()));
    }
    second.kill();
    first.kill();
    // A gateway that starts in this state.
    let gateway = setup.start();
    check_states(&gateway, "1 active, 2 doubled");
    assert_eq!(gateway.events("doubled").last().expect("a line")["version"], 2);
    let fixture = HsmFixture::start(&[&setup]);
    let jwks = fixture.broker.jwks();
    for audience in [API, HSM_ES256, HSM_EDDSA] {
        assert!(fixture.issue(audience).verifies(&jwks), "{audience}");
    }
    let published = gateway.ask("/v1/keys", None).json();
    let published = published["groups"][0]["token_keys"].as_array().expect("keys").clone();
    let versions = published.iter().filter(|key| key["name"] == KEY);
    assert_eq!(versions.count(), 1, "the duplicate is published");
    let destroys = format!("`vouchsafe keys retire {KEY} --version 2 --destroy` destroys both");
    let (code, text) = setup.run(&["status"]);
    assert!(code == 0 && text.contains(&destroys), "{text}");
    let (code, text) = setup.run(&["doctor"]);
    assert!(code == 1 && text.contains(&destroys), "{text}");
    assert!(text.contains("ok    vouchsafe:token:es256:v1"), "{text}");
    let ask = |arguments: &[&str]| keys(&[&setup], arguments);
    ask(&["list", "--deny-warnings"]).is(1, "warning: duplicate PKCS#11 objects for version 2");
    ask(&["retire", KEY, "--version", "2"]).is(1, "duplicate PKCS#11 objects for version 2");
    ask(&["stage", KEY]).is(0, "1 active, 2 doubled, 3 pending");
    let destroy = ["retire", KEY, "--version", "2", "--destroy"];
    ask(&destroy).is(0, "1 active, 2 destroyed, 3 pending");
    ask(&destroy).is(0, "unchanged");
    check_states(&gateway, "1 active, 2 destroyed, 3 pending");
    assert_eq!(setup.run(&["doctor"]).0, 0);
    gateway.kill();
    check_states(&setup.start(), "1 active, 2 destroyed, 3 pending");
}

/// Someone with the PIN adds a key of their own beside the one that signs: it is not trusted, and no other key is
/// affected.
#[test]
fn stops_only_key_with_duplicate_active_version() {
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let kid = kid_that_signs(&gateway, KEY).expect("it is published");
    assert_eq!(sign_with(&gateway, KEY, &kid, now()), (200, Value::Null));
    make_pair(&setup, "vouchsafe:token:es256:v1");
    eventually("the duplicate to be noticed", || (states(&gateway) == "1 doubled").then_some(()));
    let check = |gateway: &Gateway| {
        assert_eq!(kid_that_signs(gateway, KEY), None, "one of the two signs");
        assert_eq!(sign_with(gateway, KEY, &kid, now()), (409, "key.version".into()));
        let other = kid_that_signs(gateway, "eddsa").expect("it is published");
        assert_eq!(sign_with(gateway, "eddsa", &other, now()), (200, Value::Null));
    };
    check(&gateway);
    gateway.kill();
    let gateway = setup.start();
    check(&gateway);
    // The next version replaces it like the first one of a key: when verifiers know it.
    keys(&[&setup], &["stage", KEY]).is(0, "1 doubled, 2 pending");
    keys(&[&setup], &["promote", KEY]).is(1, "verifiers may not know version 2 yet");
    gateway.kill();
    let later = now() + PUBLISHED_SECONDS + 5;
    let gateway = setup.clone().at_time(later).start();
    keys(&[&setup], &["promote", KEY]).is(0, "1 doubled, 2 active");
    let kid = kid_that_signs(&gateway, KEY).expect("it is published");
    assert_eq!(sign_with(&gateway, KEY, &kid, later), (200, Value::Null));
}

/// Without a single root nothing works, so the object is named.
#[test]
fn rejects_duplicate_roots_by_name() {
    let refused = |setup: &GatewaySetup, label: &str| {
        let twice = format!("duplicate PKCS#11 objects `{label}`");
        let (code, text) = setup.run(&["serve"]);
        assert!(code == 1 && text.contains(&twice), "{text}");
        assert!(text.contains("hint: remove the one that does not belong there"), "{text}");
        let (code, text) = setup.run(&["doctor"]);
        assert!(code == 1 && text.contains(&twice), "{text}");
        let (code, text) = setup.run(&["status"]);
        assert_eq!(code, 0, "{text}");
        text
    };
    let setup = GatewaySetup::initialized();
    setup.token.import_root(&[7; 32], 1);
    let text = refused(&setup, "vouchsafe:root");
    assert!(text.contains("vouchsafe:root  DUPLICATE: "), "{text}");
    let (code, text) = setup.run(&["rotate", "--emergency"]);
    assert!(code == 1 && text.contains("duplicate PKCS#11 objects `vouchsafe:root`"), "{text}");

    let setup = GatewaySetup::initialized();
    make_pair(&setup, "vouchsafe:root-signing");
    let text = refused(&setup, "vouchsafe:root-signing");
    assert!(text.contains("vouchsafe:root-signing  DUPLICATE: "), "{text}");

    let setup = GatewaySetup::initialized();
    let (code, pem) = setup.run(&["root-certificate"]);
    assert_eq!(code, 0, "{pem}");
    let file = setup.folder.join("root.pem");
    std::fs::write(&file, pem).expect("a file");
    let written = setup.token.pkcs11_tool(&[
        "--write-object",
        &file.display().to_string(),
        "--type",
        "cert",
        "--label",
        "vouchsafe:root-certificate",
    ]);
    assert!(written.status.success(), "{written:?}");
    refused(&setup, "vouchsafe:root-certificate");
}

/// Makes a key pair with this label, as another program would.
fn make_pair(setup: &GatewaySetup, label: &str) {
    let made = setup.token.pkcs11_tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--label", label]);
    assert!(made.status.success(), "{made:?}");
}

/// A gateway that starts with a longer `lifetime_max` writes it into the active versions; that must not undo what the
/// other gateway did since the states were read.
#[test]
fn keeps_operation_of_another_gateway_at_start() {
    let (setup, at) = staged();
    let now = at.now();
    keys(&[&setup], &["canary", KEY, "100%"]).is(0, "2 canary 100%");
    let twin = setup.twin().shimmed().change("pin_file", "deadline_ms = 60000\npin_file").at_time(now);
    // es256 is the third key in the file.
    let longer = ["rs256", "eddsa", "es256"].map(|_| ("lifetime_max = 900", "lifetime_max = 1800"));
    let twin = longer.iter().fold(twin, |twin, (from, to)| twin.change(from, to));
    let other = thread::scope(|scope| {
        // The first search for a private key precedes the first write.
        twin.hold("before-find", 1);
        let starting = scope.spawn(|| twin.start());
        twin.wait_until_held("before-find");
        let broker = format!("http://{}", at.fixture.broker.address);
        keys(&[&setup], &["promote", KEY, "--broker", &broker]).is(0, "1 retiring, 2 active");
        twin.release("before-find");
        starting.join().expect("it starts")
    });
    for gateway in [&at.gateway, &other] {
        eventually("the promoted state", || (states(gateway) == "1 retiring, 2 active").then_some(()));
    }
    // The longer lifetime is recorded in the version that signs now.
    let remembered = other.events("lifetime");
    let of_key: Vec<_> = remembered.iter().filter(|it| it["key"] == KEY).collect();
    assert_eq!(of_key.last().expect("lines")["version"], 2, "{of_key:?}");
    assert!(of_key.last().expect("lines")["failed"].is_null(), "{of_key:?}");
}
