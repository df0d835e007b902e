//! Between the WIT types and those of `vouchsafe-identity`.

use std::borrow::Cow;
use std::error::Error;

use vouchsafe_identity as domain;
use vouchsafe_identity::UnixSeconds;

use crate::wit;

impl From<wit::TrustedIssuer> for domain::IssuerRecord {
    fn from(issuer: wit::TrustedIssuer) -> Self {
        Self {
            name: issuer.name,
            issuer: issuer.issuer,
            provider: issuer.provider,
            audiences: issuer.audiences,
            algorithms: issuer.algorithms,
            keys: issuer.keys.into(),
            keys_max_age_seconds: issuer.keys_max_age_seconds,
            max_token_age_seconds: issuer.max_token_age_seconds,
            leeway_seconds: issuer.leeway_seconds,
            claims: issuer.claims.into_iter().map(Into::into).collect(),
            require: issuer.require.into_iter().map(Into::into).collect(),
            subject_template: issuer.subject_template,
            allow_act: issuer.allow_act,
            development: issuer.development,
        }
    }
}

impl From<wit::KeySource> for domain::KeySource {
    fn from(source: wit::KeySource) -> Self {
        match source {
            wit::KeySource::Discovery => Self::Discovery,
            wit::KeySource::JwksUri(url) => Self::JwksUri(url),
            wit::KeySource::Pinned(pinned) => Self::Pinned(domain::PinnedKeys {
                document: pinned.document,
                expires: UnixSeconds(pinned.expires),
            }),
        }
    }
}

impl From<wit::RequiredClaim> for domain::RequiredClaim {
    fn from(claim: wit::RequiredClaim) -> Self {
        Self {
            name: claim.name,
            values: claim.values,
        }
    }
}

impl From<wit::DeclaredClaim> for domain::Claim {
    fn from(claim: wit::DeclaredClaim) -> Self {
        let claim_type = match claim.type_ {
            wit::ClaimType::Boolean => domain::ClaimType::Boolean,
            wit::ClaimType::Integer => domain::ClaimType::Integer,
            wit::ClaimType::Text => domain::ClaimType::Text,
            wit::ClaimType::TextMap => domain::ClaimType::TextMap,
            wit::ClaimType::TextOrSet => domain::ClaimType::TextOrSet,
            wit::ClaimType::TextSet => domain::ClaimType::TextSet,
        };
        Self {
            name: Cow::Owned(claim.name),
            source: domain::Source::Claim,
            claim_type,
            required: claim.required,
            nullable: false,
        }
    }
}

impl From<wit::KeySet> for domain::FetchedKeys {
    fn from(keys: wit::KeySet) -> Self {
        Self {
            digest: keys.digest,
            document: keys.document,
            trusted_until: UnixSeconds(keys.trusted_until),
            etag: keys.etag,
        }
    }
}

impl From<domain::FetchedKeys> for wit::KeySet {
    fn from(keys: domain::FetchedKeys) -> Self {
        Self {
            digest: keys.digest,
            document: keys.document,
            trusted_until: keys.trusted_until.0,
            etag: keys.etag,
        }
    }
}

impl From<domain::Unverified> for wit::Unverified {
    fn from(token: domain::Unverified) -> Self {
        Self {
            iss: token.iss,
            trust_domain: token.trust_domain,
            kid: token.kid,
            alg: token.algorithm.to_string(),
        }
    }
}

impl From<domain::Subject> for wit::Subject {
    fn from(subject: domain::Subject) -> Self {
        Self {
            issuer_name: subject.issuer_name,
            iss: subject.iss,
            sub: subject.sub,
            subject: subject.subject,
            jti: subject.jti,
            exp: subject.exp.0,
            iat: subject.iat.map(|iat| iat.0),
            signing_input_digest: subject.signing_input_digest,
            entity_type: subject.entity_type,
            entity_id: subject.entity_id,
            attributes: subject.attributes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<domain::Attribute> for wit::Attribute {
    fn from(attribute: domain::Attribute) -> Self {
        let value = match attribute.value {
            domain::AttributeValue::Boolean(value) => wit::AttributeValue::Boolean(value),
            domain::AttributeValue::Integer(value) => wit::AttributeValue::Integer(value),
            domain::AttributeValue::Text(value) => wit::AttributeValue::Text(value),
            domain::AttributeValue::TextSet(value) => wit::AttributeValue::TextSet(value),
        };
        Self {
            name: attribute.name,
            value,
        }
    }
}

impl From<domain::TokenError> for wit::TokenError {
    fn from(error: domain::TokenError) -> Self {
        match error {
            domain::TokenError::AlgorithmNotAllowed => Self::AlgorithmNotAllowed,
            domain::TokenError::AudienceMismatch => Self::AudienceMismatch,
            domain::TokenError::ClaimInvalid(name) => Self::ClaimInvalid(name.to_string()),
            domain::TokenError::ClaimMismatch(name) => Self::ClaimMismatch(name.to_string()),
            domain::TokenError::ClaimMissing(name) => Self::ClaimMissing(name.to_string()),
            domain::TokenError::CriticalHeader => Self::CriticalHeader,
            domain::TokenError::Expired => Self::Expired,
            domain::TokenError::IssuerUntrusted => Self::IssuerUntrusted,
            domain::TokenError::KeyUnknown => Self::KeyUnknown,
            domain::TokenError::KeyUnusable => Self::KeyUnusable,
            domain::TokenError::Malformed(_) => Self::Malformed,
            domain::TokenError::NotYetValid => Self::NotYetValid,
            domain::TokenError::SignatureInvalid => Self::SignatureInvalid,
            domain::TokenError::TooLarge => Self::TooLarge,
            domain::TokenError::TooOld => Self::TooOld,
            domain::TokenError::TypeNotAllowed => Self::TypeNotAllowed,
        }
    }
}

/// An issuer's record that makes no sense can't vouch for a token.
impl From<domain::IssuerError> for wit::TokenError {
    fn from(_: domain::IssuerError) -> Self {
        Self::IssuerUntrusted
    }
}

impl From<domain::FetchError> for wit::FetchError {
    fn from(error: domain::FetchError) -> Self {
        match error {
            domain::FetchError::CredentialInvalid => Self::CredentialInvalid,
            domain::FetchError::DocumentInvalid(reason) => Self::DocumentInvalid(chain(&reason)),
            domain::FetchError::IssuerMismatch => Self::IssuerMismatch,
            domain::FetchError::PinnedKeysExpired => Self::PinnedKeysExpired,
            domain::FetchError::Status(status) => Self::Status(status),
            domain::FetchError::TimedOut => Self::TimedOut,
            domain::FetchError::TooLarge => Self::TooLarge,
            domain::FetchError::Unreachable => Self::Unreachable,
            domain::FetchError::UrlRefused(_) => Self::UrlRefused,
        }
    }
}

impl From<domain::IssuerError> for wit::FetchError {
    fn from(error: domain::IssuerError) -> Self {
        Self::DocumentInvalid(chain(&error))
    }
}

/// An error with all its causes, for the log.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
