//! Between generated and domain types. Exhaustive: a new case in a WIT package fails to compile.

use crate::bindings::{decisions, signing, state, verification};
use vouchsafe_exchange::ports::*;
use vouchsafe_exchange::refusal::{Denial, Part, Refusal, TokenFault};

fn failure(refusal: Refusal, detail: impl Into<String>) -> Failure {
    Failure {
        refusal,
        detail: detail.into(),
    }
}

// === errors ===

impl From<decisions::Error> for Failure {
    fn from(error: decisions::Error) -> Self {
        let policy = Refusal::Unavailable(Part::Policy);
        match error {
            decisions::Error::InvalidBundle(text) => {
                failure(policy, format!("the bundle does not load: {text}"))
            }
            decisions::Error::StaleDigest => failure(policy, "the bundle changed"),
            decisions::Error::Internal(text) => failure(policy, text),
        }
    }
}

impl From<verification::TokenError> for Failure {
    fn from(error: verification::TokenError) -> Self {
        use verification::TokenError as E;
        let fault = match error {
            E::AlgorithmNotAllowed => TokenFault::AlgorithmNotAllowed,
            E::AudienceMismatch => TokenFault::AudienceMismatch,
            E::ClaimMissing(name) => TokenFault::ClaimMissing(name),
            E::ClaimInvalid(name) => TokenFault::ClaimInvalid(name),
            E::CriticalHeader => TokenFault::CriticalHeader,
            E::Expired => TokenFault::Expired,
            E::IssuerUntrusted => TokenFault::IssuerUntrusted,
            E::KeyUnknown => TokenFault::KeyUnknown,
            E::KeyUnusable => TokenFault::KeyUnusable,
            E::Malformed => TokenFault::Malformed,
            E::NotYetValid => TokenFault::NotYetValid,
            E::SignatureInvalid => TokenFault::SignatureInvalid,
            E::TooLarge => TokenFault::TooLarge,
            E::TooOld => TokenFault::TooOld,
            E::TypeNotAllowed => TokenFault::TypeNotAllowed,
        };
        Refusal::Token(fault).into()
    }
}

pub fn fetch_failure(issuer_name: &str, error: &verification::FetchError) -> Failure {
    use verification::FetchError as E;
    let what = match error {
        E::UrlRefused => "its URL may not be fetched".to_owned(),
        E::Unreachable => "it can't be reached, or the host does not allow it".to_owned(),
        E::TimedOut => "it did not answer in time".to_owned(),
        E::Status(status) => format!("it answered with status {status}"),
        E::TooLarge => "its document is too large".to_owned(),
        E::DocumentInvalid(reason) => format!("its document is invalid: {reason}"),
        E::IssuerMismatch => "its discovery document names another issuer".to_owned(),
        E::PinnedKeysExpired => "its pinned keys have expired".to_owned(),
    };
    failure(
        Refusal::Unavailable(Part::Issuer),
        format!("keys of issuer `{issuer_name}`: {what}"),
    )
}

impl From<state::Error> for Failure {
    fn from(error: state::Error) -> Self {
        match error {
            state::Error::Unavailable(text) => failure(Refusal::Unavailable(Part::Store), text),
            state::Error::Invalid(text) => failure(Refusal::Internal, format!("store: {text}")),
        }
    }
}

impl From<signing::Error> for Failure {
    fn from(error: signing::Error) -> Self {
        let signer = Refusal::Unavailable(Part::Signer);
        match error {
            signing::Error::Misconfigured(text) => failure(signer, text),
            signing::Error::TierUnavailable => Refusal::Denied(Denial::TierUnavailable).into(),
            signing::Error::Refused(text) => failure(Denial::SignerRefused.into(), text),
            signing::Error::Unavailable => failure(signer, "the signing backend is unavailable"),
            signing::Error::Internal => failure(signer, "the signer failed"),
        }
    }
}

// === signer ===

impl From<signing::SignerSettings> for Settings {
    fn from(settings: signing::SignerSettings) -> Self {
        let signing::SignerSettings {
            issuer,
            development,
            epoch_seconds,
            algorithms,
        } = settings;
        Self {
            issuer,
            development,
            epoch_seconds,
            algorithms,
        }
    }
}

impl From<SigningRequest> for signing::TokenRequest {
    fn from(request: SigningRequest) -> Self {
        let extra = |(name, value)| signing::ExtraClaim { name, value };
        Self {
            issuer: request.issuer,
            subject: request.subject,
            audience: request.audience,
            tier: match request.tier {
                Tier::Delegated => signing::Tier::Delegated,
                Tier::Hsm => signing::Tier::Hsm,
            },
            algorithm: request.algorithm,
            token_type: if request.access_token {
                signing::TokenType::AccessToken
            } else {
                signing::TokenType::Jwt
            },
            issued_at: request.issued_at,
            lifetime_seconds: request.lifetime_seconds,
            jti: request.jti,
            scopes: request.scopes,
            extra_claims: request.extra_claims.into_iter().map(extra).collect(),
        }
    }
}

impl From<signing::SignedToken> for SignedToken {
    fn from(token: signing::SignedToken) -> Self {
        let signing::SignedToken {
            jwt,
            kid,
            key_version: _,
            expires_at,
        } = token;
        Self {
            jwt,
            kid,
            expires_at,
        }
    }
}

// === policy ===

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
            decisions::ReplayMode::SingleUse => Self::SingleUse,
        }
    }
}

impl From<decisions::IssuerRecord> for Issuer<decisions::IssuerRecord> {
    fn from(record: decisions::IssuerRecord) -> Self {
        Self {
            name: record.name.clone(),
            iss: record.issuer.clone(),
            replay: record.replay.into(),
            max_token_age_seconds: record.max_token_age_seconds,
            leeway_seconds: record.leeway_seconds,
            pinned: matches!(record.keys, decisions::KeySource::Pinned(_)),
            record,
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
            // No trusted proxies and no proof of possession yet: absent and false, never guessed.
            client_ip: None,
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

// === identity ===

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
            subject_template: record.subject_template.clone(),
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
            decisions::ClaimType::TextSet => verification::ClaimType::TextSet,
        };
        Self {
            name: claim.name.clone(),
            type_,
            required: claim.required,
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

// === store ===

impl From<state::Consumption> for Consumption {
    fn from(consumption: state::Consumption) -> Self {
        match consumption {
            state::Consumption::Fresh => Self::Fresh,
            state::Consumption::PredatesStore => Self::PredatesStore,
            state::Consumption::Spent => Self::Spent,
        }
    }
}

impl From<AuditRecord> for state::AuditRecord {
    fn from(record: AuditRecord) -> Self {
        Self {
            decision_id: record.decision_id,
            decided_at_ms: record.decided_at.saturating_mul(1000),
            outcome: if record.issued { "issued" } else { "refused" }.to_owned(),
            slug: record.slug.to_owned(),
            bundle_digest: record.bundle_digest,
            determining_rules: record.determining_rules,
            erring_rules: record.erring_rules,
            cedar_request: record.cedar_request,
            issuer_name: record.issuer_name,
            subject: record.subject,
            subject_jti: record.subject_jti,
            subject_digest: record.subject_digest,
            audience: record.audience,
            scopes: record.scopes,
            kid: record.kid,
            expires_at: record.expires_at,
            timings: record
                .timings
                .into_iter()
                .map(|(name, us)| (name.to_owned(), us))
                .collect(),
        }
    }
}
