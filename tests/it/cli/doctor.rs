//! `vouchsafe doctor`, for brokers with one thing wrong each.

use super::command::{Ended, run};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use vouchsafe_harness::broker::{Setup, profile_folder};
use vouchsafe_harness::bundle::{BEYOND, HSM, IssuerFile};
use vouchsafe_harness::hsm::{GatewaySetup, certificates};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::now;
use vouchsafe_harness::ports::port;
use vouchsafe_harness::tls::TlsIssuer;

/// Examines the broker that `setup` would start.
fn doctor(setup: &Setup, more: &[&str]) -> Ended {
    let mut command = Command::new(profile_folder().join("vouchsafe"));
    command.args(["doctor", "--manifest", "spin.toml", "--state-dir", "state"]).args(more);
    for (name, value) in &setup.variables {
        command.arg("--variable").arg(format!("{name}={value}"));
    }
    command.args(&setup.arguments).current_dir(&**setup.folder);
    run(&mut command, b"")
}

/// Result, reason and hint of each finding about `what`.
fn findings(setup: &Setup, what: &str) -> Vec<(String, String, String)> {
    let ended = doctor(setup, &["--format", "json"]);
    assert_eq!(ended.stderr, "");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["well"], ended.code == 0, "{report}");
    let all = report["findings"].as_array().expect("findings");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let each = all.iter().filter(|finding| finding["what"] == what);
    each.map(|finding| (text(&finding["result"]), text(&finding["why"]), text(&finding["fix"]))).collect()
}

#[track_caller]
fn check(setup: &Setup, what: &str, result: &str, why: &str, fix: &str) {
    let found = findings(setup, what);
    assert_eq!(found, [(result.to_owned(), why.to_owned(), fix.to_owned())], "{what}");
}

fn trusting(url: &str, origin: &str) -> Setup {
    Setup::broker(&[IssuerFile::new("main", url, "")], &[origin.to_owned()])
}

const REFUSED_HINT: &str = "nothing listens there: check the port in the URL, and whether the server runs";
const DISCOVERY: &str = "/.well-known/openid-configuration";

#[test]
fn reports_each_issuer_with_its_cause() {
    let issuer = Issuer::start([
        ("main", Script::honest()),
        ("broken", Script::DiscoveryIs(500, "text/plain", b"oops".to_vec())),
        ("reset", Script::Reset),
        ("stalled", Script::Stalled),
        ("large", Script::KeysAre(200, "application/json", vec![b' '; 300 * 1024])),
    ]);
    let dead = format!("http://127.0.0.1:{}", port());
    let url = |realm: &str| issuer.url(realm);
    let at = |url: &str, why: &str| format!("{url}{DISCOVERY}: {why}");
    for (url, origin, result, why, fix) in [
        (url("main"), issuer.origin(), "ok", format!("4 keys, fetched from {}/jwks", url("main")), ""),
        (
            url("broken"),
            issuer.origin(),
            "error",
            at(&url("broken"), "the issuer responded with status 500"),
            "check the URLs in issuers/main.toml",
        ),
        (
            dead.clone(),
            dead.clone(),
            "error",
            at(
                &dead,
                &format!("cannot connect to {}: Connection refused (os error 111)", dead.trim_start_matches("http://")),
            ),
            REFUSED_HINT,
        ),
        (
            url("stalled"),
            issuer.origin(),
            "error",
            format!("{}/jwks: no complete answer within 5.0 s", url("stalled")),
            "",
        ),
        (
            url("large"),
            issuer.origin(),
            "error",
            format!("{}/jwks: the answer has more than 262144 bytes", url("large")),
            "",
        ),
        (
            url("main"),
            dead.clone(),
            "error",
            at(&url("main"), &format!("`{}` is not among the allowed hosts", issuer.origin())),
            "add it to allowed_outbound_hosts of the manifest",
        ),
    ] {
        check(&trusting(&url, &origin), "issuer `main`", result, &why, fix);
    }
    let reset = findings(&trusting(&url("reset"), &issuer.origin()), "issuer `main`");
    assert_eq!(reset[0].0, "error");
}

#[test]
fn reports_why_certificate_is_refused() {
    let unknown = "set ca_roots_file in a [[client_tls]] of the runtime config file";
    for (root, certificate, why, fix) in [
        ("ca.pem", "issuers.pem", "the server's certificate is not signed by a known CA", unknown),
        (
            "issuers-ca.pem",
            "issuers-expired.pem",
            "the server's certificate expired at 20",
            "compare the certificate with this machine's clock",
        ),
        ("issuers-ca.pem", "issuers-other.pem", "the server's certificate is not for `localhost`", ""),
    ] {
        let issuer = TlsIssuer::start(certificate);
        let setup = with_runtime_config(
            trusting(&issuer.url(), &issuer.origin()),
            &format!(
                "[[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"localhost\"]\nca_roots_file = \"{}\"\n",
                certificates().join(root).display()
            ),
        );
        let why = format!("{}{DISCOVERY}: {why}", issuer.url());
        let found = findings(&setup, "issuer `main`");
        let [(result, said, hint)] = found.as_slice() else { panic!("{found:?}") };
        assert!(said.starts_with(&why), "{said}");
        assert_eq!((result.as_str(), hint.as_str()), ("error", fix));
    }
}

