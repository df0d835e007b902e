//! How often an issuer is fetched, and for how long its keys are believed.

use crate::check;
use crate::fake::*;
use vouchsafe_exchange::ports::*;
use vouchsafe_exchange::refusal::*;

const UNKNOWN: Result<(), Refusal> = Err(Refusal::Token(TokenFault::KeyUnknown));
const DOWN: Result<(), Refusal> = Err(Refusal::Unavailable(Part::Issuer));

#[test]
fn fetches_once_while_keys_are_trusted_and_again_after() {
    let fake = Fake::new();
    for (later, fetches) in [(0, 1), (299, 1), (300, 2), (599, 2), (600, 3)] {
        fake.now.set(NOW + later);
        fake.subject.borrow_mut().exp = NOW + 7200;
        check(&fake, "", Ok(()));
        assert_eq!(fake.count("fetch_keys"), fetches, "{later} s later");
    }
}

#[test]
fn takes_another_instances_keys_from_the_store() {
    let first = Fake::new();
    check(&first, "", Ok(()));
    let second = Fake::new();
    second.documents.replace(first.documents.borrow().clone());
    check(&second, "", Ok(()));
    assert_eq!(second.count("fetch_keys"), 0);
    second.now.set(NOW + 300);
    check(&second, "", Ok(()));
    assert_eq!(second.count("fetch_keys"), 1);
}

#[test]
fn fetches_at_once_and_once_per_window_for_an_unknown_kid() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.token_kid.replace("k2".into());
    for _ in 0..50 {
        check(&fake, "", UNKNOWN);
    }
    assert_eq!(fake.count("fetch_keys"), 2);
    assert_eq!(fake.count("pause"), 0);
    fake.published.replace(Some("k1 k2".into()));
    check(&fake, "", UNKNOWN);
    fake.now.set(NOW + 10);
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("fetch_keys"), 3);
}

#[test]
fn learns_a_new_key_at_once_although_its_keys_are_still_trusted() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(Some("k1 k2".into()));
    fake.token_kid.replace("k2".into());
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("fetch_keys"), 2);
}

#[test]
fn stops_trusting_a_key_that_the_issuer_removed() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(Some("k2".into()));
    fake.now.set(NOW + 299);
    check(&fake, "", Ok(()));
    fake.now.set(NOW + 300);
    check(&fake, "", UNKNOWN);
}

#[test]
fn fails_closed_while_an_issuer_is_down_and_asks_it_once_per_window() {
    let fake = Fake::new();
    fake.published.replace(None);
    for _ in 0..20 {
        check(&fake, "", DOWN);
    }
    assert_eq!(fake.count("fetch_keys"), 1);
    assert_eq!(
        fake.count("pause"),
        0,
        "a failure within the window is told at once"
    );
    fake.published.replace(Some("k1".into()));
    fake.now.set(NOW + 9);
    check(&fake, "", DOWN);
    fake.now.set(NOW + 10);
    check(&fake, "", Ok(()));
}

#[test]
fn keeps_known_keys_working_while_the_issuer_is_down() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(None);
    fake.token_kid.replace("k2".into());
    check(&fake, "", DOWN);
    fake.token_kid.replace("k1".into());
    check(&fake, "", Ok(()));
}

#[test]
fn waits_for_the_instance_that_fetches() {
    let fetching = Fake::new();
    check(&fetching, "", Ok(()));
    let fetched = fetching.documents.borrow().clone();

    let waiting = Fake::new();
    waiting.leases.replace(fetching.leases.borrow().clone());
    waiting
        .while_waiting
        .replace(Some(Box::new(move |fake: &Fake| {
            if fake.count("pause") == 3 {
                fake.documents.replace(fetched.clone());
            }
        })));
    check(&waiting, "", Ok(()));
    assert_eq!(
        (waiting.count("fetch_keys"), waiting.count("pause")),
        (0, 3)
    );
}

#[test]
fn does_not_wait_for_ever_for_an_instance_that_died() {
    let dead = Fake::new();
    check(&dead, "", Ok(()));
    let waiting = Fake::new();
    waiting.leases.replace(dead.leases.borrow().clone());
    check(&waiting, "", DOWN);
    assert_eq!(waiting.count("pause"), 100, "5 s in steps of 50 ms");
    waiting.now.set(NOW + 10);
    check(&waiting, "", Ok(()));
}

#[test]
fn never_fetches_for_pinned_keys() {
    let fake = Fake::new();
    fake.issuer.replace(Some(Issuer {
        pinned: true,
        ..issuer(ReplayMode::Allow)
    }));
    fake.token_kid.replace("k2".into());
    check(&fake, "", UNKNOWN);
    assert_eq!(fake.count("lease") + fake.count("document"), 0);
}

#[test]
fn treats_a_damaged_document_as_absent() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.memory.borrow_mut().clear();
    let name = fake.documents.borrow().keys().next().cloned().unwrap();
    fake.documents
        .borrow_mut()
        .insert(name, "{\"keys\":[]".into());
    fake.leases.borrow_mut().clear();
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("fetch_keys"), 2);
}

#[test]
fn waits_for_a_fetch_for_an_unknown_kid_even_just_after_keys_were_renewed() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    // Another instance holds the lease for unknown kids, and its fetch brings the new key.
    let other = Fake::new();
    other.documents.replace(fake.documents.borrow().clone());
    other.leases.replace(fake.leases.borrow().clone());
    other.published.replace(Some("k1 k2".into()));
    other.token_kid.replace("k2".into());
    check(&other, "", Ok(()));
    let fetched = other.documents.borrow().clone();
    fake.leases.replace(other.leases.borrow().clone());
    fake.token_kid.replace("k2".into());
    fake.while_waiting
        .replace(Some(Box::new(move |fake: &Fake| {
            fake.documents.replace(fetched.clone());
        })));
    check(&fake, "", Ok(()));
    assert_eq!((fake.count("fetch_keys"), fake.count("pause")), (1, 1));
}

#[test]
fn fetches_once_for_the_first_token_of_an_issuer_even_if_its_kid_is_unknown() {
    let fake = Fake::new();
    fake.token_kid.replace("k2".into());
    check(&fake, "", UNKNOWN);
    assert_eq!(fake.count("fetch_keys"), 1);
}
