//! Compact JWS (RFC 7515 §3.1, §7.1): three canonical base64url parts, the first of them the protected header.

use crate::algorithm::Algorithm;
use crate::base64url;
use vouchsafe_json::{Json, JsonError, JsonObject};

/// Longest accepted token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest accepted `kid`, in bytes.
pub const KID_BYTES_MAX: usize = 256;

/// Header members that change how a JWS is processed. All are rejected, whether `crit` lists them or not
/// (RFC 7515 §4.1.11, RFC 7797 §3, RFC 7516 §4.1.3).
const PROCESSING_MEMBERS: [&str; 3] = ["b64", "crit", "zip"];

/// A parsed but unverified token.
///
/// Ignores `jwk`, `jku`, `x5u` and `x5c` in the header, whose use RFC 7515 §4.1.2 to §4.1.6 leaves to the application:
/// keys come only from the issuer's key set. They are not rejected because some issuers send them. Only
/// [`crate::SelfSignedJws`] uses `jwk`.
// INVARIANT: every part is canonical base64url, and `signing_input` is what was signed.
#[derive(Debug)]
pub struct UnverifiedJws {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    has_other_members: bool,
    jwk: Option<JsonObject>,
    token: String,
    signing_input_bytes: usize,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl UnverifiedJws {
    /// Parses `token` within its limits.
    ///
    /// # Errors
    /// The first defect, in the order size, framing, header, rest.
    pub fn parse(token: impl Into<String>) -> Result<Self, JwsError> {
        Self::parse_within(token, TOKEN_BYTES_MAX)
    }

    /// Parses a document that may be longer than a token.
    ///
    /// # Errors
    /// The first defect, in the order size, framing, header, rest.
    pub fn parse_within(token: impl Into<String>, bytes_max: usize) -> Result<Self, JwsError> {
        let token = token.into();
        if token.len() > bytes_max {
            return Err(JwsError::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Malformed::Framing)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Malformed::Framing)?;
        if payload.contains('.') {
            return Err(Malformed::Framing.into());
        }
        // ORDER: the header first, so that `none` is reported as such, with or without a signature.
        let header = ProtectedHeader::parse(header)?;
        if signature.is_empty() {
            return Err(Malformed::SignatureEmpty.into());
        }
        let payload = base64url::decode(payload).ok_or(Malformed::Base64)?;
        let signature = base64url::decode(signature).ok_or(Malformed::Base64)?;
        let signing_input_bytes = signing_input.len();
        Ok(Self {
            algorithm: header.algorithm,
            kid: header.kid,
            typ: header.typ,
            has_other_members: header.has_other_members,
            jwk: header.jwk,
            signing_input_bytes,
            payload,
            signature,
            token,
        })
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Whether the header has members other than `alg`, `kid` and `typ`.
    #[must_use]
    pub fn has_other_members(&self) -> bool {
        self.has_other_members
    }

    /// The key in the header, if there is an object of that name.
    pub(crate) fn jwk(&self) -> Option<&JsonObject> {
        self.jwk.as_ref()
    }

    /// What the signature covers: the first two parts and the dot between them (RFC 7515 §5.1).
    #[must_use]
    pub fn signing_input(&self) -> &str {
        self.token.get(..self.signing_input_bytes).unwrap_or_default()
    }

    /// The whole token, signature included.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// Why a token can't be parsed. Messages contain nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    #[error("unsupported signature algorithm")]
    AlgorithmNotAllowed,
    #[error("the header requires unsupported processing")]
    CriticalHeader,
    #[error("the token is malformed")]
    Malformed(#[from] Malformed),
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLarge,
}

/// How a token is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("`alg` is missing or not a string")]
    Algorithm,
    #[error("a part is not canonical base64url")]
    Base64,
    #[error("the token does not have exactly three parts")]
    Framing,
    #[error("the header is not strict JSON")]
    Header(#[source] JsonError),
    #[error("the header has a member that this kind of token must not have")]
    HeaderMember,
    #[error("`kid` is not a string of at most {KID_BYTES_MAX} bytes")]
    Kid,
    #[error("the payload is not strict JSON")]
    Payload(#[source] JsonError),
    #[error("the signature is empty")]
    SignatureEmpty,
    #[error("the token has too many claims")]
    TooManyClaims,
    #[error("`typ` is not a string")]
    Typ,
}

struct ProtectedHeader {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    has_other_members: bool,
    jwk: Option<JsonObject>,
}

impl ProtectedHeader {
    fn parse(encoded: &str) -> Result<Self, JwsError> {
        let bytes = base64url::decode(encoded).ok_or(Malformed::Base64)?;
        let header = JsonObject::parse(&bytes).map_err(Malformed::Header)?;
        let name = header.get("alg").and_then(Json::as_text).ok_or(Malformed::Algorithm)?;
        let algorithm = Algorithm::from_name(name).ok_or(JwsError::AlgorithmNotAllowed)?;
        if PROCESSING_MEMBERS.iter().any(|name| header.contains(name)) {
            return Err(JwsError::CriticalHeader);
        }
        let kid = optional_text(&header, "kid", Malformed::Kid)?;
        if kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
            return Err(Malformed::Kid.into());
        }
        let has_other_members = header.iter().any(|(name, _)| !matches!(name, "alg" | "kid" | "typ"));
        let jwk = header.get("jwk").and_then(Json::as_object).cloned();
        Ok(Self { algorithm, kid, has_other_members, jwk, typ: optional_text(&header, "typ", Malformed::Typ)? })
    }
}

fn optional_text(header: &JsonObject, name: &str, error: Malformed) -> Result<Option<String>, Malformed> {
    match header.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(error),
    }
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
