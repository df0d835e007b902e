//! When a request is sent again, and after which pause.
//!
//! Time and randomness are parameters. `http.rs` sends, waits and gives up accordingly.

use std::time::{Duration, SystemTime};

/// Pause before the first retry; it doubles with each retry.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that the server did not ask for.
const PAUSE_MAX: Duration = Duration::from_secs(6);
/// With the pauses above, six retries take about 20 seconds.
pub const RETRIES_DEFAULT: u32 = 6;

/// How often and for how long a command tries.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub retries: u32,
    /// From the start of the command.
    pub timeout: Duration,
}

/// What is known when an attempt has failed for the time being.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Retries so far.
    pub retries: u32,
    /// Since the command started.
    pub elapsed: Duration,
    /// The pause that the server asked for.
    pub retry_after: Option<Duration>,
}

/// Returns the pause before the next attempt, or `None` if there is none. `random` is at least 0 and less than 1.
///
/// A pause is never shorter than the server asked for: if there is no time for that, the command gives up at once.
pub fn pause(limits: Limits, failed: Failed, random: f64) -> Option<Duration> {
    if failed.retries >= limits.retries {
        return None;
    }
    let doubled = PAUSE.saturating_mul(1_u32.checked_shl(failed.retries).unwrap_or(u32::MAX));
    // Jobs that failed together must not come back together.
    let backoff = doubled.min(PAUSE_MAX).mul_f64(0.5 + random);
    let asked = failed.retry_after.unwrap_or_default();
    let pause = backoff.max(asked.saturating_add(asked.min(PAUSE_MAX).mul_f64(random / 4.0)));
    (failed.elapsed.saturating_add(pause) < limits.timeout).then_some(pause)
}

/// Whether a status means that the same request may succeed later: too many requests (RFC 6585 §4), or a broker that
/// is unavailable or can't be reached by the proxy in front of it (RFC 9110 §15.6).
pub fn is_temporary(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The value of `retry-after` (RFC 9110 §10.2.3), in seconds or as a date; a date in the past is no pause.
pub fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let moment = httpdate::parse_http_date(text).ok()?;
    Some(moment.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits { retries: RETRIES_DEFAULT, timeout: Duration::from_secs(60) };
    /// The random number without jitter.
    const MIDDLE: f64 = 0.5;

    fn after(retries: u32, elapsed: u64, retry_after: Option<u64>) -> Failed {
        let (elapsed, retry_after) = (SECOND * elapsed as u32, retry_after.map(Duration::from_secs));
        Failed { retries, elapsed, retry_after }
    }

    #[test]
    fn doubles_the_pause_up_to_a_maximum() {
        let pauses = (0..RETRIES_DEFAULT).map(|retries| pause(LIMITS, after(retries, 0, None), MIDDLE).unwrap());
        let seconds: Vec<f64> = pauses.map(|pause| pause.as_secs_f64()).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 6.0, 6.0]);
    }

    #[test]
    fn spreads_pauses_by_half_to_either_side() {
        for (random, millis) in [(0.0, 250), (0.5, 500), (0.999, 749)] {
            let pause = pause(LIMITS, after(0, 0, None), random).unwrap();
            assert_eq!(pause.as_millis(), millis, "{random}");
        }
    }

    #[test]
    fn gives_up_after_the_last_retry() {
        assert!(pause(LIMITS, after(5, 0, None), MIDDLE).is_some());
        assert_eq!(pause(LIMITS, after(6, 0, None), MIDDLE), None);
        assert_eq!(pause(Limits { retries: 0, ..LIMITS }, after(0, 0, None), MIDDLE), None);
        let many = Limits { retries: u32::MAX, ..LIMITS };
        assert_eq!(pause(many, after(40, 0, None), MIDDLE), Some(PAUSE_MAX));
    }

    #[test]
    fn waits_as_long_as_the_server_asks() {
        for (asked, expected) in [(0, 0.5), (1, 1.0), (5, 5.0), (20, 20.0)] {
            let pause = pause(LIMITS, after(0, 0, Some(asked)), 0.5).unwrap().as_secs_f64();
            assert!((expected..=expected + 1.0).contains(&pause), "{asked}: {pause}");
        }
        assert_eq!(pause(LIMITS, after(0, 0, Some(59)), 0.0), Some(SECOND * 59));
    }

    #[test]
    fn gives_up_if_the_timeout_would_pass_first() {
        assert_eq!(pause(LIMITS, after(0, 0, Some(60)), 0.0), None);
        assert_eq!(pause(LIMITS, after(0, 0, Some(u64::MAX)), MIDDLE), None);
        assert!(pause(LIMITS, after(0, 59, None), MIDDLE).is_some());
        assert_eq!(pause(LIMITS, after(0, 60, None), MIDDLE), None);
        assert_eq!(pause(LIMITS, after(0, 61, None), MIDDLE), None);
    }

    #[test]
    fn retries_only_temporary_statuses() {
        for (status, expected) in [
            (200, false),
            (302, false),
            (400, false),
            (408, false),
            (429, true),
            (500, false),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
            (505, false),
        ] {
            assert_eq!(is_temporary(status), expected, "{status}");
        }
    }

    #[test]
    fn reads_retry_after_as_seconds_or_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(parse_retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }
}
