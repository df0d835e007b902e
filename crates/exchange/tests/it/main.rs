//! The exchange with in-memory ports: what it refuses, and in which order it calls them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod actors;
mod chaining;
mod clients;
mod clocks;
mod denials;
mod fake;
mod key_sets;
mod log;
mod proofs;
mod root;
mod status;
mod waiting;
mod wire;

use fake::*;
use vouchsafe_exchange::client_address::{ForwardedFor, TrustedProxies};
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::refusal::*;
use vouchsafe_exchange::wire::WireError;
use vouchsafe_exchange::{Attempt, exchange};
use vouchsafe_types::{
    Audience, ExtraClaim, IssuerRecord, PresentedIdentity, RefusedKind, ReplayMode, TokenError, TokenType, View,
};

const FORM: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=a.b.c\
    &subject_token_type=urn:ietf:params:oauth:token-type:jwt&audience=https://api.example";

fn attempt(fake: &Fake, more: &str) -> Attempt {
    run(exchange(fake, format!("{FORM}{more}").as_bytes(), &[], &[], &ForwardedFor::default()))
}

/// Runs one exchange with `more` parameters and compares how it ended.
fn check(fake: &Fake, more: &str, expected: Result<(), Refusal>) {
    let attempt = attempt(fake, more);
    let got = attempt.outcome.map(|_| ()).map_err(|failure| failure.refusal);
    assert_eq!(got, expected, "{more}");
}

fn denied(denial: Denial) -> Result<(), Refusal> {
    Err(Refusal::Denied(denial))
}

/// Refused before policy, issuers or the store are called.
#[test]
fn refuses_undetermined_client_addresses_unrecorded() {
    let text = |text: &str| text.to_owned();
    let by = |peer: &str, headers: [&[&str]; 2]| ForwardedFor {
        peer: text(peer),
        forwarded: headers[0].iter().copied().map(text).collect(),
        x_forwarded_for: headers[1].iter().copied().map(text).collect(),
    };
    let many = ["10.1.1.1"; 33].join(",");
    let proxy = "10.0.0.1:5";
    for (forwarded_for, detail) in [
        (by(proxy, [&["for=192.0.2.1"], &["203.0.113.9"]]), "`forwarded` and `x-forwarded-for` are both present"),
        (by(proxy, [&[], &[]]), "a trusted proxy sent no forwarding header"),
        (by(proxy, [&[], &["garbage"]]), "invalid hop in the forwarding header"),
        (by(proxy, [&[], &[&many]]), "more than 32 hops are trusted proxies"),
        (by("", [&[], &["192.0.2.1"]]), "the host did not provide the peer's address"),
    ] {
        let fake = Fake::new();
        *fake.trusted_proxies.borrow_mut() = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let attempt = run(exchange(&fake, FORM.as_bytes(), &[], &[], &forwarded_for));
        let failure = attempt.outcome.map(drop).unwrap_err();
        let refusal = RequestFault::ClientAddressUndetermined.into();
        assert_eq!((failure.refusal, failure.detail.as_str()), (refusal, detail));
        assert_eq!(*fake.calls.borrow(), ["settings"]);
        // Without trusted proxies, no header counts.
        *fake.trusted_proxies.borrow_mut() = TrustedProxies::default();
        assert!(run(exchange(&fake, FORM.as_bytes(), &[], &[], &forwarded_for)).outcome.is_ok());
        assert_eq!(fake.questions.borrow()[0].client_ip, None);
    }
}

#[test]
fn issues_nothing_without_a_decision_id() {
    let fake = Fake::new();
    fake.unavailable.borrow_mut().push("decision_id");
    check(&fake, "", Err(Refusal::Internal));
    assert_eq!((fake.count("decide"), fake.count("consume"), fake.count("sign")), (0, 0, 0));
}

/// A subject starts with its issuer file's name and a colon. Names contain no colon, so no subject, whatever it
/// contains, can belong to another issuer; nothing is decoded or normalized.
#[test]
fn prefixes_subjects_with_issuer_name() {
    let subjects = [
        "repo",
        "other:repo",
        ":repo",
        "repo:",
        "other%3Arepo",
        "other/repo",
        "../other:repo",
        "ci:repo",
        "https://broker.example",
        "repo a",
    ];
    let mut issued = std::collections::BTreeSet::new();
    for subject in subjects {
        let fake = Fake::new();
        fake.subject.borrow_mut().name = subject.into();
        check(&fake, "", Ok(()));
        let signed = fake.signed.borrow();
        assert_eq!(signed[0].subject.split_once(':'), Some(("ci", subject)), "{subject}");
        issued.insert(signed[0].subject.clone());
    }
    assert_eq!(issued.len(), subjects.len());
}

