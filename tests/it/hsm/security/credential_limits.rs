//! What one credential can use up: seeds and key lists per minute, and lines of the log.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use vouchsafe_harness::hsm::{Gateway, GatewaySetup, TlsClient, certificates, epoch_at, eventually, seed_request};
use vouchsafe_harness::now;

fn lines(gateway: &Gateway, event: &str) -> Vec<Value> {
    let log = gateway.log().into_iter();
    log.filter(|line| line["event"] == event).collect()
}

/// Waits until the counts in the lines of `event` add up to `expected`.
fn wait_for_count(gateway: &Gateway, event: &str, expected: u64) {
    eventually(event, || {
        let counts = lines(gateway, event);
        let counts = counts.iter().filter_map(|it| it["count"].as_u64());
        (counts.sum::<u64>() == expected).then_some(())
    });
}

#[test]
fn logs_repeated_seeds_as_one_counted_line() {
    const REQUESTS: u64 = 200;
    let gateway = GatewaySetup::initialized().start();
    let body = seed_request(epoch_at(now()));
    let ask = |credential: &str, body: &Value| {
        let answer = gateway.ask_as(credential, "/v1/epoch-seed", Some(body));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    for _ in 0..REQUESTS {
        ask(&gateway.setup.credential, &body);
    }
    let mut eddsa = body.clone();
    eddsa["algorithm"] = "EdDSA".into();
    ask(&gateway.setup.credential, &eddsa);
    let mut theirs = body.clone();
    theirs["group"] = "other".into();
    ask(&gateway.setup.other_credential, &theirs);
    let seeds = lines(&gateway, "seed");
    let known: Vec<_> =
        seeds.iter().map(|it| (&it["caller"], &it["group"], &it["algorithm"], &it["epoch_start"])).collect();
    let start = &body["epoch_start"];
    assert_eq!(
        known,
        [
            (&"broker".into(), &"default".into(), &"ES256".into(), start),
            (&"broker".into(), &"default".into(), &"EdDSA".into(), start),
            (&"other".into(), &"other".into(), &"ES256".into(), start),
        ]
    );
    assert_eq!(gateway.metric("hsm_gateway_seeds_total"), REQUESTS + 2);
    // Rotation writes the count to the old file.
    gateway.signal("-HUP");
    wait_for_count(&gateway, "seed-repeats", REQUESTS - 1);
    let repeats = lines(&gateway, "seed-repeats");
    let [line] = repeats.as_slice() else {
        panic!("{repeats:?}");
    };
    for name in ["caller", "group", "algorithm", "generation", "epoch_start"] {
        assert_eq!(line[name], seeds[0][name], "{name}");
    }
    // So does shutdown.
    ask(&gateway.setup.credential, &body);
    gateway.signal("-TERM");
    wait_for_count(&gateway, "seed-repeats", REQUESTS);
}

/// Otherwise, callers that disconnect would write a line each time.
#[test]
fn logs_one_line_for_disconnected_callers() {
    let gateway = GatewaySetup::initialized().start();
    let body = seed_request(epoch_at(now()));
    for _ in 0..200 {
        gateway.ask_and_disconnect("/v1/epoch-seed", &body);
    }
    let answer = gateway.ask("/v1/epoch-seed", Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    // All requests before it have ended.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(lines(&gateway, "seed").len(), 1);
}

#[test]
fn logs_one_line_for_parallel_first_seeds() {
    let gateway = GatewaySetup::initialized().start();
    let body = seed_request(epoch_at(now()));
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let answer = gateway.ask("/v1/epoch-seed", Some(&body));
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    assert_eq!(lines(&gateway, "seed").len(), 1);
}

#[test]
fn limits_rate_per_credential() {
    let gateway = GatewaySetup::initialized()
        .change("groups = [\"default\"]", "groups = [\"default\"]\nseeds_per_minute = 3\nkeys_per_minute = 4")
        .start();
    let seed = seed_request(epoch_at(now()));
    let mut theirs = seed.clone();
    theirs["group"] = "other".into();
    for (path, body, other, rate, slug) in
        [("/v1/epoch-seed", Some(&seed), Some(&theirs), 3, "seed.rate"), ("/v1/keys", None, None, 4, "keys.rate")]
    {
        for number in 0..rate {
            let answer = gateway.ask(path, body);
            assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        }
        let answer = gateway.ask(path, body);
        let retry_after = answer.header("retry-after").and_then(|it| it.parse().ok());
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.json(), json!({ "error": slug }));
        let most = 60 / rate;
        assert!(retry_after.is_some_and(|it: u64| (1..=most).contains(&it)), "{retry_after:?}");
        for _ in 0..=rate {
            let answer = gateway.ask_as(&gateway.setup.other_credential, path, other);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let line = lines(&gateway, "refusal").pop().expect("a line");
        assert_eq!((&line["caller"], &line["slug"]), (&"broker".into(), &slug.into()));
    }
}

#[test]
fn logs_refusals_of_each_credential() {
    const REFUSALS: u64 = 300;
    const BURST: usize = 60;
    let gateway = GatewaySetup::initialized().start();
    let body = seed_request(0);
    for _ in 0..REFUSALS {
        let answer = gateway.ask("/v1/epoch-seed", Some(&body));
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    let other = &gateway.setup.other_credential;
    let answer = gateway.ask_as(other, "/v1/epoch-seed", Some(&body));
    assert_eq!(answer.json(), json!({ "error": "group.forbidden" }));
    let refusals = lines(&gateway, "refusal");
    let of = |caller: &str| refusals.iter().filter(|it| it["caller"] == caller).count();
    assert_eq!(of("other"), 1);
    let written = of("broker");
    // One more for every three seconds that it took.
    assert!((BURST..BURST + 20).contains(&written), "{written}");
    gateway.signal("-HUP");
    let counted = REFUSALS - u64::try_from(written).expect("small");
    wait_for_count(&gateway, "refusal-repeats", counted);
    let line = lines(&gateway, "refusal-repeats").pop().expect("a line");
    assert_eq!((&line["caller"], &line["slug"]), (&"broker".into(), &"seed.window".into()));
}

/// A brute-force attack leaves its address in the log, but can't fill the disk.
#[test]
fn logs_unauthenticated_attempts_as_one_counted_line() {
    const ATTEMPTS: u64 = 100;
    let gateway = GatewaySetup::initialized().start();
    let unknown = "A".repeat(43);
    for _ in 0..ATTEMPTS {
        let answer = gateway.ask_as(&unknown, "/v1/keys", None);
        assert_eq!(answer.json(), json!({ "error": "credential.unknown" }));
    }
    gateway.signal("-HUP");
    eventually("counts", || {
        let first = u64::try_from(lines(&gateway, "unauthenticated").len()).ok()?;
        let repeats = lines(&gateway, "unauthenticated-repeats");
        let counts = repeats.iter().filter_map(|it| it["count"].as_u64());
        (first + counts.sum::<u64>() == ATTEMPTS).then_some(())
    });
    let first = lines(&gateway, "unauthenticated");
    // Two if a minute ended meanwhile.
    assert!((1..=2).contains(&first.len()), "{first:?}");
    let line = &first[0];
    assert_eq!(
        (&line["peer"], &line["what"], &line["slug"]),
        (&"127.0.0.1".into(), &"/v1/keys".into(), &"credential.unknown".into())
    );
}

fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("openssl: {error}: `scripts/test` installs it"));
    assert!(output.status.success(), "openssl {arguments}: {output:?}");
    output.stdout
}

fn fingerprint(certificate: &Path) -> String {
    let folder = certificate.parent().expect("a folder");
    let der = openssl(folder, &format!("x509 -in {} -outform DER", certificate.display()));
    let digest = ring::digest::digest(&ring::digest::SHA256, &der);
    digest.as_ref().iter().map(|it| format!("{it:02x}")).collect()
}

/// Makes another authority that the gateway trusts, and a client certificate from it.
fn make_thief(folder: &Path) -> (PathBuf, PathBuf) {
    let text = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";
    std::fs::write(folder.join("extensions"), text).expect("a file");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for arguments in [
        format!("req -x509 {key} -keyout other-ca.key -out other-ca.pem -subj /CN=other -days 2"),
        format!("req {key} -keyout thief.key -out thief.csr -subj /CN=thief"),
        "x509 -req -in thief.csr -CA other-ca.pem -CAkey other-ca.key -set_serial 1 -days 2 \
         -extfile extensions -out thief.pem"
            .to_owned(),
    ] {
        openssl(folder, &arguments);
    }
    let roots =
        ["ca.pem", "other-ca.pem"].map(|name| std::fs::read_to_string(folder.join(name)).expect("a certificate"));
    std::fs::write(folder.join("roots.pem"), roots.concat()).expect("a file");
    (folder.join("thief.pem"), folder.join("thief.key"))
}

#[test]
fn rejects_bound_credential_with_another_certificate() {
    let setup = GatewaySetup::initialized().over_mutual_tls();
    let (thief, thief_key) = make_thief(&setup.folder);
    let pem = |name: &str| certificates().join(name);
    let (ours, our_key) = (pem("client.pem"), pem("client.key"));
    let bound = format!("certificate_sha256 = [\"{}\"]", fingerprint(&ours));
    let setup = setup
        .change("client_roots = \"ca.pem\"", "client_roots = \"roots.pem\"")
        .change("groups = [\"default\"]", &format!("groups = [\"default\"]\n{bound}"))
        .change("name = \"ops\"", &format!("name = \"ops\"\n{bound}"));
    let gateway = setup.start();
    let ask = |port: u16, certificate: &Path, key: &Path, credential: &str, path: &str| {
        let mut client = TlsClient::connect(port, &pem("ca.pem"), certificate, key);
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {credential}\r\n\r\n");
        // Twice, because a resumed session has the same certificate.
        client.exchange(&[request.as_bytes()]);
        let answer = client.exchange(&[request.as_bytes()]);
        (answer.status, answer.body)
    };
    let unknown = (401, r#"{"error":"credential.unknown"}"#.to_owned());
    for (port, credential, path) in
        [(setup.port, &setup.credential, "/v1/keys"), (setup.admin_port, &setup.admin_credential, "/v1/admin/keys")]
    {
        let (status, body) = ask(port, &ours, &our_key, credential, path);
        assert_eq!(status, 200, "{body}");
        let (status, body) = ask(port, &thief, &thief_key, credential, path);
        match path {
            "/v1/keys" => assert_eq!((status, body), unknown),
            _ => {
                let body: Value = serde_json::from_str(&body).expect("JSON");
                assert_eq!((status, &body["error"]), (401, &"credential.unknown".into()));
            }
        }
    }
    // An unbound credential works with every certificate, and the operator learns of the theft.
    let other = &setup.other_credential;
    let (status, body) = ask(setup.port, &thief, &thief_key, other, "/v1/keys");
    assert_eq!(status, 200, "{body}");
    let slugs: Vec<_> = lines(&gateway, "unauthenticated").into_iter().map(|line| line["slug"].clone()).collect();
    assert!(slugs.contains(&"credential.certificate".into()), "{slugs:?}");
}