#[test]
fn reports_blocked_network() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let config = "[outbound_networking]\nblock_networks = [\"private\"]\n";
    let setup = with_runtime_config(trusting(&issuer.url("main"), &issuer.origin()), config);
    let found = findings(&setup, "issuer `main`");
    assert_eq!(found[0].0, "error");
    let why = "the address 127.0.0.1 is in the blocked network `private`";
    assert!(found[0].1.ends_with(why), "{found:?}");
}

fn with_runtime_config(setup: Setup, config: &str) -> Setup {
    let file = setup.folder.join("runtime.toml");
    std::fs::write(&file, config).expect("a file");
    setup.argument("--runtime-config-file").argument(file.display().to_string())
}

/// A server that answers everything with these headers and this body, in which `ORIGIN` stands for its own; its thread runs until the process ends.
fn server(status: u16, headers: String, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let body = body.replace("ORIGIN", &format!("http://{address}"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
            }
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
            );
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    format!("http://{address}")
}

/// A time as in a `Date` header.
fn http_date(seconds: u64) -> String {
    let format = "+%a, %d %b %Y %H:%M:%S GMT";
    let mut command = Command::new("date");
    let ended = run(command.env("LC_ALL", "C").args(["-u", "-d", &format!("@{seconds}"), format]), b"");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.stdout.trim().to_owned()
}

#[test]
fn compares_clock_with_that_of_servers() {
    let of = |seconds: u64| {
        let url = server(404, format!("date: {}\r\n", http_date(seconds)), "");
        findings(&trusting(&url, &url), "clock").remove(0)
    };
    let fine = of(now());
    assert_eq!(fine.0, "ok", "{fine:?}");
    let (result, why, fix) = of(now() - 3600);
    assert_eq!(result, "error");
    assert!(why.contains(" s ahead of the clock of `http://127.0.0.1:"), "{why}");
    assert!(fix.starts_with("set the clock, and keep it set with NTP"), "{fix}");
    let silent = server(404, String::new(), "");
    check(&trusting(&silent, &silent), "clock", "warning", "not checked: no server gave its time", "");
}

#[test]
fn reports_readable_root() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = trusting(&issuer.url("main"), &issuer.origin());
    let (_, root) = setup.variables.iter().find(|(name, _)| name == "signer_root").expect("a root").clone();
    let file = setup.folder.join("root");
    std::fs::write(&file, root).expect("a file");
    let setup = setup.variable("signer_root", "@root");
    let mode = |mode: u32| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
    mode(0o644);
    let why = "root holds the secret variable `signer_root` and is readable by other users (mode 0644)";
    check(&setup, "secrets", "error", why, "chmod 600 root");
    mode(0o600);
    check(&setup, "secrets", "ok", "no file with a secret can be read by other users", "");
}

#[test]
fn reports_what_other_users_can_change() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = trusting(&issuer.url("main"), &issuer.origin());
    let what = "write access";
    check(&setup, what, "ok", "only root and this user can change the manifest, the components and the bundle", "");
    let set = |path: &str, mode: u32| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(setup.folder.join(path), mode).expect("set");
    };
    set("policies/rules", 0o777);
    set("spin.toml", 0o646);
    let found = findings(&setup, what);
    let [manifest, bundle] = found.as_slice() else { panic!("{found:?}") };
    // In development mode, others may.
    let expected = ["warning", "`spin.toml` can be changed by other users (mode 0646)", "chmod go-w spin.toml"];
    assert_eq!(*manifest, expected.map(str::to_owned).into());
    assert!(bundle.1.ends_with("policies/rules` can be changed by other users (mode 0777)"), "{bundle:?}");
    assert!(bundle.2.starts_with("chmod -R go-w "), "{bundle:?}");
    let serve = Command::new(profile_folder().join("vouchsafe"))
        .args(["serve", "--listen", "127.0.0.1:0", "--manifest", "spin.toml", "--state-dir", "state"])
        .args(setup.variables.iter().map(|(name, value)| match name.as_str() {
            "development" => "--variable=development=false".to_owned(),
            "issuer" => "--variable=issuer=https://broker.example".to_owned(),
            _ => format!("--variable={name}={value}"),
        }))
        .args(&setup.arguments)
        .current_dir(&**setup.folder)
        .output()
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&serve.stderr);
    assert_eq!(serve.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: `spin.toml` can be changed by other users (mode 0646)\nerror: `"), "{stderr}");
}

#[test]
fn names_refused_url_of_discovery_document() {
    let body = r#"{"issuer":"ORIGIN","jwks_uri":"http://keys.example/jwks?secret=1"}"#;
    let url = server(200, String::new(), body);
    let found = findings(&trusting(&url, &url), "issuer `main`");
    let why = "the `jwks_uri` of the discovery document, `http://keys.example/jwks`, must not be fetched: the scheme is not https";
    let fix = "ask the operator of the issuer, or set `jwks_uri` in issuers/main.toml, after checking that URL";
    assert_eq!(found, [("error".to_owned(), format!("{url}{DISCOVERY}: {why}"), fix.to_owned())]);
}

