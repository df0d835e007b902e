//! Revocations against exchanges at the same time, on two brokers with one database.

use crate::revocation::scene::*;
use std::sync::atomic::{AtomicBool, Ordering};
use vouchsafe_harness::administration::*;
use vouchsafe_harness::bundle::API;

/// No token leaves after a block is confirmed, however requests interleave (I11).
#[test]
fn no_token_leaves_after_a_block() {
    let scene = Scene::new();
    let second = scene.setup.start();
    let caller = scene.resource_server(API);
    let mut block = of_workload("race");
    block["block"] = true.into();
    let confirmed = AtomicBool::new(false);
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = [&scene.broker, &second, &scene.broker, &second]
            .into_iter()
            .map(|broker| {
                let (issuer, confirmed) = (&scene.issuer, &confirmed);
                scope.spawn(move || {
                    let mut tokens = Vec::new();
                    loop {
                        let began_after = confirmed.load(Ordering::SeqCst);
                        let response = exchange(broker, issuer, WORKLOAD, API, "read");
                        match response.status {
                            200 => {
                                assert!(!began_after, "a token was issued after the block");
                                tokens.push(response.json()["access_token"].as_str().expect("a token").to_owned());
                            }
                            // A busy machine's store may time out, which releases nothing.
                            503 if !began_after => {}
                            _ => return tokens,
                        }
                    }
                })
            })
            .collect();
        scene.revoke(block);
        confirmed.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    for token in &tokens {
        assert_eq!(scene.introspect_as(&caller, token).text(), INACTIVE);
    }
    scene.broker.assert_healthy();
    second.assert_healthy();
}
