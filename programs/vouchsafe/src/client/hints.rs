//! What to do about a broker's refusals.
//!
//! Brokers name a refusal only by its description (`crates/exchange/src/wire.rs`). A newer broker may append to one,
//! such as a decision id, so the texts here are prefixes. For descriptions that this client doesn't know, the OAuth
//! error decides.

use super::base64url;
use super::text::sanitize;
use serde_json::Value;

/// Prefixes of descriptions. ORDER: of two that match, the first counts.
const BY_DESCRIPTION: [(&str, &str); 30] = [
    (
        "requested_expires_in exceeds",
        "ask for less with --requested-expires-in, or omit it and get the audience's default lifetime",
    ),
    ("requested_expires_in", "--requested-expires-in must be at least one second"),
    ("the subject token has expired", "get a fresh token just before the exchange, and compare this machine's clock"),
    ("the subject token was issued too long ago", "get a fresh token just before the exchange"),
    ("the subject token is not valid yet", "compare the clocks of this machine, of the platform and of the broker"),
    (
        "the subject token's issuer is not trusted",
        "the broker needs an issuer file with exactly the `iss` of the subject token",
    ),
    (
        "the subject token's key is not in",
        "the token's issuer may have replaced its keys: get a fresh token, and try again after a minute",
    ),
    ("the subject token's signature", "the token was changed on its way, or is not from the issuer that it names"),
    ("the subject token's algorithm", "the broker's issuer file lists the accepted `algorithms`"),
    ("the subject token's key cannot", "the broker's issuer file lists the accepted `algorithms`"),
    ("the subject token is malformed", "it must be a JWT exactly as the platform issued it"),
    ("the subject token is over 16 KiB", "have the platform issue a token with fewer claims"),
    ("the subject token's type", "use an identity token of the platform, not an access token of another service"),
    ("the subject token's header", "use an identity token of the platform, not a token with critical extensions"),
    ("the claim ", "the token is of another tenant, or not as the broker's issuer file requires it"),
    ("the subject token lacks", "the token is of another platform, or not as the broker's issuer file requires it"),
    ("the subject token cannot be used", "get a new token from the platform, and exchange it once"),
    ("the operators of this broker have revoked", "ask them: `vouchsafe revoke list` shows why"),
    ("this audience requires a DPoP proof", "bind the token to a key with --dpop"),
    ("the subject token is bound to a key", "only the holder of that key can exchange it"),
    ("the DPoP proof is too old", "compare the clocks of this machine and of the broker"),
    ("the iat of the DPoP proof is in the future", "compare the clocks of this machine and of the broker"),
    ("the subject token has act or may_act", "send it with --actor-token-file, --actor-token-env or --actor-from"),
    ("the actor token ", "compare it with what the description says; the subject token was accepted"),
    ("may_act of the subject token", "only the actor that the subject token names can act"),
    ("this audience issues no tokens to actors", "the broker's operator must set `allow_act = true` for it"),
    ("this audience requires a scope", "add --scope with one that the audience offers"),
    ("this audience does not offer", "request only scopes that the audience offers"),
    (
        "the requested audience requires",
        "this broker has no HSM: use another audience, or ask its operator for one of tier `delegated`",
    ),
    (
        "cannot determine the client's address",
        "the broker's operator must correct `trusted_proxies` or `forwarded_header`",
    ),
];

/// What to do about a refusal, if known.
pub fn hint(error: &str, description: Option<&str>) -> Option<&'static str> {
    let description = description.unwrap_or_default();
    let found = BY_DESCRIPTION.iter().find(|(prefix, _)| description.starts_with(prefix));
    if let Some((_, hint)) = found {
        return Some(hint);
    }
    match error {
        "conflict" => Some("choose another --id, or repeat the command as it was"),
        "insufficient_scope" => Some("the policy for the audience `<broker>/admin` permits other scopes only"),
        "invalid_request" => Some("correct the request as the broker's description says"),
        "invalid_scope" => Some("request only scopes that the audience offers"),
        "invalid_token" => Some("the token for the broker's own audience is not accepted any more; try again"),
        "invalid_target" => Some(
            "the audience is unknown, or no policy permits it for this workload; the broker's operator finds the reason under the decision id",
        ),
        "slow_down" => Some("requests of this workload were denied too often; correct them, and retry after a minute"),
        "temporarily_unavailable" => Some("the broker or a service that it needs is down; retry later"),
        "unsupported_grant_type" => Some("this server does not support token exchange; check --broker"),
        _ => None,
    }
}

/// Whether the broker refused because of the subject token's audience.
pub fn is_audience_mismatch(description: Option<&str>) -> bool {
    description.is_some_and(|text| text.starts_with("the subject token's audience is not this broker"))
}

