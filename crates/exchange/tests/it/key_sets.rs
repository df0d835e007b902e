//! How often an issuer is fetched, and how long its keys are trusted.

use crate::fake::*;
use crate::{attempt, check};
use vouchsafe_exchange::refusal::*;
use vouchsafe_types::{BundleInfo, IssuerRecord, KeySource, PinnedKeys, ReplayMode, TokenError};

const UNKNOWN: Result<(), Refusal> = Err(Refusal::Token(TokenError::KeyUnknown));
const DOWN: Result<(), Refusal> = Err(Refusal::Unavailable(Part::Issuer));

#[test]
fn refetches_only_after_trust_ends() {
    let fake = Fake::new();
    for (later, fetches) in [(0, 1), (299, 1), (300, 2), (599, 2), (600, 3)] {
        fake.now.set(NOW + later);
        fake.subject.borrow_mut().exp = NOW + 7200;
        check(&fake, "", Ok(()));
        assert_eq!(fake.count("fetch_keys"), fetches, "{later} s later");
    }
}

#[test]
fn uses_keys_fetched_by_another_instance() {
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
fn fetches_once_per_window_for_unknown_kid() {
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
    check(&fake, "", UNKNOWN);
    fake.now.set(NOW + 11);
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("fetch_keys"), 3);
}

#[test]
fn learns_new_key_while_keys_are_trusted() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(Some("k1 k2".into()));
    fake.token_kid.replace("k2".into());
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("fetch_keys"), 2);
}

#[test]
fn drops_keys_removed_by_issuer() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(Some("k2".into()));
    fake.now.set(NOW + 299);
    check(&fake, "", Ok(()));
    fake.now.set(NOW + 300);
    check(&fake, "", UNKNOWN);
}

#[test]
fn fetches_once_per_window_while_issuer_down() {
    let fake = Fake::new();
    fake.published.replace(None);
    for _ in 0..20 {
        check(&fake, "", DOWN);
    }
    assert_eq!(fake.count("fetch_keys"), 1);
    assert_eq!(fake.count("pause"), 0, "a failure within the window is reported immediately");
    fake.published.replace(Some("k1".into()));
    fake.now.set(NOW + 10);
    check(&fake, "", DOWN);
    fake.now.set(NOW + 11);
    check(&fake, "", Ok(()));
}

#[test]
fn accepts_known_keys_while_issuer_down() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(None);
    fake.token_kid.replace("k2".into());
    check(&fake, "", DOWN);
    fake.token_kid.replace("k1".into());
    check(&fake, "", Ok(()));
}

#[test]
fn waits_for_fetching_instance() {
    let fetching = Fake::new();
    check(&fetching, "", Ok(()));
    let fetched = fetching.documents.borrow().clone();

    let waiting = Fake::new();
    waiting.leases.replace(fetching.leases.borrow().clone());
    waiting.while_waiting.replace(Some(Box::new(move |fake: &Fake| {
        if fake.count("pause") == 3 {
            fake.documents.replace(fetched.clone());
        }
    })));
    check(&waiting, "", Ok(()));
    assert_eq!((waiting.count("fetch_keys"), waiting.count("pause")), (0, 3));
}

#[test]
fn stops_waiting_for_crashed_instance() {
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
fn never_fetches_pinned_keys() {
    let fake = Fake::new();
    fake.issuer.replace(Some(IssuerRecord {
        keys: KeySource::Pinned(PinnedKeys { document: "{}".into(), expires: u64::MAX }),
        ..issuer(ReplayMode::Allow)
    }));
    fake.token_kid.replace("k2".into());
    check(&fake, "", UNKNOWN);
    assert_eq!(fake.count("lease") + fake.count("document"), 0);
}

#[test]
fn treats_corrupt_document_as_absent() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.memory.borrow_mut().clear();
    let name = fake.documents.borrow().keys().find(|name| name.starts_with("keys/")).cloned().unwrap();
    fake.documents.borrow_mut().insert(name, "{\"keys\":[]".into());
    fake.leases.borrow_mut().clear();
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("fetch_keys"), 2);
}

#[test]
fn waits_for_unknown_kid_fetch_after_refresh() {
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
    fake.while_waiting.replace(Some(Box::new(move |fake: &Fake| {
        fake.documents.replace(fetched.clone());
    })));
    check(&fake, "", Ok(()));
    assert_eq!((fake.count("fetch_keys"), fake.count("pause")), (1, 1));
}

