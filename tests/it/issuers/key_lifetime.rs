//! Issuer keys are trusted no longer than the issuer's file allows (I5), even by a new broker that finds them in the
//! store.

use vouchsafe_harness::exchange::{Form, Want, bad, check, unavailable};
use vouchsafe_harness::issuer::Script;
use vouchsafe_harness::jwt;
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::scene::Scene;

/// Within and beyond the default `keys_max_age` of 5 minutes, each by more than a start takes.
const WITHIN_SECONDS: u64 = 150;
const BEYOND_SECONDS: u64 = 450;

/// Presents a new token to a broker that starts `seconds` after the scene.
fn present(scene: &Scene, seconds: u64, want: Want) {
    let broker = scene.start_at(seconds);
    let token = jwt::mint("RS256", &scene.claims_at(seconds));
    let outcome = check(&broker, &Form::of(&token).request(), &token, want);
    outcome.unwrap_or_else(|reason| panic!("after {seconds} s: {reason}"));
    broker.assert_healthy();
}

#[test]
fn rejects_removed_key_after_its_lifetime() {
    let scene = Scene::new();
    present(&scene, 0, Want::Issued);
    scene.issuer.set_script("main", Script::Keys(vec![Key::issuer("ES256").jwk("ES256")]));
    let fetched = scene.issuer.fetches("main");
    present(&scene, WITHIN_SECONDS, Want::Issued);
    assert_eq!(scene.issuer.fetches("main"), fetched, "fetched although the store has the keys");
    present(&scene, BEYOND_SECONDS, bad("token.key_unknown"));
    assert!(scene.issuer.fetches("main") > fetched);
}

#[test]
fn keeps_keys_through_outage_until_expiry() {
    let scene = Scene::new();
    present(&scene, 0, Want::Issued);
    scene.issuer.set_script("main", Script::Reset);
    present(&scene, WITHIN_SECONDS, Want::Issued);
    present(&scene, BEYOND_SECONDS, unavailable("issuer.unavailable"));
    scene.issuer.set_script("main", Script::honest());
    // The retry window of the failed attempt has ended by then.
    present(&scene, BEYOND_SECONDS + 60, Want::Issued);
}
