//! `vouchsafe keys canary --watch` running unattended: what it does, and its exit code.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use vouchsafe_harness::broker::profile_folder;
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::hsm::{At, Ended, GatewaySetup, KEY, check_states, eventually, keys, staged, staged_with};
use vouchsafe_harness::jwt::{self, Issued};

/// Too long for a test to wait for.
const LONG: &str = "604800";

/// A running `--watch`.
struct Watch {
    child: Child,
    stderr: BufReader<ChildStderr>,
    output: String,
}

impl Watch {
    /// Starts it, and waits until it has checked once.
    fn start(setup: &GatewaySetup, at: &At, share: &str, seconds: &str) -> Self {
        let broker = format!("http://{}", at.fixture.broker.address);
        let mut child = Command::new(profile_folder().join("vouchsafe"))
            .args(["keys", "canary", KEY, share, "--watch", "--broker", &broker])
            .args(["--watch-seconds", seconds, "--interval-seconds", "1"])
            .args(["--gateway", &setup.admin_url(), "--admin-token-file"])
            .arg(setup.folder.join("admin"))
            .args(["--format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vouchsafe runs");
        let mut watch =
            Self { stderr: BufReader::new(child.stderr.take().expect("piped")), child, output: String::new() };
        watch.wait_for("canary 2: ");
        watch
    }

    /// Waits until it has printed `words`.
    fn wait_for(&mut self, words: &str) {
        let from = self.output.len();
        while !self.output[from..].contains(words) {
            let read = self.stderr.read_line(&mut self.output).expect("text");
            assert!(read > 0, "ended without printing `{words}`: {}", self.output);
        }
    }

    fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_some()
    }

    /// Waits for its end; returns its outcome and its standard output.
    fn wait(&mut self) -> (Ended, String) {
        self.stderr.read_to_string(&mut self.output).expect("text");
        let mut stdout = String::new();
        let output = self.child.stdout.as_mut().expect("piped");
        output.read_to_string(&mut stdout).expect("text");
        let code = self.child.wait().expect("ends").code().expect("a code");
        let text = self.output.clone();
        (Ended { code, text }, stdout)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The JSON lines of operations: the states before and after.
#[track_caller]
fn check_acts(stdout: &str, expected: &[(&str, &str)]) {
    let lines = stdout.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["key"], &line["changed"]), (&KEY.into(), &true.into()));
        let text = |name: &str| line[name].as_str().expect("text").to_owned();
        (text("before"), text("after"))
    });
    let expected: Vec<_> = expected.iter().map(|(before, after)| ((*before).to_owned(), (*after).to_owned())).collect();
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

