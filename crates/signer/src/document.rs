//! Signs JWTs that are no tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Entropy;
use crate::claims;
use crate::error::Error;
use crate::key::EpochKey;

/// The compact JWS of `payload` (RFC 7515 §3.1), with this `typ`.
///
/// # Errors
/// [`Error::Internal`].
pub(crate) fn sign(typ: &str, payload: &str, key: &EpochKey, entropy: &Entropy) -> Result<String, Error> {
    let header = claims::header(key.algorithm().name(), key.kid(), typ);
    let mut jwt = URL_SAFE_NO_PAD.encode(header);
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut jwt);
    let signature = key.sign(jwt.as_bytes(), entropy)?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(jwt)
}
