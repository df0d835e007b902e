//! The token request (RFC 8693 §2.1), parsed but not verified.

use crate::form::Form;
use crate::limits::{AUDIENCE_BYTES_MAX, SCOPE_BYTES_MAX, SCOPES_MAX, SUBJECT_TOKEN_BYTES_MAX};
use crate::refusal::{Denial, Refusal, RequestFault};
use vouchsafe_types::{TokenError, TokenType};

/// RFC 8693 §2.1.
pub const GRANT_TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 7523 §2.1.
pub const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// RFC 8693 §3.
pub const TOKEN_TYPE_ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
/// RFC 8693 §3.
pub const TOKEN_TYPE_ID: &str = "urn:ietf:params:oauth:token-type:id_token";
/// RFC 8693 §3.
pub const TOKEN_TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The scheme of an `authorization` header, which does not belong to the token.
const BEARER: &str = "Bearer ";

/// The parts of an HTTP request's head that the exchange checks.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    pub method: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    pub content_type: Option<&'a str>,
}

impl Head<'_> {
    /// Checks what can be checked before reading the body.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.method != "POST" {
            return Err(RequestFault::MethodNotAllowed.into());
        }
        // A token in a URL ends up in logs, so a query is refused, not ignored.
        if self.query.is_some_and(|query| !query.is_empty()) {
            return Err(RequestFault::QueryNotAllowed.into());
        }
        let media_type = self.content_type.unwrap_or("").split(';').next().unwrap_or("");
        if !media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(RequestFault::ContentTypeUnsupported.into());
        }
        Ok(())
    }
}

/// How the client presents the subject token. The grants differ in the names of parameters and in error codes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grant {
    /// RFC 7523 §2.1: the subject token is the `assertion`.
    JwtBearer,
    /// RFC 8693 §2.1.
    #[default]
    TokenExchange,
}

impl Grant {
    /// Takes the grant type from `form`.
    pub fn of(form: &mut Form) -> Result<Self, Refusal> {
        match form.require("grant_type")?.as_str() {
            GRANT_JWT_BEARER => Ok(Self::JwtBearer),
            GRANT_TOKEN_EXCHANGE => Ok(Self::TokenExchange),
            _ => Err(RequestFault::GrantUnsupported.into()),
        }
    }
}

/// A well-formed request whose subject token is not parsed yet.
pub struct UnverifiedExchange {
    pub(crate) subject_token: String,
    pub(crate) actor_token: Option<String>,
    pub(crate) audience: String,
    pub(crate) scopes: Vec<String>,
    /// In seconds; `None` asks for the audience's default.
    pub(crate) lifetime_seconds: Option<u64>,
    /// `None` leaves it to the audience.
    pub(crate) token_type: Option<TokenType>,
}

impl UnverifiedExchange {
    /// Takes the parameters of `grant` from `form`. Unknown parameters are ignored (RFC 6749 §3.2).
    ///
    /// ```
    /// use vouchsafe_exchange::form::Form;
    /// use vouchsafe_exchange::refusal::{Refusal, RequestFault};
    /// use vouchsafe_exchange::request::{Grant, UnverifiedExchange};
    ///
    /// let form = Form::parse(b"audience=https://api.example")?;
    /// let refusal = UnverifiedExchange::parse(Grant::JwtBearer, form).err();
    /// assert_eq!(refusal, Some(Refusal::Request(RequestFault::ParameterMissing("assertion"))));
    /// # Ok::<(), Refusal>(())
    /// ```
    pub fn parse(grant: Grant, mut form: Form) -> Result<Self, Refusal> {
        // Ignored, it would let the client believe that it narrowed the token (RFC 9396 §5).
        if form.take("authorization_details").is_some() {
            return Err(RequestFault::AuthorizationDetailsUnsupported.into());
        }
        let subject_token = match grant {
            Grant::JwtBearer => token(form.require("assertion")?, "assertion")?,
            Grant::TokenExchange => subject_token(&mut form)?,
        };
        let actor_token = actor_token(grant, &mut form)?;
        let token_type = token_type(form.take("requested_token_type"))?;
        let audience = audience(form.take("audience"), form.take("resource"))?;
        let scopes = scopes(form.take("scope"))?;
        let lifetime_seconds = lifetime(form.take("requested_expires_in"))?;
        Ok(Self { subject_token, actor_token, audience, scopes, lifetime_seconds, token_type })
    }
}

fn subject_token(form: &mut Form) -> Result<String, Refusal> {
    let text = form.require("subject_token")?;
    let kind = form.require("subject_token_type")?;
    if kind != TOKEN_TYPE_JWT && kind != TOKEN_TYPE_ID {
        return Err(RequestFault::SubjectTokenTypeUnsupported.into());
    }
    token(text, "subject_token")
}

