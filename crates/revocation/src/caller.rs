//! The caller: a workload or person with a token of this broker, for one of its own audiences.

use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_exchange::settings::Settings;
use vouchsafe_types::{IssuedToken, TokenError, TokenType};

use crate::answer::Refused;
use crate::ports::Ports;

/// The values of the request's `authorization` headers.
#[derive(Debug, Clone)]
pub struct Credentials(pub Vec<String>);

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
    format!("{}/{name}", settings.issuer.trim_end_matches('/'))
}

/// A caller whose token passed every check but that of revocation, which takes a call of the store. Only [`verify`] makes
/// one.
pub(crate) struct VerifiedCaller(IssuedToken);

/// A caller whose token is not revoked. Only [`VerifiedCaller::active`] makes one.
pub(crate) struct Caller(IssuedToken);

/// Verifies the caller's token (RFC 6750 §2.1) for `audience`.
pub(crate) async fn verify<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    audience: &str,
) -> Result<VerifiedCaller, Refused> {
    let text = bearer(credentials)?;
    // ORDER: the size limit comes before any parsing.
    if text.len() > SUBJECT_TOKEN_BYTES_MAX {
        return Err(invalid(&TokenError::TooLarge));
    }
    let token = ports.parse(text).map_err(|error| invalid(&error))?;
    let token = ports.verify_issued(&token).await?.map_err(|error| invalid(&error))?;
    if token.token_type != TokenType::AccessToken {
        return Err(invalid(&TokenError::TypeNotAllowed));
    }
    // INVARIANT: a token that is bound to a key is no bearer token, and no proof is accepted here (RFC 9449 §7.2).
    if token.key_thumbprint.is_some() {
        return Err(Refused::token_invalid("the token is bound to a key"));
    }
    // INVARIANT: exact comparison; a token for any other audience has no effect here.
    if token.audience != audience {
        return Err(invalid(&TokenError::AudienceMismatch));
    }
    Ok(VerifiedCaller(token))
}

impl VerifiedCaller {
    /// Whether the token has exactly this scope.
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.0.scopes.iter().any(|known| known == scope)
    }

    pub(crate) fn jti(&self) -> &str {
        &self.0.jti
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// The caller, given whether the store knows its token as active.
    pub(crate) fn active(self, active: bool) -> Result<Caller, Refused> {
        if active { Ok(Caller(self.0)) } else { Err(Refused::token_invalid("the token is revoked")) }
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

/// The token in the only `authorization` header. Schemes are case-insensitive (RFC 9110 §11.1).
fn bearer(credentials: &Credentials) -> Result<&str, Refused> {
    let header = match credentials.0.as_slice() {
        [] => return Err(Refused::unauthenticated()),
        [header] => header,
        [_, _, ..] => return Err(Refused::credentials_unsupported()),
    };
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start_matches(' ')),
        Some(_) | None => Err(Refused::credentials_unsupported()),
    }
}

fn invalid(error: &TokenError) -> Refused {
    Refused::token_invalid(error.slug())
}
