//! Both tiers through the broker of `spin.hsm.toml`, a real gateway and a real PKCS#11 module.

use crate::cases::files;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Instant;
use vouchsafe_tests::broker::{Broker, Setup};
use vouchsafe_tests::bundle::{API, BROKER, EDDSA, EPOCH_SECONDS, HSM, HSM_EDDSA, HSM_ES256};
use vouchsafe_tests::exchange::{Form, Want, check, refused, unavailable};
use vouchsafe_tests::hsm::{Gateway, GatewaySetup, Token, certificates, eventually};
use vouchsafe_tests::issuer::{Issuer, Script};
use vouchsafe_tests::jwt::{self, Issued};
use vouchsafe_tests::now;

pub const SIGNER: Want = unavailable("signer.unavailable");

pub fn wants() -> Vec<Want> {
    vec![SIGNER]
}

/// A broker with gateways behind it, and who may ask it.
pub struct HsmBench {
    pub broker: Broker,
    pub issuer: Issuer,
}

impl HsmBench {
    /// A broker that asks `gateways`, in this order.
    pub fn start(gateways: &[&GatewaySetup]) -> Self {
        Self::start_with(gateways, |setup| setup)
    }

    pub fn start_with(gateways: &[&GatewaySetup], change: impl FnOnce(Setup) -> Setup) -> Self {
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let urls: Vec<_> = gateways.iter().map(|gateway| gateway.url()).collect();
        let origins = [&[issuer.origin()][..], &urls].concat();
        let credential = gateways[0].credential.clone();
        let setup = Setup::of("spin.hsm.toml", &files(&issuer), &origins)
            .variable("gateway_urls", &urls.join(" "))
            .variable("gateway_token", &credential)
            .variable("signer_hsm_algorithms", "ES256 EdDSA RS256");
        let broker = change(setup).start();
        Self { broker, issuer }
    }

    pub fn token(&self) -> String {
        jwt::mint(
            "RS256",
            &jwt::claims(&self.issuer.url("main"), BROKER, now()),
        )
    }

    /// Asks for a token for `audience`; all that was wanted, or why not.
    pub fn try_for(&self, audience: &str, want: Want) -> Result<Option<Issued>, String> {
        let token = self.token();
        let form = Form::of(&token).set("audience", audience);
        let response = check(&self.broker, &form.request(), &token, want)?;
        let issued = response.json();
        Ok(issued["access_token"].as_str().map(Issued::parse))
    }

    #[track_caller]
    pub fn issue(&self, audience: &str) -> Issued {
        let issued = self.try_for(audience, Want::Issued);
        issued
            .unwrap_or_else(|why| panic!("{audience}: {why}"))
            .expect("a token")
    }

    #[track_caller]
    pub fn refuse(&self, audience: &str, want: Want) {
        let outcome = self.try_for(audience, want);
        outcome.unwrap_or_else(|why| panic!("{audience}: {why}"));
    }
}

fn start() -> (Gateway, HsmBench) {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let gateway = setup.start();
    let bench = HsmBench::start(&[&setup]);
    (gateway, bench)
}

