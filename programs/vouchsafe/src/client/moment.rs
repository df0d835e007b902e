//! Moments on the command line, and in messages.

use super::duration;
use jiff::Timestamp;

/// A moment, as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Seconds before the command started.
    Ago(u64),
    /// Unix seconds.
    At(u64),
}

impl Moment {
    /// In Unix seconds.
    pub fn seconds(self, now: u64) -> u64 {
        match self {
            Self::Ago(seconds) => now.saturating_sub(seconds),
            Self::At(seconds) => seconds,
        }
    }
}

/// Parses `15m` or `90d`, for that long ago, or a time such as `2027-01-15T08:00:00Z`.
pub fn parse(text: &str) -> Result<Moment, String> {
    if let Ok(ago) = parse_days(text) {
        return Ok(Moment::Ago(ago));
    }
    let at = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_second()).ok());
    at.map(Moment::At)
        .ok_or_else(|| "must be a time such as 2027-01-15T08:00:00Z, or 15m for 15 minutes ago".to_owned())
}

/// Parses a duration that may be in days, such as `90d`, into seconds.
pub fn parse_days(text: &str) -> Result<u64, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    match days {
        Some(days) => days.checked_mul(24 * 3600).ok_or_else(|| "is too long".to_owned()),
        None => duration::parse(text).map(|duration| duration.as_secs()),
    }
}

/// `2027-01-15T08:00:00Z`.
pub fn show(unix_seconds: u64) -> String {
    let at = i64::try_from(unix_seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| unix_seconds.to_string(), |at| at.to_string())
}

/// `2027-01-15T08:00:00.007Z`.
#[cfg(feature = "host")]
pub fn show_ms(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| unix_ms.to_string(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_times_and_durations() {
        for (text, expected) in [
            ("2027-01-15T08:00:00Z", Some(Moment::At(1_800_000_000))),
            ("2027-01-15T09:00:00+01:00", Some(Moment::At(1_800_000_000))),
            ("15m", Some(Moment::Ago(900))),
            ("90", Some(Moment::Ago(90))),
            ("400d", Some(Moment::Ago(34_560_000))),
            ("d", None),
            ("213503982334602d", None),
            ("1969-12-31T23:59:59Z", None),
            ("2027-01-15", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
        assert_eq!(Moment::Ago(900).seconds(1_800_000_000), 1_799_999_100);
        assert_eq!(Moment::At(5).seconds(1_800_000_000), 5);
    }

    #[test]
    fn shows_times_in_utc() {
        assert_eq!(show(1_800_000_000), "2027-01-15T08:00:00Z");
    }
}
