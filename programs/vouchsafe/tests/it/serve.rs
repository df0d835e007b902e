//! `vouchsafe serve` with a test guest that traps, loops, waits and reports what it sees.

use crate::support::{Server, folder, guest, manifest, read, refused, start, start_with};
use std::time::{Duration, Instant};

fn trap_guest(arguments: &[&str]) -> Server {
    start(&manifest(&folder(), &guest("trap"), ""), arguments)
}

#[test]
fn trap_ends_only_its_instance() {
    let server = trap_guest(&[]);
    assert_eq!(server.get("/").status, 200);
    let trapped = server.get("/trap");
    assert_eq!(trapped.status, 500);
    assert!(trapped.body.contains("server_error"), "{}", trapped.body);
    assert_eq!((server.get("/").status, server.get("/count").body.as_str()), (200, "2\n"), "a new instance answers");
}

#[test]
fn cpu_deadline_ends_busy_loop_without_delaying_others() {
    let server = trap_guest(&["--cpu-deadline-ms", "2000"]);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address);
    let start = Instant::now();
    let busy: Vec<_> = (0..3).map(|_| server.open(&request("/spin"))).collect();
    assert_eq!(server.get("/").status, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "served after {:?}", start.elapsed());
    for stream in busy {
        assert_eq!(read(stream).status, 500);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "ended after {:?}", start.elapsed());
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn waiting_guest_outlives_cpu_deadline() {
    let server = trap_guest(&["--cpu-deadline-ms", "100"]);
    assert_eq!(server.get("/slow").body, "slow\n");
}

#[test]
fn answers_503_to_a_slow_request() {
    let server = trap_guest(&["--request-timeout-ms", "300"]);
    let answer = server.get("/slow");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("temporarily_unavailable"), "{}", answer.body);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn replaces_instance_after_last_request() {
    let server = trap_guest(&["--max-instance-reuse-count", "2"]);
    // The first instance has already answered the readiness request.
    let counts: Vec<_> = (0..4).map(|_| server.get("/count").body).collect();
    assert_eq!(counts, ["2\n", "1\n", "2\n", "1\n"]);
}

/// Guest code of one instance runs on one core at a time.
#[test]
fn spreads_concurrent_requests_over_cores() {
    let server = trap_guest(&[]);
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    // The second instance says 1 in its first answer, as the first one did to the readiness request.
    let slow = server.open("GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let slow = std::thread::spawn(move || read(slow).status);
    let mut counts = Vec::new();
    while !slow.is_finished() {
        counts.push(server.get("/count").body);
    }
    assert_eq!(slow.join().expect("joins"), 200);
    assert_eq!(counts.iter().any(|count| count == "1\n"), several, "{counts:?}");
    counts.clear();
    counts.extend((0..4).map(|_| server.get("/count").body));
    assert!(counts.iter().all(|count| count != "1\n"), "later requests need no new instance: {counts:?}");
}

#[test]
fn appends_spin_headers_of_the_host() {
    let server = trap_guest(&[]);
    let answer = server.send(&format!(
        "GET /headers?a=b HTTP/1.1\r\nhost: {}\r\nspin-client-addr: 1.2.3.4:5\r\nconnection: close\r\n\r\n",
        server.address
    ));
    let addresses: Vec<_> = answer.body.lines().filter_map(|line| line.strip_prefix("spin-client-addr: ")).collect();
    assert_eq!((addresses.len(), addresses[0]), (2, "1.2.3.4:5"), "{}", answer.body);
    assert!(addresses[1].starts_with("127.0.0.1:"), "{addresses:?}");
    assert!(answer.body.starts_with(&format!("http://{}/headers?a=b\n", server.address)), "{}", answer.body);
}

#[test]
fn limits_declared_and_chunked_bodies() {
    let server = trap_guest(&[]);
    let post = |length: usize| {
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        server.send(&(head + &"a".repeat(length))).status
    };
    assert_eq!((post(128 * 1024), post(128 * 1024 + 1)), (200, 413));
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "a".repeat(64 * 1024));
    let chunked = |chunks: usize| {
        let head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        server.send(&(head.to_owned() + &chunk.repeat(chunks) + "0\r\n\r\n")).status
    };
    assert_eq!((chunked(2), chunked(3)), (200, 413));
}

