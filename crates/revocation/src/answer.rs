//! How a request ended, and every way in which it is refused.

use std::borrow::Cow;

use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::metadata::VERIFIED_ALGORITHMS;
use vouchsafe_exchange::refusal::{ProofFault, Refusal};
use vouchsafe_exchange::wire::{WireError, proof_error};

/// The outcome of a request.
#[derive(Debug)]
pub struct Attempt {
    /// The body of a 200.
    pub outcome: Result<String, Refused>,
    /// The type of that body.
    pub media_type: &'static str,
    /// `jti` of the caller's token: the decision that permitted the request.
    pub decision_id: Option<String>,
    /// The client that authenticated, which has no token.
    pub client: Option<AuthenticatedClient>,
}

/// A client, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticatedClient {
    /// The name of its issuer.
    pub issuer: String,
    /// The policies that decided about its request.
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
}

impl Attempt {
    /// Of a caller with a token, if `decision_id` is its `jti`.
    #[must_use]
    pub fn new(outcome: Result<String, Refused>, decision_id: Option<String>) -> Self {
        Self { outcome, media_type: "application/json", decision_id, client: None }
    }
}

/// A refusal, for the caller and for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub error: WireError,
    /// The value of `www-authenticate` (RFC 6750 §3, RFC 9449 §7.1).
    pub challenge: Option<Box<str>>,
    pub slug: &'static str,
    /// For the log; never contains a token or a claim's value.
    pub detail: Box<str>,
}

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
}

impl Scheme {
    fn challenge(self, parameters: &str) -> Box<str> {
        match self {
            Self::Bearer => format!("Bearer {parameters}"),
            Self::Dpop => format!("DPoP {parameters}, {}", algorithms()),
        }
        .into()
    }

    /// Both, for requests that use neither.
    fn all() -> Box<str> {
        format!("Bearer, DPoP {}", algorithms()).into()
    }
}

/// `algs` (RFC 9449 §7.1).
fn algorithms() -> String {
    format!("algs=\"{}\"", VERIFIED_ALGORITHMS.join(" "))
}

impl Refused {
    /// The request has no credentials, so it gets no error code either (RFC 6750 §3.1).
    pub(crate) fn unauthenticated() -> Self {
        let text = "send a token of this broker in the header `Authorization`, or the credential of a client";
        Self { challenge: Some(Scheme::all()), ..Self::new(401, "invalid_token", "caller.unauthenticated", text) }
    }

    /// For a request without credentials that asks for a signed response: RFC 9701 §5 demands status 400.
    pub(crate) fn without_authentication(mut self) -> Self {
        if self.slug == "caller.unauthenticated" {
            self.error.status = 400;
        }
        self
    }

    /// The request has several credentials, some of another kind, or a proof with a bearer token.
    pub(crate) fn credentials_unsupported() -> Self {
        let text =
            "send exactly one header `Authorization` with a token of this broker: `Bearer`, or `DPoP` with a proof";
        Self { challenge: Some(Scheme::all()), ..Self::new(401, "invalid_token", "caller.unsupported", text) }
    }

    /// The caller's token is not accepted. One text, whatever the reason; the log has the reason.
    pub(crate) fn token_invalid(scheme: Scheme, detail: &'static str) -> Self {
        let text = "the access token is invalid, expired, revoked, or for another audience";
        Self {
            challenge: Some(scheme.challenge(&format!("error=\"invalid_token\", error_description=\"{text}\""))),
            detail: detail.into(),
            ..Self::new(401, "invalid_token", "caller.invalid", text)
        }
    }

    /// The proof is missing or not accepted.
    pub(crate) fn proof(fault: ProofFault) -> Self {
        let text = match fault {
            ProofFault::KeyMismatch => {
                "the access token is bound to another key than that of the DPoP proof".to_owned()
            }
            ProofFault::RequiredByToken => {
                "the access token is bound to a key: send a DPoP proof by that key".to_owned()
            }
            fault => fault.to_string(),
        };
        Self::proof_invalid(proof_error(fault), Refusal::from(fault).slug(), text)
    }

    /// There is a proof, but nobody whom the broker trusts says for which request.
    pub(crate) fn request_unknown() -> Self {
        let text = "the proxy does not say which request the DPoP proof is for";
        Self::proof_invalid("invalid_dpop_proof", "proof.request_unknown", text.to_owned())
    }

    fn proof_invalid(error: &'static str, slug: &'static str, text: String) -> Self {
        let parameters = format!("error=\"{error}\", error_description=\"{text}\"");
        Self { challenge: Some(Scheme::Dpop.challenge(&parameters)), ..Self::new(401, error, slug, text) }
    }

    pub(crate) fn scope_missing(scheme: Scheme, scope: &str) -> Self {
        Self {
            challenge: Some(scheme.challenge(&format!("error=\"insufficient_scope\", scope=\"{scope}\""))),
            ..Self::new(403, "insufficient_scope", "caller.scope_missing", format!("this needs the scope {scope}"))
        }
    }

    pub(crate) fn operation_invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "invalid_request", "operation.invalid", text)
    }

    pub(crate) fn operation_too_large() -> Self {
        Self::new(413, "invalid_request", "operation.too_large", "the request body is larger than 16 KiB")
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        let mut refused = Self::new(405, "method_not_allowed", "operation.method_not_allowed", format!("use {allow}"));
        refused.error.allow = Some(allow);
        refused
    }

    pub(crate) fn content_type() -> Self {
        let text = "the content type must be application/json";
        Self::new(415, "invalid_request", "operation.content_type_unsupported", text)
    }

    pub(crate) fn conflict() -> Self {
        Self::new(409, "conflict", "operation.conflict", "another revocation has this id: choose a new one")
    }

    pub(crate) fn no_such_token() -> Self {
        Self::new(404, "not_found", "operation.no_such_token", "no live token has this id")
    }

    pub(crate) fn no_such_block() -> Self {
        let text = "no block has this id; revocations without block end by themselves";
        Self::new(404, "not_found", "operation.no_such_block", text)
    }

    pub(crate) fn too_many() -> Self {
        let text = "too many revocations are kept: revoke more tokens with fewer, or lift blocks";
        Self::new(409, "conflict", "operation.too_many", text)
    }

    pub(crate) fn new(
        status: u16,
        error: &'static str,
        slug: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        let description = description.into();
        let error = WireError::new(status, error, description);
        Self { error, challenge: None, slug, detail: Box::default() }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let Failure { refusal, detail } = failure;
        let error = WireError::from(&refusal);
        let challenge = error.challenge().map(Box::from);
        Self { error, challenge, slug: refusal.slug(), detail: detail.into() }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Failure::from(refusal).into()
    }
}
