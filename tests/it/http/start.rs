//! How `serve` starts: the line that says what runs, and waiting until it is ready.

use std::fs::File;
use std::net::TcpStream;
use vouchsafe_harness::broker::{Setup, repository};
use vouchsafe_harness::hsm::{GatewaySetup, eventually, signal};
use vouchsafe_harness::http::{self, Request};
use vouchsafe_harness::issuer::Issuer;

/// A broker whose gateway is at `gateway`.
fn setup(gateway: &str, credential: &str) -> Setup {
    let issuer = Issuer::honest();
    Setup::of("spin.hsm.toml", &issuer.files(), &[issuer.origin(), gateway.to_owned()])
        .variable("gateway_urls", gateway)
        .variable("gateway_token", credential)
}

/// Nothing listens there.
fn without_gateway() -> Setup {
    setup("http://127.0.0.1:1", &"A".repeat(43))
}

#[test]
fn says_which_broker_and_bundle_started() {
    let issuer = Issuer::honest();
    let broker = Setup::trusting(&issuer).start();
    let ready = broker.get("/readyz").json();
    let digest = ready["bundle"]["digest"].as_str().expect("a digest");
    let line = broker.line_with("serve: started ");
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).expect("the workspace");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    let start = format!("serve: started version {}, instance ", version.expect("a version"));
    let end = format!("/{}, address {}, bundle {digest}", broker.process(), broker.address);
    assert!(line.starts_with(&start) && line.ends_with(&end), "{line}");
}

#[test]
fn exits_unless_it_becomes_ready_in_time() {
    for (arguments, waits) in [(&[][..], false), (&["--wait-ready", "2s"], true)] {
        let setup = arguments.iter().fold(without_gateway(), |setup, argument| setup.argument(*argument));
        let Err(reason) = setup.try_start() else { panic!("the broker started") };
        assert!(reason.contains("unix_wait_status(256)"), "{reason}");
        assert!(reason.contains("error: the application is not ready: signer.unavailable: "), "{reason}");
        assert_eq!(reason.contains("; trying again for up to 2 s"), waits, "{reason}");
    }
}

/// As after a power failure: the broker starts first.
#[test]
fn waits_for_gateway_and_listens_when_ready() {
    let gateway = GatewaySetup::initialized();
    let setup = setup(&gateway.url(), &gateway.credential).argument("--wait-ready").argument("5m");
    let (setup, address) = setup.at_known_address();
    let path = setup.folder.join("log");
    let log = File::create(&path).expect("a file");
    std::thread::scope(|scope| {
        let broker = scope.spawn(|| setup.spawn(log));
        eventually("a line that says what it waits for", || {
            let text = std::fs::read_to_string(&path).expect("the log");
            let waits = text.contains("serve: the application is not ready: signer.unavailable: ");
            (waits && text.contains("; trying again for up to 300 s")).then_some(())
        });
        assert!(TcpStream::connect(&address).is_err(), "it accepts connections");
        let _gateway = gateway.start();
        let (mut child, listening) = broker.join().expect("no panic");
        assert_eq!(listening.as_ref(), Ok(&address));
        let response = http::send(&address, &Request::get("/readyz")).expect("an answer");
        assert_eq!(response.status, 200, "{}", response.text());
        child.kill().expect("kills");
        child.wait().expect("ends");
    });
}

#[test]
fn signal_stops_a_broker_that_waits() {
    let setup = without_gateway().argument("--wait-ready").argument("5m");
    let path = setup.folder.join("log");
    // A script writes the process id that the broker keeps.
    let setup = setup.from_script(&[], "echo $$ >pid; exec \"$@\"");
    std::thread::scope(|scope| {
        let broker = scope.spawn(|| setup.spawn(File::create(&path).expect("a file")));
        eventually("a line that says what it waits for", || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.contains("; trying again for up to ").then_some(())
        });
        let pid = std::fs::read_to_string(setup.folder.join("pid")).expect("a process id");
        signal(pid.trim().parse().expect("a number"), "-TERM");
        let (mut child, listening) = broker.join().expect("no panic");
        assert_eq!(listening, Err(String::new()));
        assert_eq!(child.wait().expect("ends").code(), Some(0));
    });
}
