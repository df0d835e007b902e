//! Tokens with an index in a status list.

use crate::FORM;
use crate::fake::*;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::refusal::*;
use vouchsafe_exchange::{Attempt, exchange};
use vouchsafe_types::{Audience, ReplayMode, StatusReference};

fn attempt(fake: &Fake) -> Attempt {
    run(exchange(fake, FORM.as_bytes(), &[], &[], &ForwardedFor::default()))
}

fn listed() -> Audience {
    Audience { status_list: true, replay: ReplayMode::SingleUse, ..audience() }
}

#[test]
fn token_and_record_have_the_same_index() {
    let fake = Fake::new();
    fake.audience.replace(Some(listed()));
    assert!(attempt(&fake).outcome.is_ok());
    let expected = Some(StatusReference { list: "1-2".into(), index: 3 });
    assert_eq!((&fake.signed.borrow()[0].status, &fake.records.borrow()[0].status), (&expected, &expected));
}

/// An exchange for another audience makes the same calls as ever.
#[test]
fn costs_nothing_for_other_audiences() {
    let fake = Fake::new();
    assert!(attempt(&fake).outcome.is_ok());
    assert_eq!(fake.count("status_index"), 0);
    assert_eq!((&fake.signed.borrow()[0].status, &fake.records.borrow()[0].status), (&None, &None));
}

/// Without an index, nothing is consumed, so the caller can try again; a denied request takes none.
#[test]
fn takes_an_index_before_anything_is_consumed() {
    let fake = Fake::new();
    fake.audience.replace(Some(listed()));
    fake.unavailable.borrow_mut().push("status_index");
    let refusal = attempt(&fake).outcome.err().map(|failure| failure.refusal);
    assert_eq!(refusal, Some(Refusal::Unavailable(Part::Store)));
    assert_eq!((fake.count("consume"), fake.count("sign")), (0, 0));
    fake.permitted.set(false);
    let calls = fake.count("status_index");
    assert!(attempt(&fake).outcome.is_err());
    assert_eq!(fake.count("status_index"), calls);
}