#[test]
fn records_permitted_token_before_release() {
    let fake = Fake::new();
    check(&fake, "&scope=read", Ok(()));
    assert_eq!(
        *fake.calls.borrow(),
        [
            "settings",
            "bundle",
            "parse",
            "issuer",
            "document",
            "lease",
            "fetch_keys",
            "document",
            "put_document",
            "put_document",
            "verify",
            "audience",
            "decide",
            "sign",
            "record"
        ]
    );
    let signed = &fake.signed.borrow()[0];
    assert_eq!(signed.issuer, "https://broker.example");
    assert_eq!(signed.subject, "ci:repo:o/r");
    assert_eq!(signed.lifetime_seconds, 300);
    assert_eq!(signed.scopes, ["read"]);
    assert_eq!(signed.extra_claims, [ExtraClaim { name: "repository".to_owned(), value: r#""o/\"r\"""#.to_owned() }]);
    let subject = fake.subject.borrow();
    let presented = PresentedIdentity { issuer: subject.iss.clone(), principal: subject.principal.id.clone() };
    assert_eq!(signed.presented, Some(presented), "selects the rollout share");
    let record = &fake.records.borrow()[0];
    assert_eq!((&record.refused, record.slug.as_str(), record.kid.as_str()), (&None, "issued", "kid-1"));
    assert_eq!(record.decision_id, signed.jti);
    assert_eq!(record.expires_at, NOW + 300);
    assert_eq!((record.bundle_digest.as_str(), record.determining_rules.len()), ("b1", 1));
}

#[test]
fn withholds_token_without_durable_record() {
    let fake = Fake::new();
    fake.unavailable.borrow_mut().push("record");
    check(&fake, "", Err(Refusal::Unavailable(Part::Store)));
    fake.permitted.set(false);
    check(&fake, "", Err(Refusal::Unavailable(Part::Store)));
}

#[test]
fn fails_closed_when_any_component_is_unavailable() {
    for (call, part) in [
        ("settings", Part::Signer),
        ("bundle", Part::Policy),
        ("issuer", Part::Policy),
        ("document", Part::Store),
        ("lease", Part::Store),
        ("fetch_keys", Part::Issuer),
        ("audience", Part::Policy),
        ("decide", Part::Policy),
        ("sign", Part::Signer),
    ] {
        let fake = Fake::new();
        fake.unavailable.borrow_mut().push(call);
        check(&fake, "", Err(Refusal::Unavailable(part)));
    }
    let fake = Fake::new();
    fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
    fake.unavailable.borrow_mut().push("consume");
    check(&fake, "", Err(Refusal::Unavailable(Part::Store)));
    assert_eq!(fake.count("sign"), 0);
}

/// An HSM or gateway restored from before an emergency rotation: its tokens are withheld.
#[test]
fn withholds_token_of_superseded_generation() {
    let fake = Fake::new();
    fake.generation_seen.set(2);
    check(&fake, "", Ok(()));
    fake.generation_seen.set(3);
    let failure = attempt(&fake, "").outcome.map(drop).unwrap_err();
    let detail = "generation 2 of the signer is below 3, which this database has seen";
    assert_eq!(failure, Failure::new(Refusal::Superseded, detail));
    let records = fake.records.borrow();
    let last = records.last().unwrap();
    assert_eq!(last.slug, "signer.superseded");
    let kind = last.refused.as_ref().map(|refused| refused.kind);
    assert_eq!(kind, Some(RefusedKind::Outage));
    assert_eq!((last.kid.as_str(), last.expires_at), ("", 0));
    let error = WireError::from(&Refusal::Superseded);
    assert_eq!(error, WireError::from(&Refusal::Unavailable(Part::Signer)), "the caller sees an outage");
}

#[test]
fn withholds_revoked_token_and_records_a_denial() {
    let fake = Fake::new();
    fake.revoked.set(true);
    check(&fake, "", denied(Denial::Revoked));
    let records = fake.records.borrow();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.slug.as_str(), record.kid.as_str(), record.expires_at), ("exchange.revoked", "", 0));
    let kind = record.refused.as_ref().map(|refused| refused.kind);
    assert_eq!(kind, Some(RefusedKind::Denial));
}

#[test]
fn records_only_decisions_on_verified_tokens() {
    let fake = Fake::new();
    fake.permitted.set(false);
    check(&fake, "", denied(Denial::PolicyDenied));
    fake.audience.replace(None);
    check(&fake, "", denied(Denial::AudienceUnknown));
    let slugs: Vec<_> = fake.records.borrow().iter().map(|record| record.slug.clone()).collect();
    assert_eq!(slugs, ["policy.denied", "audience.unknown"]);

    for (fault, more) in [(TokenError::SignatureInvalid, ""), (TokenError::Expired, "")] {
        fake.verify_error.replace(Some(fault.clone()));
        check(&fake, more, Err(Refusal::Token(fault)));
    }
    assert_eq!(fake.records.borrow().len(), 2);
}

#[test]
fn names_accepted_audiences_to_token_of_another() {
    let fake = Fake::new();
    fake.verify_error.replace(Some(TokenError::AudienceMismatch));
    let accepted = vec!["https://broker.example".to_owned()];
    check(&fake, "", Err(Refusal::AudienceMismatch { accepted }));
    assert!(fake.records.borrow().is_empty());
}

#[test]
fn traces_configured_names_only() {
    let trace = |fake: &Fake| {
        let trace = attempt(fake, "").trace;
        (trace.issuer, trace.audience)
    };
    let (issuer, audience) = (Some("ci".to_owned()), Some("https://api.example".to_owned()));
    let fake = Fake::new();
    assert_eq!(trace(&fake), (issuer.clone(), audience.clone()));
    fake.permitted.set(false);
    assert_eq!(trace(&fake), (issuer.clone(), audience));
    fake.audience.replace(None);
    assert_eq!(trace(&fake), (issuer.clone(), None));
    fake.verify_error.replace(Some(TokenError::SignatureInvalid));
    assert_eq!(trace(&fake), (issuer, None));
    fake.issuer.replace(None);
    assert_eq!(trace(&fake), (None, None));
}

#[test]
fn hides_audiences_from_callers_without_permit() {
    let fake = Fake::new();
    fake.permitted.set(false);
    for more in ["&scope=bogus", "&requested_expires_in=901", "&scope=bogus&requested_expires_in=901"] {
        check(&fake, more, denied(Denial::PolicyDenied));
    }
}

#[test]
fn reports_exceeded_limit_to_permitted_callers() {
    let fake = Fake::new();
    check(&fake, "&scope=read+bogus", denied(Denial::ScopeNotOffered));
    assert_eq!(fake.questions.borrow()[0].scopes, ["read"]);
    check(&fake, "&requested_expires_in=900", Ok(()));
    let over = Err(Refusal::Request(RequestFault::LifetimeOverCeiling));
    check(&fake, "&requested_expires_in=901", over);
    assert_eq!(fake.questions.borrow()[2].requested_lifetime_seconds, 900);
    fake.scopes_allowed.replace(Some(vec!["read".into()]));
    check(&fake, "&scope=write", denied(Denial::PolicyDenied));
}

#[test]
fn bounds_subject_by_what_the_view_accepts() {
    for (view, bytes_max) in [(View::Gcp, Some(127)), (View::Snowflake, Some(255)), (View::Azure, Some(600))] {
        assert_eq!(view.preset().subject_bytes_max, bytes_max);
    }
    let with_subject = |length: usize| {
        let fake = Fake::new();
        fake.audience.replace(Some(Audience { view: Some(View::Gcp), ..audience() }));
        fake.subject.borrow_mut().name = "x".repeat(length - "ci:".len());
        fake
    };
    check(&with_subject(127), "", Ok(()));
    check(&with_subject(128), "", denied(Denial::SubjectTooLong { bytes_max: 127 }));
    // Without a permit, the limit stays hidden.
    let fake = with_subject(128);
    fake.permitted.set(false);
    check(&fake, "", denied(Denial::PolicyDenied));
}

/// What the caller is told of the token stays what it asked for.
#[test]
fn view_decides_the_type_in_the_header() {
    let fake = Fake::new();
    fake.audience.replace(Some(Audience { view: Some(View::Aws), ..audience() }));
    check(&fake, "", Ok(()));
    let signed = fake.signed.borrow();
    assert_eq!((signed[0].view, signed[0].token_type), (Some(View::Aws), TokenType::Jwt));
}

#[test]
fn requires_scope_after_policy() {
    for (required, more, expected) in [
        (true, "", denied(Denial::ScopeMissing)),
        (true, "&scope=", denied(Denial::ScopeMissing)),
        (true, "&scope=read", Ok(())),
        (true, "&scope=bogus", denied(Denial::ScopeNotOffered)),
        (false, "", Ok(())),
    ] {
        let fake = Fake::new();
        fake.audience.replace(Some(Audience { scopes_required: required, ..audience() }));
        check(&fake, more, expected);
    }
    // Without a permit, the audience's requirement stays hidden.
    let fake = Fake::new();
    fake.audience.replace(Some(Audience { scopes_required: true, ..audience() }));
    fake.permitted.set(false);
    check(&fake, "", denied(Denial::PolicyDenied));
}

#[test]
fn limits_lifetime_to_subject_token() {
    for (left, more, outlive, expected) in [
        (3600, "", false, Ok(300)),
        (299, "", false, Ok(299)),
        (1, "", false, Ok(1)),
        (0, "", false, Err(Refusal::Token(TokenError::Expired))),
        (0, "", true, Ok(300)),
        (100, "&requested_expires_in=50", false, Ok(50)),
        (100, "&requested_expires_in=101", false, Ok(100)),
    ] {
        let fake = Fake::new();
        fake.subject.borrow_mut().exp = NOW + left;
        fake.audience.replace(Some(Audience { outlive_subject: outlive, ..audience() }));
        check(&fake, more, expected.clone().map(|_| ()));
        assert_eq!(fake.signed.borrow().first().map(|signed| signed.lifetime_seconds), expected.ok());
    }
}

#[test]
fn consumes_once_per_issuer_or_audience() {
    let fake = Fake::new();
    fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
    check(&fake, "", Ok(()));
    check(&fake, "", Err(SPENT));
    let other = Audience { id: "https://other.example".into(), ..audience() };
    fake.audience.replace(Some(other.clone()));
    let elsewhere = FORM.replace("https://api.example", &other.id);
    assert_eq!(
        run(exchange(&fake, elsewhere.as_bytes(), &[], &[], &ForwardedFor::default())).outcome.err().map(|f| f.refusal),
        Some(SPENT)
    );

    let fake = Fake::new();
    let single = |audience: Audience| Audience { replay: ReplayMode::SingleUse, ..audience };
    fake.audience.replace(Some(single(audience())));
    check(&fake, "", Ok(()));
    check(&fake, "", Err(SPENT));
    fake.audience.replace(Some(single(other)));
    assert!(run(exchange(&fake, elsewhere.as_bytes(), &[], &[], &ForwardedFor::default())).outcome.is_ok());
}

/// The replay key is that of the token, whatever the grant.
#[test]
fn consumes_once_for_both_grants() {
    let bearer = FORM
        .replace("token-exchange&subject_token=", "jwt-bearer&assertion=")
        .replace("&subject_token_type=urn:ietf:params:oauth:token-type:jwt", "");
    for forms in [[FORM, &bearer], [&bearer, FORM], [&bearer, &bearer]] {
        let fake = Fake::new();
        fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
        let mut outcomes = forms.iter().map(|form| {
            let attempt = run(exchange(&fake, form.as_bytes(), &[], &[], &ForwardedFor::default()));
            attempt.outcome.map(drop).map_err(|failure| failure.refusal)
        });
        assert_eq!([outcomes.next(), outcomes.next()], [Some(Ok(())), Some(Err(SPENT))], "{forms:?}");
    }
}

#[test]
fn counts_bounded_uses_per_issuer_and_audience() {
    let bounded = |uses| Audience { replay: ReplayMode::Bounded(uses), ..audience() };
    let cases = [
        (ReplayMode::Bounded(3), audience(), 3),
        (ReplayMode::Allow, bounded(2), 2),
        (ReplayMode::Bounded(3), bounded(2), 2),
        (ReplayMode::Bounded(2), bounded(3), 2),
        (ReplayMode::SingleUse, bounded(3), 1),
    ];
    for (of_issuer, of_audience, uses) in cases {
        let fake = Fake::new();
        fake.issuer.replace(Some(issuer(of_issuer)));
        fake.audience.replace(Some(of_audience));
        for _ in 0..uses {
            check(&fake, "", Ok(()));
        }
        check(&fake, "", Err(SPENT));
    }
}

/// A refusal by the audience does not cost a use at the issuer.
#[test]
fn consumes_audience_use_before_issuer_use() {
    let fake = Fake::new();
    fake.issuer.replace(Some(issuer(ReplayMode::Bounded(2))));
    fake.audience.replace(Some(Audience { replay: ReplayMode::SingleUse, ..audience() }));
    check(&fake, "", Ok(()));
    for _ in 0..5 {
        check(&fake, "", Err(SPENT));
    }
    let other = Audience { id: "https://other.example".into(), ..audience() };
    fake.audience.replace(Some(other.clone()));
    let elsewhere = FORM.replace("https://api.example", &other.id);
    assert!(run(exchange(&fake, elsewhere.as_bytes(), &[], &[], &ForwardedFor::default())).outcome.is_ok());
    let spent = run(exchange(&fake, elsewhere.as_bytes(), &[], &[], &ForwardedFor::default())).outcome.err();
    assert_eq!(spent.map(|failure| failure.refusal), Some(SPENT));
}

#[test]
fn looks_up_trust_domain_only_for_untrusted_iss() {
    let domain = || Some("spiffe://example.org".to_owned());
    let spiffe = || IssuerRecord { issuer: "spiffe://example.org".into(), ..issuer(ReplayMode::Allow) };
    let untrusted = || Err(Refusal::Token(TokenError::IssuerUntrusted));
    // `iss`, the issuer in the bundle, the outcome, and the number of issuer lookups.
    for (iss, known, expected, asked) in [
        ("", spiffe(), Ok(()), 1),
        ("https://spire.example", spiffe(), Ok(()), 2),
        ("https://ci.example", issuer(ReplayMode::Allow), Ok(()), 1),
        ("https://nobody.example", issuer(ReplayMode::Allow), untrusted(), 2),
        ("https://broker.example", spiffe(), untrusted(), 0),
    ] {
        let fake = Fake::new();
        fake.trust_domain.replace(domain());
        fake.issuer.replace(Some(known));
        fake.subject.borrow_mut().iss = iss.into();
        check(&fake, "", expected);
        assert_eq!(fake.count("issuer"), asked, "{iss}");
    }
}

#[test]
fn keys_uses_by_jti_or_signing_input() {
    let fake = Fake::new();
    fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
    check(&fake, "", Ok(()));
    // The same jti with another signature is the same token.
    fake.subject.borrow_mut().signing_input_digest = "d2".into();
    check(&fake, "", Err(SPENT));
    fake.subject.borrow_mut().jti = None;
    check(&fake, "", Ok(()));
    check(&fake, "", Err(SPENT));
    fake.subject.borrow_mut().signing_input_digest = "d3".into();
    check(&fake, "", Ok(()));
    // A jti that spells another token's digest is not that token.
    fake.subject.borrow_mut().jti = Some("d3".into());
    check(&fake, "", Ok(()));
}

/// For any maximum age and leeway of this bundle or the next one.
#[test]
fn keeps_use_until_no_bundle_accepts_token() {
    const DAY: u64 = 86_400;
    for (exp, iat, expected) in [
        (NOW + 100, Some(NOW - 10), NOW + 100 + 60 + 60),
        (NOW + DAY, Some(NOW - 10), NOW - 10 + DAY + 60 + 60),
        (NOW + 5000, None, NOW + 5000 + 60 + 60),
    ] {
        let fake = Fake::new();
        fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
        fake.subject.borrow_mut().exp = exp;
        fake.subject.borrow_mut().iat = iat;
        check(&fake, "", Ok(()));
        let kept: Vec<_> = fake.consumed.borrow().values().copied().collect();
        assert_eq!(kept, [(iat.unwrap_or(0), expected, 1)]);
    }
}

#[test]
fn refuses_single_use_token_older_than_store() {
    let fake = Fake::new();
    fake.predates.set(true);
    check(&fake, "", Ok(()));
    fake.issuer.replace(Some(issuer(ReplayMode::SingleUse)));
    check(&fake, "", Err(Refusal::Replay(ReplayFault::PredatesStore)));
    assert_eq!(fake.count("sign"), 1);
}

#[test]
fn fetches_nothing_for_unconfigured_issuer() {
    let fake = Fake::new();
    fake.subject.borrow_mut().iss = "https://ci.example/".into();
    check(&fake, "", Err(Refusal::Token(TokenError::IssuerUntrusted)));
    assert_eq!(fake.count("fetch_keys") + fake.count("lease"), 0);
}

#[test]
fn refuses_own_tokens() {
    let fake = Fake::new();
    let own = IssuerRecord { issuer: "https://broker.example".into(), ..issuer(ReplayMode::Allow) };
    fake.issuer.replace(Some(own));
    fake.subject.borrow_mut().iss = "https://broker.example".into();
    check(&fake, "", Err(Refusal::Token(TokenError::IssuerUntrusted)));
    assert_eq!(fake.count("issuer"), 0);
}
