//! The keys of a broker whose clock moves across epochs.

use serde_json::Value;
use std::collections::BTreeSet;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER, EDDSA, EPOCH_SECONDS, LONG};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::{self, Issued};

/// Start of an epoch.
const FIRST: u64 = 1_800_000_000;
/// Four complete windows of keys; to know them takes one epoch before and two after.
const STEPS: u64 = 7;
/// Every token expires at least this long before its key is withdrawn.
const MARGIN_SECONDS: u64 = 60;
/// Seconds into its epoch at which a step's broker starts. If the start took so long that the epoch ended, the step is
/// tried again further from the end.
const OFFSETS: [u64; 4] = [1180, 1100, 900, 600];

/// What a broker published and issued in one epoch.
struct Step {
    jwks: Value,
    /// For the ES256 audience, for the EdDSA audience, and with the longest lifetime.
    tokens: Vec<Issued>,
}

impl Step {
    fn kids(&self, alg: &str) -> BTreeSet<String> {
        let keys = self.jwks["keys"].as_array().expect("a JWK Set");
        let kids: Vec<_> = keys.iter().filter(|key| key["alg"] == alg).map(|key| key["kid"].to_string()).collect();
        let set: BTreeSet<_> = kids.iter().cloned().collect();
        assert_eq!((kids.len(), set.len()), (4, 4), "previous, current and next two of {alg}");
        set
    }

    fn signing_kid(&self, alg: &str) -> String {
        let token = self.tokens.iter().find(|token| token.header["alg"] == alg).expect("a token");
        token.header["kid"].to_string()
    }
}

fn issue(broker: &Broker, iss: &str, audience: &str, now: u64) -> Issued {
    let mut claims = jwt::claims(iss, BROKER, now);
    claims["exp"] = (now + 600).into();
    let form = Form::of(&jwt::mint("ES256", &claims)).set("audience", audience);
    let response = broker.send(&form.request());
    assert_eq!(response.status, 200, "{audience}: {}", response.text());
    Issued::parse(response.json()["access_token"].as_str().expect("a token"))
}

/// Runs a broker near the end of an epoch.
fn run_step(setup: &Setup, iss: &str, epoch_start: u64) -> Step {
    for offset in OFFSETS {
        let now = epoch_start + offset;
        let broker = setup.clone().at_time(now).start();
        let tokens: Vec<_> = [API, EDDSA, LONG].map(|audience| issue(&broker, iss, audience, now)).into();
        let jwks = broker.jwks();
        let last = issue(&broker, iss, API, now);
        broker.assert_healthy();
        if last.number("iat") < epoch_start + EPOCH_SECONDS {
            return Step { jwks, tokens };
        }
    }
    panic!("every start took longer than the rest of its epoch");
}

#[test]
fn publishes_exactly_the_keys_of_each_epoch() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let start = |index: u64| FIRST + index * EPOCH_SECONDS;
    let steps: Vec<_> = (0..STEPS).map(|index| run_step(&setup, &issuer.url("main"), start(index))).collect();

    for alg in ["ES256", "EdDSA"] {
        let signing: Vec<_> = steps.iter().map(|step| step.signing_kid(alg)).collect();
        let distinct: BTreeSet<_> = signing.iter().collect();
        assert_eq!(distinct.len(), steps.len(), "each epoch has its own {alg} key");
        for (index, step) in steps.iter().enumerate() {
            let kids = step.kids(alg);
            let first = index.saturating_sub(1);
            let known: BTreeSet<_> = signing[first..steps.len().min(index + 3)].iter().cloned().collect();
            // The keys of the epochs before the first step and after the last one are unknown.
            assert!(known.is_subset(&kids), "epoch {index}: {alg}");
            if known.len() == 4 {
                assert_eq!(kids, known, "epoch {index}: {alg}");
            }
            let withdrawn = &signing[..first];
            assert!(withdrawn.iter().all(|kid| !kids.contains(kid)), "epoch {index}: {alg}");
        }
    }

    for (index, step) in steps.iter().enumerate() {
        let withdrawal = start(u64::try_from(index).expect("small")) + 2 * EPOCH_SECONDS;
        for token in &step.tokens {
            assert!(token.number("exp") <= withdrawal - MARGIN_SECONDS, "epoch {index}: {}", token.claims);
            for (other, published) in steps.iter().enumerate() {
                // From two epochs before to one after.
                let expected = other <= index + 1 && other + 2 >= index;
                assert_eq!(token.verifies(&published.jwks), expected, "a token of epoch {index} in epoch {other}");
            }
        }
        let longest = step.tokens.last().expect("a token");
        assert_eq!(longest.number("exp") - longest.number("iat"), EPOCH_SECONDS - MARGIN_SECONDS);
    }
}

/// Keys don't depend on the database.
#[test]
fn derives_same_keys_with_another_database() {
    let issuer = Issuer::honest();
    let keys = |root: Option<&str>| {
        let mut setup = Setup::trusting(&issuer);
        if let Some(root) = root {
            setup = setup.variable("signer_root", root);
        }
        setup.at_time(FIRST).start().jwks()
    };
    assert_eq!(keys(None), keys(None));
    let other = keys(Some("YW5vdGhlci1yb290LWFub3RoZXItcm9vdC1hbm90aGU"));
    assert_ne!(keys(None), other, "another root gives the same keys");
}
