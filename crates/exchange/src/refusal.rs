//! Every way in which an exchange ends without a token, grouped by culprit, with its stable slug.
//!
//! Slugs appear in the audit log and in tests; [`crate::wire`] defines what callers see.

use vouchsafe_types::{ProofError, TokenError};

/// Why no token was issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is malformed.
    #[error("{0}")]
    Request(RequestFault),
    /// The subject token is rejected.
    #[error("{0}")]
    Token(TokenError),
    /// The actor token is rejected.
    #[error("the actor token is rejected")]
    ActorToken(TokenError),
    /// The tokens verify, but not together.
    #[error("{0}")]
    Actor(ActorFault),
    /// The subject token verifies, but is not for this broker.
    #[error("{}", TokenError::AudienceMismatch)]
    AudienceMismatch {
        /// The audiences that the issuer's file accepts.
        accepted: Vec<String>,
    },
    /// The client's credential is rejected.
    #[error("{0}")]
    Client(ClientFault),
    /// The proof of possession is missing or rejected.
    #[error("{0}")]
    Proof(ProofFault),
    /// Policy or configuration denies the request.
    #[error("{0}")]
    Denied(Denial),
    /// The subject token was already used.
    #[error("{0}")]
    Replay(ReplayFault),
    /// Too many requests for the subject were denied within this minute, so no decision was made.
    #[error("too many requests for this subject were denied")]
    DeniedTooOften { retry_after_seconds: u32 },
    /// A component that the exchange needs is unavailable.
    #[error("{0}")]
    Unavailable(Part),
    /// The exchange took so long that its verification is out of date.
    #[error("the exchange took too long")]
    Overloaded,
    /// The signer's keys are of a generation that an emergency rotation replaced.
    #[error("the signer's keys are of a superseded generation")]
    Superseded,
    /// A bug or an internal failure.
    #[error("internal fault")]
    Internal,
}

/// What is wrong with the request, found before the token is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    #[error("the actor token starts with `Bearer `")]
    ActorTokenBearer,
    #[error("`actor_token_type` is not supported")]
    ActorTokenTypeUnsupported,
    #[error("the JWT bearer grant has no `actor_token`")]
    ActorTokenUnsupported,
    #[error("the actor token contains white space")]
    ActorTokenWhiteSpace,
    #[error("`audience` and `resource` are mutually exclusive")]
    AudienceAndResource,
    #[error("`authorization_details` is not supported")]
    AuthorizationDetailsUnsupported,
    #[error("the body is too large")]
    BodyTooLarge,
    #[error("cannot determine the client's address from the forwarding headers")]
    ClientAddressUndetermined,
    #[error("the content type is not a form")]
    ContentTypeUnsupported,
    #[error("the grant type is not supported")]
    GrantUnsupported,
    #[error("`requested_expires_in` is not a positive whole number")]
    LifetimeInvalid,
    #[error("`requested_expires_in` exceeds the audience's ceiling")]
    LifetimeOverCeiling,
    #[error("the form is malformed")]
    Malformed,
    #[error("the method is not allowed")]
    MethodNotAllowed,
    #[error("the parameter `{0}` is missing")]
    ParameterMissing(&'static str),
    #[error("a parameter is repeated")]
    ParameterRepeated,
    #[error("parameters must be in the body")]
    QueryNotAllowed,
    #[error("the audience is an authorization server, which takes no access tokens")]
    RequestedTokenTypeNotGrant,
    #[error("`requested_token_type` is not supported")]
    RequestedTokenTypeUnsupported,
    #[error("a scope is malformed")]
    ScopeMalformed,
    #[error("there are too many scopes")]
    ScopesTooMany,
    #[error("the subject token starts with `Bearer `")]
    SubjectTokenBearer,
    #[error("`subject_token_type` is not supported")]
    SubjectTokenTypeUnsupported,
    #[error("the subject token contains white space")]
    SubjectTokenWhiteSpace,
}