#[test]
fn fetches_once_for_first_token_with_unknown_kid() {
    let fake = Fake::new();
    fake.token_kid.replace("k2".into());
    check(&fake, "", UNKNOWN);
    assert_eq!(fake.count("fetch_keys"), 1);
}

const STALE: u64 = 120;

fn bundle() -> BundleInfo {
    BundleInfo {
        name: "test".into(),
        version: "1".into(),
        digest: "b1".into(),
        seals: None,
        proof_nonce_required: false,
    }
}

/// The host's background refresh, after the request is answered.
fn refresh(fake: &Fake) -> Result<(), Refusal> {
    let issuer = std::rc::Rc::new(fake.issuer.borrow().clone().expect("an issuer"));
    let bundle = bundle();
    let refreshed = vouchsafe_exchange::keys::refresh(fake, &bundle, &issuer, fake.now.get());
    run(refreshed).map_err(|failure| failure.refusal)
}

/// With keys of 300 s, fetched at `NOW`: within the last quarter or eighth of their lifetime.
#[test]
fn refreshes_aging_keys_in_background() {
    for (jitter, ages_at) in [(0, 225), (37, 262), (38, 225), (u64::MAX, 225 + u64::MAX % 38)] {
        let fake = Fake::new();
        fake.jitter.set(jitter);
        check(&fake, "", Ok(()));
        fake.now.set(NOW + ages_at - 1);
        check(&fake, "", Ok(()));
        assert_eq!(fake.count("refresh_later"), 0, "{jitter}");
        fake.now.set(NOW + ages_at);
        check(&fake, "", Ok(()));
        assert_eq!(fake.count("refresh_later"), 1, "{jitter}");
        assert_eq!(fake.count("fetch_keys"), 1, "no request waits for it");
        assert_eq!(refresh(&fake), Ok(()));
        assert_eq!(fake.count("fetch_keys"), 2);
        fake.now.set(NOW + 300);
        check(&fake, "", Ok(()));
        assert_eq!(fake.count("fetch_keys"), 2, "the renewed keys are trusted for 300 s more");
    }
}

#[test]
fn schedules_refresh_once_per_window() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.now.set(NOW + 240);
    for _ in 0..20 {
        check(&fake, "", Ok(()));
    }
    assert_eq!(fake.count("refresh_later"), 1);
    fake.now.set(NOW + 249);
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("refresh_later"), 1);
    fake.now.set(NOW + 250);
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("refresh_later"), 2);
}

#[test]
fn fetches_once_for_concurrent_refreshes() {
    let first = Fake::new();
    check(&first, "", Ok(()));
    let second = Fake::new();
    second.documents.replace(first.documents.borrow().clone());
    check(&second, "", Ok(()));
    for fake in [&first, &second] {
        fake.now.set(NOW + 240);
        check(fake, "", Ok(()));
    }
    // The second one runs while the first one fetches, and again afterwards.
    second.leases.replace([(aged_lease(&first), NOW + 250)].into());
    assert_eq!(refresh(&second), Ok(()));
    assert_eq!(refresh(&first), Ok(()));
    second.documents.replace(first.documents.borrow().clone());
    assert_eq!(refresh(&second), Ok(()));
    assert_eq!((first.count("fetch_keys"), second.count("fetch_keys")), (2, 0));
    second.now.set(NOW + 300);
    check(&second, "", Ok(()));
    assert_eq!(second.count("fetch_keys"), 0, "it used the other instance's keys");
}

fn aged_lease(fake: &Fake) -> String {
    let leases = fake.leases.borrow();
    let mut names = leases.keys().filter(|name| name.starts_with("fetch-aged/"));
    names.next().expect("a lease").clone()
}

#[test]
fn retries_failed_refresh_without_failing_requests() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(None);
    fake.now.set(NOW + 240);
    check(&fake, "", Ok(()));
    assert_eq!(refresh(&fake), Err(Refusal::Unavailable(Part::Issuer)));
    check(&fake, "", Ok(()));
    fake.now.set(NOW + 250);
    check(&fake, "", Ok(()));
    assert_eq!(refresh(&fake), Ok(()), "no retry within the window");
    fake.now.set(NOW + 251);
    assert_eq!(refresh(&fake), Err(Refusal::Unavailable(Part::Issuer)));
    assert_eq!(fake.count("fetch_keys"), 3);
    fake.published.replace(Some("k1".into()));
    fake.now.set(NOW + 272);
    check(&fake, "", Ok(()));
    assert_eq!(refresh(&fake), Ok(()));
    fake.now.set(NOW + 300);
    check(&fake, "", Ok(()));
    assert_eq!(fake.count("fetch_keys"), 4);
}

