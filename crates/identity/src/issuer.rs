//! A trusted issuer, and how its tokens are checked.

use std::borrow::Cow;

use vouchsafe_jose::{Algorithm, KeyUse};
use vouchsafe_providers::{Claim, ClaimType, Profile, Provider, Source};

use vouchsafe_providers::spiffe::trust_domain_of;

use crate::error::chain;
use crate::template::{SubjectTemplate, TemplateError};
use vouchsafe_types::{DeclaredClaim, IssuerRecord, KeySource, RequiredClaim};

/// Longest accepted leeway of time checks, in seconds.
pub const LEEWAY_SECONDS_MAX: u64 = 60;

/// An issuer whose record passed every check.
// INVARIANT: neither `audiences` nor `algorithms` is empty or contains an empty or unknown value, and the leeway is at
// most `LEEWAY_SECONDS_MAX`.
#[derive(Debug)]
pub struct TrustedIssuer {
    record: IssuerRecord,
    /// The claims that become attributes.
    claims: Cow<'static, [Claim]>,
    provider: &'static Provider,
    algorithms: Vec<Algorithm>,
    subject_template: Option<SubjectTemplate>,
}

impl TrustedIssuer {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The exact `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.record.issuer
    }

    #[must_use]
    pub fn development(&self) -> bool {
        self.record.development
    }

    #[must_use]
    pub fn keys(&self) -> &KeySource {
        &self.record.keys
    }

    pub(crate) fn provider_name(&self) -> &str {
        self.provider.name
    }

    pub(crate) fn profile(&self) -> Profile {
        self.provider.profile
    }

    /// The `use` that its keys must have.
    #[must_use]
    pub fn key_use(&self) -> KeyUse {
        match self.profile() {
            Profile::ClientAssertion | Profile::Jwt => KeyUse::Signature,
            Profile::JwtSvid => KeyUse::JwtSvid,
        }
    }

    pub(crate) fn entity_type(&self) -> String {
        self.provider.entity_type(&self.record.name)
    }

    pub(crate) fn claims(&self) -> &[Claim] {
        &self.claims
    }

    pub(crate) fn required_claims(&self) -> &[RequiredClaim] {
        &self.record.require
    }

    pub(crate) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(crate) fn accepts_audience(&self, audience: &str) -> bool {
        self.record.audiences.iter().any(|accepted| accepted == audience)
    }

    pub(crate) fn keys_max_age_seconds(&self) -> u64 {
        self.record.keys_max_age_seconds
    }

    pub(crate) fn max_token_age_seconds(&self) -> u64 {
        self.record.max_token_age_seconds
    }

    pub(crate) fn leeway_seconds(&self) -> u64 {
        self.record.leeway_seconds
    }

    pub(crate) fn allow_act(&self) -> bool {
        self.record.allow_act
    }

    pub(crate) fn subject_template(&self) -> Option<&SubjectTemplate> {
        self.subject_template.as_ref()
    }
}

impl TryFrom<IssuerRecord> for TrustedIssuer {
    type Error = IssuerError;

    fn try_from(record: IssuerRecord) -> Result<Self, IssuerError> {
        if record.name.is_empty() || record.issuer.is_empty() {
            return Err(IssuerError::Name);
        }
        if record.audiences.is_empty() || record.audiences.iter().any(String::is_empty) {
            return Err(IssuerError::Audiences);
        }
        if record.leeway_seconds > LEEWAY_SECONDS_MAX {
            return Err(IssuerError::Leeway);
        }
        let algorithms = record.algorithms.iter().map(|name| Algorithm::from_name(name)).collect::<Option<Vec<_>>>();
        let algorithms = algorithms.filter(|list| !list.is_empty()).ok_or(IssuerError::Algorithms)?;
        let provider = Provider::of_record(&record.provider).ok_or(IssuerError::Provider)?;
        let claims = claims(provider, &record)?;
        if provider.profile == Profile::JwtSvid && trust_domain_of(&record.issuer).is_none() {
            return Err(IssuerError::TrustDomain);
        }
        let is_text = |name: &str| is_text_claim(&claims, name);
        let required = |claim: &RequiredClaim| is_text(&claim.name) && !claim.values.is_empty();
        if !record.require.iter().all(required) {
            return Err(IssuerError::RequiredClaim);
        }
        let parse = |text: &String| SubjectTemplate::parse(text, is_text);
        let subject_template = record.subject_template.as_ref().map(parse).transpose()?;
        Ok(Self { provider, algorithms, subject_template, claims, record })
    }
}

/// The provider's claims, or those that the issuer's file declares.
fn claims(provider: &'static Provider, record: &IssuerRecord) -> Result<Cow<'static, [Claim]>, IssuerError> {
    if !provider.declares_claims() {
        return match (record.claims.is_empty(), record.allow_act) {
            (true, false) => Ok(Cow::Borrowed(provider.claims)),
            (true, true) => Err(IssuerError::Actor),
            (false, _) => Err(IssuerError::Provider),
        };
    }
    Ok(Cow::Owned(record.claims.iter().map(declared).collect()))
}

fn declared(claim: &DeclaredClaim) -> Claim {
    Claim {
        name: Cow::Owned(claim.name.clone()),
        source: Source::Claim,
        claim_type: claim.claim_type,
        required: claim.required,
        nullable: false,
    }
}

/// Whether a subject template or a required claim may use this one.
fn is_text_claim(claims: &[Claim], name: &str) -> bool {
    let text = |claim: &Claim| claim.name == name && claim.claim_type == ClaimType::Text;
    name == "sub" || claims.iter().any(text)
}

/// Why an issuer's record is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    #[error("`allow_act` requires a provider without claims of its own")]
    Actor,
    #[error("unknown algorithm, or none listed")]
    Algorithms,
    #[error("empty audience, or none listed")]
    Audiences,
    #[error("the leeway is longer than {LEEWAY_SECONDS_MAX} s")]
    Leeway,
    #[error("the name or the issuer is empty")]
    Name,
    #[error("unknown provider, or one whose claims cannot be declared")]
    Provider,
    #[error("a required claim is not a text claim, or has no values")]
    RequiredClaim,
    #[error("invalid subject template")]
    SubjectTemplate(#[from] TemplateError),
    #[error("the issuer is not a SPIFFE trust domain")]
    TrustDomain,
}

/// An invalid issuer record cannot vouch for a token.
impl From<IssuerError> for vouchsafe_types::TokenError {
    fn from(_: IssuerError) -> Self {
        Self::IssuerUntrusted
    }
}

impl From<IssuerError> for vouchsafe_types::FetchError {
    fn from(error: IssuerError) -> Self {
        Self::DocumentInvalid(chain(&error))
    }
}
