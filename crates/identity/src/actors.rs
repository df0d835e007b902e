//! Delegation (RFC 8693 §4): who acts for a subject, and who may.
//!
//! An actor is known by `iss` and `sub` together; a `sub` alone is one of the token's own issuer. The claims name actors
//! and prove nothing about who presents the token: the caller requires a token of the current actor.

use vouchsafe_jose::{Json, JsonObject};
use vouchsafe_providers::is_unprintable;
use vouchsafe_types::{ACTORS_BYTES_MAX, ACTORS_MAX, Actor};

use crate::claims::require_subject_limits;
use crate::error::{ClaimName, TokenError};

/// Longest `iss` of an actor, in bytes, inclusive.
pub const ISS_BYTES_MAX: usize = 1024;

const ACT: ClaimName = ClaimName::registered("act");
const MAY_ACT: ClaimName = ClaimName::registered("may_act");

/// The actors in `act`, the current one first; those of a token from `issuer`.
pub(crate) fn actors_of(claims: &JsonObject, issuer: &str) -> Result<Vec<Actor>, TokenError> {
    let invalid = || TokenError::ClaimInvalid(ACT);
    let (mut actors, mut bytes) = (Vec::new(), 0_usize);
    let mut next = claims.get("act");
    while let Some(act) = next {
        let members = act.as_object().filter(|_| actors.len() < ACTORS_MAX).ok_or_else(invalid)?;
        let actor = actor(members, issuer).ok_or_else(invalid)?;
        bytes = bytes.saturating_add(actor.iss.len()).saturating_add(actor.sub.len());
        actors.push(actor);
        next = members.get("act");
    }
    if bytes > ACTORS_BYTES_MAX { Err(invalid()) } else { Ok(actors) }
}

/// The only one who may act for the subject of a token from `issuer`.
///
/// Refused if it says more than `iss` and `sub`: a condition that is not understood would not be honored.
pub(crate) fn may_act_of(claims: &JsonObject, issuer: &str) -> Result<Option<Actor>, TokenError> {
    let Some(may_act) = claims.get("may_act") else {
        return Ok(None);
    };
    let known = |members: &&JsonObject| members.iter().all(|(name, _)| matches!(name, "iss" | "sub"));
    let actor = may_act.as_object().filter(known).and_then(|members| actor(members, issuer));
    actor.map(Some).ok_or(TokenError::ClaimInvalid(MAY_ACT))
}

/// Refuses both claims, for issuers whose file does not allow them.
pub(crate) fn require_none(claims: &JsonObject) -> Result<(), TokenError> {
    match [ACT, MAY_ACT].into_iter().find(|name| claims.contains(&name.0)) {
        Some(name) => Err(TokenError::ClaimInvalid(name)),
        None => Ok(()),
    }
}

/// The actor that `iss` and `sub` name. Other members than these and `act` say nothing that an actor is known by.
fn actor(members: &JsonObject, issuer: &str) -> Option<Actor> {
    let sub = members.get("sub").and_then(Json::as_text)?;
    require_subject_limits(sub).ok()?;
    let iss = match members.get("iss") {
        None => issuer,
        Some(Json::Text(iss)) => iss,
        Some(_) => return None,
    };
    let fits = (1..=ISS_BYTES_MAX).contains(&iss.len()) && !iss.chars().any(is_unprintable);
    fits.then(|| Actor { iss: iss.to_owned(), sub: sub.to_owned() })
}

/// `scope` (RFC 8693 §4.2); none if the token has none. One that is not text has no scope in it.
pub(crate) fn scopes_of(claims: &JsonObject) -> Option<Vec<String>> {
    let scopes = match claims.get("scope")? {
        Json::Text(text) => text.split(' ').map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    Some(scopes)
}