#[test]
fn never_refreshes_pinned_keys() {
    let fake = Fake::new();
    fake.issuer.replace(Some(IssuerRecord {
        keys: KeySource::Pinned(PinnedKeys { document: "{}".into(), expires: u64::MAX }),
        ..issuer(ReplayMode::Allow)
    }));
    for later in [0, 250, 299] {
        fake.now.set(NOW + later);
        check(&fake, "", Ok(()));
    }
    assert_eq!(fake.count("refresh_later"), 0);
}

/// A failing issuer is retried after 10, 20, 40, 60 and 60 s, and immediately after a success.
#[test]
fn doubles_backoff_of_failing_issuer() {
    let fake = Fake::new();
    fake.subject.borrow_mut().exp = NOW + 7200;
    fake.published.replace(None);
    check(&fake, "", DOWN);
    let mut asked_at = 0;
    for (number, wait) in [10, 20, 40, 60, 60].into_iter().enumerate() {
        for early in [1, wait] {
            fake.now.set(NOW + asked_at + early);
            check(&fake, "", DOWN);
        }
        assert_eq!(fake.count("fetch_keys"), number + 1, "within {wait} s");
        asked_at += wait + 1;
        fake.now.set(NOW + asked_at);
        check(&fake, "", DOWN);
        assert_eq!(fake.count("fetch_keys"), number + 2, "after {wait} s");
    }
    assert_eq!(fake.count("pause"), 0);
    fake.published.replace(Some("k1".into()));
    fake.now.set(NOW + asked_at + 61);
    check(&fake, "", Ok(()));
    fake.published.replace(None);
    fake.now.set(NOW + asked_at + 361);
    check(&fake, "", DOWN);
    fake.now.set(NOW + asked_at + 372);
    let before = fake.count("fetch_keys");
    check(&fake, "", DOWN);
    assert_eq!(fake.count("fetch_keys"), before + 1, "the first wait is 10 s again");
}

#[test]
fn ends_backoff_for_all_instances_on_success() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    let failing = Fake::new();
    failing.published.replace(None);
    check(&failing, "", DOWN);
    failing.documents.replace(fake.documents.borrow().clone());
    check(&failing, "", Ok(()));
}

/// An unknown `kid` that could not be looked up says nothing about the token.
#[test]
fn reports_outage_for_unknown_kid_while_issuer_down() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.published.replace(None);
    fake.token_kid.replace("k2".into());
    check(&fake, "", DOWN);
    fake.now.set(NOW + 9);
    check(&fake, "", DOWN);
    assert_eq!(fake.count("fetch_keys"), 2);
    fake.now.set(NOW + 11);
    fake.published.replace(Some("k1 k2".into()));
    check(&fake, "", Ok(()));
}

#[test]
fn answers_unknown_kid_flood_from_memory() {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.token_kid.replace("k2".into());
    check(&fake, "", UNKNOWN);
    let (documents, leases) = (fake.count("document"), fake.count("lease"));
    for _ in 0..100 {
        check(&fake, "", UNKNOWN);
    }
    assert_eq!((fake.count("document"), fake.count("lease")), (documents, leases));
    assert_eq!(fake.count("fetch_keys"), 2);
    // Tokens with a known key are still verified from memory.
    fake.token_kid.replace("k1".into());
    check(&fake, "", Ok(()));
    assert_eq!((fake.count("document"), fake.count("lease")), (documents, leases));
}

fn with_stale_keys(seconds: u64) -> Fake {
    let fake = Fake::new();
    fake.issuer.replace(Some(IssuerRecord { stale_keys_max_seconds: seconds, ..issuer(ReplayMode::Allow) }));
    check(&fake, "", Ok(()));
    fake.published.replace(None);
    fake
}

