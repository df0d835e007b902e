//! Another root of the signer than the one that the store remembers.

use crate::fake::*;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::ports::Signer;
use vouchsafe_exchange::refusal::{Part, Refusal};
use vouchsafe_exchange::root;
use vouchsafe_exchange::settings::Settings;

fn settings(fake: &Fake, fingerprint: Option<&str>) -> Settings {
    let settings = run(fake.settings()).unwrap();
    Settings { root_fingerprint: fingerprint.map(str::to_owned), ..settings }
}

#[track_caller]
fn check(fake: &Fake, fingerprint: Option<&str>, expected: Result<Option<&'static str>, Failure>) {
    assert_eq!(run(root::warning(fake, &settings(fake, fingerprint))), expected, "{fingerprint:?}");
}

#[test]
fn warns_of_another_root_until_forgotten() {
    let fake = Fake::new();
    check(&fake, Some("one"), Ok(None));
    check(&fake, Some("one"), Ok(None));
    for _ in 0..2 {
        check(&fake, Some("two"), Ok(Some(root::CHANGED)));
    }
    check(&fake, Some("one"), Ok(None));
    assert_eq!(fake.count("create_pointer"), 1, "only the first root is written");
    fake.pointers.borrow_mut().clear();
    check(&fake, Some("two"), Ok(None));
    check(&fake, Some("one"), Ok(Some(root::CHANGED)));
}

#[test]
fn remembers_roots_of_issuers_apart() {
    let fake = Fake::new();
    check(&fake, Some("one"), Ok(None));
    let mut other = settings(&fake, Some("two"));
    other.issuer = "https://other.example".into();
    assert_eq!(run(root::warning(&fake, &other)), Ok(None));
    other.group = "canary".into();
    other.root_fingerprint = Some("three".into());
    assert_eq!(run(root::warning(&fake, &other)), Ok(None));
}

#[test]
fn asks_nothing_without_software_root() {
    let fake = Fake::new();
    check(&fake, None, Ok(None));
    assert_eq!(fake.count("pointer"), 0);
}

#[test]
fn needs_the_store() {
    let fake = Fake::new();
    fake.unavailable.borrow_mut().push("pointer");
    check(&fake, Some("one"), Err(Refusal::Unavailable(Part::Store).into()));
}
