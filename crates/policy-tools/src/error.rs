//! The errors of `policy check`: those of a bundle, of its cases, and of lints.

use crate::claims::ClaimsError;
use std::fmt;
use vouchsafe_policy::{BundleError, DecideError, Diagnostic, LoadError};

/// Every error that checking a bundle and its cases can report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("claim `{0}` must be a string, an integer, a boolean or an array of strings")]
    CaseClaimInvalid(String),
    #[error("issuer `{name}` is not in the bundle")]
    CaseIssuerUnknown { name: String, suggestion: Option<String> },
    #[error("`refused` requires a `token`: claims are not verified")]
    CaseRefusalWithoutToken,
    #[error("a case can have a `token` or claims, not both")]
    CaseTokenAndClaims,
    #[error("the token does not describe a principal: {0}")]
    CaseTokenClaims(ClaimsError),
    #[error("the token is not a compact JWT with claims")]
    CaseTokenMalformed,
    #[error("a case with a token must set `at`")]
    CaseTokenWithoutTime,
    #[error("claim `{claim}` is missing; every {entity_type} has it")]
    CaseClaimMissing { claim: String, entity_type: String },
    #[error("claim `{claim}` is {found}, but must be {expected} for {entity_type}")]
    CaseClaimMistyped { claim: String, entity_type: String, expected: &'static str, found: &'static str },
    #[error("{entity_type} has no claim `{claim}`")]
    CaseClaimUnknown { claim: String, entity_type: String, suggestion: Option<String> },
    #[error("no audience file defines audience `{name}`")]
    CaseAudienceUnknown { name: String, suggestion: Option<String> },
    #[error("the case cannot be decided: {0}")]
    CaseUndecidable(DecideError),
    #[error("the case is not met: expected {expected}, found {found}")]
    CaseUnmet { expected: String, found: String },
    #[error("profile `{name}` is not in `bundle.toml`")]
    CaseProfileUnknown { name: String, suggestion: Option<String> },
    #[error("`at` must be a date such as `2027-01-01T00:00:00Z`")]
    CaseTimeInvalid,
    #[error("policy `{0}` forbids less if the client address is unknown")]
    ForbidNeedsAddress(String),
    #[error("guardrail `{0}` can fail to evaluate, so it would not keep out every request that it describes")]
    GuardrailErrs(String),
    #[error("guardrail `{guardrail}` is not proven for `{audience}`: {why}")]
    GuardrailUndecided { guardrail: String, audience: String, why: String },
    #[error("guardrail `{guardrail}` is violated by policy `{policy}`: {request}")]
    GuardrailViolated { guardrail: String, policy: String, request: String },
    #[error("policy `{policy}` tests `{name}`, but no request that it can match has it")]
    PolicyNameUnknown { policy: String, name: String, suggestion: Option<String> },
}

