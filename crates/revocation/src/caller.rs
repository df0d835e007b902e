//! The caller: a workload or person with a token of this broker, for one of its own audiences.

use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_exchange::settings::Settings;
use vouchsafe_types::{IssuedToken, TokenError, TokenType, VerifiedProof};

use crate::answer::{Refused, Scheme};
use crate::ports::Ports;
use crate::proof::{self, Target};

/// Who sent a request, as it says.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The values of its `authorization` headers.
    pub authorization: Vec<String>,
    /// The values of its `dpop` headers.
    pub proofs: Vec<String>,
}

/// The audience whose tokens administer the broker.
#[must_use]
pub fn admin_audience(settings: &Settings) -> String {
    audience(settings, "admin")
}

/// The audience whose tokens introspect others. Their scopes are the audiences of the tokens that they may introspect.
#[must_use]
pub fn introspection_audience(settings: &Settings) -> String {
    audience(settings, "introspect")
}

fn audience(settings: &Settings, name: &str) -> String {
    settings.url(&format!("/{name}"))
}

/// A caller whose token and proof passed every check but those of revocation and of repeated use, which take calls of the
/// store. Only [`verify`] makes one.
pub(crate) struct VerifiedCaller {
    token: IssuedToken,
    scheme: Scheme,
    /// Whether the token is bound to a key, and the proof by that key.
    proof: Option<VerifiedProof>,
}

/// A caller whose token is not revoked, and whose proof was not used before. Only [`VerifiedCaller::admit`] makes one.
pub(crate) struct Caller(IssuedToken);

/// Verifies the caller's token (RFC 6750 §2.1, RFC 9449 §7.1) for `audience`. The proof of a bound token must be for the
/// request to `target`; without one, no such token is accepted.
pub(crate) async fn verify<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    audience: &str,
    target: Option<&Target>,
) -> Result<VerifiedCaller, Refused> {
    let (scheme, text) = presented(credentials)?;
    let invalid = |error: &TokenError| Refused::token_invalid(scheme, error.slug());
    // ORDER: the size limit comes before any parsing.
    if text.len() > SUBJECT_TOKEN_BYTES_MAX {
        return Err(invalid(&TokenError::TooLarge));
    }
    let token = ports.parse(text).map_err(|error| invalid(&error))?;
    let token = ports.verify_issued(&token).await?.map_err(|error| invalid(&error))?;
    if token.token_type != TokenType::AccessToken {
        return Err(invalid(&TokenError::TypeNotAllowed));
    }
    // INVARIANT: exact comparison; a token for any other audience has no effect here.
    if token.audience != audience {
        return Err(invalid(&TokenError::AudienceMismatch));
    }
    // INVARIANT: a token that is bound to a key is no bearer token, and a bearer token is not bound by a proof that comes
    // with it (RFC 9449 §7.2).
    let proof = match (scheme, &token.key_thumbprint) {
        (Scheme::Bearer, None) => None,
        (Scheme::Bearer, Some(_)) => return Err(Refused::token_invalid(scheme, "the token is bound to a key")),
        (Scheme::Dpop, None) => return Err(Refused::token_invalid(scheme, "the token is bound to no key")),
        (Scheme::Dpop, Some(jkt)) => Some(proof::verify(ports, &credentials.proofs, target, text, jkt).await?),
    };
    Ok(VerifiedCaller { token, scheme, proof })
}

impl VerifiedCaller {
    /// Whether the token has exactly this scope.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.token.scopes.iter().any(|known| known == scope)
    }

    /// Fails if the token has not exactly this scope.
    pub(crate) fn require_scope(&self, scope: &str) -> Result<(), Refused> {
        if self.has_scope(scope) { Ok(()) } else { Err(Refused::scope_missing(self.scheme, scope)) }
    }

    pub(crate) fn jti(&self) -> &str {
        &self.token.jti
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.token.client_id
    }

    /// The caller, given whether the store knows its token as active. Uses the proof.
    ///
    /// ORDER: the token first, so that nobody without a live one causes a write.
    pub(crate) async fn admit(self, ports: &impl Ports, active: bool) -> Result<Caller, Refused> {
        if !active {
            return Err(Refused::token_invalid(self.scheme, "the token is revoked"));
        }
        if let Some(proof) = &self.proof {
            proof::consume(ports, proof).await?;
        }
        Ok(Caller(self.token))
    }
}

impl Caller {
    /// `sub` of the caller's token.
    pub(crate) fn subject(&self) -> &str {
        &self.0.subject
    }

    pub(crate) fn jti(&self) -> &str {
        &self.0.jti
    }
}

/// The token in the only `authorization` header. Schemes are case-insensitive (RFC 9110 §11.1). A proof is never ignored.
fn presented(credentials: &Credentials) -> Result<(Scheme, &str), Refused> {
    let header = match credentials.authorization.as_slice() {
        [] => return Err(Refused::unauthenticated()),
        [header] => header,
        [_, _, ..] => return Err(Refused::credentials_unsupported()),
    };
    let (scheme, token) = header.split_once(' ').ok_or_else(Refused::credentials_unsupported)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "bearer" if credentials.proofs.is_empty() => Scheme::Bearer,
        "dpop" => Scheme::Dpop,
        _ => return Err(Refused::credentials_unsupported()),
    };
    Ok((scheme, token.trim_start_matches(' ')))
}
