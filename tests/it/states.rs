//! Refusals that depend on what happened before, or on what the broker is started with.

use crate::bench::{Bench, files};
use std::process::Command;
use vouchsafe_tests::broker::Setup;
use vouchsafe_tests::bundle::{API, BROKER, DEPLOY};
use vouchsafe_tests::exchange::{Form, Want, bad, check, unavailable};
use vouchsafe_tests::issuer::{Issuer, Script};
use vouchsafe_tests::{jwt, now};

const SPENT: Want = bad("replay.spent");
const PREDATES: Want = bad("replay.predates_store");
const STORE: Want = unavailable("store.unavailable");

pub fn wants() -> Vec<Want> {
    vec![SPENT, PREDATES, STORE]
}

#[test]
fn a_single_use_token_buys_one_token_also_after_a_restart() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    let (first, second) = (
        jwt::claims(&issuer.url("main"), BROKER, now() + 1),
        jwt::claims(&issuer.url("main"), BROKER, now() + 1),
    );
    let token = jwt::mint("RS256", &first);
    let form = Form::of(&token).set("audience", DEPLOY);
    {
        let broker = setup.start();
        check(&broker, &form.request(), &token, Want::Issued).expect("the first use");
        check(&broker, &form.request(), &token, SPENT).expect("the second use");
        // The same claims by another signature are the same token.
        let again = jwt::mint("ES256", &first);
        check(
            &broker,
            &Form::of(&again).set("audience", DEPLOY).request(),
            &again,
            SPENT,
        )
        .expect("a twin");
        // An audience that allows replay does not care.
        check(
            &broker,
            &form.clone().set("audience", API).request(),
            &token,
            Want::Issued,
        )
        .expect("another audience");
        check(
            &broker,
            &form.clone().set("audience", API).request(),
            &token,
            Want::Issued,
        )
        .expect("and again");
    }
    let broker = setup.start();
    check(&broker, &form.request(), &token, SPENT).expect("after a restart");
    let other = jwt::mint("RS256", &second);
    check(
        &broker,
        &Form::of(&other).set("audience", DEPLOY).request(),
        &other,
        Want::Issued,
    )
    .expect("another token");
    broker.assert_unharmed();
}

#[test]
fn a_refused_request_does_not_use_its_token_up() {
    let bench = Bench::start();
    let mut claims = bench.claims();
    claims["iat"] = (now() + 1).into();
    let token = jwt::mint("RS256", &claims);
    let form = Form::of(&token).set("audience", DEPLOY);
    for (name, value) in [
        ("scope", "admin"),
        ("requested_expires_in", "99999"),
        ("requested_expires_in", "x"),
    ] {
        let response = bench.broker.send(&form.clone().set(name, value).request());
        assert_eq!(response.status, 400, "{name} {value}: {}", response.text());
        bench.broker.line("token");
    }
    check(&bench.broker, &form.request(), &token, Want::Issued).expect("still fresh");
}

#[test]
fn a_single_use_token_from_before_the_store_is_refused() {
    let bench = Bench::start();
    let token = jwt::mint("RS256", &{
        let mut claims = bench.claims();
        claims["iat"] = (now() - 300).into();
        claims
    });
    let form = Form::of(&token).set("audience", DEPLOY);
    check(&bench.broker, &form.request(), &token, PREDATES)
        .expect("its use may have been forgotten");
    check(
        &bench.broker,
        &Form::of(&token).request(),
        &token,
        Want::Issued,
    )
    .expect("where replay is allowed");
}

/// A store that lost what it knew must not accept again what it may have seen (I4).
#[test]
fn a_single_use_token_is_refused_by_a_store_that_is_younger_than_it() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    let at = |now: u64| {
        setup
            .clone()
            .argument("--danger-now")
            .argument(now.to_string())
            .start()
    };
    let start = 1_800_000_000;
    let token = jwt::mint(
        "RS256",
        &jwt::claims(&issuer.url("main"), BROKER, start + 20),
    );
    let form = Form::of(&token).set("audience", DEPLOY);
    check(&at(start), &form.request(), &token, Want::Issued).expect("the first use");
    std::fs::remove_dir_all(setup.folder.join("state")).expect("a state folder");
    check(&at(start + 100), &form.request(), &token, PREDATES).expect("forgotten, and refused");
}

#[test]
fn issues_nothing_that_it_can_not_record() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    let broker = setup.start();
    let fresh = || jwt::mint("RS256", &jwt::claims(&issuer.url("main"), BROKER, now()));
    let token = fresh();
    check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("before");
    {
        let database = rusqlite::Connection::open(setup.database()).expect("opens");
        database.execute_batch("BEGIN IMMEDIATE").expect("locks");
        let token = fresh();
        check(&broker, &Form::of(&token).request(), &token, STORE)
            .expect("while another process holds the lock");
        let mut denied = jwt::claims(&issuer.url("main"), BROKER, now());
        denied["repository_id"] = "999".into();
        let token = jwt::mint("RS256", &denied);
        check(&broker, &Form::of(&token).request(), &token, STORE)
            .expect("a denial that is not on record is none");
        database.execute_batch("ROLLBACK").expect("unlocks");
    }
    let token = fresh();
    check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("after");
    broker.assert_unharmed();
}

/// `serve` refuses a bundle that does not load, so that no request ever meets it.
#[test]
fn does_not_start_with_a_bundle_that_does_not_load() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    std::fs::write(
        setup.folder.join("policies/rules/broken.cedar"),
        "permit (principal, action",
    )
    .expect("a file");
    let Err(reason) = setup.try_start() else {
        panic!("it serves")
    };
    assert!(
        reason.contains("not ready") && reason.contains("broken.cedar"),
        "{reason}"
    );
}

/// Nothing of a token, and nothing secret, stays behind on disk or in the log (I6).
#[test]
fn keeps_no_token_and_no_root_in_its_state() {
    let issuer = Issuer::start([("main", Script::honest())]);
    let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
    let token = jwt::mint(
        "RS256",
        &jwt::claims(&issuer.url("main"), BROKER, now() + 1),
    );
    let issued = {
        let broker = setup.start();
        let form = Form::of(&token).set("audience", DEPLOY);
        check(&broker, &form.request(), &token, Want::Issued)
            .expect("issued")
            .json()["access_token"]
            .clone()
    };
    let issued = issued.as_str().expect("a token");
    let root = setup
        .variables
        .iter()
        .find(|(name, _)| name == "signer_root")
        .map(|(_, value)| value.clone());
    let signatures =
        [token.as_str(), issued].map(|jwt| jwt.rsplit('.').next().expect("a signature").to_owned());
    for secret in signatures.into_iter().chain(root) {
        let found = Command::new("grep")
            .args(["-rlaF", &secret])
            .arg(setup.folder.join("state"))
            .output()
            .expect("grep");
        assert!(
            found.stdout.is_empty(),
            "{}",
            String::from_utf8_lossy(&found.stdout)
        );
    }
}
