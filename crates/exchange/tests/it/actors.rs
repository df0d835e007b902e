//! Delegation (RFC 8693 §4): whose tokens it takes, what limits the result, and what is recorded.

use crate::FORM;
use crate::fake::*;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::limits::{ACTORS_BYTES_MAX, ACTORS_MAX};
use vouchsafe_exchange::refusal::*;
use vouchsafe_exchange::wire::WireError;
use vouchsafe_exchange::{Attempt, exchange};
use vouchsafe_types::{Actor, Audience, RecordedActor, ReplayMode, Subject, TokenError};

const WITH_ACTOR: &str = "&actor_token=agent&actor_token_type=urn:ietf:params:oauth:token-type:jwt";

/// Ports whose audience issues tokens to actors.
fn fake() -> Fake {
    let fake = Fake::new();
    fake.audience.replace(Some(Audience { allow_act: true, ..audience() }));
    fake
}

fn attempt(fake: &Fake, proofs: &[&str], more: &str) -> Attempt {
    let proofs: Vec<_> = proofs.iter().map(|proof| (*proof).to_owned()).collect();
    run(exchange(fake, format!("{FORM}{more}").as_bytes(), &proofs, &[], &ForwardedFor::default()))
}

fn check(fake: &Fake, more: &str, expected: Result<(), Refusal>) {
    let got = attempt(fake, &[], more).outcome.map(drop).map_err(|failure| failure.refusal);
    assert_eq!(got, expected, "{more}");
}

fn fault(fault: ActorFault) -> Result<(), Refusal> {
    Err(Refusal::Actor(fault))
}

fn actor(iss: &str, sub: &str) -> Actor {
    Actor { iss: iss.into(), sub: sub.into() }
}

/// Who the actor token names.
fn current() -> Actor {
    actor("https://cluster.example", "system:serviceaccount:ai:agent")
}