/// The actor token. Each of its two parameters requires the other (RFC 8693 §2.1).
fn actor_token(grant: Grant, form: &mut Form) -> Result<Option<String>, Refusal> {
    let (text, kind) = match (form.take("actor_token"), form.take("actor_token_type")) {
        (None, None) => return Ok(None),
        // Ignored, it would let the client believe that the token says who acts.
        _ if grant == Grant::JwtBearer => return Err(RequestFault::ActorTokenUnsupported.into()),
        (None, Some(_)) => return Err(RequestFault::ParameterMissing("actor_token").into()),
        (Some(_), None) => return Err(RequestFault::ParameterMissing("actor_token_type").into()),
        (Some(text), Some(kind)) => (text, kind),
    };
    if kind != TOKEN_TYPE_JWT && kind != TOKEN_TYPE_ID {
        return Err(RequestFault::ActorTokenTypeUnsupported.into());
    }
    token(text, "actor_token").map(Some).map_err(|refusal| match refusal {
        Refusal::Request(RequestFault::SubjectTokenBearer) => RequestFault::ActorTokenBearer.into(),
        Refusal::Request(RequestFault::SubjectTokenWhiteSpace) => RequestFault::ActorTokenWhiteSpace.into(),
        Refusal::Token(error) => Refusal::ActorToken(error),
        refusal => refusal,
    })
}

/// The subject token without the white space around it: clients send files and the outputs of commands, which end with a
/// line feed.
///
/// ORDER: trimmed before anything else looks at it, so that limits, replay key and caches are those of the token alone.
fn token(text: String, parameter: &'static str) -> Result<String, Refusal> {
    let token = text.trim_matches([' ', '\t', '\r', '\n']);
    if token.is_empty() {
        return Err(RequestFault::ParameterMissing(parameter).into());
    }
    if token.len() > SUBJECT_TOKEN_BYTES_MAX {
        return Err(TokenError::TooLarge.into());
    }
    // Authentication schemes are case-insensitive (RFC 9110 §11.1).
    if token.get(..BEARER.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEARER)) {
        return Err(RequestFault::SubjectTokenBearer.into());
    }
    if token.contains(|character: char| character.is_ascii_whitespace()) {
        return Err(RequestFault::SubjectTokenWhiteSpace.into());
    }
    Ok(token.to_owned())
}

fn token_type(requested: Option<String>) -> Result<Option<TokenType>, Refusal> {
    match requested.as_deref() {
        None => Ok(None),
        Some(TOKEN_TYPE_ACCESS) => Ok(Some(TokenType::AccessToken)),
        Some(TOKEN_TYPE_JWT) => Ok(Some(TokenType::Jwt)),
        Some(_) => Err(RequestFault::RequestedTokenTypeUnsupported.into()),
    }
}

fn audience(audience: Option<String>, resource: Option<String>) -> Result<String, Refusal> {
    let target = match (audience, resource) {
        (Some(_), Some(_)) => return Err(RequestFault::AudienceAndResource.into()),
        (Some(target), None) | (None, Some(target)) => target,
        (None, None) => return Err(RequestFault::ParameterMissing("audience").into()),
    };
    if target.len() > AUDIENCE_BYTES_MAX {
        return Err(Denial::AudienceUnknown.into());
    }
    Ok(target)
}

/// Parses `scope-token *( SP scope-token )` (RFC 6749 §3.3); a repeated scope counts once.
fn scopes(text: Option<String>) -> Result<Vec<String>, Refusal> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.iter().flat_map(|text| text.split(' ')) {
        let legal = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.is_empty() || scope.len() > SCOPE_BYTES_MAX || !scope.bytes().all(legal) {
            return Err(RequestFault::ScopeMalformed.into());
        }
        if scopes.iter().any(|known| known == scope) {
            continue;
        }
        if scopes.len() >= SCOPES_MAX {
            return Err(RequestFault::ScopesTooMany.into());
        }
        scopes.push(scope.to_owned());
    }
    Ok(scopes)
}

/// Parses a positive whole number of seconds. A number too large for `u64` exceeds every ceiling, and is refused as
/// such later.
fn lifetime(text: Option<String>) -> Result<Option<u64>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RequestFault::LifetimeInvalid.into());
    }
    match text.parse::<u64>().unwrap_or(u64::MAX) {
        0 => Err(RequestFault::LifetimeInvalid.into()),
        seconds => Ok(Some(seconds)),
    }
}

#[cfg(test)]
mod tests;
