//! How long a request takes whose client writes its head and its body by themselves, as Spin's does.

use std::time::{Duration, Instant};
use vouchsafe_harness::hsm::{GatewaySetup, TlsClient, certificates, epoch_at, seed_request};
use vouchsafe_harness::now;

/// Of each kind, in turns, so that whatever else the machine does slows both.
const REQUESTS: usize = 60;
/// Linux delays an acknowledgement by 40 ms at least, and what is measured here takes one or two.
const DIFFERENCE_MAX: Duration = Duration::from_millis(20);

/// The second write waits until the first is acknowledged (Nagle's algorithm, RFC 1122 §4.2.3.4).
#[test]
fn does_not_wait_for_delayed_acknowledgement() {
    let setup = GatewaySetup::initialized().over_mutual_tls();
    let _gateway = setup.start();
    let pem = |name: &str| certificates().join(name);
    let mut client = TlsClient::connect(
        setup.port,
        &pem("ca.pem"),
        &pem("client.pem"),
        &pem("client.key"),
    );
    let mut measured = [Vec::new(), Vec::new()];
    for _ in 0..REQUESTS {
        for (kind, times) in measured.iter_mut().enumerate() {
            let body = seed_request(epoch_at(now())).to_string();
            let head = format!(
                "POST /v1/epoch-seed HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
                 content-length: {}\r\n\r\n",
                setup.credential,
                body.len()
            );
            let whole = format!("{head}{body}");
            let start = Instant::now();
            let answer = match kind {
                0 => client.exchange(&[whole.as_bytes()]),
                _ => client.exchange(&[head.as_bytes(), body.as_bytes()]),
            };
            times.push(start.elapsed());
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    let [one, two] = measured.map(|mut times| {
        times.sort_unstable();
        times[REQUESTS / 2]
    });
    println!("median of {REQUESTS}: {one:?} in one write, {two:?} in two");
    assert!(
        two < one + DIFFERENCE_MAX,
        "{one:?} in one write, {two:?} in two"
    );
}
