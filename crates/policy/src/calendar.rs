//! Conversion between Unix seconds and the dates in bundle files and Cedar requests.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use toml::value::{self, Datetime, Offset};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// The last second of the year 9999, the latest that Cedar's `datetime` can express.
const UNIX_SECONDS_MAX: u64 = 253_402_300_799;

/// Formats `seconds` like `2027-01-01T00:00:00Z`; none after the year 9999.
pub fn to_rfc3339(seconds: u64) -> Option<String> {
    let since_epoch = SignedDuration::from_secs(i64::try_from(seconds).ok()?);
    let time = EPOCH.checked_add(since_epoch).ok()?;
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// Parses `2027-01-01` (midnight UTC) or an RFC 3339 date and time with an offset.
pub fn parse_unix_seconds(text: &str) -> Option<u64> {
    let Datetime { date: Some(date), time, offset } = text.parse().ok()? else {
        return None;
    };
    let year = i16::try_from(date.year).ok()?;
    let date = Date::new(year, date.month.cast_signed(), date.day.cast_signed()).ok()?;
    let midnight = date.to_datetime(Time::midnight());
    let midnight = midnight.duration_since(EPOCH).as_secs();
    let seconds = match (time, offset) {
        (None, None) => midnight,
        (Some(time), Some(offset)) => {
            midnight.checked_add(seconds_of_day(time))?.checked_sub(offset_seconds(offset))?
        }
        _ => return None,
    };
    let seconds = u64::try_from(seconds).ok()?;
    (seconds <= UNIX_SECONDS_MAX).then_some(seconds)
}

#[expect(clippy::arithmetic_side_effects, reason = "parts of a time are under 100, and a day has 86400 seconds")]
fn seconds_of_day(time: value::Time) -> i64 {
    i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second)
}

#[expect(clippy::arithmetic_side_effects, reason = "16 bits of minutes times 60 fit in 64 bits")]
fn offset_seconds(offset: Offset) -> i64 {
    match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes) * 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_parses_the_same_time() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (86_399, "1970-01-01T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_798_761_600, "2027-01-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (UNIX_SECONDS_MAX, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(to_rfc3339(seconds).as_deref(), Some(text));
            assert_eq!(parse_unix_seconds(text), Some(seconds));
        }
        assert_eq!(to_rfc3339(UNIX_SECONDS_MAX + 1), None);
    }

    #[test]
    fn parses_only_dates_and_offset_times() {
        let cases = [
            ("2027-01-01", Some(1_798_761_600)),
            ("2027-01-01T01:00:00+01:00", Some(1_798_761_600)),
            ("2027-01-01T00:00:00", None),
            ("00:00:00", None),
            ("1969-12-31", None),
            ("2027-02-30", None),
            ("2027-13-01", None),
            ("tomorrow", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_unix_seconds(text), seconds, "{text}");
        }
    }
}
