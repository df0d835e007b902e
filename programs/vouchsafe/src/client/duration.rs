//! Durations on the command line, in the syntax of bundles.

use std::time::Duration;
use vouchsafe_policy::parse_duration_seconds;

/// Parses `30s`, `15m` or `1h`; a plain number is seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number { text.parse().ok() } else { parse_duration_seconds(text) };
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "must be a duration such as 30s, 15m or 1h, or a number of seconds".to_owned())
}

/// As [`parse`], but not zero.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be longer than 0 s".to_owned()),
        duration => Ok(duration),
    }
}

/// Seconds that may be negative, such as `-1h`.
pub fn parse_signed_seconds(text: &str) -> Result<i64, String> {
    let (digits, sign) = text.strip_prefix('-').map_or((text, 1), |digits| (digits, -1));
    let seconds = i64::try_from(parse(digits)?.as_secs()).map_err(|_| "is too long".to_owned())?;
    Ok(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_syntax_of_bundles_and_seconds() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1h", Some(3600)),
            ("1d", None),
            ("", None),
            ("h", None),
            ("1.5h", None),
            ("-1", None),
        ] {
            assert_eq!(parse(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(parse_positive("0s"), Err("must be longer than 0 s".to_owned()));
        assert_eq!(parse_positive("1"), Ok(Duration::from_secs(1)));
        assert_eq!(parse_signed_seconds("-1h"), Ok(-3600));
        assert_eq!(parse_signed_seconds("60"), Ok(60));
        assert!(parse_signed_seconds("--1").is_err());
    }
}