/// Why a verified request is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("the audience requires a signing tier that is not available")]
    TierUnavailable,
    #[error("the audience issues no tokens to actors")]
    ActorsNotAllowed,
    #[error("the audience is unknown")]
    AudienceUnknown,
    #[error("policy denies the request")]
    PolicyDenied,
    #[error("a revocation in force matches the token")]
    Revoked,
    #[error("the audience requires a scope, and none is requested")]
    ScopeMissing,
    #[error("the subject token or the actor token does not have a requested scope")]
    ScopeNotHeld,
    #[error("the audience does not offer a requested scope")]
    ScopeNotOffered,
    #[error("the signer's own ceilings forbid the request")]
    SignerRefused,
    #[error("the relying parties of the audience accept a `sub` of at most {bytes_max} bytes")]
    SubjectTooLong { bytes_max: usize },
}

/// Why an actor cannot act for the subject, whatever policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActorFault {
    #[error("the actor token is delegated itself: send a token of the actor alone")]
    Delegated,
    #[error("the actor token and the subject token are of the same workload")]
    IsSubject,
    #[error("may_act of the subject token names another actor than the actor token")]
    NotNamed,
    #[error("the subject token has act or may_act: send the token of its actor as actor_token")]
    Required,
    #[error("there would be more than 4 actors, or over 4 KiB of them")]
    TooMany,
}

/// Why a token cannot be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayFault {
    #[error("the token was issued before this broker's replay store existed")]
    PredatesStore,
    #[error("the token was already used")]
    Spent,
}

/// Why a client is not authenticated. Callers learn only whether they sent too many credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    #[error("the assertion: {0}")]
    Assertion(TokenError),
    #[error("`client_assertion` and `client_assertion_type` require each other")]
    AssertionIncomplete,
    #[error("the assertion was already used, or is older than this broker's replay store")]
    AssertionSpent,
    #[error("`client_assertion_type` is not supported")]
    AssertionTypeUnsupported,
    #[error("`client_id` names another client than the credential")]
    IdMismatch,
    #[error("the secret has no id, or is not encoded as RFC 6749 §2.3.1 says")]
    Malformed,
    #[error("the client has another kind of credential")]
    MethodMismatch,
    #[error("the assertion is not from a SPIFFE issuer")]
    NotSpiffe,
    #[error("the secret is wrong")]
    SecretWrong,
    #[error("there are several credentials")]
    Several,
    #[error("no client file has this id")]
    Unknown,
}

/// What is wrong with the proof of possession.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    #[error("{0}")]
    Invalid(#[from] ProofError),
    #[error("the subject token is bound to another key than that of the DPoP proof")]
    KeyMismatch,
    #[error("the DPoP proof lacks the nonce of the header DPoP-Nonce, or has an old one")]
    NonceRequired,
    #[error("the DPoP proof was made before this broker's replay store existed: make another")]
    PredatesStore,
    #[error("there is more than one DPoP header")]
    Repeated,
    #[error("this audience requires a DPoP proof")]
    RequiredByAudience,
    #[error("the subject token is bound to a key: send a DPoP proof by that key")]
    RequiredByToken,
    #[error("the DPoP proof was already used: make one for each request")]
    Spent,
}

/// A component of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Part {
    #[error("the issuer's keys are unavailable")]
    Issuer,
    #[error("the policy is unavailable")]
    Policy,
    #[error("the signer is unavailable")]
    Signer,
    #[error("the store is unavailable")]
    Store,
}

impl Refusal {
    /// The stable name of this refusal.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Request(fault) => fault.slug(),
            Self::Token(fault) => fault.slug(),
            Self::ActorToken(_) => "actor.token_rejected",
            Self::Actor(fault) => fault.slug(),
            Self::AudienceMismatch { .. } => TokenError::AudienceMismatch.slug(),
            Self::Client(ClientFault::Several) => "client.several_credentials",
            Self::Client(_) => "client.invalid",
            Self::Proof(fault) => fault.slug(),
            Self::Denied(denial) => denial.slug(),
            Self::Replay(ReplayFault::PredatesStore) => "replay.predates_store",
            Self::Replay(ReplayFault::Spent) => "replay.spent",
            Self::DeniedTooOften { .. } => "subject.denied_too_often",
            Self::Unavailable(Part::Issuer) => "issuer.unavailable",
            Self::Unavailable(Part::Policy) => "policy.unavailable",
            Self::Unavailable(Part::Signer) => "signer.unavailable",
            Self::Unavailable(Part::Store) => "store.unavailable",
            Self::Overloaded => "exchange.overloaded",
            Self::Superseded => "signer.superseded",
            Self::Internal => "internal",
        }
    }
}