#[test]
fn refuses_request_without_host() {
    let server = trap_guest(&[]);
    assert_eq!(server.send("GET / HTTP/1.1\r\nconnection: close\r\n\r\n").status, 400);
}

#[test]
fn sigterm_finishes_request_in_flight() {
    let server = trap_guest(&[]);
    let slow = server.open("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
    std::thread::sleep(Duration::from_millis(300));
    server.terminate();
    let answer = read(slow);
    assert_eq!((answer.status, answer.body.as_str()), (200, "slow\n"));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn mounts_files_as_in_the_manifest() {
    let directory = folder();
    std::fs::create_dir(directory.join("bundle")).expect("a directory");
    std::fs::write(directory.join("bundle/a"), "a").expect("a file");
    let mounted = "files = [{ source = \"bundle\", destination = \"/policies\" }]";
    let server = start(&manifest(&directory, &guest("trap"), mounted), &[]);
    assert_eq!(server.get("/files").body, "Some(1)\n");
    let other = folder();
    for name in ["a", "b", "c"] {
        std::fs::write(other.join(name), "x").expect("a file");
    }
    let manifest = directory.join("spin.toml");
    let replaced = start(&manifest, &["--policies", other.to_str().expect("UTF-8")]);
    assert_eq!(replaced.get("/files").body, "Some(3)\n");
    assert_eq!(trap_guest(&[]).get("/files").body, "None\n");
}

#[test]
fn variable_sources_have_documented_precedence() {
    let directory = folder();
    let path = manifest(&directory, &guest("trap"), "");
    let text = std::fs::read_to_string(&path).expect("a manifest");
    let names = ["flag", "file", "environment", "dotenv", "fallback"];
    let declared: String = names.iter().map(|name| format!("{name} = {{ default = \"default\" }}\n")).collect();
    let passed: String = names.iter().map(|name| format!("{name} = \"<{{{{ {name} }}}}>\"\n")).collect();
    std::fs::write(&path, format!("{text}[component.guest.variables]\n{passed}[variables]\n{declared}"))
        .expect("written");
    let dotenv: String =
        names[..4].iter().map(|name| format!("SPIN_VARIABLE_{}=dotenv\n", name.to_uppercase())).collect();
    std::fs::write(directory.join(".env"), dotenv).expect("written");
    std::fs::write(directory.join("value"), "from file\n").expect("written");
    let environment = [("SPIN_VARIABLE_FLAG", "environment"), ("SPIN_VARIABLE_ENVIRONMENT", "environment")];
    let server = start_with(&path, &["--variable", "flag=flag", "--variable", "file=@value"], &environment);
    for (name, expected) in [
        ("flag", "flag"),
        ("file", "from file"),
        ("environment", "environment"),
        ("dotenv", "dotenv"),
        ("fallback", "default"),
    ] {
        assert_eq!(server.get(&format!("/variable/{name}")).body, format!("Some(\"<{expected}>\")\n"), "{name}");
    }
    assert_eq!(server.get("/variable/unknown").body, "None\n");
}

#[test]
fn danger_now_sets_both_clocks() {
    let path = manifest(&folder(), &guest("trap"), "[variables]\ndevelopment = { default = \"true\" }");
    let server = start(&path, &["--danger-now", "1900000000"]);
    let clocks = || -> Vec<u64> {
        server.get("/now").body.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    };
    let first = clocks();
    assert!(first.iter().all(|now| (1_900_000_000..1_900_000_030).contains(now)), "{first:?}");
    assert_eq!(server.get("/slow").status, 200);
    let second = clocks();
    assert!(second.iter().zip(&first).all(|(later, earlier)| later > earlier), "{first:?} {second:?}");
}

#[test]
fn metrics_count_requests_instances_and_traps() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("an address");
    let mut server = trap_guest(&["--metrics-listen", &reserved.to_string()]);
    for path in ["/token", "/token", "/trap", "/elsewhere"] {
        server.get(path);
    }
    server.address = reserved.to_string();
    // The trapped instance ends a moment after its answer.
    let text = (0..100)
        .map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            server.get("/metrics").body
        })
        .find(|text| text.contains("vouchsafe_instances_live 1\n"))
        .expect("the trapped instance ends");
    for line in [
        "vouchsafe_requests_total{route=\"/token\",status=\"200\"} 2",
        "vouchsafe_requests_total{route=\"other\",status=\"200\"} 1",
        "vouchsafe_requests_total{route=\"other\",status=\"500\"} 1",
        "vouchsafe_instances_new_total 2",
        "vouchsafe_instances_live 1",
        "vouchsafe_traps_total 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert_eq!(server.get("/").status, 404);
}

