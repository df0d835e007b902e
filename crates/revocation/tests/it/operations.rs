//! The operations of administrators: their input, and what they answer.

use crate::fake::*;
use serde_json::{Value, json};
use vouchsafe_revocation::limits::*;
use vouchsafe_revocation::operations::{Operation, check_head, perform};
use vouchsafe_revocation::{Attempt, Credentials, Refused};
use vouchsafe_types::{Added, IssuedTokens, RevocationTarget, TokenFilter};

fn admin() -> Credentials {
    bearer(&token("caller", ADMIN, "revoke revoke:lift revoke:read"))
}

fn send(fake: &Fake, body: &Value) -> Attempt {
    done(perform(fake, &admin(), Operation::Revoke(body.to_string().as_bytes())))
}

/// `body` with an id and a reason.
fn complete(mut body: Value) -> Value {
    let members = body.as_object_mut().unwrap();
    members.entry("id").or_insert(json!("r-1"));
    members.entry("reason").or_insert(json!("incident 7"));
    body
}

fn target_of(body: Value) -> RevocationTarget {
    let fake = Fake::default();
    send(&fake, &complete(body)).outcome.unwrap();
    fake.revocations.take().remove(0).target
}

fn check_invalid(body: &Value, text: &str) {
    let fake = Fake::default();
    let Refused { error, slug, .. } = send(&fake, body).outcome.unwrap_err();
    assert_eq!((error.status, error.error, slug), (400, "invalid_request", "operation.invalid"), "{body}");
    assert_eq!(error.description, text, "{body}");
    assert_eq!(fake.calls(), ["verify caller", "active caller"], "{body}");
}

#[test]
fn parses_every_condition() {
    let filter = TokenFilter {
        issuer_name: Some("github".into()),
        subject: Some("repo:a".into()),
        audience: Some("https://api.example".into()),
        bundle_digest: Some("b1".into()),
        kid: Some("k1".into()),
    };
    let conditions = json!({
        "issuer": "github", "subject": "repo:a", "audience": "https://api.example", "bundle": "b1", "kid": "k1",
    });
    let with = |name: &str, value: Value| {
        let mut body = conditions.clone();
        body[name] = value;
        body
    };
    let issued = |since, until| RevocationTarget::Issued(IssuedTokens { filter: filter.clone(), since, until });
    assert_eq!(target_of(conditions.clone()), issued(None, None));
    assert_eq!(target_of(with("since", json!(NOW - 60))), issued(Some(NOW - 60), None));
    assert_eq!(target_of(with("until", json!(NOW))), issued(None, Some(NOW)));
    assert_eq!(target_of(with("block", json!(true))), RevocationTarget::Blocked(filter.clone()));
    assert_eq!(target_of(with("block", json!(false))), issued(None, None));
    assert_eq!(target_of(json!({ "token": "t" })), RevocationTarget::Token("t".into()));
    let everything = RevocationTarget::Blocked(TokenFilter::default());
    assert_eq!(target_of(json!({ "all": true, "block": true })), everything);
}

#[test]
fn refuses_unclear_conditions() {
    let future = NOW + 1;
    for (body, text) in [
        (json!({}), "no condition: to revoke all tokens, set `all`"),
        (json!({ "all": false }), "no condition: to revoke all tokens, set `all`"),
        (json!({ "block": true }), "no condition: to revoke all tokens, set `all`"),
        (json!({ "since": 1 }), "no condition: to revoke all tokens, set `all`"),
        (json!({ "all": true, "kid": "k" }), "`all` excludes every other condition on the token"),
        (json!({ "subject": "a" }), "`subject` needs `issuer`: a subject is unique only within its issuer"),
        (json!({ "token": "t", "all": true }), "`token` excludes every other condition"),
        (json!({ "token": "t", "kid": "k" }), "`token` excludes every other condition"),
        (json!({ "token": "t", "block": true }), "`token` excludes every other condition"),
        (json!({ "token": "t", "until": 1 }), "`token` excludes every other condition"),
        (
            json!({ "kid": "k", "block": true, "since": 1 }),
            "`block` excludes `since` and `until`: it concerns tokens whenever they are issued",
        ),
        (
            json!({ "kid": "k", "until": future }),
            "`until` is in the future: tokens that are not issued yet are refused with `block`",
        ),
        (json!({ "kid": "k", "since": future }), "`since` is after `until`"),
        (json!({ "kid": "k", "since": 2, "until": 1 }), "`since` is after `until`"),
    ] {
        check_invalid(&complete(body), text);
    }
}

