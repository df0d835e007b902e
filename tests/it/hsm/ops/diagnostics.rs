//! What operators see: commands in a pipe, exit codes and the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write as _;
use vouchsafe_harness::hsm::{
    Gateway, GatewaySetup, Pkcs11Token, closed_pipe, epoch_at, eventually, keys, seed_request, sign, token_claims,
};
use vouchsafe_harness::now;

/// `hsm-gateway status | head -1`, where `head` exits first.
#[test]
fn tolerates_closed_pipe_but_not_full_disk() {
    let setup = GatewaySetup::new(&Pkcs11Token::new());
    let (code, errors) = setup.run_into(closed_pipe(), &["init"]);
    assert_eq!(code, 0, "{errors}");
    for arguments in [
        &["status"][..],
        &["status", "--format", "json"],
        &["doctor"],
        &["doctor", "--format", "json"],
        &["root-certificate"],
        &["credential", "--out", "unread"],
    ] {
        let (code, errors) = setup.run_into(closed_pipe(), arguments);
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
    }
    let full = File::options().write(true).open("/dev/full");
    let (code, errors) = setup.run_into(full.expect("Linux"), &["root-certificate"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.starts_with("error: standard output: "), "{errors}");
}

#[test]
fn keeps_running_when_output_is_closed() {
    let gateway = GatewaySetup::initialized().shimmed().start_with_closed_output();
    let first = gateway.worker().expect("a worker");
    // It has more to print.
    gateway.signal_worker("-KILL");
    gateway.next_worker(first);
    eventually("an HSM", || (gateway.get("/readyz").json()["hsm"] == "up").then_some(()));
    assert_eq!(gateway.get("/readyz").status, 200);
}

/// systemd doesn't restart after exit code 2, so a failure that may pass exits with another one.
#[test]
fn exits_retryably_when_state_folder_fails() {
    let setup = GatewaySetup::initialized();
    let (code, text) = setup.clone().change("\"state\"", "\"pin\"").run(&["serve"]);
    assert!(code == 1 && text.contains("pin: "), "{code}: {text}");
    for name in ["generation", "gateway.log"] {
        let path = setup.folder.join("state").join(name);
        drop(std::fs::remove_file(&path));
        std::fs::create_dir(&path).expect("a folder in its place");
        let (code, text) = setup.run(&["serve"]);
        assert!(code == 1 && text.contains(name), "{code}: {text}");
        std::fs::remove_dir(&path).expect("removes");
    }
    std::fs::write(setup.folder.join("state/generation"), "x").expect("a file");
    assert_eq!(setup.run(&["serve"]).0, 2, "a permanent error");
}

#[test]
fn checks_config_beside_running_gateway() {
    let (setup, calls) = GatewaySetup::initialized().with_spy();
    let gateway = setup.start();
    let asked = || std::fs::read_to_string(&calls).expect("calls");
    let check = |setup: &GatewaySetup| setup.run(&["serve", "--check"]);
    let logins = |calls: &str| calls.matches("C_Login\n").count();
    let (code, text) = check(&setup);
    assert!(code == 0 && text.contains("keys 4"), "{code}: {text}");
    assert_eq!(logins(&asked()), 1, "the gateway's own");
    for (from, to, expected) in [
        ("ES256\"", "ES257\"", "`algorithms`"),
        ("\"pin\"", "\"no-pin\"", "no-pin"),
        ("development = true", "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"", "k.pem"),
        ("pkcs11-spy.so", "no-module.so", "PKCS#11 module not found"),
    ] {
        let (code, text) = check(&setup.clone().change(from, to));
        assert!(code == 2 && text.contains(expected), "{to}: {code}: {text}");
    }
    assert_eq!(gateway.get("/readyz").status, 200);
    drop(gateway);
    std::fs::write(setup.folder.join("state/pin-refused"), "").expect("a note");
    let (code, text) = check(&setup);
    assert!(code == 2 && text.contains("pin-refused"), "{code}: {text}");
}

/// Log lines of one event.
fn lines(setup: &GatewaySetup, event: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(setup.folder.join("state/gateway.log")).expect("a log");
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let lines = text.lines().map(parse);
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn logs_changes_before_making_them() {
    let setup = GatewaySetup::initialized();
    let more = setup.clone().change("name = \"rs256\"", "name = \"more\"");
    assert_eq!(more.run(&["add-key", "more"]).0, 0);
    assert_eq!(setup.run(&["rotate", "--emergency"]).0, 0);
    let commands = lines(&setup, "command");
    let acts: Vec<_> = commands.iter().map(|line| &line["act"]).collect();
    assert_eq!(acts, ["init", "add-key", "rotate"]);
    assert!(commands.iter().all(|line| line["uid"].is_u64()), "{commands:?}");
    let [init, add_key, rotate] = commands.as_slice() else { unreachable!() };
    assert_eq!(init["keys"], json!(["rs256", "eddsa", "es256", "theirs"]));
    assert_eq!((&add_key["key"], &add_key["state"]), (&json!("more"), &json!("pending")));
    assert_eq!((&rotate["before"], &rotate["after"]), (&json!(1), &json!(2)));
    // What can't be logged is not done.
    let log = setup.folder.join("state/gateway.log");
    std::fs::rename(&log, setup.folder.join("moved")).expect("moves");
    std::fs::create_dir(&log).expect("a folder in its place");
    let other = setup.clone().change("name = \"rs256\"", "name = \"other\"");
    let (code, text) = other.run(&["add-key", "other"]);
    assert!(code == 1 && text.contains("gateway.log"), "{code}: {text}");
    let (_, text) = setup.run(&["status"]);
    assert!(!text.contains("token:other:"), "{text}");
}

#[test]
fn logs_failed_operation() {
    let (setup, folder) = (GatewaySetup::new(&Pkcs11Token::new()), "nowhere/at/all");
    let init = ["init", "--with-backup", "2-of-3", "--shares", folder];
    assert_eq!(setup.run(&init).0, 2);
    let commands = lines(&setup, "command");
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!((&commands[0]["failed"], &commands[0]["backup"]), (&Value::Null, &json!("2-of-3")));
    let why = commands[1]["failed"].as_str().expect("why");
    assert!(why.contains(folder), "{why}");
}

#[test]
fn logs_subject_of_each_refusal() {
    let gateway = GatewaySetup::initialized().start();
    let old = epoch_at(now()) - 100 * 3600;
    assert_eq!(gateway.ask("/v1/epoch-seed", Some(&seed_request(old))).status, 403);
    let mut wrong = token_claims(now());
    wrong["aud"] = "https://nowhere.example".into();
    let decision = wrong["jti"].clone();
    assert_eq!(sign(&gateway, "es256", &wrong).0, 403);
    let act = json!({ "key": "es256", "act": "canary", "share": 5 });
    assert_eq!(gateway.administer("/v1/admin/act", Some(&act)).status, 409);
    let refusals = lines(&gateway.setup, "refusal");
    let [seed, token, act] = refusals.as_slice() else { panic!("expected three refusals, got {refusals:?}") };
    assert_eq!(seed["slug"], "seed.window");
    assert_eq!(
        (&seed["group"], &seed["algorithm"], &seed["generation"], &seed["epoch_start"]),
        (&json!("default"), &json!("ES256"), &json!(1), &json!(old))
    );
    assert_eq!(token["slug"], "token.audience");
    assert_eq!((&token["key"], &token["decision_id"]), (&json!("es256"), &decision));
    assert_eq!(act["slug"], "version.nothing");
    assert_eq!((&act["key"], &act["act"]), (&json!("es256"), &json!("canary")));
}

/// The fingerprint as `openssl x509 -noout -fingerprint -sha256` prints it.
fn fingerprint(pem: &str) -> String {
    let base64: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let der = STANDARD.decode(base64).expect("PEM");
    let digest = ring::digest::digest(&ring::digest::SHA256, &der);
    let pairs: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[test]
fn prints_mechanisms_and_openssl_fingerprint_in_status() {
    let setup = GatewaySetup::initialized();
    let (_, text) = setup.run(&["status"]);
    let line = text.lines().find(|line| line.starts_with("  mechanisms  "));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    for mechanism in ["CKM_SHA256_HMAC", "CKM_ECDSA", "CKM_EDDSA", "CKM_SHA256_RSA_PKCS"] {
        assert!(line.contains(mechanism), "{line}");
    }
    let (code, pem) = setup.run(&["root-certificate"]);
    assert_eq!(code, 0, "{pem}");
    assert!(text.contains(&format!("SHA-256 {}\n", fingerprint(&pem))), "{text}");
    let (_, text) = setup.run(&["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&text).expect("JSON");
    let mechanisms = status["mechanisms"].as_array().expect("mechanisms");
    assert!(mechanisms.contains(&json!("CKM_ECDSA")), "{status}");
    assert_eq!(status["mechanisms_missing"], json!([]));
}

/// Keys from a backup need no mechanism that generates keys.
#[test]
fn accepts_token_that_cannot_generate_existing_keys() {
    let token = Pkcs11Token::new();
    let file = File::options().append(true).open(token.softhsm_file());
    let without = "slots.mechanisms = -CKM_GENERIC_SECRET_KEY_GEN,CKM_EC_KEY_PAIR_GEN,\
                   CKM_EC_EDWARDS_KEY_PAIR_GEN,CKM_RSA_PKCS_KEY_PAIR_GEN\n";
    file.expect("a file").write_all(without.as_bytes()).expect("writes");
    let setup = GatewaySetup::new(&token);
    let init = ["init", "--with-backup", "2-of-3", "--shares", "."];
    let (code, text) = setup.run(&init);
    assert_eq!(code, 0, "{text}");
    let (code, text) = setup.run(&["doctor"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("note  CKM_RSA_PKCS_KEY_PAIR_GEN: not supported by the PKCS#11 token"), "{text}");
    assert!(text.contains("ok    CKM_SHA256_RSA_PKCS\n"), "{text}");
    drop(setup.start());
}

#[test]
fn tests_unconfigured_keys_in_doctor() {
    let setup = GatewaySetup::initialized();
    let more = setup.clone().change("name = \"rs256\"", "name = \"more\"");
    let (code, text) = more.run(&["doctor", "--format", "json"]);
    assert_eq!(code, 1, "{text}");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(found["well"], false, "{found}");
    let result = |what: &str| {
        let findings = found["findings"].as_array().expect("findings");
        let finding = findings.iter().find(|it| it["what"] == what);
        finding.unwrap_or_else(|| panic!("no {what} in {found}"))["result"].clone()
    };
    for (what, expected) in [
        ("CKM_ECDSA", "ok"),
        ("vouchsafe:root", "ok"),
        ("vouchsafe:token:es256:v1", "ok"),
        ("vouchsafe:token:rs256:v1", "note"),
        ("more", "wrong"),
    ] {
        assert_eq!(result(what), expected, "{what}");
    }
}

#[test]
fn lists_keys_despite_unreachable_gateway() {
    let (down, up) = (GatewaySetup::new(&Pkcs11Token::new()), GatewaySetup::initialized());
    let gateway: Gateway = up.start();
    std::fs::copy(up.folder.join("admin"), down.folder.join("admin")).expect("copies");
    let listed = keys(&[&down, &gateway.setup], &["list"]);
    listed.is(3, &format!("{}: generation 1", up.admin_url()));
    listed.is(3, &format!("error: no answer from {}/", down.admin_url()));
    let listed = keys(&[&down, &gateway.setup], &["list", "--format", "json"]);
    let lines: Vec<Value> = listed.text.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    assert_eq!(lines.len(), 2, "{}", listed.text);
    assert!(lines[0]["error"].is_string() && lines[1]["keys"].is_object(), "{lines:?}");
}
