//! Stable codes of errors, and fixes for those whose message does not imply one.

use crate::diagnostics::error::BundleError;

impl BundleError {
    /// The stable code of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ActNotAllowed(_) => "act-not-allowed",
            Self::AlgorithmNeedsHsm(_) => "algorithm-needs-hsm",
            Self::AlgorithmNotOfView { .. } => "algorithm-not-of-view",
            Self::AlgorithmUnknown { .. } => "algorithm-unknown",
            Self::BundleTooLarge { .. } => "bundle-too-large",
            Self::CannotRead(_) => "cannot-read",
            Self::Cedar { .. } => "cedar",
            Self::HiddenCharacter(_) => "character-hidden",
            Self::ClaimNameInvalid(_) => "claim-name-invalid",
            Self::ClaimNameRepeated(_) => "claim-name-repeated",
            Self::ClaimReserved(_) => "claim-reserved",
            Self::ClaimUndeclared { .. } => "claim-undeclared",
            Self::ClaimsNotAllowed(_) => "claims-not-allowed",
            Self::ClientCredentialAmbiguous => "client-credential-ambiguous",
            Self::ClientKeySecret => "client-key-secret",
            Self::ClientSecretInvalid => "client-secret-invalid",
            Self::CredentialNameInvalid => "credential-name-invalid",
            Self::DuplicateAudience { .. } => "duplicate-audience",
            Self::DuplicateEntry(_) => "duplicate-entry",
            Self::DuplicateIssuer { .. } => "duplicate-issuer",
            Self::DuplicatePolicy { .. } => "duplicate-rule",
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
            Self::GroupAudienceUnknown { .. } => "group-audience-unknown",
            Self::GroupClaimUnknown { .. } => "group-claim-unknown",
            Self::GroupIssuerUnknown { .. } => "group-issuer-unknown",
            Self::GuardrailPermits(_) => "guardrail-permits",
            Self::GuardrailTemplate => "guardrail-template",
            Self::GuardrailWithoutDescription(_) => "guardrail-without-description",
            Self::HiddenFile => "hidden-file",
            Self::IssuerHasProvider { .. } => "issuer-has-a-provider",
            Self::IssuerIsBroker(_) => "issuer-is-ours",
            Self::IssuerIsClients => "issuer-is-clients",
            Self::IssuerOfNoTenant(_) => "issuer-of-no-tenant",
            Self::KeyKindUnknown { .. } => "key-kind-unknown",
            Self::KeysAmbiguous => "keys-ambiguous",
            Self::KeysNotJwks => "keys-not-jwks",
            Self::LifetimeDefaultOverMax { .. } => "lifetime-default-over-max",
            Self::LifetimeOverEpoch { .. } => "lifetime-over-epoch",
            Self::NameInvalid => "name-invalid",
            Self::NotAFile => "not-a-file",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::PathInvalid { .. } => "path-invalid",
            Self::PermitWithoutIssuer(_) => "permit-without-issuer",
            Self::PermitWithoutSubjectIssuer(_) => "permit-without-subject-issuer",
            Self::ProofMissing => "proof-missing",
            Self::ProofStale => "proof-stale",
            Self::ReplayInvalid(_) => "replay-invalid",
            Self::RequiredClaimUnknown { .. } => "required-claim-unknown",
            Self::PolicyAudienceUnknown { .. } => "rule-audience-unknown",
            Self::PolicyGroupUnknown { .. } => "rule-group-unknown",
            Self::PolicyIdInvalid(_) => "rule-id-invalid",
            Self::PolicyIssuerUnknown { .. } => "rule-issuer-unknown",
            Self::PolicyProfileUnknown { .. } => "rule-profile-unknown",
            Self::PolicyWithoutId => "rule-without-id",
            Self::ScopeInvalid(_) => "scope-invalid",
            Self::ScopesRequiredButNone => "scopes-required-but-none",
            Self::StatusListOfView(_) => "status-list-of-view",
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

    /// What to do about the error, unless its message says it.
    pub fn fix(&self) -> Option<String> {
        if let Some(suggestion) = self.suggestion() {
            return Some(format!("did you mean `{suggestion}`?"));
        }
        if let Self::IssuerHasProvider { provider, .. } = self {
            return Some(format!("write `provider = \"{provider}\"`"));
        }
        let fix = match self {
            Self::AlgorithmNeedsHsm(_) => "use `ES256` or `EdDSA`, or set `tier = \"hsm\"`",
            Self::AlgorithmNotOfView { .. } => "set `algorithm` to one of them; `RS256` also needs `tier = \"hsm\"`",
            Self::Cedar { help, .. } => return help.clone(),
            Self::HiddenCharacter(_) => {
                "remove it, or write it as an escape: `\\u{202e}` in Cedar, `\\u202e` in TOML and JSON"
            }
            Self::ClaimUndeclared { .. } => "use a claim name from the provider's page",
            Self::ClientSecretInvalid => "run `vouchsafe client secret`, which prints a secret and its hash",
            Self::DuplicateAudience { .. } | Self::DuplicateIssuer { .. } => "remove one of the files",
            Self::DuplicatePolicy { .. } => "change the `@id` of one of them",
            Self::GuardrailPermits(_) => "write `forbid (…) unless { … }`, with what may be permitted after `unless`",
            Self::GuardrailWithoutDescription(_) => "say in a sentence what it guarantees: `@description(\"…\")`",
            Self::HiddenFile | Self::NotAFile | Self::SymbolicLink | Self::UnknownFile => "move it out of the bundle",
            Self::IssuerIsBroker(_) => "set it to the issuer whose tokens are exchanged",
            Self::LifetimeOverEpoch { .. } => "shorten it, or increase the signing epoch",
            Self::PolicyAudienceUnknown { .. } => "correct the name, or add a file in `audiences/`",
            Self::PolicyIssuerUnknown { .. } => "correct the name, or add a file in `issuers/`",
            Self::ProofMissing | Self::ProofStale => "run `vouchsafe policy prove --record`",
            Self::PolicyWithoutId => "write `@id(\"a-name\")` above it",
            _ => return None,
        };
        Some(fix.to_owned())
    }

    /// Whether something is missing that may be in an unreadable file.
    pub fn is_about_missing(&self) -> bool {
        matches!(
            self,
            Self::ClaimUndeclared { .. }
                | Self::FileMissing
                | Self::GroupAudienceUnknown { .. }
                | Self::GroupIssuerUnknown { .. }
                | Self::PolicyAudienceUnknown { .. }
                | Self::PolicyGroupUnknown { .. }
                | Self::PolicyIssuerUnknown { .. }
                | Self::PolicyProfileUnknown { .. }
                | Self::TemplateUnknown { .. }
        )
    }

    /// The known name that a misspelled one probably meant.
    fn suggestion(&self) -> Option<&str> {
        match self {
            Self::ClaimUndeclared { suggestion, .. }
            | Self::GroupAudienceUnknown { suggestion, .. }
            | Self::GroupClaimUnknown { suggestion, .. }
            | Self::GroupIssuerUnknown { suggestion, .. }
            | Self::PolicyAudienceUnknown { suggestion, .. }
            | Self::PolicyGroupUnknown { suggestion, .. }
            | Self::PolicyIssuerUnknown { suggestion, .. }
            | Self::PolicyProfileUnknown { suggestion, .. }
            | Self::TemplateUnknown { suggestion, .. }
            | Self::UnknownProvider { suggestion, .. } => suggestion.as_deref(),
            _ => None,
        }
    }
}
