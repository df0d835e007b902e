//! The only module that knows status codes and OAuth error codes (RFC 6749 §5.2, RFC 8693 §2.2.2).
//!
//! Descriptions are fixed texts that never contain a token, a key or a claim's value.

use crate::issued::IssuedExchange;
use crate::refusal::{ClientFault, Denial, Part, ProofFault, Refusal, RequestFault};
use crate::request::{Grant, TOKEN_TYPE_ACCESS, TOKEN_TYPE_JWT};
use serde_json::{Value, json};
use std::borrow::Cow;
use vouchsafe_types::{TokenError, TokenType};

/// Seconds after which a caller may retry when a component is unavailable.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Most accepted audiences that an audience mismatch names, and the longest one, in bytes.
const ACCEPTED_MAX: usize = 3;
const ACCEPTED_BYTES_MAX: usize = 256;
/// The challenge to a client that is not authenticated (RFC 7617 §2).
const CLIENT_CHALLENGE: &str = "Basic realm=\"vouchsafe\"";
/// Longest claim name in a description, in bytes.
const CLAIM_NAME_BYTES_MAX: usize = 64;

/// The only text for audiences that are unknown or not allowed, so that audiences cannot be enumerated.
const TARGET_REFUSED: &str = "the requested audience is unknown or not allowed for this subject";

/// A refusal as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    pub status: u16,
    pub error: &'static str,
    pub description: Cow<'static, str>,
    pub retry_after_seconds: Option<u32>,
    /// The methods of a resource that was asked with another one (RFC 9110 §10.2.1).
    pub allow: Option<&'static str>,
    /// Whether the client has to authenticate (RFC 6749 §5.2).
    is_challenged: bool,
}

impl WireError {
    /// How the client authenticates, if it did not.
    #[must_use]
    pub fn challenge(&self) -> Option<&'static str> {
        self.is_challenged.then_some(CLIENT_CHALLENGE)
    }

    /// No resource has the path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(404, "not_found", "nothing has this path: /.well-known/openid-configuration lists the endpoints")
    }

    /// The log does not have the decision yet.
    #[must_use]
    pub fn not_logged_yet() -> Self {
        Self::unavailable("no checkpoint covers this decision yet")
    }

    /// A document was asked with a method other than GET and HEAD.
    #[must_use]
    pub fn document_method() -> Self {
        Self { allow: Some("GET, HEAD"), ..Self::new(405, "method_not_allowed", "the method must be GET or HEAD") }
    }

    /// A refusal of a request by `grant`: a client of the JWT bearer grant expects `invalid_grant` for an assertion that is
    /// not accepted (RFC 7523 §3.1), a client of token exchange `invalid_request` (RFC 8693 §2.2.2).
    #[must_use]
    pub fn of_grant(refusal: &Refusal, grant: Grant) -> Self {
        let error = Self::from(refusal);
        match (grant, refusal) {
            (
                Grant::JwtBearer,
                Refusal::Token(_)
                | Refusal::AudienceMismatch { .. }
                | Refusal::Replay(_)
                | Refusal::Request(RequestFault::SubjectTokenBearer | RequestFault::SubjectTokenWhiteSpace),
            ) => Self { error: "invalid_grant", ..error },
            (Grant::JwtBearer | Grant::TokenExchange, _) => error,
        }
    }

    /// The response body (RFC 6749 §5.2), with `decision_id` if a decision was made. Most clients show nothing but the
    /// description, so it ends with that id, or else with that of the request.
    #[must_use]
    pub fn body(&self, request_id: &str, decision_id: Option<&str>) -> String {
        let (kind, id) = decision_id.map_or(("request", request_id), |id| ("decision", id));
        let description = format!("{} ({kind} {id})", self.description);
        let mut body = json!({ "error": self.error, "error_description": description });
        if let (Some(id), Some(members)) = (decision_id, body.as_object_mut()) {
            members.insert("decision_id".to_owned(), Value::from(id));
        }
        body.to_string()
    }

    fn unavailable(description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            retry_after_seconds: Some(RETRY_AFTER_SECONDS),
            ..Self::new(503, "temporarily_unavailable", description)
        }
    }

    /// RFC 6585 §4. RFC 6749 has no matching error; RFC 8628 §3.5 registers this one for token endpoints.
    fn slow_down(retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(429, "slow_down", "too many requests for this subject were denied within a minute")
        }
    }

    fn invalid_request(status: u16, description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, "invalid_request", description)
    }

    /// A refusal with no headers of its own.
    #[must_use]
    pub fn new(status: u16, error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            error,
            description: description.into(),
            retry_after_seconds: None,
            allow: None,
            is_challenged: false,
        }
    }
}

