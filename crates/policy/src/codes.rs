//! Stable names of problems, and what to do about those whose words do not say it already.

use crate::decide::DecideError;
use crate::error::Problem;

impl Problem {
    /// A stable name of the kind of problem.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ActNotAllowed(_) => "act-not-allowed",
            Self::AlgorithmNeedsHsm(_) => "algorithm-needs-hsm",
            Self::AlgorithmUnknown { .. } => "algorithm-unknown",
            Self::BundleTooLarge { .. } => "bundle-too-large",
            Self::CannotRead(_) => "cannot-read",
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
            Self::Cedar { .. } => "cedar",
            Self::CharacterHidden(_) => "character-hidden",
            Self::ClaimNameInvalid(_) => "claim-name-invalid",
            Self::ClaimNameRepeated(_) => "claim-name-repeated",
            Self::ClaimReserved(_) => "claim-reserved",
            Self::ClaimUndeclared { .. } => "claim-undeclared",
            Self::ClaimsNotAllowed(_) => "claims-not-allowed",
            Self::CredentialNameInvalid => "credential-name-invalid",
            Self::DuplicateAudience { .. } => "duplicate-audience",
            Self::DuplicateEntry(_) => "duplicate-entry",
            Self::DuplicateIssuer { .. } => "duplicate-issuer",
            Self::DuplicateRule { .. } => "duplicate-rule",
            Self::DurationInvalid { .. } => "duration-invalid",
            Self::Empty(_) => "empty",
            Self::EntityInvalid(_) => "entity-invalid",
            Self::EntityTypeCollision { .. } => "entity-type-collision",
            Self::EntityTypeInvalid => "entity-type-invalid",
            Self::ExpiryInvalid => "expiry-invalid",
            Self::FileMissing => "file-missing",
            Self::FileNotUtf8 => "file-not-utf8",
            Self::FileTooLarge { .. } => "file-too-large",
            Self::FilesTooMany { .. } => "files-too-many",
            Self::ForbidNeedsAddress(_) => "forbid-needs-address",
            Self::GroupAudienceUnknown { .. } => "group-audience-unknown",
            Self::GroupClaimUnknown { .. } => "group-claim-unknown",
            Self::GroupIssuerUnknown { .. } => "group-issuer-unknown",
            Self::HiddenFile => "hidden-file",
            Self::IssuerHasProvider { .. } => "issuer-has-a-provider",
            Self::IssuerIsOurs(_) => "issuer-is-ours",
            Self::IssuerOfNoTenant(_) => "issuer-of-no-tenant",
            Self::KeysAmbiguous => "keys-ambiguous",
            Self::KeysNotJwks => "keys-not-jwks",
            Self::LifetimeDefaultOverMax { .. } => "lifetime-default-over-max",
            Self::LifetimeOverEpoch { .. } => "lifetime-over-epoch",
            Self::NameInvalid => "name-invalid",
            Self::NotAFile => "not-a-file",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::PathInvalid { .. } => "path-invalid",
            Self::PermitWithoutIssuer(_) => "permit-without-issuer",
            Self::ReplayInvalid(_) => "replay-invalid",
            Self::RequiredClaimUnknown { .. } => "required-claim-unknown",
            Self::RuleAudienceUnknown { .. } => "rule-audience-unknown",
            Self::RuleGroupUnknown { .. } => "rule-group-unknown",
            Self::RuleIdInvalid(_) => "rule-id-invalid",
            Self::RuleIssuerUnknown { .. } => "rule-issuer-unknown",
            Self::RuleNameUnknown { .. } => "rule-name-unknown",
            Self::RuleProfileUnknown { .. } => "rule-profile-unknown",
            Self::RuleWithoutId => "rule-without-id",
            Self::ScopeInvalid(_) => "scope-invalid",
            Self::SubjectClaimUnknown { .. } => "subject-claim-unknown",
            Self::SubjectTemplateInvalid => "subject-template-invalid",
            Self::SymbolicLink => "symbolic-link",
            Self::TemplateSlotEmpty(_) => "template-slot-empty",
            Self::TemplateSlotUnknown(_) => "template-slot-unknown",
            Self::TemplateUnknown { .. } => "template-unknown",
            Self::TenantNotPinned { .. } => "tenant-not-pinned",
            Self::Toml(_) => "toml",
            Self::TooDeep { .. } => "too-deep",
            Self::TooMany { .. } => "too-many",
            Self::TrustDomainWithoutKeys => "trust-domain-without-keys",
            Self::UnknownFile => "unknown-file",
            Self::UnknownProvider { .. } => "unknown-provider",
            Self::UrlRefused { .. } => "url-refused",
            Self::ValueInvalid { .. } => "value-invalid",
            Self::ZoneNameInvalid(_) => "zone-name-invalid",
            Self::ZoneUnknown(_) => "zone-unknown",
        }
    }

    /// What to do about it, where the problem's own words do not say it.
    pub fn fix(&self) -> Option<String> {
        if let Some(nearest) = self.nearest() {
            return Some(format!("did you mean `{nearest}`?"));
        }
        if let Self::IssuerHasProvider { provider, .. } = self {
            return Some(format!("write `provider = \"{provider}\"`"));
        }
        let fix = match self {
            Self::AlgorithmNeedsHsm(_) => "take `ES256` or `EdDSA`, or `tier = \"hsm\"`",
            Self::CaseIssuerUnknown { .. } => "name an issuer by its file, without `.toml`",
            Self::CaseClaimMissing { .. } => {
                "give it in the case, or in the file that the cases of its issuer start from"
            }
            Self::CaseClaimMistyped { .. } | Self::CaseClaimUnknown { .. } => {
                "write it as the issuer's tokens have it; `schema.cedarschema` and the issuer's file say how"
            }
            Self::CaseAudienceUnknown { .. } => {
                "name an audience by its `id`, or add a file in `audiences/`"
            }
            Self::CaseUndecidable(error) => return fix_of_case(error),
            Self::CaseUnmet { .. } => {
                "correct the rule or the case; `vouchsafe policy explain` says why"
            }
            Self::Cedar { help, .. } => return help.clone(),
            Self::CharacterHidden(_) => {
                "remove it, or write it as an escape: `\\u{202e}` in Cedar, `\\u202e` in TOML and JSON"
            }
            Self::ClaimUndeclared { .. } => "name a claim as the provider's page lists it",
            Self::DuplicateAudience { .. } | Self::DuplicateIssuer { .. } => {
                "remove one of the files"
            }
            Self::DuplicateRule { .. } => "give one of them another `@id`",
            Self::ForbidNeedsAddress(_) => {
                "forbid all but known addresses: `unless { context has client_ip && … }`"
            }
            Self::HiddenFile | Self::NotAFile | Self::SymbolicLink | Self::UnknownFile => {
                "move it out of the bundle"
            }
            Self::IssuerIsOurs(_) => "name the issuer whose tokens are exchanged",
            Self::LifetimeOverEpoch { .. } => "shorten it, or lengthen the signer's epoch",
            Self::RuleAudienceUnknown { .. } => "correct the name, or add a file in `audiences/`",
            Self::RuleIssuerUnknown { .. } => "correct the name, or add a file in `issuers/`",
            Self::RuleNameUnknown { .. } => {
                "correct the name: Cedar takes a `has` of what is not there for false"
            }
            Self::RuleWithoutId => "write `@id(\"a-name\")` above it",
            _ => return None,
        };
        Some(fix.to_owned())
    }
    /// Whether it says that something is not there, which may be in a file that could not be read.
    pub(crate) fn is_of_something_absent(&self) -> bool {
        matches!(
            self,
            Self::CaseAudienceUnknown { .. }
                | Self::CaseClaimUnknown { .. }
                | Self::CaseIssuerUnknown { .. }
                | Self::CaseProfileUnknown { .. }
                | Self::CaseUnmet { .. }
                | Self::ClaimUndeclared { .. }
                | Self::FileMissing
                | Self::GroupAudienceUnknown { .. }
                | Self::GroupIssuerUnknown { .. }
                | Self::RuleAudienceUnknown { .. }
                | Self::RuleGroupUnknown { .. }
                | Self::RuleIssuerUnknown { .. }
                | Self::RuleProfileUnknown { .. }
                | Self::TemplateUnknown { .. }
        )
    }

    /// The known name that a misspelt one was likely meant to be.
    fn nearest(&self) -> Option<&str> {
        match self {
            Self::CaseAudienceUnknown { nearest, .. }
            | Self::CaseClaimUnknown { nearest, .. }
            | Self::CaseIssuerUnknown { nearest, .. }
            | Self::CaseProfileUnknown { nearest, .. }
            | Self::ClaimUndeclared { nearest, .. }
            | Self::GroupAudienceUnknown { nearest, .. }
            | Self::GroupClaimUnknown { nearest, .. }
            | Self::GroupIssuerUnknown { nearest, .. }
            | Self::RuleAudienceUnknown { nearest, .. }
            | Self::RuleGroupUnknown { nearest, .. }
            | Self::RuleIssuerUnknown { nearest, .. }
            | Self::RuleNameUnknown { nearest, .. }
            | Self::RuleProfileUnknown { nearest, .. }
            | Self::TemplateUnknown { nearest, .. }
            | Self::UnknownProvider { nearest, .. } => nearest.as_deref(),
            _ => None,
        }
    }
}

/// What to do about a case that can't be decided for what its request says.
fn fix_of_case(error: &DecideError) -> Option<String> {
    let fix = match error {
        DecideError::ClientIpInvalid => "write an address such as `192.0.2.1` or `2001:db8::1`",
        DecideError::LifetimeInvalid => "shorten the `lifetime`",
        DecideError::TimeInvalid => "take an earlier `at`",
        _ => return None,
    };
    Some(fix.to_owned())
}
