//! Between the contract's types and the domain's.

use vouchsafe_signer as domain;

use crate::bindings::exports::vouchsafe::signer::signing as wit;

impl From<domain::Settings> for wit::SignerSettings {
    fn from(settings: domain::Settings) -> Self {
        Self {
            issuer: settings.issuer,
            development: settings.development,
            epoch_seconds: settings.epoch_seconds,
            algorithms: settings.algorithms.into_iter().map(str::to_owned).collect(),
            backend_urls: settings.backend_urls,
            warnings: settings.warnings.into_iter().map(str::to_owned).collect(),
            trusted_proxies: settings.trusted_proxies,
            forwarded_header: settings.forwarded_header,
            group: settings.group,
        }
    }
}

impl From<domain::PublicKeySet> for wit::PublicKeySet {
    fn from(keys: domain::PublicKeySet) -> Self {
        Self {
            document: keys.document,
            max_age_seconds: keys.max_age_seconds,
        }
    }
}

impl From<wit::TokenRequest> for domain::TokenRequest {
    fn from(request: wit::TokenRequest) -> Self {
        Self {
            issuer: request.issuer,
            subject: request.subject,
            audience: request.audience,
            tier: match request.tier {
                wit::Tier::Delegated => domain::Tier::Delegated,
                wit::Tier::Hsm => domain::Tier::Hsm,
            },
            algorithm: request.algorithm,
            token_type: match request.token_type {
                wit::TokenType::AccessToken => domain::TokenType::AccessToken,
                wit::TokenType::Jwt => domain::TokenType::Jwt,
            },
            issued_at: domain::UnixSeconds(request.issued_at),
            lifetime_seconds: request.lifetime_seconds,
            jti: request.jti,
            scopes: request.scopes,
            extra_claims: request.extra_claims.into_iter().map(Into::into).collect(),
            presented: request.presented.map(|it| domain::PresentedIdentity {
                issuer: it.issuer,
                principal: it.principal,
            }),
        }
    }
}

impl From<wit::ExtraClaim> for domain::ExtraClaim {
    fn from(claim: wit::ExtraClaim) -> Self {
        Self {
            name: claim.name,
            value: claim.value,
        }
    }
}

impl From<domain::SignedToken> for wit::SignedToken {
    fn from(token: domain::SignedToken) -> Self {
        Self {
            jwt: token.jwt,
            kid: token.kid,
            key_version: token.key_version,
            generation: token.generation,
            expires_at: token.expires_at.0,
        }
    }
}

impl From<domain::Error> for wit::Error {
    fn from(error: domain::Error) -> Self {
        match error {
            domain::Error::Internal => Self::Internal,
            domain::Error::Misconfigured { .. } => Self::Misconfigured(error.to_string()),
            domain::Error::Refused(ceiling) => Self::Refused(ceiling.to_string()),
            domain::Error::Superseded => Self::Superseded,
            domain::Error::TierUnavailable => Self::TierUnavailable,
            domain::Error::Unavailable => Self::Unavailable(error.to_string()),
        }
    }
}