impl From<&Refusal> for WireError {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Request(fault) => request_error(*fault),
            Refusal::Token(fault) => Self::invalid_request(400, token_text(fault)),
            Refusal::ActorToken(fault) => {
                let text = token_text(fault).replace("the subject token", "the actor token");
                Self::invalid_request(400, text)
            }
            Refusal::Actor(fault) => Self::invalid_request(400, fault.to_string()),
            Refusal::AudienceMismatch { accepted } => Self::invalid_request(400, audience_text(accepted)),
            Refusal::Client(ClientFault::Several) => {
                Self::invalid_request(400, "the request has several credentials: send one")
            }
            // One text, whatever the reason; the log has the reason.
            Refusal::Client(_) => {
                Self { is_challenged: true, ..Self::new(401, "invalid_client", "client authentication failed") }
            }
            // RFC 9449 §5 and §8.
            Refusal::Proof(fault) => Self::new(400, proof_error(*fault), fault.to_string()),
            Refusal::Denied(denial) => denial_error(*denial),
            Refusal::Replay(fault) => Self::invalid_request(400, format!("the subject token cannot be used: {fault}")),
            Refusal::DeniedTooOften { retry_after_seconds } => Self::slow_down(*retry_after_seconds),
            Refusal::Unavailable(part) => Self::unavailable(part.to_string()),
            Refusal::Overloaded => Self::unavailable("the exchange took too long; the subject token was not used"),
            // The caller can only retry, as in any outage of the signer.
            Refusal::Superseded => Self::unavailable(Part::Signer.to_string()),
            Refusal::Internal => Self::new(500, "server_error", "internal error; the request can be retried"),
        }
    }
}

fn request_error(fault: RequestFault) -> WireError {
    let text = match fault {
        RequestFault::ActorTokenBearer => "the actor token starts with `Bearer `: send the token alone",
        RequestFault::ActorTokenTypeUnsupported => {
            "actor_token_type must be urn:ietf:params:oauth:token-type:jwt or :id_token"
        }
        RequestFault::ActorTokenUnsupported => "the JWT bearer grant has no actor_token: use token exchange",
        RequestFault::ActorTokenWhiteSpace => "the actor token contains white space; is there a line break in it?",
        RequestFault::AudienceAndResource => "audience and resource are mutually exclusive",
        RequestFault::AuthorizationDetailsUnsupported => {
            let text = "authorization_details is not supported: request scopes instead";
            return WireError::new(400, "invalid_authorization_details", text);
        }
        RequestFault::BodyTooLarge => {
            return WireError::invalid_request(413, "the request body is larger than 64 KiB");
        }
        RequestFault::ClientAddressUndetermined => "cannot determine the client's address from the forwarding headers",
        RequestFault::ContentTypeUnsupported => {
            return WireError::invalid_request(415, "the content type must be application/x-www-form-urlencoded");
        }
        RequestFault::GrantUnsupported => {
            return WireError::new(
                400,
                "unsupported_grant_type",
                "the grant type must be urn:ietf:params:oauth:grant-type:token-exchange or :jwt-bearer",
            );
        }
        RequestFault::LifetimeInvalid => "requested_expires_in must be a positive whole number of seconds",
        RequestFault::LifetimeOverCeiling => "requested_expires_in exceeds the ceiling of this audience",
        RequestFault::Malformed => "the request body is not a valid form",
        RequestFault::MethodNotAllowed => {
            let error = WireError::invalid_request(405, "the method must be POST");
            return WireError { allow: Some("POST"), ..error };
        }
        RequestFault::ParameterMissing(name) => {
            return WireError::invalid_request(400, format!("the parameter {name} is missing"));
        }
        RequestFault::ParameterRepeated => "a parameter is repeated",
        RequestFault::QueryNotAllowed => "parameters must be in the body, not in the URL",
        RequestFault::RequestedTokenTypeNotGrant => {
            "this audience is an authorization server: requested_token_type must be urn:ietf:params:oauth:token-type:jwt"
        }
        RequestFault::RequestedTokenTypeUnsupported => {
            "requested_token_type must be urn:ietf:params:oauth:token-type:access_token or :jwt"
        }
        RequestFault::ScopeMalformed => {
            return WireError::new(400, "invalid_scope", "the scope is malformed");
        }
        RequestFault::ScopesTooMany => {
            return WireError::new(400, "invalid_scope", "more than 32 scopes are requested");
        }
        RequestFault::SubjectTokenBearer => "the subject token starts with `Bearer `: send the token alone",
        RequestFault::SubjectTokenTypeUnsupported => {
            "subject_token_type must be urn:ietf:params:oauth:token-type:jwt or :id_token"
        }
        RequestFault::SubjectTokenWhiteSpace => "the subject token contains white space; is there a line break in it?",
    };
    WireError::invalid_request(400, text)
}

