//! Checks the token of a request for a reverse proxy, which names the audience in the path or in the query. The proof of a
//! bound token is for the client's request, which the proxy states in headers.
//!
//! Whoever has a token learns nothing here that the API behind the proxy wouldn't tell. All of the answer is in the status:
//! proxies ignore the body.

use crate::answer::{Attempt, Refused};
use crate::caller::{self, Credentials};
use crate::limits::FIELD_BYTES_MAX;
use crate::ports::Ports;
use crate::proof::ForwardedRequest;
use vouchsafe_exchange::form::Form;

/// What the path of such a request begins with. The next segment, percent-encoded, is the audience, followed by the scopes
/// that the token must have, separated by spaces. What comes after it is the path of the client's request, which some
/// proxies append.
pub const FORWARD_AUTH_PATH: &str = "/forward-auth/";
/// The path for proxies that decode slashes in a path, such as Caddy. The parameters `audience` and `scope` are in the query.
pub const FORWARD_AUTH_QUERY_PATH: &str = "/forward-auth";

/// Answers the request for `target`, a path that may have a query, of any method.
pub async fn forward_auth<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    forwarded: &ForwardedRequest,
    target: &str,
) -> Attempt {
    let outcome = run(ports, credentials, forwarded, target).await;
    // Not a decision of its own: only decisions are logged one by one.
    Attempt::new(outcome, None)
}

async fn run<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    forwarded: &ForwardedRequest,
    target: &str,
) -> Result<String, Refused> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let wanted = match path.strip_prefix(FORWARD_AUTH_PATH) {
        // The query is the client's.
        Some(rest) => rest.split('/').next().and_then(decoded).ok_or_else(segment_invalid)?,
        None => in_query(query).ok_or_else(query_invalid)?,
    };
    let mut words = wanted.split(' ');
    let audience = words.next().unwrap_or_default();
    let target = forwarded.target(&ports.settings().await?.trusted_proxies);
    let caller = caller::verify(ports, credentials, audience, target.as_ref()).await?;
    words.try_for_each(|scope| caller.require_scope(scope))?;
    let active = ports.active(vec![caller.jti().to_owned()]).await?;
    caller.admit(ports, active == [true]).await?;
    Ok("{}".to_owned())
}

/// Audience and scopes of a query. A repeated parameter is an error, so that nobody can add one to the proxy's.
fn in_query(query: &str) -> Option<String> {
    let mut form = Form::parse(query.as_bytes()).ok()?;
    let audience = form.take("audience").filter(|audience| !audience.contains(' '))?;
    let scope = form.take("scope");
    let text = scope.map_or(audience.clone(), |scope| format!("{audience} {scope}"));
    let is_short = text.len() <= FIELD_BYTES_MAX;
    (is_short && text.bytes().all(is_legal) && text.split(' ').all(|word| !word.is_empty())).then_some(text)
}

/// Whether a header can contain it.
fn is_legal(byte: u8) -> bool {
    matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')
}

/// The text of a percent-encoded segment (RFC 3986 §2.1): words of visible ASCII without `"` and `\`, since they become a
/// part of a header, with one space between them.
fn decoded(segment: &str) -> Option<String> {
    // ORDER: the size limit comes before any parsing.
    if segment.len() > FIELD_BYTES_MAX {
        return None;
    }
    let mut text = String::new();
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex(bytes.next()?)?.checked_mul(16)?.checked_add(hex(bytes.next()?)?)?,
            other => other,
        };
        text.push(char::from(is_legal(byte).then_some(byte)?));
    }
    text.split(' ').all(|word| !word.is_empty()).then_some(text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn query_invalid() -> Refused {
    Refused::operation_invalid("the query of /forward-auth has not one audience, and at most one scope")
}

fn segment_invalid() -> Refused {
    Refused::operation_invalid("the path is not /forward-auth/ and a percent-encoded audience, with scopes after %20")
}
