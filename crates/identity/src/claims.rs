//! Checks of the registered claims (RFC 7519 §4.1) of a subject token.

use std::borrow::Cow;

use vouchsafe_claims::is_thumbprint;
use vouchsafe_jose::{Json, JsonObject};
use vouchsafe_providers::spiffe::SpiffeId;
use vouchsafe_providers::{Attribute, AttributeValue, Profile, is_unprintable};

use crate::error::{ClaimName, TokenError};
use crate::issuer::TrustedIssuer;
use vouchsafe_types::{TXN_BYTES_MAX, UnixSeconds};

/// Most claims in a token.
pub const CLAIMS_MAX: usize = 100;
/// Longest accepted `sub`, in bytes, whether from the issuer or a template.
pub const SUB_BYTES_MAX: usize = 1024;
/// Longest accepted `jti`, in bytes.
pub const JTI_BYTES_MAX: usize = 256;
/// Last accepted NumericDate: 9999-12-31T23:59:59Z.
pub const NUMERIC_DATE_MAX: u64 = 253_402_300_799;

const CNF: ClaimName = ClaimName::registered("cnf");
const AUD: ClaimName = ClaimName::registered("aud");
const EXP: ClaimName = ClaimName::registered("exp");
const IAT: ClaimName = ClaimName::registered("iat");
const ISS: ClaimName = ClaimName::registered("iss");
const JTI: ClaimName = ClaimName::registered("jti");
const NBF: ClaimName = ClaimName::registered("nbf");
const SUB: ClaimName = ClaimName::registered("sub");

/// `iss`, which must be a string if present; the caller decides which issuer that is.
pub(crate) fn stated_issuer_of(claims: &JsonObject) -> Result<Option<&str>, TokenError> {
    match claims.get("iss") {
        None => Ok(None),
        Some(Json::Text(iss)) => Ok(Some(iss)),
        Some(_) => Err(TokenError::ClaimInvalid(ISS)),
    }
}

/// The trust domain of a `sub` that is a SPIFFE ID, in issuer form: `spiffe://example.org`.
pub(crate) fn trust_domain_of(claims: &JsonObject) -> Option<String> {
    let sub = claims.get("sub").and_then(Json::as_text)?;
    SpiffeId::parse(sub).ok().map(SpiffeId::issuer)
}

/// Requires the token to be from `issuer`: by `iss`, or by the trust domain in `sub`, the only issuer that a JWT-SVID
/// names (SPIFFE JWT-SVID §3.1).
pub(crate) fn require_issuer(claims: &JsonObject, issuer: &TrustedIssuer) -> Result<(), TokenError> {
    let iss = stated_issuer_of(claims)?;
    match issuer.profile() {
        Profile::ClientAssertion | Profile::Jwt => match iss {
            None => Err(TokenError::ClaimMissing(ISS)),
            Some(iss) if iss == issuer.issuer() => Ok(()),
            Some(_) => Err(TokenError::IssuerUntrusted),
        },
        Profile::JwtSvid => match trust_domain_of(claims) {
            None => match subject_of(claims) {
                Ok(_) => Err(TokenError::ClaimInvalid(SUB)),
                Err(error) => Err(error),
            },
            Some(domain) if domain == issuer.issuer() => Ok(()),
            Some(_) => Err(TokenError::IssuerUntrusted),
        },
    }
}

/// The key that the token is bound to, by its thumbprint (RFC 9449 §6.1). Without a proof of possession of that key, which
/// the caller requires, the token proves nothing.
///
/// A token that is bound in another way (RFC 7800 §3.1) is rejected, because nothing here verifies the other proofs.
pub(crate) fn key_thumbprint(claims: &JsonObject) -> Result<Option<String>, TokenError> {
    let Some(cnf) = claims.get("cnf") else {
        return Ok(None);
    };
    let members = cnf.as_object().filter(|members| members.len() == 1);
    let thumbprint = members.and_then(|members| members.get("jkt")?.as_text()).filter(|text| is_thumbprint(text));
    thumbprint.map(|text| Some(text.to_owned())).ok_or(TokenError::ClaimInvalid(CNF))
}

/// Checks the values that the issuer's file requires in every token.
pub(crate) fn require_values(issuer: &TrustedIssuer, sub: &str, attributes: &[Attribute]) -> Result<(), TokenError> {
    for claim in issuer.required_claims() {
        let name = || ClaimName(Cow::Owned(claim.name.clone()));
        let value = text_of(sub, attributes, &claim.name).ok_or_else(|| TokenError::ClaimMissing(name()))?;
        if !claim.values.iter().any(|allowed| allowed == value) {
            return Err(TokenError::ClaimMismatch(name()));
        }
    }
    Ok(())
}

/// `sub`, or the text attribute of this name.
pub(crate) fn text_of<'a>(sub: &'a str, attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    if name == "sub" {
        return Some(sub);
    }
    attributes.iter().find_map(|attribute| match &attribute.value {
        AttributeValue::Text(text) if attribute.name == name => Some(text.as_str()),
        AttributeValue::Text(_)
        | AttributeValue::Boolean(_)
        | AttributeValue::Integer(_)
        | AttributeValue::TextSet(_) => None,
    })
}