/// Idle connections to the metrics listener don't use up the file descriptors.
#[test]
fn limits_metrics_connections() {
    const MANY: usize = 200;
    const BOUND: usize = 32;
    let reserved =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    let mut server = trap_guest(&["--metrics-listen", &reserved.to_string()]);
    server.get("/");
    let before = server.open_files();
    let idle: Vec<_> = (0..MANY).map(|_| std::net::TcpStream::connect(reserved).expect("connects")).collect();
    // The host accepts these connections before it answers on the other listener.
    while server.open_files() < before + BOUND {
        server.get("/");
    }
    for _ in 0..20 {
        assert_eq!(server.get("/").status, 200);
        let more = server.open_files() - before;
        assert!(more < 2 * BOUND, "{more} more open files");
    }
    drop(idle);
    server.address = reserved.to_string();
    assert_eq!(server.get("/metrics").status, 200);
}

#[test]
fn reports_every_wrong_variable_at_once() {
    let path = manifest(&folder(), &guest("trap"), "");
    let text = std::fs::read_to_string(&path).expect("a manifest");
    let declared = "[variables]\nissuer = { required = true }\nsigner_root = { required = true }\n\
                    signer_epoch = { default = \"3600\" }\ntrusted_proxies = { default = \"\" }\n";
    std::fs::write(&path, format!("{text}{declared}")).expect("written");
    let arguments = ["issuer=http://broker.example", "signer_epoch=30", "trusted_proxies=x", "sgner_root=y", "other"];
    let flags: Vec<_> = arguments.iter().flat_map(|argument| ["--variable", *argument]).collect();
    let (code, text) = refused(&path, &flags);
    assert_eq!(code, Some(2), "{text}");
    let mut errors: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    errors.sort_unstable();
    assert_eq!(
        errors,
        [
            "--variable requires NAME=VALUE or NAME=@FILE",
            "variable `issuer` is not an https URL without query, fragment and user name",
            "variable `sgner_root` is not in the manifest: did you mean `signer_root`?",
            "variable `signer_epoch` is not between 300 and 604800",
            "variable `trusted_proxies`: expected IP addresses or networks such as `10.0.0.0/8`",
        ]
    );
    assert_eq!(text.matches("hint: ").count(), 1, "{text}");
}

#[test]
fn sighup_without_bundle_changes_nothing() {
    let server = trap_guest(&[]);
    server.hang_up();
    assert_eq!(server.get("/").status, 200);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn refuses_to_start_with_a_reason() {
    let directory = folder();
    let plain = manifest(&directory, &guest("trap"), "");
    for (arguments, code, message) in [
        (
            &["--policies", "."][..],
            2,
            "error: --policies replaces the files at /policies, but the manifest mounts none there",
        ),
        (
            &["--metrics-listen", "8.8.8.8:9090"][..],
            2,
            "error: --metrics-listen 8.8.8.8:9090 is a public address, and metrics require no credential",
        ),
        (&["--variable", "issuer=x"][..], 2, "error: variable `issuer` is not in the manifest"),
        (&["--danger-now", "1"][..], 2, "error: --danger-now changes the time of every check"),
        (
            &["--max-instance-reuse-count", "0"][..],
            2,
            "error: --max-instance-reuse-count and --max-instance-concurrent-reuse-count must be at least 1",
        ),
    ] {
        let (found, text) = refused(&plain, arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(message), "{text}");
    }
    let (code, text) = refused(&manifest(&folder(), &guest("verify_host_crypto"), ""), &["--wasm-crypto"]);
    assert_eq!(code, Some(2), "{text}");
    let message =
        "error: component `guest` imports `vouchsafe:crypto/signatures@0.1.0`, which --wasm-crypto does not provide";
    assert!(text.contains(message), "{text}");
    let (code, text) = refused(&manifest(&folder(), &guest("gone"), ""), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("hint: set --components to the folder of the components"), "{text}");
    let (code, text) = refused(&manifest(&folder(), &guest("trap"), "key_value_stores = [\"default\"]"), &[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("unknown field `key_value_stores`") && text.contains("spin.toml:9:1"), "{text}");
}
