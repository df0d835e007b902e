//! Conversion between Unix seconds and the dates in bundle files and Cedar requests.

use toml::value::{Date, Datetime, Offset, Time};

const DAY_SECONDS: i64 = 86_400;
/// The last second of the year 9999, the latest that Cedar's `datetime` can express.
pub const UNIX_SECONDS_MAX: u64 = 253_402_300_799;

/// Formats `seconds` like `2027-01-01T00:00:00Z`; none after the year 9999.
pub fn to_rfc3339(seconds: u64) -> Option<String> {
    if seconds > UNIX_SECONDS_MAX {
        return None;
    }
    let seconds = i64::try_from(seconds).ok()?;
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    ))
}

/// Parses `2027-01-01` (midnight UTC) or an RFC 3339 date and time with an offset.
pub fn parse_unix_seconds(text: &str) -> Option<u64> {
    let Datetime {
        date: Some(date),
        time,
        offset,
    } = text.parse().ok()?
    else {
        return None;
    };
    let midnight = days_from_civil(date).checked_mul(DAY_SECONDS)?;
    let seconds = match (time, offset) {
        (None, None) => midnight,
        (Some(time), Some(offset)) => midnight
            .checked_add(seconds_of_day(time))?
            .checked_sub(offset_seconds(offset))?,
        _ => return None,
    };
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds <= UNIX_SECONDS_MAX)
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "parts of a time are under 100, and a day has 86400 seconds"
)]
fn seconds_of_day(time: Time) -> i64 {
    i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second)
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "16 bits of minutes times 60 fit in 64 bits"
)]
fn offset_seconds(offset: Offset) -> i64 {
    match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes) * 60,
    }
}

/// Days from 1970-01-01 to `date` in the Gregorian calendar, counted in eras of 400 years that
/// begin in March, so that a leap day is the last day of its year.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a year of 16 bits has under 2^25 days"
)]
fn days_from_civil(date: Date) -> i64 {
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
#[expect(
    clippy::arithmetic_side_effects,
    reason = "callers pass days of `UNIX_SECONDS_MAX` seconds at most"
)]
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
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
