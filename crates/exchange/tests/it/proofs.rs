//! Proofs of possession: what they bind, when they are required, and that each is used once.

use crate::FORM;
use crate::fake::*;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::limits::PROOF_BYTES_MAX;
use vouchsafe_exchange::refusal::*;
use vouchsafe_exchange::wire::success;
use vouchsafe_exchange::{Attempt, exchange};
use vouchsafe_types::{Audience, ProofError, ReplayMode, TokenError};

/// A proof that the fake ports verify: by the key `K`, with the `jti` `1`.
const PROOF: &str = "K 1";

fn attempt(fake: &Fake, proofs: &[&str], more: &str) -> Attempt {
    let proofs: Vec<_> = proofs.iter().map(|proof| (*proof).to_owned()).collect();
    run(exchange(fake, format!("{FORM}{more}").as_bytes(), &proofs, &[], &ForwardedFor::default()))
}

fn check(fake: &Fake, proofs: &[&str], expected: Result<(), ProofFault>) {
    let got = attempt(fake, proofs, "").outcome.map(drop).map_err(|failure| failure.refusal);
    assert_eq!(got, expected.map_err(Refusal::Proof), "{proofs:?}");
}

fn required() -> Audience {
    Audience { proof_required: true, ..audience() }
}

#[test]
fn binds_the_token_to_the_key_of_the_proof() {
    let fake = Fake::new();
    for (token_type, expected) in [("access_token", "DPoP"), ("jwt", "N_A")] {
        let more = format!("&requested_token_type=urn:ietf:params:oauth:token-type:{token_type}");
        let proof = format!("K {token_type}");
        let issued = attempt(&fake, &[&proof], &more).outcome.map_err(|failure| failure.refusal).unwrap();
        let body: serde_json::Value = serde_json::from_str(&success(&issued)).unwrap();
        assert_eq!(body["token_type"], expected);
        let signed = fake.signed.take();
        assert_eq!(signed[0].key_thumbprint.as_deref(), Some("K"));
    }
    assert_eq!(fake.questions.borrow().iter().map(|it| it.proof_of_possession).collect::<Vec<_>>(), [true, true]);
}

/// An exchange without a proof makes the same calls as ever: none to verify one, and none to consume it.
#[test]
fn costs_nothing_without_a_proof() {
    let fake = Fake::new();
    check(&fake, &[], Ok(()));
    assert_eq!((fake.count("verify_proof"), fake.count("consume")), (0, 0));
    assert_eq!(fake.signed.borrow()[0].key_thumbprint, None);
    assert!(!fake.questions.borrow()[0].proof_of_possession);
}

/// `kc#50963`: an exchange that dropped the binding made a bearer token of a stolen bound one. `mcp-oauth#384`: the key was
/// never compared.
#[test]
fn bound_subject_token_needs_its_own_key() {
    let fake = Fake::new();
    fake.subject.borrow_mut().key_thumbprint = Some("K".into());
    check(&fake, &[], Err(ProofFault::RequiredByToken));
    check(&fake, &["L 1"], Err(ProofFault::KeyMismatch));
    check(&fake, &["k 1"], Err(ProofFault::KeyMismatch));
    assert_eq!((fake.count("decide"), fake.count("consume"), fake.records.borrow().len()), (0, 0, 0));
    check(&fake, &[PROOF], Ok(()));
    assert_eq!(fake.signed.borrow()[0].key_thumbprint.as_deref(), Some("K"));
}

#[test]
fn audience_requires_a_proof_after_policy() {
    let fake = Fake::new();
    fake.audience.replace(Some(required()));
    check(&fake, &[], Err(ProofFault::RequiredByAudience));
    assert_eq!(fake.records.borrow()[0].slug, "proof.required_by_audience");
    check(&fake, &[PROOF], Ok(()));
    // A caller without a permit does not learn that the audience exists.
    fake.permitted.set(false);
    let refusal = attempt(&fake, &[], "").outcome.err().map(|failure| failure.refusal);
    assert_eq!(refusal, Some(Refusal::Denied(Denial::PolicyDenied)));
}

#[test]
fn takes_at_most_one_proof_within_its_size() {
    let fake = Fake::new();
    check(&fake, &[PROOF, "K 2"], Err(ProofFault::Repeated));
    check(&fake, &["", ""], Err(ProofFault::Repeated));
    check(&fake, &[&"x".repeat(PROOF_BYTES_MAX + 1)], Err(ProofError::TooLarge.into()));
    assert_eq!(*fake.calls.borrow(), [""; 0], "refused before anything else");
    check(&fake, &[&"x".repeat(PROOF_BYTES_MAX)], Err(ProofError::SignatureInvalid.into()));
    // An empty header is a proof that does not verify, not the absence of one.
    check(&fake, &[""], Err(ProofError::SignatureInvalid.into()));
}

