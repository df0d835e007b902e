//! Verification of a proof (RFC 9449 §4.3).

use crate::request::{self, Request, TYP};
use crate::url;
use vouchsafe_crypto::Crypto;
use vouchsafe_jose::{Json, JsonObject, JwsError, SelfSignedError, SelfSignedJws};
use vouchsafe_types::{PROOF_AGE_SECONDS_MAX, PROOF_BYTES_MAX, ProofError, UnixSeconds, VerifiedProof};

/// Longest `jti`, in bytes, inclusive.
pub const JTI_BYTES_MAX: usize = 256;
/// Longest `nonce`, in bytes, inclusive.
pub const NONCE_BYTES_MAX: usize = 256;
/// How far ahead the clock of its maker may be, in seconds, inclusive.
pub const PROOF_AHEAD_SECONDS_MAX: u64 = 10;

/// Verifies that `proof` was made for `request` about `now`, by the holder of the key that it names. The caller makes sure
/// that it is used once, and compares its nonce with those that it gave out.
///
/// # Errors
/// The first check that failed.
pub fn verify(
    proof: &str,
    request: Request<'_>,
    now: UnixSeconds,
    crypto: &dyn Crypto,
) -> Result<VerifiedProof, ProofError> {
    // ORDER: the size limit comes before any parsing, the signature before any claim.
    if proof.len() > PROOF_BYTES_MAX {
        return Err(ProofError::TooLarge);
    }
    let jws = SelfSignedJws::verify(proof, TYP, crypto).map_err(rejected)?;
    let claims = JsonObject::parse(jws.payload()).map_err(|_| ProofError::Malformed)?;
    let text = |name| claims.get(name).and_then(Json::as_text).ok_or(ProofError::ClaimInvalid);
    let jti = text("jti")?;
    if jti.is_empty() || jti.len() > JTI_BYTES_MAX {
        return Err(ProofError::ClaimInvalid);
    }
    // Methods are case-sensitive (RFC 9110 §9.1).
    if text("htm")? != request.method {
        return Err(ProofError::MethodMismatch);
    }
    if !url::names(text("htu")?, request.url) {
        return Err(ProofError::UrlMismatch);
    }
    let issued_at = issued_at(&claims)?;
    if issued_at.plus(PROOF_AGE_SECONDS_MAX) < now {
        return Err(ProofError::Expired);
    }
    if issued_at > now.plus(PROOF_AHEAD_SECONDS_MAX) {
        return Err(ProofError::NotYetValid);
    }
    // A request without a token has no hash of one: what its proof says about that is ignored.
    if let Some(token) = request.access_token
        && text("ath")? != request::hash(token)
    {
        return Err(ProofError::TokenMismatch);
    }
    Ok(VerifiedProof {
        key_thumbprint: jws.thumbprint().to_owned(),
        jti: jti.to_owned(),
        issued_at: issued_at.0,
        nonce: nonce(&claims)?,
    })
}

fn nonce(claims: &JsonObject) -> Result<Option<String>, ProofError> {
    match claims.get("nonce") {
        None => Ok(None),
        Some(Json::Text(nonce)) if nonce.len() <= NONCE_BYTES_MAX => Ok(Some(nonce.clone())),
        Some(_) => Err(ProofError::ClaimInvalid),
    }
}

/// `iat`: a NumericDate may have a fraction (RFC 7519 §2).
fn issued_at(claims: &JsonObject) -> Result<UnixSeconds, ProofError> {
    /// Every whole number up to this is exact as `f64`.
    const SECONDS_MAX: f64 = 253_402_300_799.0;
    let seconds = match claims.get("iat") {
        Some(Json::Integer(seconds)) => u64::try_from(*seconds).ok(),
        Some(Json::Float(seconds)) if (0.0..=SECONDS_MAX).contains(seconds) => Some(seconds.floor() as u64),
        _ => None,
    };
    seconds.map(UnixSeconds).ok_or(ProofError::ClaimInvalid)
}

fn rejected(error: SelfSignedError) -> ProofError {
    match error {
        SelfSignedError::AlgorithmMismatch | SelfSignedError::Jws(JwsError::AlgorithmNotAllowed) => {
            ProofError::AlgorithmNotAllowed
        }
        SelfSignedError::Jws(JwsError::TooLarge) => ProofError::TooLarge,
        SelfSignedError::Jws(JwsError::CriticalHeader | JwsError::Malformed(_)) => ProofError::Malformed,
        SelfSignedError::Key(_) | SelfSignedError::KeyMissing | SelfSignedError::KeySecret => ProofError::KeyInvalid,
        SelfSignedError::Signature(_) => ProofError::SignatureInvalid,
        SelfSignedError::Type => ProofError::TypeNotAllowed,
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
