//! Counting of refusals, and responses to subjects that were denied too often.

use crate::fake::*;
use crate::{FORM, attempt, check, denied};
use std::collections::HashSet;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::exchange;
use vouchsafe_exchange::limited::LimitedTokens;
use vouchsafe_exchange::limits::LIMITED_TOKENS_MAX;
use vouchsafe_exchange::refusal::*;
use vouchsafe_types::{Limited, Recorded, Refused, RefusedKind, ReplayMode};

fn too_often(retry_after_seconds: u32) -> Result<(), Refusal> {
    Err(Refusal::DeniedTooOften { retry_after_seconds })
}

fn denying() -> Fake {
    let fake = Fake::new();
    fake.permitted.set(false);
    fake
}

fn limited(until: u64) -> Recorded {
    Recorded::Limited(Limited { decision_id: "over".into(), until })
}

/// The last record's kind, and its key.
fn refused(fake: &Fake) -> Option<Refused> {
    let records = fake.records.borrow();
    records.last().expect("a record").refused.clone()
}

fn kind(fake: &Fake) -> Option<RefusedKind> {
    refused(fake).map(|refused| refused.kind)
}

fn key(fake: &Fake) -> String {
    refused(fake).expect("refused").key
}

#[test]
fn returns_decision_id_of_counting_record() {
    let fake = denying();
    let decision_id = "third".to_owned();
    fake.recorded.borrow_mut().push_back(Recorded::Counted(decision_id));
    let attempt = attempt(&fake, "");
    assert_eq!(attempt.trace.decision_id.as_deref(), Some("third"));
    let refusal = attempt.outcome.err().expect("denied").refusal;
    assert_eq!(refusal, Denial::PolicyDenied.into());
}

#[test]
fn refuses_limited_token_before_policy() {
    let fake = denying();
    fake.recorded.borrow_mut().push_back(limited(NOW + 30));
    let first = attempt(&fake, "");
    assert_eq!(first.trace.decision_id.as_deref(), Some("over"));
    let refusal = first.outcome.map(|_| ()).map_err(|it| it.refusal);
    assert_eq!(refusal, too_often(30));
    // Policy's current answer does not matter.
    fake.permitted.set(true);
    let recorded = fake.count("record");
    for (later, expected) in [(1, too_often(29)), (29, too_often(1)), (30, Ok(()))] {
        fake.now.set(NOW + later);
        check(&fake, "", expected);
    }
    assert_eq!(fake.count("decide"), 2, "the first and the last");
    assert_eq!(fake.count("record"), recorded + 1, "the last");
    let spared = fake.records.borrow().len();
    assert_eq!(spared, 2);
}

#[test]
fn decides_other_tokens_of_limited_subject() {
    let fake = denying();
    fake.recorded.borrow_mut().push_back(limited(NOW + 30));
    check(&fake, "", too_often(30));
    fake.permitted.set(true);
    check(&fake, "", too_often(30));
    fake.subject.borrow_mut().signing_input_digest = "d2".into();
    check(&fake, "", Ok(()));
}

/// An outage is not a decision: it is reported as such, and limits no one.
#[test]
fn reports_outage_as_outage_over_limit() {
    let fake = Fake::new();
    fake.unavailable.borrow_mut().push("sign");
    fake.recorded.borrow_mut().push_back(limited(NOW + 30));
    let down = attempt(&fake, "");
    assert_eq!(down.trace.decision_id.as_deref(), Some("over"));
    let refusal = down.outcome.err().expect("an outage").refusal;
    assert_eq!(refusal, Refusal::Unavailable(Part::Signer));
    fake.unavailable.borrow_mut().clear();
    check(&fake, "", Ok(()));
}

#[test]
fn classifies_refusals_as_denial_or_outage() {
    use RefusedKind::{Denial as Denied, Outage};
    let single_use = || {
        let fake = Fake::new();
        fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
        fake
    };
    let without = |call: &'static str| {
        let fake = Fake::new();
        fake.unavailable.borrow_mut().push(call);
        fake
    };
    let spent = single_use();
    check(&spent, "", Ok(()));
    let predates = single_use();
    predates.predates.set(true);
    let unknown = Fake::new();
    unknown.audience.replace(None);
    let superseded = Fake::new();
    superseded.generation_seen.set(3);
    let ending = Fake::new();
    ending.subject.borrow_mut().exp = NOW;
    for (fake, more, expected) in [
        (denying(), "", Denied),
        (unknown, "", Denied),
        (Fake::new(), "&scope=bogus", Denied),
        (Fake::new(), "&requested_expires_in=901", Denied),
        (ending, "", Denied),
        (spent, "", Denied),
        (predates, "", Denied),
        (without("audience"), "", Outage),
        (without("decide"), "", Outage),
        (without("sign"), "", Outage),
        (superseded, "", Outage),
    ] {
        assert!(attempt(&fake, more).outcome.is_err(), "{more}");
        let slug = fake.records.borrow().last().expect("a record").slug.clone();
        assert_eq!(kind(&fake), Some(expected), "{slug}");
    }
}

#[test]
fn groups_repeats_by_token_audience_bundle() {
    let fake = denying();
    check(&fake, "", denied(Denial::PolicyDenied));
    let first = key(&fake);
    assert_eq!(first.len(), 64);
    // Nothing else that a caller controls matters.
    for more in ["&scope=read", "&requested_expires_in=901"] {
        check(&fake, more, denied(Denial::PolicyDenied));
        assert_eq!(key(&fake), first, "{more}");
    }
    fake.subject.borrow_mut().signing_input_digest = "d2".into();
    check(&fake, "", denied(Denial::PolicyDenied));
    let other_token = key(&fake);
    fake.subject.borrow_mut().signing_input_digest = "d1".into();
    let elsewhere = FORM.replace("https://api.example", "https://other.example");
    let _refused = run(exchange(&fake, elsewhere.as_bytes(), &[], &[], &ForwardedFor::default()));
    let other_audience = key(&fake);
    fake.bundle_digest.replace("b2".into());
    check(&fake, "", denied(Denial::PolicyDenied));
    let other_bundle = key(&fake);
    let keys = HashSet::from([first, other_token, other_audience, other_bundle]);
    assert_eq!(keys.len(), 4);
}

#[test]
fn remembers_limited_token_until_minute_ends() {
    let mut limited = LimitedTokens::new();
    limited.note("a", NOW + 60, NOW);
    // Left from before the clock was set back.
    limited.note("b", NOW + 61, NOW);
    limited.note("c", NOW, NOW);
    for (subject, now, expected) in [
        ("a", NOW, Some(NOW + 60)),
        ("a", NOW + 59, Some(NOW + 60)),
        ("a", NOW + 60, None),
        ("a", NOW - 1, None),
        ("b", NOW, None),
        ("c", NOW, None),
    ] {
        assert_eq!(limited.until(subject, now), expected, "{subject} {now}");
    }
}

#[test]
fn bounds_remembered_tokens() {
    let mut limited = LimitedTokens::new();
    let fill = |limited: &mut LimitedTokens, until, now| {
        for number in 0..=LIMITED_TOKENS_MAX {
            limited.note(&format!("{until} {number}"), until, now);
        }
    };
    limited.note("soonest", NOW + 1, NOW);
    fill(&mut limited, NOW + 10, NOW);
    assert_eq!(limited.len(), LIMITED_TOKENS_MAX);
    assert_eq!(limited.until("soonest", NOW), None);
    // Expired entries make room for all.
    limited.note("new", NOW + 20, NOW + 10);
    assert_eq!(limited.len(), 1);
}
