//! `vouchsafe:identity`.

use crate::bindings::{decisions, verification};
use vouchsafe_exchange::ports::{AttributeValue, KeySet, Subject};

impl From<&decisions::IssuerRecord> for verification::TrustedIssuer {
    fn from(record: &decisions::IssuerRecord) -> Self {
        Self {
            name: record.name.clone(),
            issuer: record.issuer.clone(),
            provider: record.provider.clone(),
            audiences: record.audiences.clone(),
            algorithms: record.algorithms.clone(),
            keys: (&record.keys).into(),
            keys_max_age_seconds: record.keys_max_age_seconds,
            max_token_age_seconds: record.max_token_age_seconds,
            leeway_seconds: record.leeway_seconds,
            claims: record.claims.iter().map(Into::into).collect(),
            require: record.require.iter().map(Into::into).collect(),
            subject_template: record.subject_template.clone(),
            allow_act: record.allow_act,
            development: record.development,
        }
    }
}

impl From<&decisions::KeySource> for verification::KeySource {
    fn from(source: &decisions::KeySource) -> Self {
        match source {
            decisions::KeySource::Discovery => Self::Discovery,
            decisions::KeySource::JwksUri(uri) => Self::JwksUri(uri.clone()),
            decisions::KeySource::Pinned(keys) => Self::Pinned(verification::PinnedKeys {
                document: keys.document.clone(),
                expires: keys.expires,
            }),
        }
    }
}

impl From<&decisions::DeclaredClaim> for verification::DeclaredClaim {
    fn from(claim: &decisions::DeclaredClaim) -> Self {
        let type_ = match claim.type_ {
            decisions::ClaimType::Text => verification::ClaimType::Text,
            decisions::ClaimType::Integer => verification::ClaimType::Integer,
            decisions::ClaimType::Boolean => verification::ClaimType::Boolean,
            decisions::ClaimType::TextMap => verification::ClaimType::TextMap,
            decisions::ClaimType::TextOrSet => verification::ClaimType::TextOrSet,
            decisions::ClaimType::TextSet => verification::ClaimType::TextSet,
        };
        Self {
            name: claim.name.clone(),
            type_,
            required: claim.required,
        }
    }
}

impl From<&decisions::RequiredClaim> for verification::RequiredClaim {
    fn from(claim: &decisions::RequiredClaim) -> Self {
        Self {
            name: claim.name.clone(),
            values: claim.values.clone(),
        }
    }
}

impl From<&KeySet> for verification::KeySet {
    fn from(keys: &KeySet) -> Self {
        let KeySet {
            digest,
            document,
            trusted_until,
            etag,
        } = keys.clone();
        Self {
            digest,
            document,
            trusted_until,
            etag,
        }
    }
}

impl From<verification::KeySet> for KeySet {
    fn from(keys: verification::KeySet) -> Self {
        let verification::KeySet {
            digest,
            document,
            trusted_until,
            etag,
        } = keys;
        Self {
            digest,
            document,
            trusted_until,
            etag,
        }
    }
}

impl From<verification::Subject> for Subject {
    fn from(subject: verification::Subject) -> Self {
        let attribute = |attribute: verification::Attribute| {
            let value = match attribute.value {
                verification::AttributeValue::Text(text) => AttributeValue::Text(text),
                verification::AttributeValue::Integer(number) => AttributeValue::Integer(number),
                verification::AttributeValue::Boolean(truth) => AttributeValue::Boolean(truth),
                verification::AttributeValue::TextSet(texts) => AttributeValue::TextSet(texts),
            };
            (attribute.name, value)
        };
        Self {
            issuer_name: subject.issuer_name,
            iss: subject.iss,
            subject: subject.subject,
            jti: subject.jti,
            exp: subject.exp,
            iat: subject.iat,
            signing_input_digest: subject.signing_input_digest,
            entity_type: subject.entity_type,
            entity_id: subject.entity_id,
            attributes: subject.attributes.into_iter().map(attribute).collect(),
        }
    }
}
