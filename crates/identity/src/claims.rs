//! The registered claims (RFC 7519 §4.1), as a subject token must have them.

use vouchsafe_jose::{Json, JsonObject};

use crate::error::{ClaimName, TokenError};
use crate::issuer::TrustedIssuer;
use crate::time::UnixSeconds;

/// Most claims of a token.
pub const CLAIMS_MAX: usize = 100;
/// Longest accepted `sub`, in bytes, upstream or made by a template.
pub const SUB_BYTES_MAX: usize = 1024;
/// Longest accepted `jti`, in bytes.
pub const JTI_BYTES_MAX: usize = 256;
/// Last accepted NumericDate: 9999-12-31T23:59:59Z.
pub const NUMERIC_DATE_MAX: u64 = 253_402_300_799;

const AUD: ClaimName = ClaimName::registered("aud");
const EXP: ClaimName = ClaimName::registered("exp");
const IAT: ClaimName = ClaimName::registered("iat");
const ISS: ClaimName = ClaimName::registered("iss");
const JTI: ClaimName = ClaimName::registered("jti");
const NBF: ClaimName = ClaimName::registered("nbf");
const SUB: ClaimName = ClaimName::registered("sub");

/// `iss` must be text; whose it is, the caller decides.
pub(crate) fn issuer_of(claims: &JsonObject) -> Result<&str, TokenError> {
    required_text(claims, ISS)
}

/// `aud` must name an accepted audience and nobody else (RFC 7519 §4.1.3): a token that another
/// party may present too is not evidence of who presents it here.
pub(crate) fn require_audience(
    claims: &JsonObject,
    issuer: &TrustedIssuer,
) -> Result<(), TokenError> {
    let audience = match claims.get("aud") {
        None => return Err(TokenError::ClaimMissing(AUD)),
        Some(Json::Text(audience)) => audience,
        Some(Json::Array(audiences))
            if audiences
                .iter()
                .all(|audience| audience.as_text().is_some()) =>
        {
            match audiences.as_slice() {
                [Json::Text(audience)] => audience,
                _ => return Err(TokenError::AudienceMismatch),
            }
        }
        Some(_) => return Err(TokenError::ClaimInvalid(AUD)),
    };
    if issuer.accepts_audience(audience) {
        Ok(())
    } else {
        Err(TokenError::AudienceMismatch)
    }
}

/// The times of a token that is valid.
pub(crate) struct Lifetime {
    pub(crate) exp: UnixSeconds,
    pub(crate) iat: UnixSeconds,
}

/// With leeway L and maximum age A: `nbf - L <= now < exp + L`, `iat - L <= now` and
/// `now <= iat + A + L` (RFC 7519 §4.1.4 to §4.1.6: the moment of expiry is already too late).
pub(crate) fn require_lifetime(
    claims: &JsonObject,
    issuer: &TrustedIssuer,
    now: UnixSeconds,
) -> Result<Lifetime, TokenError> {
    let leeway = issuer.leeway_seconds();
    let exp = numeric_date(claims, &EXP)?.ok_or(TokenError::ClaimMissing(EXP))?;
    let nbf = numeric_date(claims, &NBF)?;
    let iat = numeric_date(claims, &IAT)?.ok_or(TokenError::ClaimMissing(IAT))?;
    if now >= exp.plus(leeway) {
        return Err(TokenError::Expired);
    }
    let latest_start = nbf.map_or(iat, |nbf| nbf.max(iat));
    if latest_start > now.plus(leeway) {
        return Err(TokenError::NotYetValid);
    }
    if now > iat.plus(issuer.max_token_age_seconds()).plus(leeway) {
        return Err(TokenError::TooOld);
    }
    Ok(Lifetime { exp, iat })
}

/// A NumericDate may have a fraction, which is cut off (RFC 7519 §2).
fn numeric_date(claims: &JsonObject, name: &ClaimName) -> Result<Option<UnixSeconds>, TokenError> {
    let invalid = || TokenError::ClaimInvalid(name.clone());
    let seconds = match claims.get(&name.0) {
        None => return Ok(None),
        Some(Json::Integer(seconds)) => u64::try_from(*seconds).map_err(|_| invalid())?,
        Some(Json::Float(seconds)) => whole_seconds(*seconds).ok_or_else(invalid)?,
        Some(_) => return Err(invalid()),
    };
    if seconds > NUMERIC_DATE_MAX {
        Err(invalid())
    } else {
        Ok(Some(UnixSeconds(seconds)))
    }
}

/// The range is checked before the cast, and every whole number in it is exact as `f64`.
fn whole_seconds(seconds: f64) -> Option<u64> {
    let whole = seconds.floor();
    (0.0..=NUMERIC_DATE_MAX as f64)
        .contains(&whole)
        .then_some(whole as u64)
}

/// `sub` is required (RFC 7523 §3, rule 2).
pub(crate) fn subject_of(claims: &JsonObject) -> Result<&str, TokenError> {
    let sub = required_text(claims, SUB)?;
    require_subject_limits(sub)?;
    Ok(sub)
}

/// 1 to [`SUB_BYTES_MAX`] bytes and no control character.
pub(crate) fn require_subject_limits(subject: &str) -> Result<(), TokenError> {
    let fits = (1..=SUB_BYTES_MAX).contains(&subject.len());
    if fits && !subject.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(TokenError::ClaimInvalid(SUB))
    }
}

/// `jti` is optional; without it a replay guard uses the signing input.
pub(crate) fn token_id_of(claims: &JsonObject) -> Result<Option<&str>, TokenError> {
    match claims.get("jti") {
        None => Ok(None),
        Some(Json::Text(jti)) if (1..=JTI_BYTES_MAX).contains(&jti.len()) => Ok(Some(jti)),
        Some(_) => Err(TokenError::ClaimInvalid(JTI)),
    }
}

fn required_text(claims: &JsonObject, name: ClaimName) -> Result<&str, TokenError> {
    match claims.get(&name.0) {
        None => Err(TokenError::ClaimMissing(name)),
        Some(Json::Text(text)) => Ok(text),
        Some(_) => Err(TokenError::ClaimInvalid(name)),
    }
}
