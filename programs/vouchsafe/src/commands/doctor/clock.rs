//! The clock of this machine, compared with those of the servers that answered.

use super::finding::Finding;
use http::header::{AGE, DATE};
use http::{HeaderMap, HeaderName};
use std::time::{Duration, SystemTime};

/// Largest difference that does not matter: tokens of issuers may be this far from now (`leeway`, by default).
const DIFFERENCE_SECONDS_MAX: u64 = 30;

/// The difference to one server's clock.
pub struct Reading {
    server: String,
    /// How far the clock of this machine is from the server's.
    by: Duration,
    is_ahead: bool,
}

impl Reading {
    /// Compares `now`, when the answer arrived, with the answer's `Date`. An answer from a cache is older by its `Age`
    /// (RFC 9111 §5.1).
    pub fn of(server: &str, headers: &HeaderMap, now: SystemTime) -> Option<Self> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let date = httpdate::parse_http_date(text(DATE)?).ok()?;
        let age = text(AGE).and_then(|age| age.parse().ok()).unwrap_or(0);
        let date = date.checked_add(Duration::from_secs(age))?;
        let (by, is_ahead) = match now.duration_since(date) {
            Ok(by) => (by, true),
            Err(behind) => (behind.duration(), false),
        };
        Some(Self { server: server.to_owned(), by, is_ahead })
    }
}

/// Judges by the server that agrees best: each of the others may have a wrong clock itself.
pub fn judge(readings: &[Reading]) -> Finding {
    let Some(reading) = readings.iter().min_by_key(|reading| reading.by) else {
        return Finding::warning("clock", "not checked: no server gave its time");
    };
    let Reading { server, by, is_ahead } = reading;
    let seconds = by.as_secs();
    if seconds <= DIFFERENCE_SECONDS_MAX {
        return Finding::ok("clock", format!("within {DIFFERENCE_SECONDS_MAX} s of `{server}`"));
    }
    let direction = if *is_ahead { "ahead of" } else { "behind" };
    Finding::error("clock", format!("{seconds} s {direction} the clock of `{server}`"))
        .fix("set the clock, and keep it set with NTP: valid tokens are refused as expired or not yet valid".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Level;
    use http::HeaderValue;

    const NOW: u64 = 1_800_000_000;

    fn reading(server: &str, date: u64, age: Option<&str>) -> Option<Reading> {
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(date));
        let mut headers = HeaderMap::from_iter([(DATE, HeaderValue::from_str(&date).expect("a value"))]);
        headers.extend(age.map(|age| (AGE, HeaderValue::from_str(age).expect("a value"))));
        Reading::of(server, &headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn judged(date: u64, age: Option<&str>) -> (Level, String) {
        let found = judge(&[reading("s", date, age).expect("a reading")]);
        (found.level, found.why)
    }

    #[test]
    fn more_than_thirty_seconds_is_an_error() {
        let fine = (Level::Ok, "within 30 s of `s`".to_owned());
        assert_eq!(judged(NOW - 30, None), fine);
        assert_eq!(judged(NOW + 30, None), fine);
        assert_eq!(judged(NOW - 31, None), (Level::Error, "31 s ahead of the clock of `s`".to_owned()));
        assert_eq!(judged(NOW + 31, None), (Level::Error, "31 s behind the clock of `s`".to_owned()));
    }

    #[test]
    fn cached_answer_is_older_by_its_age() {
        assert_eq!(judged(NOW - 3600, Some("3600")), (Level::Ok, "within 30 s of `s`".to_owned()));
        assert_eq!(judged(NOW - 3600, Some("x")).0, Level::Error);
    }

    #[test]
    fn believes_server_that_agrees_best() {
        let readings = [("far", NOW - 500), ("near", NOW - 2), ("ahead", NOW + 90)];
        let readings: Vec<_> = readings.into_iter().filter_map(|(name, date)| reading(name, date, None)).collect();
        assert_eq!(judge(&readings), Finding::ok("clock", "within 30 s of `near`"));
        assert_eq!(judge(&[]).level, Level::Warning);
    }

    #[test]
    fn ignores_answer_without_valid_date() {
        let now = SystemTime::now();
        assert!(Reading::of("s", &HeaderMap::new(), now).is_none());
        let headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static("today"))]);
        assert!(Reading::of("s", &headers, now).is_none());
    }
}