#[test]
fn compares_root_with_database() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = trusting(&issuer.url("main"), &issuer.origin());
    let what = "signing root";
    check(&setup, what, "ok", "the database remembers none yet", "");
    drop(setup.start());
    check(&setup, what, "ok", "the one that the database has seen", "");
    let other = "A".repeat(43);
    let found = findings(&setup.variable("signer_root", &other), what);
    assert_eq!(found[0].0, "warning");
    assert!(found[0].1.starts_with("`signer_root` is not the one that this database has seen: "), "{found:?}");
}

#[test]
fn compares_audiences_with_signer() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = trusting(&issuer.url("main"), &issuer.origin());
    let found = findings(&setup, "audiences");
    let has = |setup: &[(String, String, String)], why: &str, fix: &str| {
        let expected = ("error".to_owned(), why.to_owned(), fix.to_owned());
        assert!(setup.contains(&expected), "{why}: {setup:?}");
    };
    let beyond = format!("audience `{BEYOND}` is not in `signer_audiences`");
    has(&found, &beyond, "add it there, or remove its audience file");
    let hsm = format!("audience `{HSM}` has tier `hsm`, but the signer `signer-local` has no HSM");
    has(&found, &hsm, "use `spin.hsm.toml`, or tier `delegated`");
    let setup = setup.variable("signer_audiences", "https://gone.example");
    let gone = "`signer_audiences` contains `https://gone.example`, which the bundle does not have";
    let found = findings(&setup, "audiences");
    assert!(found.iter().any(|(result, why, _)| result == "warning" && why == gone), "{found:?}");
}

#[test]
fn reports_each_gateway() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let gateway = GatewaySetup::initialized();
    let running = gateway.start();
    let not_ready = server(503, String::new(), r#"{"status":"not_ready","wanting":"the HSM is down"}"#);
    let other = server(200, String::new(), "hello");
    let dead = format!("http://127.0.0.1:{}", port());
    let urls = [gateway.url(), not_ready.clone(), other.clone(), dead.clone()];
    let origins = [&[issuer.origin()][..], &urls].concat();
    let files = [IssuerFile::new("main", issuer.url("main"), "")];
    let setup = Setup::of("spin.hsm.toml", &files, &origins)
        .variable("gateway_urls", &urls.join(" "))
        .variable("gateway_token", &gateway.credential)
        .variable("signer_hsm_algorithms", "ES256 EdDSA RS256");
    let check =
        |url: &str, result: &str, why: &str, fix: &str| check(&setup, &format!("gateway {url}"), result, why, fix);
    check(&gateway.url(), "ok", "ready", "");
    let runbook = "see docs/runbooks/hsm-outage.md, and the gateway's log";
    check(&not_ready, "error", "not ready: the HSM is down", runbook);
    let addresses = "`gateway_urls` must contain the gateways' `listen` addresses";
    check(&other, "error", "status 200, and not an answer of a gateway", addresses);
    let address = dead.trim_start_matches("http://");
    check(&dead, "error", &format!("cannot connect to {address}: Connection refused (os error 111)"), REFUSED_HINT);
    drop(running);
}

#[test]
fn unreadable_configuration_is_a_finding() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = trusting(&issuer.url("main"), &issuer.origin()).variable("sgner_epoch", "60");
    let ended = doctor(&setup, &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""));
    assert!(ended.stdout.starts_with("error    configuration: "), "{}", ended.stdout);
    assert!(ended.stdout.contains("sgner_epoch"), "{}", ended.stdout);
}

#[test]
fn changes_nothing_in_state_directory() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = trusting(&issuer.url("main"), &issuer.origin());
    let found = findings(&setup, "state directory");
    assert!(found[0].1.starts_with("state: "), "{found:?}");
    assert!(!setup.folder.join("state").exists());
}