/// Both sides of both bounds.
#[test]
fn accepts_stale_keys_only_during_outage() {
    for (stale, later, expected) in [
        (0, 299, Ok(())),
        (0, 300, DOWN),
        (STALE, 300, Ok(())),
        (STALE, 300 + STALE - 1, Ok(())),
        (STALE, 300 + STALE, DOWN),
    ] {
        let fake = with_stale_keys(stale);
        fake.now.set(NOW + later);
        check(&fake, "", expected.clone());
        check(&fake, "", expected);
        let asked = if later < 300 { 1 } else { 2 };
        assert_eq!(fake.count("fetch_keys"), asked, "{stale} {later}: the issuer is asked first");
    }
    let fake = with_stale_keys(STALE);
    fake.published.replace(Some("k2".into()));
    fake.now.set(NOW + 300);
    check(&fake, "", UNKNOWN);
}

#[test]
fn does_not_extend_stale_keys_between_instances() {
    let first = with_stale_keys(STALE);
    first.now.set(NOW + 300 + STALE - 1);
    check(&first, "", Ok(()));
    let second = with_stale_keys(STALE);
    second.memory.borrow_mut().clear();
    second.documents.replace(first.documents.borrow().clone());
    second.now.set(NOW + 300 + STALE);
    check(&second, "", DOWN);
}

/// A refresh hangs; meanwhile another instance fetches for an unknown `kid` and finds `k1` removed. `ends` is the
/// refresh's result.
fn overtaken(ends: Option<&str>, later: u64) -> Fake {
    let fake = Fake::new();
    check(&fake, "", Ok(()));
    fake.now.set(NOW + 240);
    check(&fake, "", Ok(()));
    let (ends, now) = (ends.map(str::to_owned), NOW + 240);
    fake.while_fetching.replace(Some(Box::new(move |fake: &Fake| {
        let other = Fake::new();
        other.now.set(now + later);
        other.documents.replace(fake.documents.borrow().clone());
        other.leases.replace(fake.leases.borrow().clone());
        other.published.replace(Some("k2".into()));
        other.token_kid.replace("k2".into());
        check(&other, "", Ok(()));
        fake.documents.replace(other.documents.borrow().clone());
        fake.published.replace(ends.clone());
    })));
    drop(refresh(&fake));
    // Other instances use what the store has.
    fake.memory.borrow_mut().clear();
    fake.now.set(NOW + 246);
    fake
}

#[test]
fn keeps_newer_result_of_overtaken_refresh() {
    for ends in [None, Some("k1")] {
        for later in [0, 1] {
            let fake = overtaken(ends, later);
            check(&fake, "", UNKNOWN);
            fake.token_kid.replace("k2".into());
            check(&fake, "", Ok(()));
        }
    }
}

#[test]
fn ignores_keys_fetched_by_fast_clock() {
    for (ahead, fetches) in [(30, 0), (31, 1)] {
        let early = Fake::new();
        early.now.set(NOW + ahead);
        check(&early, "", Ok(()));
        let fake = Fake::new();
        fake.documents.replace(early.documents.borrow().clone());
        check(&fake, "", Ok(()));
        assert_eq!(fake.count("fetch_keys"), fetches, "{ahead} s ahead");
    }
}

#[test]
fn logs_cause_during_backoff() {
    let fake = Fake::new();
    fake.published.replace(None);
    for expected in [
        "the issuer responded with status 500",
        "the issuer responded with status 500; backing off before the next attempt",
    ] {
        let failure = attempt(&fake, "").outcome.err().expect("refused");
        assert_eq!(failure.detail, expected);
    }
    // A success clears the cause.
    let over = Fake::new();
    over.documents.replace(fake.documents.borrow().clone());
    over.now.set(NOW + 11);
    check(&over, "", Ok(()));
    over.memory.borrow_mut().clear();
    over.subject.borrow_mut().exp = NOW + 7200;
    over.now.set(NOW + 311);
    let taken = over.leases.borrow().keys().map(|name| (name.clone(), NOW + 320)).collect();
    over.leases.replace(taken);
    let failure = attempt(&over, "").outcome.err().expect("refused");
    let expected = "timed out waiting for another request's fetch of the issuer's keys";
    assert_eq!(failure.detail, expected);
    let waiting = Fake::new();
    waiting.leases.replace(fake.leases.borrow().clone());
    let failure = attempt(&waiting, "").outcome.err().expect("refused");
    assert_eq!(failure.detail, expected);
}
