//! Both tiers through the broker of `spin.hsm.toml`, a real gateway and a real PKCS#11 module.

use std::collections::BTreeSet;
use std::time::Instant;
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::{API, EDDSA, EPOCH_SECONDS, HSM, HSM_EDDSA, HSM_ES256};
use vouchsafe_harness::exchange::{Form, Want, check, refused, unavailable};
use vouchsafe_harness::hsm::{Gateway, GatewaySetup, HsmFixture, Pkcs11Token, certificates, eventually};
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::jwt::Issued;
use vouchsafe_harness::now;

pub const SIGNER: Want = unavailable("signer.unavailable");

pub fn wants() -> Vec<Want> {
    vec![SIGNER]
}

fn start() -> (Gateway, HsmFixture) {
    let setup = GatewaySetup::initialized();
    let gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    (gateway, fixture)
}

#[test]
fn issues_verifiable_tokens_in_both_tiers() {
    let (gateway, fixture) = start();
    let jwks = fixture.broker.jwks();
    let keys = jwks["keys"].as_array().expect("a JWK Set");
    let kids: BTreeSet<_> = keys.iter().map(|key| key["kid"].to_string()).collect();
    assert_eq!(kids.len(), 2 * 4 * 2 + 3, "two generations of four epochs and two algorithms, three keys of the HSM");
    assert!(keys.iter().all(|key| key["d"].is_null() && key["k"].is_null()));
    for (audience, alg, in_hsm) in [
        (API, "ES256", false),
        (EDDSA, "EdDSA", false),
        (HSM, "RS256", true),
        (HSM_EDDSA, "EdDSA", true),
        (HSM_ES256, "ES256", true),
    ] {
        for _ in 0..3 {
            let signatures = gateway.events("signature").len();
            let token = fixture.issue(audience);
            assert_eq!(token.header["alg"], alg, "{audience}");
            assert_eq!(token.claims["aud"], audience);
            assert!(token.verifies(&jwks), "{audience}");
            let log = gateway.events("signature");
            assert_eq!(log.len() - signatures, usize::from(in_hsm), "{audience}");
            if in_hsm {
                let line = log.last().expect("a line");
                assert_eq!(line["decision_id"], token.claims["jti"]);
                assert_eq!(line["kid"], token.header["kid"]);
                assert_eq!(line["caller"], "broker");
            }
        }
    }
    assert_eq!(gateway.events("seed").len(), 2, "one seed for each algorithm");
    fixture.broker.assert_healthy();
}

#[test]
fn copies_audience_claims_into_hsm_token() {
    let (_gateway, fixture) = start();
    let token = fixture.token();
    let form = Form::of(&token).set("audience", HSM_ES256).set("scope", "read write");
    let response = check(&fixture.broker, &form.request(), &token, Want::Issued).expect("issued");
    let issued = Issued::parse(response.json()["access_token"].as_str().expect("a token"));
    assert_eq!(issued.claims["repository"], "octo-org/octo-repo");
    assert_eq!(issued.claims["ref"], "refs/heads/main");
    assert_eq!(issued.claims["scope"], "read write");
    assert!(issued.verifies(&fixture.broker.jwks()));
}

/// The gateway decides, not the bundle: an audience file that exceeds the key's limits gets nothing.
#[test]
fn refuses_what_the_gateway_refuses() {
    let token = Pkcs11Token::new();
    let setup = GatewaySetup::new(&token).with_keys().change("lifetime_max = 900", "lifetime_max = 299");
    let _gateway = setup.start();
    let fixture = HsmFixture::start(&[&setup]);
    fixture.refuse(HSM, refused(400, "invalid_target", "signer.refused"));
    fixture.issue(HSM_ES256);
}

