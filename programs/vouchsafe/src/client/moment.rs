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

/// Parses `15m`, for that long ago, or a time such as `2027-01-15T08:00:00Z`.
pub fn parse(text: &str) -> Result<Moment, String> {
    if let Ok(ago) = duration::parse(text) {
        return Ok(Moment::Ago(ago.as_secs()));
    }
    let at = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_second()).ok());
    at.map(Moment::At)
        .ok_or_else(|| "must be a time such as 2027-01-15T08:00:00Z, or 15m for 15 minutes ago".to_owned())
}

/// `2027-01-15T08:00:00Z`.
pub fn show(unix_seconds: u64) -> String {
    let at = i64::try_from(unix_seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| unix_seconds.to_string(), |at| at.to_string())
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