/// Requires `aud` to name an accepted audience and no other (RFC 7519 §4.1.3): a token that another party may also
/// present does not prove who presents it here.
pub(crate) fn require_audience(claims: &JsonObject, issuer: &TrustedIssuer) -> Result<(), TokenError> {
    let audience = match claims.get("aud") {
        None => return Err(TokenError::ClaimMissing(AUD)),
        Some(Json::Text(audience)) => audience,
        Some(Json::Array(audiences)) if audiences.iter().all(|audience| audience.as_text().is_some()) => {
            match audiences.as_slice() {
                [Json::Text(audience)] => audience,
                _ => return Err(TokenError::AudienceMismatch),
            }
        }
        Some(_) => return Err(TokenError::ClaimInvalid(AUD)),
    };
    if issuer.accepts_audience(audience) { Ok(()) } else { Err(TokenError::AudienceMismatch) }
}

/// The times of a valid token.
pub(crate) struct Lifetime {
    pub(crate) exp: UnixSeconds,
    pub(crate) iat: Option<UnixSeconds>,
}

/// With leeway L and maximum age A: `nbf - L <= now < exp + L`, `iat - L <= now` and `now <= iat + A + L`
/// (RFC 7519 §4.1.4 to §4.1.6: the expiry itself is already too late).
///
/// A JWT-SVID may omit `iat`. Then its remaining lifetime is at most A: `exp <= now + A + L`.
pub(crate) fn require_lifetime(
    claims: &JsonObject,
    issuer: &TrustedIssuer,
    now: UnixSeconds,
) -> Result<Lifetime, TokenError> {
    let leeway = issuer.leeway_seconds();
    let exp = numeric_date(claims, &EXP)?.ok_or(TokenError::ClaimMissing(EXP))?;
    let nbf = numeric_date(claims, &NBF)?;
    let iat = numeric_date(claims, &IAT)?;
    if iat.is_none() && issuer.profile() != Profile::JwtSvid {
        return Err(TokenError::ClaimMissing(IAT));
    }
    if now >= exp.plus(leeway) {
        return Err(TokenError::Expired);
    }
    if iat.max(nbf).is_some_and(|start| start > now.plus(leeway)) {
        return Err(TokenError::NotYetValid);
    }
    let age_max = issuer.max_token_age_seconds();
    let too_old = match iat {
        Some(iat) => now > iat.plus(age_max).plus(leeway),
        None => exp > now.plus(age_max).plus(leeway),
    };
    if too_old {
        return Err(TokenError::TooOld);
    }
    Ok(Lifetime { exp, iat })
}

/// Parses a NumericDate; a fraction is truncated (RFC 7519 §2).
pub(crate) fn numeric_date(claims: &JsonObject, name: &ClaimName) -> Result<Option<UnixSeconds>, TokenError> {
    let invalid = || TokenError::ClaimInvalid(name.clone());
    let seconds = match claims.get(&name.0) {
        None => return Ok(None),
        Some(Json::Integer(seconds)) => u64::try_from(*seconds).map_err(|_| invalid())?,
        Some(Json::Float(seconds)) => whole_seconds(*seconds).ok_or_else(invalid)?,
        Some(_) => return Err(invalid()),
    };
    if seconds > NUMERIC_DATE_MAX { Err(invalid()) } else { Ok(Some(UnixSeconds(seconds))) }
}

/// The range is checked before the cast, and every whole number in it is exact as `f64`.
fn whole_seconds(seconds: f64) -> Option<u64> {
    let whole = seconds.floor();
    (0.0..=NUMERIC_DATE_MAX as f64).contains(&whole).then_some(whole as u64)
}

/// `sub` is required (RFC 7523 §3, rule 2).
pub(crate) fn subject_of(claims: &JsonObject) -> Result<&str, TokenError> {
    let sub = required_text(claims, SUB)?;
    require_subject_limits(sub)?;
    Ok(sub)
}

/// Accepts 1 to [`SUB_BYTES_MAX`] bytes, all printable.
pub(crate) fn require_subject_limits(subject: &str) -> Result<(), TokenError> {
    let fits = (1..=SUB_BYTES_MAX).contains(&subject.len());
    if fits && !subject.chars().any(is_unprintable) { Ok(()) } else { Err(TokenError::ClaimInvalid(SUB)) }
}

/// `jti`, which is optional; without it, replay protection uses the signing input.
pub(crate) fn token_id_of(claims: &JsonObject) -> Result<Option<&str>, TokenError> {
    match claims.get("jti") {
        None => Ok(None),
        Some(Json::Text(jti)) if (1..=JTI_BYTES_MAX).contains(&jti.len()) => Ok(Some(jti)),
        Some(_) => Err(TokenError::ClaimInvalid(JTI)),
    }
}

/// `txn` (RFC 8417 §2.2). It only correlates records, so one that is not a short text is left out, and not refused.
pub(crate) fn transaction_of(claims: &JsonObject) -> Option<&str> {
    let text = claims.get("txn").and_then(Json::as_text)?;
    let fits = (1..=TXN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(text)
}

pub(crate) fn required_text(claims: &JsonObject, name: ClaimName) -> Result<&str, TokenError> {
    match claims.get(&name.0) {
        None => Err(TokenError::ClaimMissing(name)),
        Some(Json::Text(text)) => Ok(text),
        Some(_) => Err(TokenError::ClaimInvalid(name)),
    }
}
