//! Tokens that are accepted once, across restarts and lost databases.

use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::{API, DEPLOY};
use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::{Form, Want, bad, check, refused};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::{jwt, now};

const SPENT: Want = bad("replay.spent");
const PREDATES: Want = bad("replay.predates_store");

pub fn wants() -> Vec<Want> {
    vec![SPENT, PREDATES]
}

#[test]
fn accepts_token_once_across_restarts() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let (first, second) = (issuer.claims(now() + 1), issuer.claims(now() + 1));
    let token = jwt::mint("RS256", &first);
    let form = Form::of(&token).set("audience", DEPLOY);
    {
        let broker = setup.start();
        check(&broker, &form.request(), &token, Want::Issued).expect("the first use");
        check(&broker, &form.request(), &token, SPENT).expect("the second use");
        // The same claims with another signature are the same token.
        let again = jwt::mint("ES256", &first);
        check(&broker, &Form::of(&again).set("audience", DEPLOY).request(), &again, SPENT)
            .expect("the same claims signed again");
        // An audience that allows replay doesn't count uses.
        check(&broker, &form.clone().set("audience", API).request(), &token, Want::Issued).expect("another audience");
        check(&broker, &form.clone().set("audience", API).request(), &token, Want::Issued).expect("and again");
    }
    let broker = setup.start();
    check(&broker, &form.request(), &token, SPENT).expect("after a restart");
    let other = jwt::mint("RS256", &second);
    check(&broker, &Form::of(&other).set("audience", DEPLOY).request(), &other, Want::Issued).expect("another token");
    broker.assert_healthy();
}

/// A token that could be used once per grant would be used twice.
#[test]
fn accepts_token_once_for_both_grants() {
    let fixture = Fixture::start();
    let token = || jwt::mint("RS256", &fixture.claims_at(now() + 1));
    let spent_assertion = refused(400, "invalid_grant", "replay.spent");
    for assertion_first in [true, false] {
        let token = token();
        let exchange = Form::of(&token).set("audience", DEPLOY);
        let assertion = exchange.clone().as_assertion();
        let (first, second, want) = match assertion_first {
            true => (assertion, exchange, SPENT),
            false => (exchange, assertion, spent_assertion),
        };
        check(&fixture.broker, &first.request(), &token, Want::Issued).expect("the first use");
        check(&fixture.broker, &second.request(), &token, want).expect("the second use");
    }
}

#[test]
fn keeps_token_usable_after_refused_request() {
    let fixture = Fixture::start();
    let mut claims = fixture.claims();
    claims["iat"] = (now() + 1).into();
    let token = jwt::mint("RS256", &claims);
    let form = Form::of(&token).set("audience", DEPLOY);
    for (name, value) in [("scope", "admin"), ("requested_expires_in", "99999"), ("requested_expires_in", "x")] {
        let response = fixture.broker.send(&form.clone().set(name, value).request());
        assert_eq!(response.status, 400, "{name} {value}: {}", response.text());
        fixture.broker.line("token");
    }
    check(&fixture.broker, &form.request(), &token, Want::Issued).expect("still usable");
}

#[test]
fn rejects_token_older_than_store() {
    let fixture = Fixture::start();
    let token = jwt::mint("RS256", &{
        let mut claims = fixture.claims();
        claims["iat"] = (now() - 300).into();
        claims
    });
    let form = Form::of(&token).set("audience", DEPLOY);
    check(&fixture.broker, &form.request(), &token, PREDATES).expect("rejected, as its use may be lost");
    check(&fixture.broker, &Form::of(&token).request(), &token, Want::Issued)
        .expect("accepted where replay is allowed");
}

/// A store that lost its data must not accept a token again that it may have seen (I4).
#[test]
fn rejects_spent_token_after_store_loss() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let at = |now: u64| setup.clone().at_time(now).start();
    let start = 1_800_000_000;
    let token = jwt::mint("RS256", &issuer.claims(start + 20));
    let form = Form::of(&token).set("audience", DEPLOY);
    check(&at(start), &form.request(), &token, Want::Issued).expect("the first use");
    std::fs::remove_dir_all(setup.folder.join("state")).expect("a state folder");
    check(&at(start + 100), &form.request(), &token, PREDATES).expect("rejected after the loss");
}