impl CheckError {
    /// The stable code of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bundle(error) => error.code(),
            Self::CaseAudienceUnknown { .. } => "case-audience-unknown",
            Self::CaseClaimInvalid(_) => "case-claim-invalid",
            Self::CaseClaimMissing { .. } => "case-claim-missing",
            Self::CaseClaimMistyped { .. } => "case-claim-mistyped",
            Self::CaseClaimUnknown { .. } => "case-claim-unknown",
            Self::CaseIssuerUnknown { .. } => "case-issuer-unknown",
            Self::CaseProfileUnknown { .. } => "case-profile-unknown",
            Self::CaseRefusalWithoutToken => "case-refusal-without-token",
            Self::CaseTimeInvalid => "case-time-invalid",
            Self::CaseTokenAndClaims => "case-token-and-claims",
            Self::CaseTokenClaims(_) => "case-token-claims",
            Self::CaseTokenMalformed => "case-token-malformed",
            Self::CaseTokenWithoutTime => "case-token-without-time",
            Self::CaseUndecidable(_) => "case-undecidable",
            Self::CaseUnmet { .. } => "case-unmet",
            Self::ForbidNeedsAddress(_) => "forbid-needs-address",
            Self::GuardrailErrs(_) => "guardrail-errs",
            Self::GuardrailUndecided { .. } => "guardrail-undecided",
            Self::GuardrailViolated { .. } => "guardrail-violated",
            Self::PolicyNameUnknown { .. } => "rule-name-unknown",
        }
    }

    /// What to do about the error, unless its message says it.
    pub fn fix(&self) -> Option<String> {
        if let Some(suggestion) = self.suggestion() {
            return Some(format!("did you mean `{suggestion}`?"));
        }
        let fix = match self {
            Self::Bundle(error) => return error.fix(),
            Self::CaseIssuerUnknown { .. } => "use the name of an issuer file, without `.toml`",
            Self::CaseClaimMissing { .. } => "add it to the case, or to the default claims of its issuer",
            Self::CaseClaimMistyped { .. } | Self::CaseClaimUnknown { .. } => {
                "write it as in the issuer's tokens; see `schema.cedarschema` and the issuer file"
            }
            Self::CaseAudienceUnknown { .. } => "use the `id` of an audience, or add a file in `audiences/`",
            Self::CaseUndecidable(error) => return fix_of_case(error),
            Self::CaseUnmet { .. } => {
                "correct the policy or the case; `vouchsafe policy explain --case FILE` shows why"
            }
            Self::ForbidNeedsAddress(_) => "forbid all but known addresses: `unless { context has client_ip && … }`",
            Self::GuardrailErrs(_) => "avoid arithmetic on values that a request chooses",
            Self::GuardrailUndecided { .. } => "simplify the policies, or raise `--time-limit` or `--memory-limit`",
            Self::GuardrailViolated { .. } => {
                "narrow the policy until the request is denied; `--save-cases` keeps it as a test case"
            }
            Self::PolicyNameUnknown { .. } => "correct the name: Cedar evaluates `has` of an unknown name to false",
            _ => return None,
        };
        Some(fix.to_owned())
    }

    /// Whether something is missing that may be in an unreadable file.
    pub(crate) fn is_about_missing(&self) -> bool {
        match self {
            Self::Bundle(error) => error.is_about_missing(),
            Self::CaseAudienceUnknown { .. }
            | Self::CaseClaimUnknown { .. }
            | Self::CaseIssuerUnknown { .. }
            | Self::CaseProfileUnknown { .. }
            | Self::CaseUnmet { .. } => true,
            _ => false,
        }
    }

    /// The known name that a misspelled one probably meant.
    fn suggestion(&self) -> Option<&str> {
        match self {
            Self::CaseAudienceUnknown { suggestion, .. }
            | Self::CaseClaimUnknown { suggestion, .. }
            | Self::CaseIssuerUnknown { suggestion, .. }
            | Self::CaseProfileUnknown { suggestion, .. }
            | Self::PolicyNameUnknown { suggestion, .. } => suggestion.as_deref(),
            _ => None,
        }
    }
}

/// What to change in a case whose request cannot be decided.
fn fix_of_case(error: &DecideError) -> Option<String> {
    let fix = match error {
        DecideError::ClientIpInvalid => "write an address such as `192.0.2.1` or `2001:db8::1`",
        DecideError::LifetimeInvalid => "shorten the `lifetime`",
        DecideError::TimeInvalid => "set an earlier `at`",
        _ => return None,
    };
    Some(fix.to_owned())
}

/// Why a bundle or its cases cannot be used: every error that was found, at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SuiteError {
    pub diagnostics: Vec<Diagnostic<CheckError>>,
}

impl fmt::Display for SuiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            write!(f, "{}{diagnostic}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for SuiteError {}

impl From<LoadError> for SuiteError {
    fn from(error: LoadError) -> Self {
        let diagnostics = error.diagnostics.into_iter();
        Self { diagnostics: diagnostics.map(|it| it.map(CheckError::from)).collect() }
    }
}

impl From<Vec<Diagnostic<CheckError>>> for SuiteError {
    fn from(diagnostics: Vec<Diagnostic<CheckError>>) -> Self {
        Self { diagnostics }
    }
}
