//! Checks the bearer token of a request for a reverse proxy, which names the audience in the path.
//!
//! Whoever has a token learns nothing here that the API behind the proxy wouldn't tell. All of the answer is in the status:
//! proxies ignore the body.

use crate::answer::{Attempt, Refused};
use crate::caller::{self, Credentials};
use crate::limits::FIELD_BYTES_MAX;
use crate::ports::Ports;

/// What the path of such a request begins with. The next segment, percent-encoded, is the audience, followed by the scopes
/// that the token must have, separated by spaces. What comes after it is the path of the client's request, which some
/// proxies append.
pub const FORWARD_AUTH_PATH: &str = "/forward-auth/";

/// Answers the request for `path`, of any method.
pub async fn forward_auth<P: Ports>(ports: &P, credentials: &Credentials, path: &str) -> Attempt {
    let outcome = run(ports, credentials, path).await;
    // Not a decision of its own: only decisions are logged one by one.
    Attempt::new(outcome, None)
}

async fn run<P: Ports>(ports: &P, credentials: &Credentials, path: &str) -> Result<String, Refused> {
    let segment = path.strip_prefix(FORWARD_AUTH_PATH).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let wanted = decoded(segment).ok_or_else(segment_invalid)?;
    let mut words = wanted.split(' ');
    let audience = words.next().unwrap_or_default();
    let caller = caller::verify(ports, credentials, audience).await?;
    if let Some(scope) = words.find(|scope| !caller.has_scope(scope)) {
        return Err(Refused::scope_missing(scope));
    }
    let active = ports.active(vec![caller.jti().to_owned()]).await?;
    caller.active(active == [true])?;
    Ok("{}".to_owned())
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
        let is_legal = matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
        text.push(char::from(is_legal.then_some(byte)?));
    }
    text.split(' ').all(|word| !word.is_empty()).then_some(text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn segment_invalid() -> Refused {
    Refused::operation_invalid("the path is not /forward-auth/ and a percent-encoded audience, with scopes after %20")
}
