//! Introspection (RFC 7662) for the audiences that the caller's scopes name.
//!
//! A refusal tells nothing: an unknown, expired or revoked token, and one that the caller may not ask about, have the same
//! response (RFC 7662 §2.2). Nor does its time tell more than the token itself and the public keys: an audience outside
//! the caller's is refused before the signature is verified, and what is left after that takes one read.

use serde_json::{Value, json};
use vouchsafe_exchange::form::Form;
use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_exchange::refusal::Refusal;
use vouchsafe_types::{Actor, IssuedToken, TokenType};

use crate::answer::{Attempt, Refused};
use crate::caller::{self, Credentials, VerifiedCaller, introspection_audience};
use crate::ports::Ports;
use crate::proof::Target;

/// Answers the form in `body`.
pub async fn introspect<P: Ports>(ports: &P, credentials: &Credentials, body: &[u8]) -> Attempt {
    let mut decision_id = None;
    let outcome = run(ports, credentials, body, &mut decision_id).await;
    Attempt { outcome, decision_id }
}

async fn run<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    body: &[u8],
    decision_id: &mut Option<String>,
) -> Result<String, Refused> {
    let settings = ports.settings().await?;
    let target = Target { method: "POST".to_owned(), url: settings.url("/introspect") };
    let caller = caller::verify(ports, credentials, &introspection_audience(&settings), Some(&target)).await?;
    let text = presented_token(body)?;
    let token = permitted_token(ports, &caller, &text).await?;
    // Both in one read: the caller's token may be revoked too.
    let jtis = [Some(caller.jti()), token.as_ref().map(|token| token.jti.as_str())];
    let active = ports.active(jtis.into_iter().flatten().map(str::to_owned).collect()).await?;
    let mut active = active.into_iter();
    let caller = caller.admit(ports, active.next().unwrap_or(false)).await?;
    *decision_id = Some(caller.jti().to_owned());
    let token = token.filter(|_| active.next().unwrap_or(false));
    Ok(token.map_or_else(|| json!({ "active": false }), |token| active_token(&token)).to_string())
}

/// The parameter `token`, which RFC 7662 §2.1 and RFC 7009 §2.1 require. `token_type_hint` and all others are ignored.
pub(crate) fn presented_token(body: &[u8]) -> Result<String, Refusal> {
    Form::parse(body)?.require("token")
}

/// The token if this broker issued it, it has not expired, and the caller may ask about it.
async fn permitted_token<P: Ports>(
    ports: &P,
    caller: &VerifiedCaller,
    text: &str,
) -> Result<Option<IssuedToken>, Refused> {
    if text.len() > SUBJECT_TOKEN_BYTES_MAX {
        return Ok(None);
    }
    let Ok(token) = ports.parse(text) else { return Ok(None) };
    // ORDER: the audience that the token states before its signature, so that the time tells nothing of tokens for others.
    if !ports.stated_audience(&token).is_some_and(|audience| caller.has_scope(&audience)) {
        return Ok(None);
    }
    let verified = ports.verify_issued(&token).await?.ok();
    Ok(verified.filter(|token| caller.has_scope(&token.audience)))
}

/// The nested actors of RFC 8693 §4.1.
fn act(actors: &[Actor]) -> Option<Value> {
    actors.iter().rev().fold(None, |before, Actor { iss, sub }| {
        let mut act = json!({ "iss": iss, "sub": sub });
        if let (Some(before), Some(members)) = (before, act.as_object_mut()) {
            members.insert("act".to_owned(), before);
        }
        Some(act)
    })
}

/// The members of RFC 7662 §2.2. Claims of the platform's token are left out.
fn active_token(token: &IssuedToken) -> Value {
    let token_type = match (token.token_type, &token.key_thumbprint) {
        (TokenType::AccessToken, None) => "Bearer",
        // RFC 9449 §6.2.
        (TokenType::AccessToken, Some(_)) => "DPoP",
        (TokenType::Jwt, _) => "N_A",
    };
    let mut members = json!({
        "active": true,
        "iss": token.issuer,
        "sub": token.subject,
        "aud": token.audience,
        "client_id": token.client_id,
        "iat": token.issued_at,
        "exp": token.expires_at,
        "jti": token.jti,
        "token_type": token_type,
    });
    if let Some(members) = members.as_object_mut() {
        if !token.scopes.is_empty() {
            members.insert("scope".to_owned(), Value::from(token.scopes.join(" ")));
        }
        if let Some(thumbprint) = &token.key_thumbprint {
            members.insert("cnf".to_owned(), json!({ "jkt": thumbprint }));
        }
        if let Some(act) = act(&token.actors) {
            members.insert("act".to_owned(), act);
        }
    }
    members
}