/// TLS as in production: a private authority, and certificates on both sides.
#[test]
fn reaches_gateway_over_mutual_tls() {
    let pem = |name: &str| certificates().join(name).display().to_string();
    let setup = GatewaySetup::initialized().over_mutual_tls();
    let _gateway = setup.start();
    let url = format!("https://localhost:{}", setup.port);
    let start = |certificate: &str| {
        let config = format!(
            "[[client_tls]]\ncomponent_ids = [\"broker\"]\nhosts = [\"localhost\"]\nca_roots_file = \"{}\"\n{certificate}",
            pem("ca.pem")
        );
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let broker = Setup::of("spin.hsm.toml", &issuer.files(), &[issuer.origin(), url.clone()])
            .variable("gateway_urls", &url)
            .variable("gateway_token", &setup.credential)
            .variable("signer_hsm_algorithms", "ES256");
        let file = broker.folder.join("runtime.toml");
        std::fs::write(&file, config).expect("a file");
        let file = file.display().to_string();
        let outcome = broker.argument("--runtime-config-file").argument(file).try_start();
        outcome.map(|broker| HsmFixture { broker, issuer })
    };
    let certificate =
        format!("client_cert_file = \"{}\"\nclient_private_key_file = \"{}\"\n", pem("client.pem"), pem("client.key"));
    let fixture = start(&certificate).expect("with a certificate");
    assert!(fixture.issue(HSM_ES256).verifies(&fixture.broker.jwks()));
    let Err(reason) = start("") else { panic!("the broker started without a client certificate") };
    assert!(reason.contains("signer.unavailable") || reason.contains("503"), "{reason}");
}

/// Settings that both ends must share are compared at start-up, and a difference is named.
#[test]
fn does_not_start_with_mismatched_gateway_config() {
    let setup = GatewaySetup::initialized();
    let _gateway = setup.start();
    for (variable, value) in [
        ("signer_epoch", "2400"),
        ("signer_group", "other"),
        ("gateway_token", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let broker = Setup::of("spin.hsm.toml", &issuer.files(), &[issuer.origin(), setup.url()])
            .variable("gateway_urls", &setup.url())
            .variable("gateway_token", &setup.credential)
            .variable(variable, value);
        let Err(reason) = broker.try_start() else { panic!("the broker started with another {variable}") };
        assert!(reason.contains(&format!("`{variable}`")), "{variable}: {reason}");
        assert!(!reason.contains(&setup.credential), "{reason}");
    }
}

/// In an emergency, verifiers that have fetched nothing since accept new tokens at once, and those that have fetched
/// refuse the old ones.
#[test]
fn replaces_epoch_keys_with_published_standby() {
    let (gateway, fixture) = start();
    let (old, old_jwks) = (fixture.issue(API), fixture.broker.jwks());
    assert!(old.verifies(&old_jwks));
    let (code, text) = gateway.setup.run(&["rotate"]);
    assert_eq!(code, 2, "{text}");
    let (code, text) = gateway.setup.run(&["rotate", "--emergency"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("generation 2 is current, 1 is superseded"), "{text}");
    let rotated = Instant::now();
    let new = eventually("a token of the new generation", || {
        let token = fixture.issue(API);
        assert!(token.verifies(&old_jwks), "signed with a key unknown to verifiers");
        (token.kid() != old.kid()).then_some(token)
    });
    println!("followed after {} ms", rotated.elapsed().as_millis());
    let jwks = eventually("the new keys", || {
        let jwks = fixture.broker.jwks();
        new.verifies(&jwks).then_some(jwks)
    });
    assert!(!old.verifies(&jwks), "the old generation is still published");
    for audience in [EDDSA, HSM_ES256] {
        assert!(fixture.issue(audience).verifies(&jwks), "{audience}");
    }
    let seed = |generation: u64| {
        let now = now();
        let body = serde_json::json!({
            "group": "default", "generation": generation, "algorithm": "ES256",
            "epoch_start": now / EPOCH_SECONDS * EPOCH_SECONDS,
        });
        gateway.ask("/v1/epoch-seed", Some(&body)).status
    };
    assert_eq!(seed(1), 409, "seed of a revoked generation");
    assert_eq!(gateway.events("generation").len(), 1);
    // A restarted gateway remembers it.
    gateway.kill();
    let again = gateway.setup.start();
    assert_eq!(again.get("/readyz").json()["generation"], 2);
}