/// Nobody without a valid subject token has the broker verify signatures with keys of their choice.
#[test]
fn verifies_the_proof_after_the_subject_token() {
    let fake = Fake::new();
    fake.verify_error.replace(Some(TokenError::SignatureInvalid));
    let refusal = attempt(&fake, &["bad"], "").outcome.err().map(|failure| failure.refusal);
    assert_eq!(refusal, Some(Refusal::Token(TokenError::SignatureInvalid)));
    assert_eq!(fake.count("verify_proof"), 0);
    fake.verify_error.take();
    check(&fake, &["bad"], Err(ProofError::SignatureInvalid.into()));
    assert_eq!((fake.count("decide"), fake.records.borrow().len()), (0, 0), "neither decided nor recorded");
}

/// RFC 9449 §8. Neither decided, recorded nor consumed: a flood of them costs no state.
#[test]
fn bundle_may_require_a_nonce() {
    let fake = Fake::new();
    check(&fake, &["K 1 x"], Ok(()));
    assert_eq!(fake.count("proof_nonces"), 0, "nonces cost nothing unless they are required");
    fake.proof_nonce_required.set(true);
    fake.records.take();
    for proof in ["K 2", "K 2 ", "K 2 x", "K 2 N1"] {
        check(&fake, &[proof], Err(ProofFault::NonceRequired));
    }
    assert_eq!((fake.count("consume"), fake.records.borrow().len()), (1, 0));
    check(&fake, &["K 2 n1"], Ok(()));
    check(&fake, &["K 3 n2"], Ok(()));
    // A nonce is not used up, but the proof is.
    check(&fake, &["K 3 n2"], Err(ProofFault::Spent));
    check(&fake, &[], Ok(()));
    fake.unavailable.borrow_mut().push("proof_nonces");
    let refusal = attempt(&fake, &["K 4 n2"], "").outcome.err().map(|failure| failure.refusal);
    assert_eq!(refusal, Some(Refusal::Unavailable(Part::Signer)));
}

/// `wso2#23358`: without this check, whoever saw a request could send it again.
#[test]
fn accepts_each_proof_once() {
    let fake = Fake::new();
    check(&fake, &[PROOF], Ok(()));
    check(&fake, &[PROOF], Err(ProofFault::Spent));
    assert_eq!(fake.count("sign"), 1);
    check(&fake, &["K 2"], Ok(()));
}

/// `attesto#18`: a `jti` that counted for all keys could be used up by anybody.
#[test]
fn jti_of_another_key_is_not_burnt() {
    let fake = Fake::new();
    check(&fake, &["L 1"], Ok(()));
    check(&fake, &[PROOF], Ok(()));
    // The parts of a key are delimited.
    check(&fake, &["K1 "], Ok(()));
    check(&fake, &["K 1"], Err(ProofFault::Spent));
}

/// `kc#43505`: the entry ended before the proof did. Here the last moment of acceptance, 60 s after `iat`, is followed by a
/// minute for clocks that differ.
#[test]
fn remembers_a_proof_longer_than_it_is_accepted() {
    let fake = Fake::new();
    check(&fake, &[PROOF], Ok(()));
    let kept: Vec<_> = fake.consumed.borrow().values().copied().collect();
    assert_eq!(kept, [(NOW - 1, NOW - 1 + 60 + 60, 1)]);
}

#[test]
fn consumes_proof_and_token_in_one_call() {
    use ReplayMode::{Allow, Bounded, SingleUse};
    for (of_issuer, of_audience, calls) in [
        (Allow, Allow, 1),
        (SingleUse, Allow, 1),
        (Allow, Bounded(3), 1),
        (SingleUse, SingleUse, 1),
        // As without a proof: one call for the audience, one for the issuer.
        (Bounded(3), Bounded(3), 2),
    ] {
        let fake = Fake::new();
        fake.issuer.replace(Some(issuer(of_issuer)));
        fake.audience.replace(Some(Audience { replay: of_audience, ..audience() }));
        check(&fake, &[PROOF], Ok(()));
        assert_eq!(fake.count("consume"), calls, "{of_issuer:?} {of_audience:?}");
    }
}

#[test]
fn spends_no_proof_on_a_refused_request() {
    let fake = Fake::new();
    for more in ["&scope=admin", "&requested_expires_in=99999"] {
        assert!(attempt(&fake, &[PROOF], more).outcome.is_err(), "{more}");
    }
    fake.permitted.set(false);
    assert!(attempt(&fake, &[PROOF], "").outcome.is_err());
    fake.permitted.set(true);
    assert_eq!(fake.count("consume"), 0);
    check(&fake, &[PROOF], Ok(()));
}

#[test]
fn refuses_proof_older_than_store() {
    let fake = Fake::new();
    fake.predates.set(true);
    check(&fake, &[PROOF], Err(ProofFault::PredatesStore));
    assert_eq!(fake.count("sign"), 0);
}

#[test]
fn store_outage_refuses_proofs() {
    let fake = Fake::new();
    fake.unavailable.borrow_mut().push("consume");
    let refusal = attempt(&fake, &[PROOF], "").outcome.err().map(|failure| failure.refusal);
    assert_eq!(refusal, Some(Refusal::Unavailable(Part::Store)));
    assert_eq!(fake.count("sign"), 0);
}