/// Whether the broker refused because the subject token was used before.
pub fn is_spent(description: Option<&str>) -> bool {
    description.is_some_and(|text| text.starts_with("the subject token cannot be used: the token was already used"))
}

/// The audiences of a token, for a message to its holder: nothing is verified.
pub fn unverified_audience(token: &str) -> Option<String> {
    let payload = base64url::decode(token.split('.').nth(1)?)?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let texts: Vec<String> = match claims.get("aud")? {
        Value::String(text) => vec![format!("`{}`", sanitize(text))],
        Value::Array(values) => {
            values.iter().filter_map(Value::as_str).map(|it| format!("`{}`", sanitize(it))).collect()
        }
        _ => return None,
    };
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_exchange::refusal::{Denial, Refusal, ReplayFault, RequestFault};
    use vouchsafe_exchange::wire::WireError;
    use vouchsafe_types::TokenError;

    #[track_caller]
    fn check(refusal: Refusal, words: &str) {
        let wire = WireError::from(&refusal);
        for suffix in ["", " (decision Lurr3J)"] {
            let description = format!("{}{suffix}", wire.description);
            let hint = hint(wire.error, Some(&description)).unwrap_or_default();
            assert!(hint.contains(words), "{description}: {hint}");
        }
    }

    #[test]
    fn fits_each_refusal_of_a_broker() {
        check(Refusal::Request(RequestFault::LifetimeOverCeiling), "ask for less");
        check(Refusal::Request(RequestFault::LifetimeInvalid), "at least one second");
        check(Refusal::Request(RequestFault::ClientAddressUndetermined), "trusted_proxies");
        check(Refusal::Request(RequestFault::GrantUnsupported), "token exchange");
        check(Refusal::Request(RequestFault::ParameterRepeated), "as the broker's description says");
        check(Refusal::Request(RequestFault::ScopesTooMany), "only scopes");
        for (error, words) in [
            (TokenError::Expired, "fresh token"),
            (TokenError::TooOld, "fresh token"),
            (TokenError::NotYetValid, "clocks"),
            (TokenError::IssuerUntrusted, "issuer file"),
            (TokenError::KeyUnknown, "replaced its keys"),
            (TokenError::SignatureInvalid, "was changed"),
            (TokenError::Malformed, "exactly as the platform issued it"),
            (TokenError::ClaimMissing("tid".into()), "requires"),
            (TokenError::ClaimMismatch("tid".into()), "tenant"),
        ] {
            check(Refusal::Token(error), words);
        }
        check(Refusal::Denied(Denial::PolicyDenied), "decision id");
        check(Refusal::Denied(Denial::ScopeNotOffered), "only scopes");
        check(Refusal::Denied(Denial::ScopeMissing), "add --scope");
        check(Refusal::Denied(Denial::Revoked), "ask them");
        check(Refusal::Denied(Denial::TierUnavailable), "tier `delegated`");
        check(Refusal::Replay(ReplayFault::Spent), "get a new token");
        check(Refusal::Replay(ReplayFault::PredatesStore), "get a new token");
        check(Refusal::DeniedTooOften { retry_after_seconds: 1 }, "denied too often");
        check(Refusal::Overloaded, "retry later");
    }

    #[test]
    fn recognizes_refusals_with_hints_of_their_own() {
        let of = |refusal: Refusal| WireError::from(&refusal).description.into_owned();
        assert!(is_audience_mismatch(Some(&of(Refusal::Token(TokenError::AudienceMismatch)))));
        assert!(is_spent(Some(&of(Refusal::Replay(ReplayFault::Spent)))));
        let other = of(Refusal::Replay(ReplayFault::PredatesStore));
        assert!(!is_spent(Some(&other)) && !is_audience_mismatch(Some(&other)) && !is_spent(None));
    }

    #[test]
    fn shows_the_audience_of_a_token() {
        let token = |claims: &str| format!("e30.{}.x", base64url::encode(claims.as_bytes()));
        for (claims, expected) in [
            (r#"{"aud":"https://a"}"#, Some("`https://a`")),
            (r#"{"aud":["a","b"]}"#, Some("`a`, `b`")),
            (r#"{"aud":"a\u001b[2J"}"#, Some("`a\u{fffd}[2J`")),
            (r#"{"aud":[]}"#, None),
            (r#"{"aud":1}"#, None),
            ("{}", None),
            ("no JSON", None),
        ] {
            assert_eq!(unverified_audience(&token(claims)).as_deref(), expected, "{claims}");
        }
        assert_eq!(unverified_audience("no token"), None);
    }
}
