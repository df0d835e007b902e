//! Reading the headers and the body of a request, within their limits.

use http_body_util::BodyExt;
use spin_sdk::http::Request;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::limits::BODY_BYTES_MAX;
use vouchsafe_exchange::refusal::{Refusal, RequestFault};
use vouchsafe_exchange::request::Head;

/// Checks the head of a form, then reads it.
pub async fn read_form(request: &mut Request) -> Result<Vec<u8>, Refusal> {
    let content_type = header(request, "content-type");
    Head { method: request.method().as_str(), query: request.uri().query(), content_type }.check()?;
    read(request).await
}

pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Every value of a header. One that is not ASCII is kept as `?`, which is not an address, a token or a proof.
pub fn headers(request: &Request, name: &str) -> Vec<String> {
    let values = request.headers().get_all(name).iter();
    values.map(|value| value.to_str().unwrap_or("?").to_owned()).collect()
}

/// The address of the peer. Spin appends its own value after any that the client sent.
pub fn peer(request: &Request) -> String {
    headers(request, "spin-client-addr").pop().unwrap_or_default()
}

/// The peer and the forwarding headers.
pub fn forwarded_for(request: &Request) -> ForwardedFor {
    ForwardedFor {
        peer: peer(request),
        forwarded: headers(request, "forwarded"),
        x_forwarded_for: headers(request, "x-forwarded-for"),
    }
}

/// Reads the body up to the limit.
pub async fn read(request: &mut Request) -> Result<Vec<u8>, Refusal> {
    if header(request, "content-length").and_then(|text| text.parse::<usize>().ok()).is_some_and(|n| n > BODY_BYTES_MAX)
    {
        return Err(RequestFault::BodyTooLarge.into());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = request.body_mut().frame().await {
        let frame = frame.map_err(|_| RequestFault::Malformed)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(data.len()) > BODY_BYTES_MAX {
            return Err(RequestFault::BodyTooLarge.into());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
