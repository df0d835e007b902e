//! How long an issuer's keys are trusted without asking again: no longer than its file says (I5),
//! also by a broker that was started anew and finds them in the store.

use crate::cases::files;
use vouchsafe_tests::broker::Setup;
use vouchsafe_tests::bundle::BROKER;
use vouchsafe_tests::exchange::{Form, Want, bad, check, unavailable};
use vouchsafe_tests::issuer::{Issuer, Script};
use vouchsafe_tests::jwt;
use vouchsafe_tests::keys::Key;

const START: u64 = 1_800_000_000;
/// Within the default `keys_max_age` of 5 minutes and beyond it, each by more than a start takes.
const WITHIN_SECONDS: u64 = 150;
const BEYOND_SECONDS: u64 = 450;

/// Presents a token of `main` to a broker whose clock starts `seconds` after [`START`].
fn present(setup: &Setup, issuer: &Issuer, seconds: u64, want: Want) {
    let now = START + seconds;
    let broker = setup
        .clone()
        .argument("--danger-now")
        .argument(now.to_string())
        .start();
    let token = jwt::mint("RS256", &jwt::claims(&issuer.url("main"), BROKER, now));
    let outcome = check(&broker, &Form::of(&token).request(), &token, want);
    outcome.unwrap_or_else(|reason| panic!("after {seconds} s: {reason}"));
    broker.assert_unharmed();
}

#[test]
fn a_key_that_its_issuer_removed_is_refused_once_its_time_is_over() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    present(&setup, &issuer, 0, Want::Issued);
    issuer.play(
        "main",
        Script::Keys(vec![Key::issuer("ES256").jwk("ES256")]),
    );
    let fetched = issuer.fetched("main");
    present(&setup, &issuer, WITHIN_SECONDS, Want::Issued);
    assert_eq!(issuer.fetched("main"), fetched, "the store has the keys");
    present(&setup, &issuer, BEYOND_SECONDS, bad("token.key_unknown"));
    assert!(issuer.fetched("main") > fetched);
}

#[test]
fn keys_outlive_an_outage_of_their_issuer_and_end_at_their_time() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    present(&setup, &issuer, 0, Want::Issued);
    issuer.play("main", Script::Reset);
    present(&setup, &issuer, WITHIN_SECONDS, Want::Issued);
    present(
        &setup,
        &issuer,
        BEYOND_SECONDS,
        unavailable("issuer.unavailable"),
    );
    issuer.play("main", Script::honest());
    // The window of the failed attempt is over by then.
    present(&setup, &issuer, BEYOND_SECONDS + 60, Want::Issued);
}
