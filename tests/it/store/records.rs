//! What is on disk before a token leaves, and what never is.

use std::process::Command;
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::DEPLOY;
use vouchsafe_harness::exchange::{Form, Want, check, unavailable};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::{jwt, now};

const STORE: Want = unavailable("store.unavailable");

pub fn wants() -> Vec<Want> {
    vec![STORE]
}

#[test]
fn issues_no_token_without_a_record() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let broker = setup.start();
    let fresh = || jwt::mint("RS256", &issuer.claims(now()));
    let token = fresh();
    check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("before");
    {
        let database = rusqlite::Connection::open(setup.database()).expect("opens");
        database.execute_batch("BEGIN IMMEDIATE").expect("locks");
        let token = fresh();
        check(&broker, &Form::of(&token).request(), &token, STORE).expect("while another process holds the lock");
        let mut denied = issuer.claims(now());
        denied["repository_id"] = "999".into();
        let token = jwt::mint("RS256", &denied);
        check(&broker, &Form::of(&token).request(), &token, STORE).expect("no denial without a record");
        database.execute_batch("ROLLBACK").expect("unlocks");
    }
    let token = fresh();
    check(&broker, &Form::of(&token).request(), &token, Want::Issued).expect("after");
    broker.assert_healthy();
}

/// No token and no secret remains on disk or in the log (I6).
#[test]
fn stores_no_token_and_no_root() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let token = jwt::mint("RS256", &issuer.claims(now() + 1));
    let issued = {
        let broker = setup.start();
        let form = Form::of(&token).set("audience", DEPLOY);
        check(&broker, &form.request(), &token, Want::Issued).expect("issued").json()["access_token"].clone()
    };
    let issued = issued.as_str().expect("a token");
    let root = setup.variables.iter().find(|(name, _)| name == "signer_root").map(|(_, value)| value.clone());
    let signatures = [token.as_str(), issued].map(|jwt| jwt.rsplit('.').next().expect("a signature").to_owned());
    for secret in signatures.into_iter().chain(root) {
        let found =
            Command::new("grep").args(["-rlaF", &secret]).arg(setup.folder.join("state")).output().expect("grep");
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}
