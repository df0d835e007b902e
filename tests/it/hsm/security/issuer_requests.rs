//! An issuer can't make the broker send requests to gateways.

use serde_json::json;
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::API;
use vouchsafe_harness::exchange::{Form, check, unavailable};
use vouchsafe_harness::hsm::GatewaySetup;
use vouchsafe_harness::issuer::{Issuer, Script};
use vouchsafe_harness::{jwt, now};

/// The second gateway serves acceptable keys, and is not used while the first one answers.
#[test]
fn never_fetches_issuer_keys_from_gateway() {
    let gateway = GatewaySetup::initialized().start();
    let second = Issuer::start([("keys", Script::honest())]);
    let issuer = Issuer::start([("main", Script::honest()), ("other", Script::honest())]);
    let hosts = [issuer.origin(), gateway.setup.url(), second.origin()];
    let urls = format!("{} {}", gateway.setup.url(), second.origin());
    let broker = Setup::of("spin.hsm.toml", &issuer.files(), &hosts)
        .variable("gateway_urls", &urls)
        .variable("gateway_token", &gateway.setup.credential)
        .start();
    let keys = format!("{}/jwks", second.url("keys"));
    let document = json!({ "issuer": issuer.url("main"), "jwks_uri": keys });
    let body = document.to_string().into_bytes();
    issuer.set_script("main", Script::DiscoveryIs(200, "application/json", body));
    let claims = issuer.claims(now());
    let token = jwt::mint("RS256", &claims);
    let form = Form::of(&token).set("audience", API);
    let refused = unavailable("issuer.unavailable");
    check(&broker, &form.request(), &token, refused).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(second.fetches("keys"), 0, "{:?}", second.heads());
    broker.assert_healthy();
}
