//! A broker with gateways behind it, now or at another time.

use super::{Gateway, GatewaySetup, KEY, PUBLISHED_SECONDS, keys};
use crate::broker::{Broker, Setup};
use crate::bundle::HSM_ES256;
use crate::exchange::{Form, Want, check};
use crate::issuer::{Issuer, Script};
use crate::jwt::{self, Issued};
use crate::now;
use serde_json::Value;
use std::time::Instant;

/// A broker with gateways behind it, and the issuer that it trusts.
pub struct HsmFixture {
    pub broker: Broker,
    pub issuer: Issuer,
}

impl HsmFixture {
    /// Starts a broker that asks `gateways` in this order.
    pub fn start(gateways: &[&GatewaySetup]) -> Self {
        Self::start_with(gateways, |setup| setup)
    }

    pub fn start_with(gateways: &[&GatewaySetup], change: impl FnOnce(Setup) -> Setup) -> Self {
        let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
        let urls: Vec<_> = gateways.iter().map(|gateway| gateway.url()).collect();
        let origins = [&[issuer.origin()][..], &urls].concat();
        let credential = gateways[0].credential.clone();
        let setup = Setup::of("spin.hsm.toml", &issuer.files(), &origins)
            .variable("gateway_urls", &urls.join(" "))
            .variable("gateway_token", &credential)
            .variable("signer_hsm_algorithms", "ES256 EdDSA RS256");
        let broker = change(setup).start();
        Self { broker, issuer }
    }

    pub fn token(&self) -> String {
        jwt::mint("RS256", &self.issuer.claims(now()))
    }

    /// Requests a token for `audience`; fails unless the response is `want`.
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
        issued.unwrap_or_else(|why| panic!("{audience}: {why}")).expect("a token")
    }

    #[track_caller]
    pub fn refuse(&self, audience: &str, want: Want) {
        let outcome = self.try_for(audience, want);
        outcome.unwrap_or_else(|why| panic!("{audience}: {why}"));
    }
}

/// Gateway and broker on the test's own clock.
pub struct At {
    pub gateway: Gateway,
    pub fixture: HsmFixture,
    start: u64,
    started: Instant,
}

impl At {
    pub fn new(setup: &GatewaySetup, start: u64) -> Self {
        let started = Instant::now();
        let gateway = setup.clone().at_time(start).start();
        let at = start + started.elapsed().as_secs();
        let fixture = HsmFixture::start_with(&[setup], |broker| broker.at_time(at));
        Self { gateway, fixture, start, started }
    }

    pub fn now(&self) -> u64 {
        self.start + self.started.elapsed().as_secs()
    }

    pub fn issue(&self) -> Issued {
        let claims = self.fixture.issuer.claims(self.now());
        issue(&self.fixture, &claims)
    }

    pub fn version_that_signed_last(&self) -> u64 {
        let log = self.gateway.events("signature");
        log.last().expect("a line")["version"].as_u64().expect("a number")
    }
}

pub fn issue(fixture: &HsmFixture, claims: &Value) -> Issued {
    issue_for(fixture, HSM_ES256, claims)
}

pub fn issue_for(fixture: &HsmFixture, audience: &str, claims: &Value) -> Issued {
    let form = Form::of(&jwt::mint("RS256", claims)).set("audience", audience);
    let response = fixture.broker.send(&form.request());
    assert_eq!(response.status, 200, "{}", response.text());
    Issued::parse(response.json()["access_token"].as_str().expect("a token"))
}

/// A gateway on whose token a version was staged long enough ago to sign.
pub fn staged() -> (GatewaySetup, At) {
    staged_with(GatewaySetup::initialized())
}

pub fn staged_with(setup: GatewaySetup) -> (GatewaySetup, At) {
    let start = now() + 10;
    let at = At::new(&setup, start);
    keys(&[&setup], &["stage", KEY]).is(0, "2 pending");
    let staged = at.now();
    drop(at);
    let at = At::new(&setup, staged + PUBLISHED_SECONDS + 10);
    (setup, at)
}
