//! `vouchsafe:policy`.

use crate::bindings::decisions;
use std::rc::Rc;
use vouchsafe_exchange::ports::{
    AttributeValue, Audience, Bundle, Decision, Issuer, Question, ReplayMode, Settings, Subject,
    Tier,
};

impl From<&Settings> for decisions::Environment {
    fn from(settings: &Settings) -> Self {
        Self {
            issuer: settings.issuer.clone(),
            development: settings.development,
            epoch_seconds: settings.epoch_seconds,
        }
    }
}

impl From<decisions::Bundle> for Bundle {
    fn from(bundle: decisions::Bundle) -> Self {
        let decisions::Bundle {
            name,
            version,
            digest,
            seals: _,
        } = bundle;
        Self {
            name,
            version,
            digest,
        }
    }
}

impl From<decisions::ReplayMode> for ReplayMode {
    fn from(mode: decisions::ReplayMode) -> Self {
        match mode {
            decisions::ReplayMode::Allow => Self::Allow,
            decisions::ReplayMode::Bounded(uses) => Self::Bounded(uses),
            decisions::ReplayMode::SingleUse => Self::SingleUse,
        }
    }
}

impl From<decisions::IssuerRecord> for Issuer<Rc<decisions::IssuerRecord>> {
    fn from(record: decisions::IssuerRecord) -> Self {
        Self {
            name: record.name.clone(),
            iss: record.issuer.clone(),
            replay: record.replay.into(),
            stale_keys_max_seconds: record.stale_keys_max_seconds,
            pinned: matches!(record.keys, decisions::KeySource::Pinned(_)),
            record: Rc::new(record),
        }
    }
}

impl From<decisions::AudienceRecord> for Audience {
    fn from(record: decisions::AudienceRecord) -> Self {
        Self {
            id: record.id,
            tier: match record.tier {
                decisions::Tier::Delegated => Tier::Delegated,
                decisions::Tier::Hsm => Tier::Hsm,
            },
            algorithm: record.algorithm,
            default_lifetime_seconds: record.default_lifetime_seconds,
            max_lifetime_seconds: record.max_lifetime_seconds,
            scopes: record.scopes,
            claims: record.claims,
            replay: record.replay.into(),
            outlive_subject: record.outlive_subject,
        }
    }
}

impl From<&Subject> for decisions::Principal {
    fn from(subject: &Subject) -> Self {
        let attribute = |(name, value): &(String, AttributeValue)| decisions::Attribute {
            name: name.clone(),
            value: match value.clone() {
                AttributeValue::Text(text) => decisions::AttributeValue::Text(text),
                AttributeValue::Integer(number) => decisions::AttributeValue::Integer(number),
                AttributeValue::Boolean(truth) => decisions::AttributeValue::Boolean(truth),
                AttributeValue::TextSet(texts) => decisions::AttributeValue::TextSet(texts),
            },
        };
        Self {
            entity_type: subject.entity_type.clone(),
            id: subject.entity_id.clone(),
            issuer_name: subject.issuer_name.clone(),
            attributes: subject.attributes.iter().map(attribute).collect(),
        }
    }
}

impl From<&Question> for decisions::TokenRequest {
    fn from(question: &Question) -> Self {
        Self {
            audience: question.audience.clone(),
            scopes: question.scopes.clone(),
            requested_lifetime_seconds: question.requested_lifetime_seconds,
            client_ip: question.client_ip.map(|address| address.to_string()),
            // There is no proof of possession yet: false, never guessed.
            proof_of_possession: false,
        }
    }
}

impl From<decisions::Decision> for Decision {
    fn from(decision: decisions::Decision) -> Self {
        let decisions::Decision {
            effect,
            determining_rules,
            erring_rules,
            cedar_request,
        } = decision;
        let permitted = matches!(effect, decisions::Effect::Permit);
        Self {
            permitted,
            determining_rules,
            erring_rules,
            cedar_request,
        }
    }
}
