//! Revocation by a token's holder (RFC 7009).
//!
//! Possession of the token is the authentication: all that its holder can do here is to end it. Client credentials are
//! checked as at the token endpoint, and permit nothing more.

use vouchsafe_exchange::client::Presented;
use vouchsafe_exchange::form::Form;
use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_exchange::refusal::Refusal;
use vouchsafe_types::{Added, Attribution, IssuedToken, RevocationTarget};

use crate::answer::{Attempt, Refused};
use crate::caller::Credentials;
use crate::ports::Ports;

/// Before the `jti` in the id of such a revocation. No operation can choose an id with a slash.
const ID_PREFIX: &str = "token/";
const DONE: &str = "{}";

/// Revokes the token in the form `body`. A token that is unknown, expired or not from this broker needs no revocation, so
/// the response is the same (RFC 7009 §2.2).
pub async fn revoke_token<P: Ports>(ports: &P, credentials: &Credentials, body: &[u8]) -> Attempt {
    let mut decision_id = None;
    let outcome = run(ports, credentials, body, &mut decision_id).await;
    Attempt::new(outcome, decision_id)
}

async fn run<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    body: &[u8],
    decision_id: &mut Option<String>,
) -> Result<String, Refused> {
    let mut form = Form::parse(body)?;
    let presented = Presented::take(&credentials.authorization, &mut form);
    if !matches!(presented, Ok(None)) {
        ports.check_client(presented).await?;
    }
    let text = form.require("token")?;
    // INVARIANT: only a token of this broker that has not expired leads to a write.
    let Some(token) = issued_token(ports, &text).await? else { return Ok(DONE.to_owned()) };
    let by = Attribution { actor: token.subject, decision_id: token.jti.clone(), reason: String::new() };
    *decision_id = Some(token.jti.clone());
    let id = format!("{ID_PREFIX}{}", token.jti);
    match ports.add(id, RevocationTarget::Token(token.jti), by).await? {
        Added::InForce(_) | Added::NoSuchToken => Ok(DONE.to_owned()),
        Added::Conflict | Added::TooMany => Err(Refusal::Internal.into()),
    }
}

async fn issued_token<P: Ports>(ports: &P, text: &str) -> Result<Option<IssuedToken>, Refused> {
    if text.len() > SUBJECT_TOKEN_BYTES_MAX {
        return Ok(None);
    }
    let Ok(token) = ports.parse(text) else { return Ok(None) };
    Ok(ports.verify_issued(&token).await?.ok())
}
