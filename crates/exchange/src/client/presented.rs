//! The credentials of a request, not checked yet.

use crate::form::{self, Form};
use crate::refusal::ClientFault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// draft-ietf-oauth-spiffe-client-auth.
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// A client's credential, and the `client_id` of the form.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    pub client_id: Option<String>,
    pub credential: Credential,
}

/// What a client authenticates with.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Assertion { kind: AssertionKind, assertion: String },
    Secret { id: String, secret: String },
}

/// Who signed an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionKind {
    /// The client itself.
    PrivateKeyJwt,
    /// The client's SPIFFE trust domain.
    SpiffeJwt,
}

impl Presented {
    /// Takes the client's credential from `form` and the request's `authorization` headers. Without any, none: a
    /// `client_id` alone proves nothing (RFC 6749 §2.3.1).
    ///
    /// # Errors
    /// There are several (RFC 6749 §2.3), or one that is not complete.
    pub fn take(authorization: &[String], form: &mut Form) -> Result<Option<Self>, ClientFault> {
        let client_id = form.take("client_id");
        let secret = form.take("client_secret");
        let assertion = form.take("client_assertion");
        let kind = form.take("client_assertion_type");
        let mut basic = authorization.iter().filter_map(|header| basic(header));
        let (first, second) = (basic.next(), basic.next());
        let has_assertion = assertion.is_some() || kind.is_some();
        let methods = [first.is_some(), second.is_some(), secret.is_some(), has_assertion];
        match methods.into_iter().filter(|present| *present).count() {
            0 => return Ok(None),
            // Another credential in a header, such as an access token, is one too many as well.
            1 if authorization.len() <= usize::from(first.is_some()) => {}
            _ => return Err(ClientFault::Several),
        }
        let credential = match (first, secret, assertion, kind) {
            (Some(encoded), ..) => decode(encoded).ok_or(ClientFault::Malformed)?,
            (None, Some(secret), ..) => {
                let id = client_id.clone().ok_or(ClientFault::Malformed)?;
                Credential::Secret { id, secret }
            }
            (None, None, Some(assertion), Some(kind)) => {
                Credential::Assertion { kind: AssertionKind::of(&kind)?, assertion }
            }
            (None, None, _, _) => return Err(ClientFault::AssertionIncomplete),
        };
        Ok(Some(Self { client_id, credential }))
    }
}

impl AssertionKind {
    fn of(text: &str) -> Result<Self, ClientFault> {
        match text {
            JWT_BEARER => Ok(Self::PrivateKeyJwt),
            JWT_SPIFFE => Ok(Self::SpiffeJwt),
            _ => Err(ClientFault::AssertionTypeUnsupported),
        }
    }
}

/// What follows the scheme `Basic`, which is case-insensitive (RFC 9110 §11.1).
fn basic(header: &str) -> Option<&str> {
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    scheme.eq_ignore_ascii_case("basic").then(|| rest.trim_start_matches(' '))
}

/// The id and the secret, both form-encoded (RFC 6749 §2.3.1).
fn decode(encoded: &str) -> Option<Credential> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some(Credential::Secret { id: form::decode(id).ok()?, secret: form::decode(secret).ok()? })
}

/// Hand-written: secrets and assertions are not logged.
impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client_id, credential } = self;
        f.debug_struct("Presented").field("client_id", client_id).field("credential", credential).finish()
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Assertion { kind, .. } => write!(f, "Assertion({kind:?})"),
            Self::Secret { .. } => write!(f, "Secret"),
        }
    }
}
