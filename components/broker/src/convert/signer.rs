//! `vouchsafe:signer`.

use crate::bindings::signing;
use vouchsafe_exchange::client_address::{ForwardedHeader, TrustedProxies};
use vouchsafe_exchange::ports::{Failure, Settings, SignedToken, SigningRequest, Tier};
use vouchsafe_exchange::refusal::{Part, Refusal};

impl TryFrom<signing::SignerSettings> for Settings {
    type Error = Failure;

    /// Networks or a header that can't be read are a fault of the configuration, like those that the signer finds.
    fn try_from(settings: signing::SignerSettings) -> Result<Self, Failure> {
        let signing::SignerSettings {
            issuer,
            development,
            epoch_seconds,
            algorithms,
            backend_urls,
            warnings,
            trusted_proxies,
            forwarded_header,
            group,
        } = settings;
        let misconfigured = |detail| Failure {
            refusal: Refusal::Unavailable(Part::Signer),
            detail,
        };
        let header = ForwardedHeader::parse(&forwarded_header)
            .map_err(|error| misconfigured(format!("`forwarded_header`: {error}")))?;
        let trusted_proxies = TrustedProxies::parse(&trusted_proxies)
            .map_err(|error| misconfigured(format!("`trusted_proxies`: {error}")))?
            .writing(header);
        Ok(Self {
            issuer,
            development,
            epoch_seconds,
            algorithms,
            backend_urls,
            warnings,
            trusted_proxies,
            group,
        })
    }
}

impl From<SigningRequest> for signing::TokenRequest {
    fn from(request: SigningRequest) -> Self {
        let (issuer, principal) = request.presented;
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
            presented: Some(signing::PresentedIdentity { issuer, principal }),
        }
    }
}

impl From<signing::SignedToken> for SignedToken {
    fn from(token: signing::SignedToken) -> Self {
        let signing::SignedToken {
            jwt,
            kid,
            key_version: _,
            generation,
            expires_at,
        } = token;
        Self {
            jwt,
            kid,
            generation,
            expires_at,
        }
    }
}
