//! How long fetched keys are trusted (RFC 9111 §5.2.2.1, within the issuer's own bounds).

use vouchsafe_types::UnixSeconds;

/// Shortest time for which keys are kept, in seconds, so that an issuer that forbids caching is not asked for every
/// token.
pub const KEYS_AGE_SECONDS_MIN: u64 = 30;

/// The first moment at which keys fetched at `now` are no longer trusted.
///
/// Uses `max-age`, capped at `keys_max_age_seconds`, which is also the default. A `Cache-Control` that forbids storing
/// or cannot be parsed means the minimum (RFC 9111 §4.2.1).
pub(crate) fn trusted_until(now: UnixSeconds, cache_control: Option<&str>, keys_max_age_seconds: u64) -> UnixSeconds {
    let stated = cache_control.and_then(max_age_seconds).unwrap_or(keys_max_age_seconds);
    now.plus(stated.max(KEYS_AGE_SECONDS_MIN).min(keys_max_age_seconds))
}

/// The shortest age among the header's directives.
fn max_age_seconds(cache_control: &str) -> Option<u64> {
    cache_control.split(',').filter_map(directive_age_seconds).min()
}

fn directive_age_seconds(directive: &str) -> Option<u64> {
    let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
    match name.trim().to_ascii_lowercase().as_str() {
        "no-cache" | "no-store" => Some(0),
        "max-age" => Some(delta_seconds(value.trim())),
        _ => None,
    }
}

/// Too large a number means "infinity"; anything else invalid means stale (RFC 9111 §1.2.2, §4.2.1).
fn delta_seconds(text: &str) -> u64 {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().unwrap_or(u64::MAX) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_000_000);
    const ISSUER_MAX: u64 = 300;

    fn check(cache_control: Option<&str>, expected_seconds: u64) {
        let until = trusted_until(NOW, cache_control, ISSUER_MAX);
        assert_eq!(until.since(NOW), expected_seconds, "{cache_control:?}");
    }

    #[test]
    fn keeps_keys_between_minimum_and_issuer_bound() {
        check(None, ISSUER_MAX);
        check(Some("public"), ISSUER_MAX);
        check(Some("max-age=29"), 30);
        check(Some("max-age=30"), 30);
        check(Some("max-age=31"), 31);
        check(Some("public, MAX-AGE = 299"), 299);
        check(Some("max-age=300"), 300);
        check(Some("max-age=301"), 300);
    }

    /// As with Amazon EKS, whose week-long `max-age` kept removed keys trusted (regressions.md, rows 2 and 3).
    #[test]
    fn caps_max_age_of_a_week() {
        check(Some("max-age=604800"), ISSUER_MAX);
        check(Some("max-age=99999999999999999999999"), ISSUER_MAX);
    }

    #[test]
    fn treats_invalid_or_forbidding_headers_as_stale() {
        for header in ["no-store", "no-cache", "max-age=", "max-age=-1", "max-age=1e3", "max-age=\"60\"", "max-age"] {
            check(Some(header), KEYS_AGE_SECONDS_MIN);
        }
        check(Some("max-age=200, max-age=100"), 100);
        check(Some("max-age=200, no-cache"), KEYS_AGE_SECONDS_MIN);
    }

    #[test]
    fn honors_issuer_bound_below_minimum() {
        assert_eq!(trusted_until(NOW, Some("max-age=60"), 10), NOW.plus(10));
        assert_eq!(trusted_until(UnixSeconds(u64::MAX), None, 300), UnixSeconds(u64::MAX));
    }
}
