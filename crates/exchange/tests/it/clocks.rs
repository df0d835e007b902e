//! Clocks that run ahead, and exchanges that take too long.

use crate::check;
use crate::fake::*;
use vouchsafe_exchange::limits::EXCHANGE_SECONDS_MAX;
use vouchsafe_exchange::refusal::*;
use vouchsafe_types::{RefusedKind, ReplayMode, TokenError};

const DOWN: Result<(), Refusal> = Err(Refusal::Unavailable(Part::Issuer));
const UNKNOWN: Result<(), Refusal> = Err(Refusal::Token(TokenError::KeyUnknown));
const DAY: u64 = 86_400;

/// An instance that shares the store of `other`.
fn beside(other: &Fake) -> Fake {
    let fake = Fake::new();
    fake.subject.borrow_mut().exp = NOW + 7200;
    fake.documents.replace(other.documents.borrow().clone());
    fake.leases.replace(other.leases.borrow().clone());
    fake
}

/// The first backoff is 10 s, the longest 60 s, and a clock may be 30 s ahead.
#[test]
fn ignores_backoff_set_by_fast_clock() {
    for (ahead, expected) in [(80, DOWN), (81, Ok(())), (DAY, Ok(()))] {
        let early = Fake::new();
        early.now.set(NOW + ahead);
        early.published.replace(None);
        check(&early, "", DOWN);
        let fake = beside(&early);
        check(&fake, "", expected.clone());
        let fetches = usize::from(expected.is_ok());
        assert_eq!(fake.count("fetch_keys"), fetches, "{ahead} s ahead");
        fake.now.set(NOW + ahead.min(80) + 11);
        check(&fake, "", Ok(()));
    }
}

/// The instance itself, after its clock was set back.
#[test]
fn refetches_unknown_kid_after_clock_set_back() {
    for (ahead, expected) in [(30, UNKNOWN), (31, Ok(()))] {
        let fake = Fake::new();
        fake.now.set(NOW + ahead);
        check(&fake, "", Ok(()));
        fake.token_kid.replace("k2".into());
        fake.now.set(NOW + ahead + 11);
        check(&fake, "", UNKNOWN);
        fake.published.replace(Some("k1 k2".into()));
        fake.now.set(NOW + 11);
        check(&fake, "", expected);
    }
}

/// The clock moves forward or back while waiting for the issuer's response.
#[test]
fn consumes_no_token_after_timeout() {
    let overloaded = || Err(Refusal::Overloaded);
    for (from, to, expected) in [
        (NOW, NOW + EXCHANGE_SECONDS_MAX, Ok(())),
        (NOW, NOW + EXCHANGE_SECONDS_MAX + 1, overloaded()),
        (NOW + EXCHANGE_SECONDS_MAX, NOW, Ok(())),
        (NOW + EXCHANGE_SECONDS_MAX + 1, NOW, overloaded()),
    ] {
        let fake = Fake::new();
        fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
        fake.now.set(from);
        let act: Act = Box::new(move |fake| fake.moves_to.set(Some(to)));
        fake.while_fetching.replace(Some(act));
        check(&fake, "", expected.clone());
        let used = usize::from(expected.is_ok());
        assert_eq!(fake.consumed.borrow().len(), used, "{from} to {to}");
        let records = fake.records.borrow();
        let kind = records[0].refused.as_ref().map(|refused| refused.kind);
        let expected_kind = expected.is_err().then_some(RefusedKind::Outage);
        assert_eq!(kind, expected_kind, "{from} to {to}");
        assert_eq!(fake.signed.borrow().len(), used);
    }
}

/// A timeout that cannot be recorded is still reported as a timeout.
#[test]
fn reports_timeout_even_if_unrecorded() {
    let fake = Fake::new();
    let act: Act = Box::new(|fake| fake.moves_to.set(Some(NOW + 60)));
    fake.while_fetching.replace(Some(act));
    fake.unavailable.borrow_mut().push("record");
    check(&fake, "", Err(Refusal::Overloaded));
}
