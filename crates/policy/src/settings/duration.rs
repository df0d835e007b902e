//! Durations such as `30s`, `10m` and `1h`.

/// Seconds of a duration: digits without a sign or a leading zero, then one of `s`, `m`, `h`.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<u64> {
    let (digits, unit_seconds) = match text.split_at_checked(text.len().checked_sub(1)?)? {
        (digits, "s") => (digits, 1),
        (digits, "m") => (digits, 60),
        (digits, "h") => (digits, 3600),
        _ => return None,
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit_seconds)
}

#[cfg(test)]
mod tests {
    use super::parse_seconds;

    #[test]
    fn parses_only_seconds_minutes_and_hours() {
        let cases = [
            ("0s", Some(0)),
            ("30s", Some(30)),
            ("10m", Some(600)),
            ("1h", Some(3600)),
            ("18446744073709551615s", Some(u64::MAX)),
            ("18446744073709551616s", None),
            ("18446744073709551615m", None),
            ("", None),
            ("s", None),
            ("10", None),
            ("010s", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5h", None),
            ("1 h", None),
            ("1d", None),
            ("1H", None),
            ("1h30m", None),
            ("1ſ", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_seconds(text), seconds, "{text}");
        }
    }
}
