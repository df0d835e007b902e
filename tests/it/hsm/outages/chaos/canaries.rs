//! The same while a new version of a key is tried repeatedly and rolled back during each failure.
//!
//! A version must be published for 425 s before it signs (`PUBLISHED_SECONDS_MIN`), which no configuration shortens.
//! So the real gateway stages it before the run with its clock set back; only that clock is simulated. That is sound,
//! because no verifier has a copy from before the run. Both gateways need the version, and backup shares don't
//! contain a staged one, so the second PKCS#11 token is a copy of the first, as HSMs can make them.

use super::{Clock, EMERGENCY, FAILURES, Gateways, Site, judge, start_gateway};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use vouchsafe_harness::bundle::HSM_ES256;
use vouchsafe_harness::hsm::{KEY, PUBLISHED_SECONDS, Pkcs11Token, eventually, keys};

const SHARE: &str = "50%";

impl Gateways {
    /// Both have the same keys and a version that was staged long enough before `now`.
    fn staged(now: u64) -> Self {
        let mut gateways = Self::new();
        let gateway = start_gateway(&gateways.setups[0], now - PUBLISHED_SECONDS - 60);
        keys(&[&gateway.setup], &["stage", KEY]).is(0, "1 active, 2 pending");
        drop(gateway);
        let copy = Pkcs11Token::copy_of(&gateways.setups[0].token);
        gateways.setups[1] = gateways.setups[1].with_token(&copy);
        gateways
    }
}

impl Site {
    /// Repeats an operation on the key until both gateways have done it, whatever else happens.
    fn act(&self, arguments: &[&str]) {
        let setups = [self.setup(0), self.setup(1)];
        eventually(arguments[0], || {
            let ended = keys(&[&setups[0], &setups[1]], arguments);
            // The gateway or its HSM may be down; no other refusal is acceptable.
            let wait = ended.code == 3 || ended.text.contains("hsm.unavailable");
            assert!(ended.code == 0 || wait, "{arguments:?}: {}", ended.text);
            (ended.code == 0).then_some(())
        });
    }

    /// `kid`s of both versions, in order.
    fn versions(&self) -> [String; 2] {
        let keys = self.with(0, |it| it.ask("/v1/keys", None).json());
        let keys = keys["groups"][0]["token_keys"].as_array().expect("keys");
        let of_it = keys.iter().filter(|key| key["name"] == KEY);
        let kids: Vec<_> = of_it.map(|key| key["jwk"]["kid"].as_str().expect("a kid").to_owned()).collect();
        kids.try_into().expect("two versions")
    }

    /// Waits until this version has signed a token.
    fn signed_by(&self, kid: &str) {
        eventually("a token of the version", || {
            let token = self.exchange(HSM_ES256).ok()?;
            (token.kid() == kid).then_some(())
        });
    }
}

fn round(site: &Site, [first, second]: &[String; 2], counts: &mut BTreeMap<&'static str, u64>) {
    for (name, fail) in &FAILURES {
        site.wait_until_up();
        let (start, generation) = (Instant::now(), site.generation.load(Relaxed));
        site.act(&["canary", KEY, SHARE]);
        site.signed_by(second);
        std::thread::scope(|scope| {
            // With the version's number, so that repeating it does nothing.
            let back = scope.spawn(|| site.act(&["rollback", KEY, "--version", "2"]));
            fail(site);
            back.join().expect("rolled back");
        });
        site.wait_until_up();
        // Gateways read the states once a second, and sign with nothing older than 5 s.
        eventually("the end of tokens of the rolled-back version", || {
            let of_it = (0..2 * super::WORKLOADS).any(|_| {
                let token = site.exchange(HSM_ES256);
                token.is_ok_and(|token| token.kid() == *second)
            });
            (!of_it).then_some(())
        });
        site.signed_by(first);
        // Emergencies are refused too soon after each other to be in every round.
        if *name == EMERGENCY && site.generation.load(Relaxed) == generation {
            continue;
        }
        println!("{name}, under a canary: {} ms", start.elapsed().as_millis());
        *counts.entry(name).or_default() += 1;
    }
}

#[test]
fn keeps_tokens_verifiable_when_canary_is_rolled_back() {
    let clock = Clock::start();
    let site = Site::start(Gateways::staged(clock.base), clock);
    let versions = site.versions();
    let counts = site.under_load(|counts| round(&site, &versions, counts));
    judge(&site, &counts);
    for kid in &versions {
        let signed = site.seen().signed_by(kid);
        println!("{signed} tokens of {kid}");
        assert!(signed >= FAILURES.len(), "{kid} signed {signed}");
    }
}