/// Exchanges until `stop`; every issued token verifies with the keys from before. Returns the number of refusals.
fn traffic(at: &At, stop: &AtomicBool) -> usize {
    let jwks = at.fixture.broker.jwks();
    let mut refused = 0;
    while !stop.load(Relaxed) {
        let claims = at.fixture.issuer.claims(at.now());
        let form = Form::of(&jwt::mint("RS256", &claims));
        let form = form.set("audience", vouchsafe_harness::bundle::HSM_ES256);
        let answer = at.fixture.broker.send(&form.request());
        match answer.status {
            200 => {
                let jwt = answer.json()["access_token"].as_str().map(Issued::parse);
                assert!(jwt.expect("a token").verifies(&jwks));
            }
            503 => refused += 1,
            other => panic!("{other} {}", answer.text()),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    refused
}

/// Runs `act` while exchanges continue.
fn under_traffic<T>(at: &At, act: impl FnOnce() -> T) -> (T, usize) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic(at, &stop));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        stop.store(true, Relaxed);
        let refused = traffic.join().expect("traffic");
        match outcome {
            Ok(outcome) => (outcome, refused),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[test]
fn promotes_healthy_canary_with_exit_code_0() {
    let (setup, at) = staged();
    let ((ended, stdout), refused) = under_traffic(&at, || Watch::start(&setup, &at, "100%", "3").wait());
    ended.is(0, "healthy");
    check_acts(
        &stdout,
        &[("1 active, 2 pending", "1 active, 2 canary 100%"), ("1 active, 2 canary 100%", "1 retiring, 2 active")],
    );
    check_states(&at.gateway, "1 retiring, 2 active");
    assert_eq!(refused, 0);
    at.fixture.broker.assert_healthy();
}

/// The module returns invalid signatures, some of them for the canary; none of them leaves the gateway.
#[test]
fn rolls_back_failing_canary_with_exit_code_1() {
    let setup = GatewaySetup::initialized().shimmed();
    let (setup, at) = staged_with(setup);
    let spoil = setup.folder.join("spoil");
    let ((ended, stdout), refused) = under_traffic(&at, || {
        let mut watch = Watch::start(&setup, &at, "100%", LONG);
        eventually("an end", || {
            std::fs::write(&spoil, "").expect("a file");
            watch.is_over().then_some(())
        });
        // Gone already if the module has signed since.
        drop(std::fs::remove_file(&spoil));
        watch.wait()
    });
    ended.is(1, "error: version 2 is worse and was rolled back\nhint: ");
    check_acts(
        &stdout,
        &[("1 active, 2 pending", "1 active, 2 canary 100%"), ("1 active, 2 canary 100%", "1 active, 2 pending")],
    );
    check_states(&at.gateway, "1 active, 2 pending");
    println!("{refused} exchanges were refused");
    at.issue();
}

#[test]
fn exits_3_without_gateway() {
    let (setup, at) = staged();
    let mut watch = Watch::start(&setup, &at, "5%", "2");
    at.gateway.kill();
    let (ended, _) = watch.wait();
    ended.is(3, "warning: no answer from");
    let words = "error: cannot judge version 2, which stays a canary: no answer from";
    ended.is(3, words);
    // The same from the start as for every operation.
    let url = setup.admin_url();
    let again = ["canary", KEY, "5%", "--watch", "--broker", &url];
    keys(&[&setup], &again).is(3, "no answer from");
    let gateway = restart(&setup, &at);
    check_states(&gateway, "1 active, 2 canary 5%");
}

fn restart(setup: &GatewaySetup, at: &At) -> vouchsafe_harness::hsm::Gateway {
    setup.clone().at_time(at.now()).start()
}

/// Nobody can confirm that verifiers know its keys.
#[test]
fn exits_3_without_broker() {
    let (setup, at) = staged();
    let mut watch = Watch::start(&setup, &at, "5%", "2");
    at.fixture.broker.kill();
    let (ended, _) = watch.wait();
    ended.is(3, "error: cannot judge version 2, which stays a canary: no answer from");
    check_states(&at.gateway, "1 active, 2 canary 5%");
}

/// A restarted gateway counts from zero and is judged by that.
#[test]
fn keeps_watching_restarted_gateway() {
    let (setup, at) = staged();
    let ((ended, _gateway), _) = under_traffic(&at, || {
        let mut watch = Watch::start(&setup, &at, "100%", "10");
        at.gateway.kill();
        watch.wait_for("warning: no answer from");
        let gateway = restart(&setup, &at);
        (watch.wait().0, gateway)
    });
    ended.is(0, "healthy");
}

/// With two admins, what the other one did counts.
#[test]
fn reports_outcome_of_others_by_exit_code() {
    let (setup, at) = staged();
    let broker = format!("http://{}", at.fixture.broker.address);
    for (act, code, states) in [
        (&["rollback", KEY][..], 1, "1 active, 2 pending"),
        (&["promote", KEY, "--broker", &broker], 0, "1 retiring, 2 active"),
    ] {
        let mut watch = Watch::start(&setup, &at, "100%", LONG);
        keys(&[&setup], act).is(0, states);
        let (ended, _) = watch.wait();
        ended.is(code, &format!("{KEY}: version 2 is no longer a canary"));
        check_states(&at.gateway, states);
    }
}

#[test]
fn exits_2_on_usage_error_without_canary() {
    let (setup, at) = staged();
    let ask = |more: &[&str]| keys(&[&setup], &[&["canary", KEY], more].concat());
    ask(&["5%", "--watch"]).is(2, "--broker <URL>");
    ask(&["0%"]).is(2, "must be 1% to 100%");
    ask(&["5%", "--watch", "--broker", "broker.example"]).is(2, "is not a URL such as");
    let url = format!("http://{}", at.fixture.broker.address);
    let broker = ["5%", "--watch", "--broker", &url];
    for seconds in [["--watch-seconds", "0"], ["--interval-seconds", "3601"]] {
        ask(&[&broker[..], &seconds].concat()).is(2, "is not in");
    }
    check_states(&at.gateway, "1 active, 2 pending");
    // A refused operation exits with 1, with `--watch` and without.
    let unknown = ["canary", "nobody", "5%", "--watch", "--broker", &url];
    keys(&[&setup], &unknown).is(1, "error: ");
}
