//! Strict parsing of `application/x-www-form-urlencoded` bodies (RFC 6749 §3.2, appendix B).
//!
//! Stricter than a browser's form parser: an invalid percent-escape, text that is not UTF-8, or a repeated parameter,
//! known or not, is an error.

use crate::limits::{BODY_BYTES_MAX, PARAMETERS_MAX};
use crate::refusal::{Refusal, RequestFault};
use percent_encoding::percent_decode_str;

/// The parameters of a form, each at most once. Parameters without a value are omitted
/// (RFC 6749 §3.2: they MUST be treated as if they were omitted).
#[derive(Debug, Clone)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Parses `body` within its limits.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        // ORDER: the size limit comes before any parsing.
        if body.len() > BODY_BYTES_MAX {
            return Err(RequestFault::BodyTooLarge.into());
        }
        let text = std::str::from_utf8(body).map_err(|_| RequestFault::Malformed)?;
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() >= PARAMETERS_MAX {
                return Err(RequestFault::Malformed.into());
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(RequestFault::ParameterRepeated.into());
            }
            parameters.push((name, value));
        }
        parameters.retain(|(_, value)| !value.is_empty());
        Ok(Self(parameters))
    }

    /// Removes `name` from the form and returns its value.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// Removes `name`, which RFC 8693 §2.1 requires, and returns its value.
    pub fn require(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.take(name).ok_or(Refusal::Request(RequestFault::ParameterMissing(name)))
    }
}

/// The text that `text` encodes.
pub(crate) fn decode(text: &str) -> Result<String, Refusal> {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escaped = byte != b'%'
            || (rest.next().is_some_and(|b| b.is_ascii_hexdigit())
                && rest.next().is_some_and(|b| b.is_ascii_hexdigit()));
        if !escaped {
            return Err(RequestFault::Malformed.into());
        }
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    Ok(decoded.map_err(|_| RequestFault::Malformed)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&[(&str, &str)], RequestFault>) {
        let expected = expected
            .map_err(Refusal::Request)
            .map(|pairs| pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect::<Vec<_>>());
        assert_eq!(Form::parse(body.as_bytes()).map(|form| form.0), expected, "{body}");
    }

    #[test]
    fn parses_forms_of_common_clients() {
        check("a=1&b=x%3Ay", Ok(&[("a", "1"), ("b", "x:y")]));
        check("scope=read+write", Ok(&[("scope", "read write")]));
        check("a=1&&b=2&", Ok(&[("a", "1"), ("b", "2")]));
        check("a=%C3%A4", Ok(&[("a", "ä")]));
        check("", Ok(&[]));
    }

    #[test]
    fn omits_parameters_without_value() {
        check("a=&b&c=1", Ok(&[("c", "1")]));
    }

    #[test]
    fn refuses_repeated_parameters() {
        for body in ["a=1&a=1", "a=&a=1", "a=1&%61=2", "unknown=1&unknown=2"] {
            check(body, Err(RequestFault::ParameterRepeated));
        }
    }

    #[test]
    fn refuses_invalid_escapes_and_utf8() {
        for body in ["a=%", "a=%4", "a=%zz", "a=%ff", "%fe=1"] {
            check(body, Err(RequestFault::Malformed));
        }
        assert_eq!(Form::parse(b"a=\xff").map(|_| ()), Err(Refusal::Request(RequestFault::Malformed)));
    }

    #[test]
    fn bounds_the_number_of_parameters() {
        let form = |count: usize| (0..count).map(|i| format!("p{i}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(Form::parse(form(PARAMETERS_MAX).as_bytes()).map(|f| f.0.len()), Ok(PARAMETERS_MAX));
        check(&form(PARAMETERS_MAX + 1), Err(RequestFault::Malformed));
    }
}
