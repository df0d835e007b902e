//! Introspection (RFC 7662) for the audiences that the caller's scopes name.
//!
//! A refusal tells nothing: an unknown, expired or revoked token, and one that the caller may not ask about, have the same
//! response (RFC 7662 §2.2). Nor does its time tell more than the token itself and the public keys: an audience outside
//! the caller's is refused before the signature is verified, and what is left after that takes one read.

use serde_json::{Value, json};
use vouchsafe_exchange::client::Presented;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::form::Form;
use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_exchange::refusal::Refusal;
use vouchsafe_types::{Actor, IssuedToken, Principal, TokenType};

use crate::answer::{Attempt, AuthenticatedClient, Refused};
use crate::caller::{self, Credentials, VerifiedCaller, introspection_audience};
use crate::ports::Ports;
use crate::proof::Target;

/// The type of a signed response (RFC 9701 §5).
pub const JWT_MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// A request to introspect a token.
#[derive(Debug, Clone, Copy)]
pub struct Introspection<'a> {
    pub body: &'a [u8],
    /// The value of the `accept` header.
    pub accept: Option<&'a str>,
    pub forwarded_for: &'a ForwardedFor,
}

/// Answers `request`.
pub async fn introspect<P: Ports>(ports: &P, credentials: &Credentials, request: Introspection<'_>) -> Attempt {
    let mut attempt = Attempt::new(Ok(String::new()), None);
    let outcome = run(ports, credentials, request, &mut attempt).await;
    if accepts_jwt(request.accept) {
        attempt.media_type = JWT_MEDIA_TYPE;
    }
    attempt.outcome = outcome.map_err(|refused| match accepts_jwt(request.accept) {
        true => refused.without_authentication(),
        false => refused,
    });
    attempt
}

async fn run<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    request: Introspection<'_>,
    attempt: &mut Attempt,
) -> Result<String, Refused> {
    let settings = ports.settings().await?;
    let audience = introspection_audience(&settings);
    let mut form = Form::parse(request.body)?;
    let asker = match Presented::take(&credentials.authorization, &mut form).map_err(Refusal::from)? {
        Some(presented) => Asker::Client(ports.authenticate(presented).await?),
        None => {
            let target = Target { method: "POST".to_owned(), url: settings.url("/introspect") };
            Asker::Caller(Box::new(caller::verify(ports, credentials, &audience, Some(&target)).await?))
        }
    };
    // RFC 7662 §2.1; `token_type_hint` and all other parameters are ignored.
    let text = form.require("token")?;
    let id = asker.id().to_owned();
    let question = Question { audience: &audience, forwarded_for: request.forwarded_for };
    let token = permitted_token(ports, &asker, question, &text, attempt).await?;
    let token = asker.active(ports, token, attempt).await?;
    let response = token.map_or_else(|| json!({ "active": false }), |token| active_token(&token)).to_string();
    match accepts_jwt(request.accept) {
        true => Ok(ports.sign_introspection(id, response).await?),
        false => Ok(response),
    }
}

/// Whether the caller asks for a signed response (RFC 9701 §4).
fn accepts_jwt(accept: Option<&str>) -> bool {
    let types = accept.unwrap_or_default().split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    types.into_iter().any(|media_type| media_type.eq_ignore_ascii_case(JWT_MEDIA_TYPE))
}

/// Who asks about a token.
enum Asker {
    /// Somebody with a token of this broker, whose scopes are the audiences.
    Caller(Box<VerifiedCaller>),
    /// A client, about which policy decides as if it asked for such a token.
    Client(Principal),
}

/// What policy needs to decide about a client, besides the token's audience.
#[derive(Clone, Copy)]
struct Question<'a> {
    /// The audience for introspection.
    audience: &'a str,
    forwarded_for: &'a ForwardedFor,
}

impl Asker {
    fn id(&self) -> &str {
        match self {
            Self::Caller(caller) => caller.client_id(),
            Self::Client(client) => &client.id,
        }
    }