pub fn events(gateway: &Gateway, event: &str) -> Vec<Value> {
    let lines = gateway.log().into_iter();
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn both_tiers_issue_tokens_that_verify_with_the_published_keys() {
    let (gateway, bench) = start();
    let jwks = bench.broker.jwks();
    let keys = jwks["keys"].as_array().expect("a JWK Set");
    let kids: BTreeSet<_> = keys.iter().map(|key| key["kid"].to_string()).collect();
    assert_eq!(
        kids.len(),
        2 * 4 * 2 + 3,
        "two generations of four epochs and two algorithms, three keys of the HSM"
    );
    assert!(
        keys.iter()
            .all(|key| key["d"].is_null() && key["k"].is_null())
    );
    for (audience, alg, in_hsm) in [
        (API, "ES256", false),
        (EDDSA, "EdDSA", false),
        (HSM, "RS256", true),
        (HSM_EDDSA, "EdDSA", true),
        (HSM_ES256, "ES256", true),
    ] {
        for _ in 0..3 {
            let signatures = events(&gateway, "signature").len();
            let token = bench.issue(audience);
            assert_eq!(token.header["alg"], alg, "{audience}");
            assert_eq!(token.claims["aud"], audience);
            assert!(token.verifies(&jwks), "{audience}");
            let log = events(&gateway, "signature");
            assert_eq!(log.len() - signatures, usize::from(in_hsm), "{audience}");
            if in_hsm {
                let line = log.last().expect("a line");
                assert_eq!(line["decision_id"], token.claims["jti"]);
                assert_eq!(line["kid"], token.header["kid"]);
                assert_eq!(line["caller"], "broker");
            }
        }
    }
    assert_eq!(
        events(&gateway, "seed").len(),
        2,
        "one seed for each algorithm"
    );
    bench.broker.assert_unharmed();
}

#[test]
fn the_claims_of_an_audience_reach_a_token_of_the_hsm() {
    let (_gateway, bench) = start();
    let token = bench.token();
    let form = Form::of(&token)
        .set("audience", HSM_ES256)
        .set("scope", "read write");
    let response = check(&bench.broker, &form.request(), &token, Want::Issued).expect("issued");
    let issued = Issued::parse(response.json()["access_token"].as_str().expect("a token"));
    assert_eq!(issued.claims["repository"], "octo-org/octo-repo");
    assert_eq!(issued.claims["ref"], "refs/heads/main");
    assert_eq!(issued.claims["scope"], "read write");
    assert!(issued.verifies(&bench.broker.jwks()));
}

/// The gateway decides, not the bundle: a policy that lists more than the key may sign gets nothing.
#[test]
fn what_the_gateway_refuses_is_refused_to_the_caller() {
    let token = Token::new();
    let setup = GatewaySetup::new(&token)
        .with_keys()
        .change("lifetime_max = 900", "lifetime_max = 299");
    let _gateway = setup.start();
    let bench = HsmBench::start(&[&setup]);
    bench.refuse(HSM, refused(400, "invalid_target", "signer.refused"));
    bench.issue(HSM_ES256);
}

/// As in production: TLS by a private authority, and a certificate on either side.
#[test]
fn speaks_to_a_gateway_over_mutual_tls() {
    let pem = |name: &str| certificates().join(name).display().to_string();
    let setup = GatewaySetup::new(&Token::new())
        .with_keys()
        .over_mutual_tls();
    let _gateway = setup.start();
    let url = format!("https://localhost:{}", setup.port);
    let start = |certificate: &str| {
        let config = format!(
            "[[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"localhost\"]\nca_roots_file = \"{}\"\n{certificate}",
            pem("ca.pem")
        );
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let broker = Setup::of(
            "spin.hsm.toml",
            &files(&issuer),
            &[issuer.origin(), url.clone()],
        )
        .variable("gateway_urls", &url)
        .variable("gateway_token", &setup.credential)
        .variable("signer_hsm_algorithms", "ES256");
        let file = broker.folder.join("runtime.toml");
        std::fs::write(&file, config).expect("a file");
        let file = file.display().to_string();
        let outcome = broker
            .argument("--runtime-config-file")
            .argument(file)
            .try_start();
        outcome.map(|broker| HsmBench { broker, issuer })
    };
    let certificate = format!(
        "client_cert_file = \"{}\"\nclient_private_key_file = \"{}\"\n",
        pem("client.pem"),
        pem("client.key")
    );
    let bench = start(&certificate).expect("with a certificate");
    assert!(bench.issue(HSM_ES256).verifies(&bench.broker.jwks()));
    let Err(reason) = start("") else {
        panic!("it serves a client without a certificate")
    };
    assert!(
        reason.contains("signer.unavailable") || reason.contains("503"),
        "{reason}"
    );
}

/// What both ends have to share is compared at the start, and named.
#[test]
fn a_broker_whose_configuration_is_not_the_gateways_does_not_start() {
    let setup = GatewaySetup::new(&Token::new()).with_keys();
    let _gateway = setup.start();
    for (variable, value) in [
        ("signer_epoch", "2400"),
        ("signer_group", "other"),
        (
            "gateway_token",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
    ] {
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let broker = Setup::of(
            "spin.hsm.toml",
            &files(&issuer),
            &[issuer.origin(), setup.url()],
        )
        .variable("gateway_urls", &setup.url())
        .variable("gateway_token", &setup.credential)
        .variable(variable, value);
        let Err(reason) = broker.try_start() else {
            panic!("it serves with another {variable}")
        };
        assert!(
            reason.contains(&format!("`{variable}`")),
            "{variable}: {reason}"
        );
        assert!(!reason.contains(&setup.credential), "{reason}");
    }
}

/// An emergency: verifiers that have fetched nothing since accept new tokens at once, and those that have
/// refuse the old ones.
#[test]
fn an_emergency_rotation_replaces_every_epoch_key_by_one_that_verifiers_know() {
    let (gateway, bench) = start();
    let (old, old_jwks) = (bench.issue(API), bench.broker.jwks());
    assert!(old.verifies(&old_jwks));
    let (code, text) = gateway.setup.run(&["rotate"]);
    assert_eq!(code, 2, "{text}");
    let (code, text) = gateway.setup.run(&["rotate", "--emergency"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("generation 2 is current, 1 is over"),
        "{text}"
    );
    let rotated = Instant::now();
    let new = eventually("a token of the new generation", || {
        let token = bench.issue(API);
        assert!(
            token.verifies(&old_jwks),
            "whatever signs, verifiers know it"
        );
        (token.kid() != old.kid()).then_some(token)
    });
    println!("followed after {} ms", rotated.elapsed().as_millis());
    let jwks = eventually("the new keys", || {
        let jwks = bench.broker.jwks();
        new.verifies(&jwks).then_some(jwks)
    });
    assert!(!old.verifies(&jwks), "the old generation is gone");
    for audience in [EDDSA, HSM_ES256] {
        assert!(bench.issue(audience).verifies(&jwks), "{audience}");
    }
    let seed = |generation: u64| {
        let now = now();
        let body = serde_json::json!({
            "group": "default", "generation": generation, "algorithm": "ES256",
            "epoch_start": now / EPOCH_SECONDS * EPOCH_SECONDS,
        });
        gateway.ask("/v1/epoch-seed", Some(&body)).status
    };
    assert_eq!(seed(1), 409, "no seed of a generation that is over");
    assert_eq!(events(&gateway, "generation").len(), 1);
    // The gateway that starts anew has not forgotten.
    gateway.kill();
    let again = gateway.setup.start();
    assert_eq!(again.get("/readyz").json()["generation"], 2);
}
