//! Revocations and counts as JSON. Absent members do not apply.

use serde_json::{Map, Value, json};
use vouchsafe_types::{Affected, Attribution, IssuedTokens, Revocation, RevocationTarget, TokenFilter};

pub(crate) fn revocation(revocation: &Revocation) -> Value {
    let Revocation { id, target, at, by, lifted } = revocation;
    let mut members = Map::new();
    members.insert("id".to_owned(), json!(id));
    members.extend(self::target(target));
    members.insert("at".to_owned(), json!(at));
    members.extend(attribution(by));
    if let Some(lifted) = lifted {
        let mut of_lift = Map::from_iter([("at".to_owned(), json!(lifted.at))]);
        of_lift.extend(attribution(&lifted.by));
        members.insert("lifted".to_owned(), Value::Object(of_lift));
    }
    Value::Object(members)
}

fn target(target: &RevocationTarget) -> Map<String, Value> {
    let none = TokenFilter::default();
    let (filter, since, until, token) = match target {
        RevocationTarget::Blocked(filter) => (filter, None, None, None),
        RevocationTarget::Issued(IssuedTokens { filter, since, until }) => (filter, *since, *until, None),
        RevocationTarget::Token(jti) => (&none, None, None, Some(jti)),
    };
    let TokenFilter { issuer_name, subject, audience, bundle_digest, kid } = filter;
    let mut members = Map::new();
    let texts = [
        ("token", token),
        ("issuer", issuer_name.as_ref()),
        ("subject", subject.as_ref()),
        ("audience", audience.as_ref()),
        ("bundle", bundle_digest.as_ref()),
        ("kid", kid.as_ref()),
    ];
    members.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?)))));
    let times = [("since", since), ("until", until)];
    members.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), json!(time?)))));
    members.insert("block".to_owned(), json!(matches!(target, RevocationTarget::Blocked(_))));
    members
}

fn attribution(by: &Attribution) -> [(String, Value); 3] {
    let Attribution { actor, decision_id, reason } = by;
    [("actor", actor), ("decision_id", decision_id), ("reason", reason)]
        .map(|(name, text)| (name.to_owned(), json!(text)))
}

pub(crate) fn affected(affected: &Affected) -> Value {
    let Affected { tokens, expires_at, complete, workloads } = affected;
    let workloads: Vec<_> = workloads
        .iter()
        .map(|workload| {
            json!({
                "issuer": workload.issuer_name,
                "subject": workload.subject,
                "audience": workload.audience,
                "tokens": workload.tokens,
                "last_expires_at": workload.expires_at,
            })
        })
        .collect();
    let last_expires_at = (*tokens > 0).then_some(expires_at);
    json!({ "tokens": tokens, "last_expires_at": last_expires_at, "complete": complete, "workloads": workloads })
}
