//! When the signed list is read and signed again.

use std::rc::Rc;

use crate::fake::*;
use vouchsafe_revocation::{PUBLISHED_SECONDS_MAX, Published, publish, publish_status};
use vouchsafe_types::{RevocationList, StatusList};

/// Asks `elapsed` seconds later, and returns the document and the calls.
fn ask(fake: &Fake, last: &mut Option<Rc<Published>>, elapsed: u64) -> (String, Vec<String>) {
    fake.elapsed.set(elapsed);
    let published = done(publish(fake, last.clone())).unwrap();
    *last = Some(Rc::clone(&published));
    (published.jwt().to_owned(), fake.calls())
}

fn at(seconds: u64) -> String {
    format!("0 at {}", NOW + seconds)
}

#[test]
fn reads_the_store_once_a_second() {
    let (fake, mut last) = (Fake::default(), None);
    assert_eq!(ask(&fake, &mut last, 0), (at(0), vec!["in_force".into(), "sign".into()]));
    assert_eq!(ask(&fake, &mut last, 0), (at(0), vec![]));
    assert_eq!(ask(&fake, &mut last, 1), (at(0), vec!["in_force".into()]));
}

#[test]
fn signs_again_before_documents_get_old() {
    let (fake, mut last) = (Fake::default(), None);
    for (elapsed, signed) in [(0, true), (PUBLISHED_SECONDS_MAX - 1, false), (PUBLISHED_SECONDS_MAX, true)] {
        let (_, calls) = ask(&fake, &mut last, elapsed);
        assert_eq!(calls.contains(&"sign".to_owned()), signed, "{elapsed}");
    }
    // A clock that goes back ages them too.
    assert_eq!(ask(&fake, &mut last, 0).0, at(0));
}

#[test]
fn publishes_changes_at_once() {
    let (fake, mut last) = (Fake::default(), None);
    ask(&fake, &mut last, 0);
    fake.list.replace(RevocationList { sequence: 1, ..RevocationList::default() });
    assert_eq!(ask(&fake, &mut last, 1), (format!("1 at {}", NOW + 1), vec!["in_force".into(), "sign".into()]));
    // What no operation changes counts too: a rule that has ended.
    fake.list.replace(RevocationList { sequence: 1, tokens: vec!["a".into()], ..RevocationList::default() });
    assert_eq!(ask(&fake, &mut last, 2).0, format!("1 at {}", NOW + 2));
}

/// An old document would hide what the store knows by now.
#[test]
fn publishes_nothing_without_store_or_signer() {
    for (call, slug) in [("in_force", "store.unavailable"), ("sign", "signer.unavailable")] {
        let (fake, mut last) = (Fake::default(), None);
        ask(&fake, &mut last, 0);
        fake.unavailable.borrow_mut().push(call);
        fake.elapsed.set(PUBLISHED_SECONDS_MAX);
        let failure = done(publish(&fake, last)).unwrap_err();
        assert_eq!(failure.refusal.slug(), slug);
    }
}

/// The document and the calls.
fn ask_status(
    fake: &Fake,
    last: &mut Option<Rc<Published<StatusList>>>,
    elapsed: u64,
) -> (Option<String>, Vec<String>) {
    fake.elapsed.set(elapsed);
    *last = done(publish_status(fake, "1-0", last.clone())).unwrap();
    (last.as_ref().map(|published| published.jwt().to_owned()), fake.calls())
}

#[test]
fn status_list_is_read_once_a_second_and_signed_on_change() {
    let (fake, mut last) = (Fake::default(), None);
    fake.statuses.replace(Some(vec![]));
    let at = |revoked: &str, seconds: u64| Some(format!("1-0 [{revoked}] at {}", NOW + seconds));
    let both = vec!["status_list 1-0".to_owned(), "sign".to_owned()];
    assert_eq!(ask_status(&fake, &mut last, 0), (at("", 0), both.clone()));
    assert_eq!(ask_status(&fake, &mut last, 0), (at("", 0), vec![]));
    assert_eq!(ask_status(&fake, &mut last, 1), (at("", 0), vec!["status_list 1-0".to_owned()]));
    fake.statuses.replace(Some(vec![3]));
    assert_eq!(ask_status(&fake, &mut last, 2), (at("3", 2), both.clone()));
    assert_eq!(ask_status(&fake, &mut last, 2 + PUBLISHED_SECONDS_MAX), (at("3", 7), both));
}

#[test]
fn retired_status_list_is_none() {
    let (fake, mut last) = (Fake::default(), None);
    fake.statuses.replace(Some(vec![]));
    ask_status(&fake, &mut last, 0);
    fake.statuses.replace(None);
    assert_eq!(ask_status(&fake, &mut last, 1), (None, vec!["status_list 1-0".to_owned()]));
    assert!(last.is_none());
    for (call, slug) in [("status_list", "store.unavailable"), ("sign", "signer.unavailable")] {
        let fake = Fake::default();
        fake.statuses.replace(Some(vec![]));
        fake.unavailable.borrow_mut().push(call);
        let failure = done(publish_status(&fake, "1-0", None)).unwrap_err();
        assert_eq!(failure.refusal.slug(), slug);
    }
}
