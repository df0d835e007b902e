//! Between the domain's types and the interface's.

use crate::wit;
use vouchsafe_policy as policy;

impl From<wit::Environment> for policy::Environment {
    fn from(environment: wit::Environment) -> Self {
        let wit::Environment {
            issuer,
            development,
            epoch_seconds,
        } = environment;
        Self {
            issuer,
            development,
            epoch_seconds,
        }
    }
}

impl From<&policy::Decider> for wit::Bundle {
    fn from(bundle: &policy::Decider) -> Self {
        Self {
            name: bundle.name().to_owned(),
            version: bundle.version().to_owned(),
            digest: bundle.digest().to_owned(),
            seals: bundle.seals().map(str::to_owned),
        }
    }
}

impl From<&policy::Issuer> for wit::IssuerRecord {
    fn from(issuer: &policy::Issuer) -> Self {
        Self {
            name: issuer.name.clone(),
            issuer: issuer.issuer.clone(),
            provider: issuer.provider.name.to_owned(),
            audiences: issuer.audiences.clone(),
            algorithms: issuer.algorithms.clone(),
            keys: (&issuer.keys).into(),
            keys_max_age_seconds: issuer.keys_max_age_seconds,
            stale_keys_max_seconds: issuer.stale_keys_max_seconds,
            max_token_age_seconds: issuer.max_token_age_seconds,
            leeway_seconds: issuer.leeway_seconds,
            replay: issuer.replay.into(),
            claims: issuer.declared_claims().map(Into::into).collect(),
            require: issuer.require.iter().map(Into::into).collect(),
            subject_template: issuer.subject_template.clone(),
            allow_act: issuer.allow_act,
            development: issuer.development,
            authenticated: issuer.credential_file.is_some(),
        }
    }
}

impl From<&policy::KeySource> for wit::KeySource {
    fn from(keys: &policy::KeySource) -> Self {
        match keys {
            policy::KeySource::Discovery => Self::Discovery,
            policy::KeySource::JwksUri(uri) => Self::JwksUri(uri.clone()),
            policy::KeySource::Pinned(policy::PinnedKeys { document, expires }) => {
                Self::Pinned(wit::PinnedKeys {
                    document: document.clone(),
                    expires: *expires,
                })
            }
        }
    }
}

impl From<policy::ReplayMode> for wit::ReplayMode {
    fn from(mode: policy::ReplayMode) -> Self {
        match mode {
            policy::ReplayMode::Allow => Self::Allow,
            policy::ReplayMode::Bounded(uses) => Self::Bounded(uses),
            policy::ReplayMode::SingleUse => Self::SingleUse,
        }
    }
}

impl From<&policy::RequiredClaim> for wit::RequiredClaim {
    fn from(claim: &policy::RequiredClaim) -> Self {
        Self {
            name: claim.name.clone(),
            values: claim.values.clone(),
        }
    }
}

impl From<&policy::Claim> for wit::DeclaredClaim {
    fn from(claim: &policy::Claim) -> Self {
        let type_ = match claim.claim_type {
            policy::ClaimType::Boolean => wit::ClaimType::Boolean,
            policy::ClaimType::Integer => wit::ClaimType::Integer,
            policy::ClaimType::Text => wit::ClaimType::Text,
            policy::ClaimType::TextMap => wit::ClaimType::TextMap,
            policy::ClaimType::TextOrSet => wit::ClaimType::TextOrSet,
            policy::ClaimType::TextSet => wit::ClaimType::TextSet,
        };
        Self {
            name: claim.name.to_string(),
            type_,
            required: claim.required,
        }
    }
}

impl From<&policy::Audience> for wit::AudienceRecord {
    fn from(audience: &policy::Audience) -> Self {
        Self {
            id: audience.id.clone(),
            tier: match audience.tier {
                policy::Tier::Delegated => wit::Tier::Delegated,
                policy::Tier::Hsm => wit::Tier::Hsm,
            },
            algorithm: audience.algorithm.clone(),
            default_lifetime_seconds: audience.default_lifetime_seconds,
            max_lifetime_seconds: audience.max_lifetime_seconds,
            scopes: audience.scopes.clone(),
            claims: audience.claims.clone(),
            replay: audience.replay.into(),
            outlive_subject: audience.outlive_subject,
        }
    }
}

impl From<wit::Principal> for policy::Principal {
    fn from(principal: wit::Principal) -> Self {
        let wit::Principal {
            entity_type,
            id,
            issuer_name,
            attributes,
        } = principal;
        let attributes = attributes.into_iter().map(Into::into).collect();
        Self {
            entity_type,
            id,
            issuer_name,
            attributes,
        }
    }
}

impl From<wit::Attribute> for policy::Attribute {
    fn from(attribute: wit::Attribute) -> Self {
        let value = match attribute.value {
            wit::AttributeValue::Boolean(value) => policy::AttributeValue::Boolean(value),
            wit::AttributeValue::Integer(value) => policy::AttributeValue::Integer(value),
            wit::AttributeValue::Text(value) => policy::AttributeValue::Text(value),
            wit::AttributeValue::TextSet(values) => policy::AttributeValue::TextSet(values),
        };
        Self {
            name: attribute.name,
            value,
        }
    }
}

impl From<wit::TokenRequest> for policy::TokenRequest {
    fn from(request: wit::TokenRequest) -> Self {
        Self {
            audience: request.audience,
            scopes: request.scopes,
            requested_lifetime_seconds: request.requested_lifetime_seconds,
            client_ip: request.client_ip,
            proof_of_possession: request.proof_of_possession,
        }
    }
}

impl From<policy::Decision> for wit::Decision {
    fn from(decision: policy::Decision) -> Self {
        let policy::Decision {
            effect,
            determining_rules,
            erring_rules,
            cedar_request,
        } = decision;
        let effect = match effect {
            policy::Effect::Deny => wit::Effect::Deny,
            policy::Effect::Permit => wit::Effect::Permit,
        };
        Self {
            effect,
            determining_rules,
            erring_rules,
            cedar_request,
        }
    }
}

/// None of these can come of a caller's input, so all are internal; the text holds no claim values.
impl From<policy::DecideError> for wit::Error {
    fn from(error: policy::DecideError) -> Self {
        Self::Internal(error.to_string())
    }
}