    /// Whether it may ask about tokens for `audience`.
    async fn may_ask<P: Ports>(
        &self,
        ports: &P,
        audience: &str,
        question: Question<'_>,
        attempt: &mut Attempt,
    ) -> Result<bool, Refused> {
        let client = match self {
            Self::Caller(caller) => return Ok(caller.has_scope(audience)),
            Self::Client(client) => client,
        };
        let decided = ports.decide_client(client, question.audience, audience, question.forwarded_for).await?;
        let Some(decision) = decided else { return Ok(false) };
        attempt.client = Some(AuthenticatedClient {
            issuer: client.issuer_name.clone(),
            determining_rules: decision.determining_rules,
            erring_rules: decision.erring_rules,
        });
        Ok(decision.is_permitted)
    }

    /// `token` if it is not revoked. One read says whether the caller's own token is, too.
    async fn active<P: Ports>(
        self,
        ports: &P,
        token: Option<IssuedToken>,
        attempt: &mut Attempt,
    ) -> Result<Option<IssuedToken>, Refused> {
        let of_caller = match &self {
            Self::Caller(caller) => Some(caller.jti()),
            Self::Client(_) => None,
        };
        let jtis = of_caller.into_iter().chain(token.as_ref().map(|token| token.jti.as_str()));
        let jtis: Vec<String> = jtis.map(str::to_owned).collect();
        let mut active = if jtis.is_empty() { Vec::new() } else { ports.active(jtis).await? }.into_iter();
        if let Self::Caller(caller) = self {
            let caller = caller.admit(ports, active.next().unwrap_or(false)).await?;
            attempt.decision_id = Some(caller.jti().to_owned());
        }
        Ok(token.filter(|_| active.next().unwrap_or(false)))
    }
}

/// The token if this broker issued it, it has not expired, and the caller may ask about it.
async fn permitted_token<P: Ports>(
    ports: &P,
    asker: &Asker,
    question: Question<'_>,
    text: &str,
    attempt: &mut Attempt,
) -> Result<Option<IssuedToken>, Refused> {
    if text.len() > SUBJECT_TOKEN_BYTES_MAX {
        return Ok(None);
    }
    let Ok(token) = ports.parse(text) else { return Ok(None) };
    // ORDER: the audience that the token states before its signature, so that the time tells nothing of tokens for others.
    let Some(audience) = ports.stated_audience(&token) else { return Ok(None) };
    if !asker.may_ask(ports, &audience, question, attempt).await? {
        return Ok(None);
    }
    let verified = ports.verify_issued(&token).await?.ok();
    Ok(verified.filter(|token| token.audience == audience))
}
/// The nested actors of RFC 8693 §4.1.
fn act(actors: &[Actor]) -> Option<Value> {
    actors.iter().rev().fold(None, |before, Actor { iss, sub }| {
        let mut act = json!({ "iss": iss, "sub": sub });
        if let (Some(before), Some(members)) = (before, act.as_object_mut()) {
            members.insert("act".to_owned(), before);
        }
        Some(act)
    })
}

/// The members of RFC 7662 §2.2. Claims of the platform's token are left out.
fn active_token(token: &IssuedToken) -> Value {
    let token_type = match (token.token_type, &token.key_thumbprint) {
        (TokenType::AccessToken, None) => "Bearer",
        // RFC 9449 §6.2.
        (TokenType::AccessToken, Some(_)) => "DPoP",
        (TokenType::Jwt, _) => "N_A",
    };
    let mut members = json!({
        "active": true,
        "iss": token.issuer,
        "sub": token.subject,
        "aud": token.audience,
        "client_id": token.client_id,
        "iat": token.issued_at,
        "exp": token.expires_at,
        "jti": token.jti,
        "token_type": token_type,
    });
    if let Some(members) = members.as_object_mut() {
        if !token.scopes.is_empty() {
            members.insert("scope".to_owned(), Value::from(token.scopes.join(" ")));
        }
        if let Some(thumbprint) = &token.key_thumbprint {
            members.insert("cnf".to_owned(), json!({ "jkt": thumbprint }));
        }
        if let Some(act) = act(&token.actors) {
            members.insert("act".to_owned(), act);
        }
    }
    members
}
