//! The header and payload of an issued token.

use crate::error::Error;
use vouchsafe_types::{Actor, SigningRequest, StatusReference, UnixSeconds, issuer_of, status_list_url};

/// How long before `iat` a token becomes valid, for strict verifiers with slow clocks.
pub const NOT_BEFORE_SECONDS: u64 = 5;

/// The JOSE header. Nothing needs escaping: `kid` is base64url, the rest are constants.
#[must_use]
pub fn header(algorithm: &str, kid: &str, typ: &str) -> String {
    format!(r#"{{"alg":"{algorithm}","kid":"{kid}","typ":"{typ}"}}"#)
}

/// The claims set, in a fixed order.
///
/// INVARIANT: no two names are equal, not even if a verifier ignores case. `ClaimNames` has compared the names of extra
/// claims with one another and with the registered names, which include all that the signer sets.
pub(crate) fn payload(request: &SigningRequest, expires_at: UnixSeconds) -> Result<String, Error> {
    let mut claims = Claims::default();
    claims.text("iss", &issuer_of(&request.issuer, request.view))?;
    claims.text("sub", &request.subject)?;
    claims.text("aud", &request.audience)?;
    claims.number("exp", expires_at.0)?;
    claims.number("iat", request.issued_at)?;
    claims.number("nbf", request.issued_at.saturating_sub(NOT_BEFORE_SECONDS))?;
    claims.text("jti", &request.jti)?;
    claims.text("client_id", &request.subject)?;
    if !request.scopes.is_empty() {
        claims.text("scope", &request.scopes.join(" "))?;
    }
    if let Some(thumbprint) = &request.key_thumbprint {
        claims.json("cnf", &format!(r#"{{"jkt":{}}}"#, quoted(thumbprint)?))?;
    }
    if let Some(act) = act(&request.actors)? {
        claims.json("act", &act)?;
    }
    if let Some(txn) = &request.txn {
        claims.text("txn", txn)?;
    }
    if let Some(StatusReference { list, index }) = &request.status {
        let uri = quoted(&status_list_url(&request.issuer, list))?;
        claims.json("status", &format!(r#"{{"status_list":{{"idx":{index},"uri":{uri}}}}}"#))?;
    }
    for claim in &request.extra_claims {
        claims.json(&claim.name, claim.value.trim_ascii())?;
    }
    Ok(claims.finish())
}

/// The nested actors of RFC 8693 §4.1, from the first one to act outwards to the current one.
fn act(actors: &[Actor]) -> Result<Option<String>, Error> {
    let mut act: Option<String> = None;
    for actor in actors.iter().rev() {
        let mut members = Claims::default();
        members.text("iss", &actor.iss)?;
        members.text("sub", &actor.sub)?;
        if let Some(before) = act {
            members.json("act", &before)?;
        }
        act = Some(members.finish());
    }
    Ok(act)
}

#[derive(Default)]
struct Claims(String);

impl Claims {
    fn text(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.json(name, &quoted(value)?)
    }

    fn number(&mut self, name: &str, value: u64) -> Result<(), Error> {
        self.json(name, &value.to_string())
    }

    /// Adds `value`, which is one JSON value, unchanged, so that numbers keep their digits.
    fn json(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(name)?);
        self.0.push(':');
        self.0.push_str(value);
        Ok(())
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> Result<String, Error> {
    serde_json::to_string(text).map_err(|_| Error::Internal)
}
