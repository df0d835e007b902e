//! Checks the token of a request for a reverse proxy, which names the audience in the path. The proof of a bound token is
//! for the client's request, which the proxy states in headers.
//!
//! Whoever has a token learns nothing here that the API behind the proxy wouldn't tell. All of the answer is in the status:
//! proxies ignore the body.

use crate::answer::{Attempt, Refused};
use crate::caller::{self, Credentials};
use crate::limits::FIELD_BYTES_MAX;
use crate::ports::Ports;
use crate::proof::ForwardedRequest;

/// What the path of such a request begins with. The next segment, percent-encoded, is the audience, followed by the scopes
/// that the token must have, separated by spaces. What comes after it is the path of the client's request, which some
/// proxies append.
pub const FORWARD_AUTH_PATH: &str = "/forward-auth/";

/// Answers the request for `path`, of any method.
pub async fn forward_auth<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    forwarded: &ForwardedRequest,
    path: &str,
) -> Attempt {
    let outcome = run(ports, credentials, forwarded, path).await;
    // Not a decision of its own: only decisions are logged one by one.
    Attempt { outcome, decision_id: None }
}

async fn run<P: Ports>(
    ports: &P,
    credentials: &Credentials,
    forwarded: &ForwardedRequest,
    path: &str,
) -> Result<String, Refused> {
    let segment = path.strip_prefix(FORWARD_AUTH_PATH).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let wanted = decoded(segment).ok_or_else(segment_invalid)?;
    let mut words = wanted.split(' ');
    let audience = words.next().unwrap_or_default();
    let target = forwarded.target(&ports.settings().await?.trusted_proxies);
    let caller = caller::verify(ports, credentials, audience, target.as_ref()).await?;
    words.try_for_each(|scope| caller.require_scope(scope))?;
    let active = ports.active(vec![caller.jti().to_owned()]).await?;
    caller.admit(ports, active == [true]).await?;
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
