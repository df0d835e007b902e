//! Latency of requests whose head and body are written separately, as by Spin's HTTP client.

use std::time::{Duration, Instant};
use vouchsafe_harness::hsm::{GatewaySetup, TlsClient, certificates, epoch_at, seed_request};
use vouchsafe_harness::now;

/// Requests of each kind, alternating, so that other load on the machine slows both.
const REQUESTS: usize = 60;
/// Linux delays an acknowledgement by at least 40 ms; a request takes one or two.
const DIFFERENCE_MAX: Duration = Duration::from_millis(20);

/// Nagle's algorithm holds the second write until the first one is acknowledged (RFC 1122 §4.2.3.4).
#[test]
fn does_not_wait_for_delayed_acknowledgement() {
    let setup = GatewaySetup::initialized().over_mutual_tls();
    let _gateway = setup.start();
    let pem = |name: &str| certificates().join(name);
    let mut client = TlsClient::connect(setup.port, &pem("ca.pem"), &pem("client.pem"), &pem("client.key"));
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
    assert!(two < one + DIFFERENCE_MAX, "{one:?} in one write, {two:?} in two");
}