#[test]
fn refuses_malformed_members() {
    let text =
        |name: &str, bytes: usize| format!("`{name}` is not a text of 1 to {bytes} bytes without control characters");
    let valid = || complete(json!({ "kid": "k" }));
    let with = |name: &str, value: Value| {
        let mut body = valid();
        body[name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = valid();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    check_invalid(&without("id"), "`id` is missing");
    check_invalid(&without("reason"), "`reason` is missing");
    for id in ["a b", "token/x", "ä", "a:b"] {
        check_invalid(&with("id", json!(id)), "`id` may have letters, digits, `.`, `_` and `-` only");
    }
    for (name, bytes) in [
        ("id", ID_BYTES_MAX),
        ("reason", REASON_BYTES_MAX),
        ("issuer", FIELD_BYTES_MAX),
        ("subject", FIELD_BYTES_MAX),
        ("audience", FIELD_BYTES_MAX),
        ("bundle", FIELD_BYTES_MAX),
        ("kid", FIELD_BYTES_MAX),
        ("token", FIELD_BYTES_MAX),
    ] {
        for value in [json!(""), json!(7), json!(null), json!("a\nb"), json!("x".repeat(bytes + 1))] {
            check_invalid(&with(name, value), &text(name, bytes));
        }
    }
    for name in ["since", "until"] {
        for value in [json!(-1), json!(1.5), json!("1"), json!(u64::MAX)] {
            check_invalid(&with(name, value), &format!("`{name}` is not a time in Unix seconds"));
        }
    }
    for name in ["all", "block", "dry_run"] {
        check_invalid(&with(name, json!("true")), &format!("`{name}` is neither true nor false"));
    }
    let known = "all, audience, block, bundle, dry_run, id, issuer, kid, reason, since, subject, token, until";
    check_invalid(&with("jti", json!("t")), &format!("the body has an unknown member; known are {known}"));
}

#[test]
fn accepts_the_longest_members() {
    let body = json!({
        "id": "x".repeat(ID_BYTES_MAX), "reason": "x".repeat(REASON_BYTES_MAX), "kid": "x".repeat(FIELD_BYTES_MAX),
    });
    assert_eq!(target_of(body), {
        let kid = Some("x".repeat(FIELD_BYTES_MAX));
        RevocationTarget::Issued(IssuedTokens {
            filter: TokenFilter { kid, ..TokenFilter::default() },
            since: None,
            until: None,
        })
    });
}

#[test]
fn bounds_the_body_before_parsing() {
    let fake = Fake::default();
    let padded = |bytes: usize| {
        let mut body = complete(json!({ "kid": "k" })).to_string().into_bytes();
        body.resize(bytes, b' ');
        done(perform(&fake, &admin(), Operation::Revoke(&body)))
    };
    assert!(padded(OPERATION_BYTES_MAX).outcome.is_ok());
    let refused = padded(OPERATION_BYTES_MAX + 1).outcome.unwrap_err();
    assert_eq!((refused.error.status, refused.slug), (413, "operation.too_large"));
    for (body, reason) in [
        ("", "the document is not well-formed JSON"),
        ("[]", "the document is not a JSON object"),
        (r#"{"kid":"a","kid":"b"}"#, "duplicate member in an object"),
    ] {
        let refused = done(perform(&fake, &admin(), Operation::Revoke(body.as_bytes()))).outcome.unwrap_err();
        assert_eq!(refused.error.description, format!("the body is not a JSON object: {reason}"));
    }
}

#[test]
fn checks_the_head_before_reading() {
    let check = |method, content_type| {
        let refused = check_head(method, "GET, POST", content_type).err();
        refused.map(|refused| (refused.error.status, refused.error.allow, refused.slug))
    };
    let media = "operation.content_type_unsupported";
    for (method, content_type, expected) in [
        ("POST", Some("application/json"), None),
        ("POST", Some("Application/JSON; charset=utf-8"), None),
        ("POST", Some("application/x-www-form-urlencoded"), Some((415, None, media))),
        ("POST", None, Some((415, None, media))),
        ("PUT", Some("application/json"), Some((405, Some("GET, POST"), "operation.method_not_allowed"))),
    ] {
        assert_eq!(check(method, content_type), expected, "{method} {content_type:?}");
    }
}

#[test]
fn answers_with_revocation_and_count() {
    let fake = Fake::default();
    let body = complete(json!({ "issuer": "github", "subject": "repo:a", "block": true }));
    let attempt = send(&fake, &body);
    let answer: Value = serde_json::from_str(&attempt.outcome.unwrap()).unwrap();
    let expected = json!({
        "revocation": {
            "id": "r-1", "issuer": "github", "subject": "repo:a", "block": true, "at": NOW,
            "actor": "github:caller", "decision_id": "caller", "reason": "incident 7",
        },
        "affected": { "tokens": 2, "last_expires_at": NOW + 290, "complete": true, "workloads": [] },
    });
    assert_eq!(answer, expected);
    assert_eq!(attempt.decision_id.as_deref(), Some("caller"));
}

#[test]
fn dry_run_changes_nothing() {
    let fake = Fake::default();
    let answer = send(&fake, &json!({ "kid": "k", "block": true, "dry_run": true })).outcome.unwrap();
    assert!(answer.starts_with(r#"{"affected":{"#), "{answer}");
    let calls = fake.calls();
    assert!(calls.iter().all(|call| !call.starts_with("add")), "{calls:?}");
    assert_eq!(fake.revocations.take(), []);
}

/// A revocation that is in force is reported as such, even if its tokens can't be counted in time.
#[test]
fn reports_a_revocation_without_count() {
    let fake = Fake::default();
    fake.unavailable.borrow_mut().push("count");
    let answer: Value = serde_json::from_str(&send(&fake, &complete(json!({ "kid": "k" }))).outcome.unwrap()).unwrap();
    assert_eq!((&answer["affected"], &answer["revocation"]["kid"]), (&json!(null), &json!("k")));
}

#[test]
fn reports_what_the_store_refuses() {
    for (added, status, slug) in [
        (Added::Conflict, 409, "operation.conflict"),
        (Added::NoSuchToken, 404, "operation.no_such_token"),
        (Added::TooMany, 409, "operation.too_many"),
    ] {
        let fake = Fake::default();
        fake.added.replace(Some(added));
        let refused = send(&fake, &complete(json!({ "kid": "k" }))).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.slug), (status, slug));
    }
    let fake = Fake::default();
    fake.unavailable.borrow_mut().push("add");
    let refused = send(&fake, &complete(json!({ "kid": "k" }))).outcome.unwrap_err();
    assert_eq!((refused.error.status, refused.slug), (503, "store.unavailable"));
}

#[test]
fn lifts_blocks_and_says_who() {
    let fake = Fake::default();
    send(&fake, &complete(json!({ "kid": "k", "block": true }))).outcome.unwrap();
    let lift = |id: &str| {
        let body = json!({ "id": id, "reason": "fixed" }).to_string();
        done(perform(&fake, &admin(), Operation::Lift(body.as_bytes()))).outcome
    };
    let answer: Value = serde_json::from_str(&lift("r-1").unwrap()).unwrap();
    let lifted = json!({ "at": NOW, "actor": "github:caller", "decision_id": "caller", "reason": "fixed" });
    assert_eq!((&answer["revocation"]["id"], &answer["revocation"]["lifted"]), (&json!("r-1"), &lifted));
    assert_eq!(lift("other").unwrap_err().slug, "operation.no_such_block");
    let body = json!({ "id": "r-1" }).to_string();
    let refused = done(perform(&fake, &admin(), Operation::Lift(body.as_bytes()))).outcome.unwrap_err();
    assert_eq!(refused.error.description, "`reason` is missing");
}