impl RequestFault {
    fn slug(self) -> &'static str {
        match self {
            Self::ActorTokenBearer => "request.actor_token_bearer",
            Self::ActorTokenTypeUnsupported => "request.actor_token_type_unsupported",
            Self::ActorTokenUnsupported => "request.actor_token_unsupported",
            Self::ActorTokenWhiteSpace => "request.actor_token_white_space",
            Self::AudienceAndResource => "request.audience_and_resource",
            Self::AuthorizationDetailsUnsupported => "request.authorization_details_unsupported",
            Self::BodyTooLarge => "request.too_large",
            Self::ClientAddressUndetermined => "request.client_address_undetermined",
            Self::ContentTypeUnsupported => "request.content_type_unsupported",
            Self::GrantUnsupported => "grant.unsupported",
            Self::LifetimeInvalid => "request.lifetime_invalid",
            Self::LifetimeOverCeiling => "request.lifetime_over_ceiling",
            Self::Malformed => "request.malformed",
            Self::MethodNotAllowed => "request.method_not_allowed",
            Self::ParameterMissing(_) => "request.parameter_missing",
            Self::ParameterRepeated => "request.parameter_repeated",
            Self::QueryNotAllowed => "request.query_not_allowed",
            Self::RequestedTokenTypeNotGrant => "request.requested_token_type_not_grant",
            Self::RequestedTokenTypeUnsupported => "request.requested_token_type_unsupported",
            Self::ScopeMalformed => "scope.malformed",
            Self::ScopesTooMany => "scope.too_many",
            Self::SubjectTokenBearer => "request.subject_token_bearer",
            Self::SubjectTokenTypeUnsupported => "request.subject_token_type_unsupported",
            Self::SubjectTokenWhiteSpace => "request.subject_token_white_space",
        }
    }
}

impl Denial {
    fn slug(self) -> &'static str {
        match self {
            Self::TierUnavailable => "audience.tier_unavailable",
            Self::ActorsNotAllowed => "actor.not_allowed_by_audience",
            Self::AudienceUnknown => "audience.unknown",
            Self::PolicyDenied => "policy.denied",
            Self::Revoked => "exchange.revoked",
            Self::ScopeMissing => "scope.missing",
            Self::ScopeNotHeld => "scope.not_held",
            Self::ScopeNotOffered => "scope.not_offered",
            Self::SignerRefused => "signer.refused",
            Self::SubjectTooLong { .. } => "subject.too_long",
        }
    }
}

impl ActorFault {
    fn slug(self) -> &'static str {
        match self {
            Self::Delegated => "actor.delegated",
            Self::IsSubject => "actor.is_subject",
            Self::NotNamed => "actor.not_named",
            Self::Required => "actor.required",
            Self::TooMany => "actor.too_many",
        }
    }
}

impl ProofFault {
    fn slug(self) -> &'static str {
        match self {
            Self::Invalid(error) => error.slug(),
            Self::KeyMismatch => "proof.key_mismatch",
            Self::NonceRequired => "proof.nonce_required",
            Self::PredatesStore => "proof.predates_store",
            Self::Repeated => "proof.repeated",
            Self::RequiredByAudience => "proof.required_by_audience",
            Self::RequiredByToken => "proof.required_by_token",
            Self::Spent => "proof.spent",
        }
    }
}

impl From<RequestFault> for Refusal {
    fn from(fault: RequestFault) -> Self {
        Self::Request(fault)
    }
}

impl From<ActorFault> for Refusal {
    fn from(fault: ActorFault) -> Self {
        Self::Actor(fault)
    }
}

impl From<ClientFault> for Refusal {
    fn from(fault: ClientFault) -> Self {
        Self::Client(fault)
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<ProofFault> for Refusal {
    fn from(fault: ProofFault) -> Self {
        Self::Proof(fault)
    }
}

impl From<ProofError> for Refusal {
    fn from(error: ProofError) -> Self {
        Self::Proof(error.into())
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}