/// The error code of a proof that is missing or not accepted.
#[must_use]
pub fn proof_error(fault: ProofFault) -> &'static str {
    match fault {
        ProofFault::NonceRequired => "use_dpop_nonce",
        _ => "invalid_dpop_proof",
    }
}

fn denial_error(denial: Denial) -> WireError {
    match denial {
        Denial::AudienceUnknown | Denial::PolicyDenied | Denial::SignerRefused => {
            WireError::new(400, "invalid_target", TARGET_REFUSED)
        }
        Denial::ActorsNotAllowed => {
            WireError::new(400, "invalid_target", "this audience issues no tokens to actors: send no actor_token")
        }
        Denial::Revoked => WireError::new(
            400,
            "invalid_target",
            "the operators of this broker have revoked tokens of this subject or for this audience",
        ),
        Denial::ScopeMissing => {
            WireError::new(400, "invalid_scope", "this audience requires a scope: request at least one")
        }
        Denial::ScopeNotHeld => WireError::new(
            400,
            "invalid_scope",
            "the subject token or the actor token states scopes, and a requested one is not among them",
        ),
        Denial::ScopeNotOffered => {
            WireError::new(400, "invalid_scope", "this audience does not offer a requested scope")
        }
        Denial::SubjectTooLong { bytes_max } => WireError::new(
            400,
            "invalid_target",
            format!(
                "the target of this audience accepts a sub of at most {bytes_max} bytes, and this subject's is longer"
            ),
        ),
        Denial::TierUnavailable => WireError::new(
            400,
            "invalid_target",
            "the requested audience requires a hardware-backed signer, which this broker does not have",
        ),
    }
}

/// The description of a token error. Claim names come from configuration, never from the token, and are shown only if
/// RFC 6749 §5.2 allows their characters.
fn token_text(error: &TokenError) -> Cow<'static, str> {
    match error {
        TokenError::ClaimInvalid(name) | TokenError::ClaimMismatch(name) | TokenError::ClaimMissing(name)
            if !is_legal(name, CLAIM_NAME_BYTES_MAX) =>
        {
            "the subject token lacks a required claim or has an invalid one".into()
        }
        error => error.to_string().into(),
    }
}

/// The description of an audience mismatch. The accepted audiences come from configuration; that of the token, which its
/// holder can read, is not repeated.
fn audience_text(accepted: &[String]) -> Cow<'static, str> {
    let shown = accepted.iter().map(|audience| audience.as_str());
    let shown: Vec<_> = shown.filter(|it| is_legal(it, ACCEPTED_BYTES_MAX)).take(ACCEPTED_MAX).collect();
    let fault = TokenError::AudienceMismatch;
    match shown.as_slice() {
        [] => fault.to_string().into(),
        [one] => format!("{fault}: its aud must be {one}").into(),
        some => format!("{fault}: its aud must be one of {}", some.join(", ")).into(),
    }
}

/// Whether a description can contain `text` (RFC 6749 §5.2).
fn is_legal(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && text.bytes().all(|byte| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// The body of a successful response (RFC 8693 §2.2.1).
pub fn success(issued: &IssuedExchange) -> String {
    let (issued_token_type, token_type) = match issued.token_type {
        TokenType::AccessToken if issued.bound => (TOKEN_TYPE_ACCESS, "DPoP"),
        TokenType::AccessToken => (TOKEN_TYPE_ACCESS, "Bearer"),
        // The token is not declared an access token, so no usage is implied.
        TokenType::Jwt => (TOKEN_TYPE_JWT, "N_A"),
    };
    let mut body = json!({
        "access_token": issued.jwt,
        "issued_token_type": issued_token_type,
        "token_type": token_type,
        "expires_in": issued.expires_in_seconds,
    });
    if let (false, Some(members)) = (issued.scopes.is_empty(), body.as_object_mut()) {
        members.insert("scope".to_owned(), Value::from(issued.scopes.join(" ")));
    }
    body.to_string()
}