#[test]
fn names_the_actor_in_the_token_and_the_record() {
    let fake = fake();
    check(&fake, WITH_ACTOR, Ok(()));
    let (signed, records) = (fake.signed.take(), fake.records.take());
    assert_eq!(signed[0].actors, [current()]);
    assert_eq!(signed[0].subject, "ci:repo:o/r");
    assert_eq!(records[0].actors, [RecordedActor { issuer_name: "cluster".into(), subject: "agent".into() }]);
    assert_eq!((records[0].issuer_name.as_str(), records[0].subject.as_str()), ("ci", "repo:o/r"));
    assert_eq!(records[0].determining_rules, ["actor-1", "rule-1"]);
    assert_eq!(records[0].cedar_request, r#"{"action":"act_for"}"#);
    assert_eq!(*fake.acts.borrow(), [("system:serviceaccount:ai:agent".to_owned(), "repo:o/r".to_owned())]);
}

/// An exchange without an actor makes the same calls as ever.
#[test]
fn costs_nothing_without_an_actor() {
    let fake = fake();
    check(&fake, "", Ok(()));
    assert_eq!((fake.count("verify_actor"), fake.count("decide_actor"), fake.count("consume")), (0, 0, 0));
    assert_eq!(fake.signed.borrow()[0].actors, []);
    assert_eq!(fake.records.borrow()[0].actors, []);
}

/// `kc#52691`: the path was chosen by parameters, so that a delegated token came back without its actor if the request had no
/// `actor_token`. `kc#53029`: `act` was dropped.
#[test]
fn delegated_token_never_loses_its_actor() {
    let fake = fake();
    fake.subject.borrow_mut().actors = vec![actor("https://a.example", "first")];
    check(&fake, "", fault(ActorFault::Required));
    let (counted, recorded) = (fake.count("decide"), fake.records.borrow().len());
    assert_eq!((counted, recorded), (0, 0));
    check(&fake, WITH_ACTOR, Ok(()));
    assert_eq!(fake.signed.borrow()[0].actors, [current(), actor("https://a.example", "first")]);
}

/// `kc#50690`: a rogue actor, or none, got a token in spite of `may_act`.
#[test]
fn may_act_admits_only_the_actor_it_names() {
    let fake = fake();
    let allow = |actor| fake.subject.borrow_mut().may_act = Some(actor);
    allow(current());
    check(&fake, "", fault(ActorFault::Required));
    check(&fake, WITH_ACTOR, Ok(()));
    assert_eq!(fake.signed.borrow()[0].actors, [current()]);
    for other in [actor("https://other.example", &current().sub), actor(&current().iss, "other"), actor("", "")] {
        allow(other);
        check(&fake, WITH_ACTOR, fault(ActorFault::NotNamed));
    }
}

#[test]
fn current_actor_is_not_named_twice() {
    let fake = fake();
    let chain = vec![current(), actor("https://a.example", "first")];
    fake.subject.borrow_mut().actors.clone_from(&chain);
    check(&fake, WITH_ACTOR, Ok(()));
    assert_eq!(fake.signed.borrow()[0].actors, chain);
}

#[test]
fn records_every_actor_by_issuer_file() {
    let fake = fake();
    let chain = [("https://ci.example", "first"), ("https://unknown.example", "second")];
    fake.subject.borrow_mut().actors = chain.map(|(iss, sub)| actor(iss, sub)).into();
    check(&fake, WITH_ACTOR, Ok(()));
    let recorded = |issuer: &str, subject: &str| RecordedActor { issuer_name: issuer.into(), subject: subject.into() };
    let expected =
        [recorded("cluster", "agent"), recorded("ci", "first"), recorded("https://unknown.example", "second")];
    assert_eq!(fake.records.borrow()[0].actors, expected);
}

#[test]
fn bounds_the_actors_of_a_token() {
    let many = |actors: usize| (0..actors).map(|at| actor("https://a.example", &at.to_string())).collect();
    let bytes = |bytes: usize| vec![actor("i", &"s".repeat(bytes - 1))];
    let own = current().iss.len() + current().sub.len();
    for (actors, expected) in [
        (many(ACTORS_MAX - 1), Ok(())),
        (many(ACTORS_MAX), fault(ActorFault::TooMany)),
        (bytes(ACTORS_BYTES_MAX - own), Ok(())),
        (bytes(ACTORS_BYTES_MAX - own + 1), fault(ActorFault::TooMany)),
    ] {
        let fake = fake();
        fake.subject.borrow_mut().actors = actors;
        check(&fake, WITH_ACTOR, expected);
    }
}

#[test]
fn actor_is_another_workload_than_the_subject() {
    let fake = fake();
    let same = Subject { principal: subject().principal, ..agent() };
    fake.actor.replace(same);
    check(&fake, WITH_ACTOR, fault(ActorFault::IsSubject));
    // Cedar could not tell apart two workloads with one type and id, even if their issuers differ.
    fake.actor.borrow_mut().principal.issuer_name = "cluster".into();
    check(&fake, WITH_ACTOR, fault(ActorFault::IsSubject));
    fake.actor.borrow_mut().principal.id.push('x');
    check(&fake, WITH_ACTOR, Ok(()));
}

#[test]
fn actor_token_is_of_the_actor_alone() {
    let fake = fake();
    fake.actor.borrow_mut().actors = vec![actor("https://a.example", "first")];
    check(&fake, WITH_ACTOR, fault(ActorFault::Delegated));
}

#[test]
fn verifies_the_subject_token_first() {
    let fake = fake();
    fake.actor_error.replace(Some(TokenError::Expired));
    check(&fake, WITH_ACTOR, Err(Refusal::ActorToken(TokenError::Expired)));
    let failure = attempt(&fake, &[], WITH_ACTOR).outcome.err().unwrap();
    assert_eq!(failure.detail, "token.expired");
    let error = WireError::from(&failure.refusal);
    assert_eq!((error.error, &*error.description), ("invalid_request", "the actor token has expired"));
    fake.verify_error.replace(Some(TokenError::SignatureInvalid));
    check(&fake, WITH_ACTOR, Err(TokenError::SignatureInvalid.into()));
    assert_eq!((fake.count("verify_actor"), fake.records.borrow().len()), (2, 0));
}

#[test]
fn records_the_actor_that_policy_denies() {
    let fake = fake();
    fake.may_act.set(false);
    check(&fake, WITH_ACTOR, Err(Denial::PolicyDenied.into()));
    assert_eq!(fake.records.borrow()[0].slug, "policy.denied");
    assert_eq!(
        fake.records.borrow()[0].actors,
        [RecordedActor { issuer_name: "cluster".into(), subject: "agent".into() }]
    );
}

#[test]
fn audience_without_actors_refuses_them() {
    let fake = Fake::new();
    check(&fake, WITH_ACTOR, Err(Denial::ActorsNotAllowed.into()));
    assert_eq!((fake.count("decide_actor"), fake.count("sign")), (0, 0));
    // A caller without a permit does not learn that the audience exists.
    fake.permitted.set(false);
    check(&fake, WITH_ACTOR, Err(Denial::PolicyDenied.into()));
}

#[test]
fn scopes_only_shrink() {
    let scopes = |scopes: &[&str]| Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
    for (of_subject, of_actor, expected) in [
        (None, None, Ok(())),
        (scopes(&["read", "write"]), scopes(&["read"]), Ok(())),
        (scopes(&["write"]), None, Err(Denial::ScopeNotHeld.into())),
        (None, scopes(&["write"]), Err(Denial::ScopeNotHeld.into())),
        (scopes(&[]), scopes(&["read"]), Err(Denial::ScopeNotHeld.into())),
    ] {
        let fake = fake();
        fake.subject.borrow_mut().scopes = of_subject;
        fake.actor.borrow_mut().scopes = of_actor;
        check(&fake, &format!("{WITH_ACTOR}&scope=read"), expected);
        check(&fake, WITH_ACTOR, Ok(()));
    }
}

#[test]
fn token_outlives_neither_subject_nor_actor() {
    let fake = fake();
    fake.audience.replace(Some(Audience { allow_act: true, outlive_subject: true, ..audience() }));
    let ends = |of_subject: u64, of_actor: u64| {
        fake.subject.borrow_mut().exp = NOW + of_subject;
        fake.actor.borrow_mut().exp = NOW + of_actor;
    };
    for (of_subject, of_actor, expected) in
        [(900, 900, 300), (200, 900, 200), (900, 100, 100), (1, 900, 1), (900, 1, 1)]
    {
        ends(of_subject, of_actor);
        check(&fake, WITH_ACTOR, Ok(()));
        assert_eq!(fake.signed.take()[0].lifetime_seconds, expected);
    }
    ends(0, 900);
    check(&fake, WITH_ACTOR, Err(TokenError::Expired.into()));
    ends(900, 0);
    check(&fake, WITH_ACTOR, Err(Refusal::ActorToken(TokenError::Expired)));
}

/// `kc#50963`: the binding was lost. `kc#51205`: here too a bound subject token is not handed to an actor with another key.
#[test]
fn binds_to_the_key_of_the_actor() {
    let proofs = |fake: &Fake, proofs: &[&str]| {
        attempt(fake, proofs, WITH_ACTOR).outcome.map(drop).map_err(|failure| failure.refusal)
    };
    let fake = fake();
    fake.actor.borrow_mut().key_thumbprint = Some("K".into());
    assert_eq!(proofs(&fake, &[]), Err(ProofFault::RequiredByToken.into()));
    assert_eq!(proofs(&fake, &["L 1"]), Err(ProofFault::KeyMismatch.into()));
    assert_eq!(proofs(&fake, &["K 1"]), Ok(()));
    assert_eq!(fake.signed.borrow()[0].key_thumbprint.as_deref(), Some("K"));
    fake.subject.borrow_mut().key_thumbprint = Some("S".into());
    assert_eq!(proofs(&fake, &["K 2"]), Err(ProofFault::KeyMismatch.into()));
    assert_eq!(proofs(&fake, &["S 1"]), Err(ProofFault::KeyMismatch.into()));
    fake.subject.borrow_mut().key_thumbprint = Some("K".into());
    assert_eq!(proofs(&fake, &["K 3"]), Ok(()));
}

#[test]
fn uses_up_both_tokens_in_one_call() {
    use ReplayMode::{Allow, Bounded, SingleUse};
    for (of_subject, of_actor, of_audience, calls, keys) in [
        (Allow, Allow, Allow, 0, 0),
        (SingleUse, Allow, Allow, 1, 1),
        (Allow, SingleUse, Allow, 1, 1),
        (SingleUse, SingleUse, Allow, 1, 2),
        (SingleUse, SingleUse, SingleUse, 1, 2),
        (Allow, Allow, Bounded(3), 1, 2),
        (Bounded(3), Bounded(3), Bounded(3), 2, 4),
    ] {
        let fake = fake();
        fake.issuer.replace(Some(issuer(of_subject)));
        fake.actor_issuer.replace(cluster(of_actor));
        fake.audience.replace(Some(Audience { allow_act: true, replay: of_audience, ..audience() }));
        check(&fake, WITH_ACTOR, Ok(()));
        assert_eq!((fake.count("consume"), fake.consumed.borrow().len()), (calls, keys), "{of_subject:?} {of_actor:?}");
    }
}

#[test]
fn token_used_by_an_actor_is_used_up() {
    let fake = fake();
    fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
    fake.actor_issuer.replace(cluster(ReplayMode::SingleUse));
    check(&fake, WITH_ACTOR, Ok(()));
    check(&fake, "", Err(Refusal::Replay(ReplayFault::Spent)));
    fake.subject.borrow_mut().jti = Some("j2".into());
    check(&fake, WITH_ACTOR, Err(Refusal::Replay(ReplayFault::Spent)));
    assert_eq!(fake.count("sign"), 1);
}

/// Both tokens of one issuer with one `jti`: one key, so the second use is a repeated one.
#[test]
fn one_token_id_is_not_used_twice() {
    let fake = fake();
    fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
    fake.actor.replace(Subject { iss: subject().iss, jti: subject().jti, ..agent() });
    check(&fake, WITH_ACTOR, Err(Refusal::Replay(ReplayFault::Spent)));
    assert_eq!((fake.count("consume"), fake.count("sign")), (0, 0));
}
