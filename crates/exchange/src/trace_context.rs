//! The trace that a request belongs to (W3C Trace Context, level 1).
//!
//! A trace id from outside counts only if a trusted proxy sent it: otherwise anybody could put requests into somebody
//! else's trace. Its sampled flag is ignored for the same reason; whoever exports spans decides which.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keys::hex;

/// Bytes of a `traceparent` of version 00 (§3.2.2).
const TRACEPARENT_BYTES: usize = 55;

/// Where a request belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 lowercase hex digits; empty if there is no id.
    pub trace_id: String,
    /// The span that sent the request: 16 lowercase hex digits.
    pub parent_id: Option<String>,
}

impl TraceContext {
    /// The context of the request `request_id`, 128 bits in base64url. `traceparent` are the headers of this name, if a
    /// trusted proxy sent the request. One that is not exactly as specified starts a new trace (§3.2.2).
    #[must_use]
    pub fn of(request_id: &str, traceparent: &[String]) -> Self {
        let [header] = traceparent else {
            return Self::of_request(request_id);
        };
        parse(header).unwrap_or_else(|| Self::of_request(request_id))
    }

    /// A trace of its own. Its id is that of the request, in the form of trace ids.
    fn of_request(request_id: &str) -> Self {
        let bytes = URL_SAFE_NO_PAD.decode(request_id).unwrap_or_default();
        Self { trace_id: hex(&bytes), parent_id: None }
    }
}

fn parse(header: &str) -> Option<TraceContext> {
    // ORDER: length before anything else.
    if header.len() != TRACEPARENT_BYTES {
        return None;
    }
    let parts: Vec<&str> = header.split('-').collect();
    let [version, trace_id, parent_id, flags] = parts.as_slice() else {
        return None;
    };
    let is_hex =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let valid = *version == "00" && is_id(trace_id, 32) && is_id(parent_id, 16) && is_hex(flags, 2);
    valid.then(|| TraceContext { trace_id: (*trace_id).to_owned(), parent_id: Some((*parent_id).to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "AAECAwQFBgcICQoLDA0ODw";
    const OWN: &str = "000102030405060708090a0b0c0d0e0f";
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn of(headers: &[&str]) -> (String, Option<String>) {
        let headers: Vec<_> = headers.iter().map(|header| (*header).to_owned()).collect();
        let TraceContext { trace_id, parent_id } = TraceContext::of(REQUEST, &headers);
        (trace_id, parent_id)
    }

    #[test]
    fn continues_a_valid_trace() {
        for flags in ["00", "01", "ff"] {
            let found = of(&[&format!("00-{TRACE}-{SPAN}-{flags}")]);
            assert_eq!(found, (TRACE.to_owned(), Some(SPAN.to_owned())), "{flags}");
        }
    }

    /// Cases of the W3C's test suite for `traceparent`.
    #[test]
    fn restarts_after_anything_else() {
        let own = (OWN.to_owned(), None);
        assert_eq!(of(&[]), own);
        let valid = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(of(&[&valid, &valid]), own, "two headers");
        for header in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("01-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-what-the-future"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-0X"),
            format!("00-{TRACE}-{SPAN}-.0"),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{}-01", &SPAN[1..]),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01."),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
        ] {
            assert_eq!(of(&[&header]), own, "{header}");
        }
    }

    #[test]
    fn request_without_an_id_has_no_trace() {
        assert_eq!(TraceContext::of("", &[]), TraceContext::default());
    }
}
