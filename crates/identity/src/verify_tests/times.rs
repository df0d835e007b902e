//! Every time claim on both sides of every bound (regressions.md, row 6).

use serde_json::json;

use super::*;
use crate::claims::NUMERIC_DATE_MAX;

const LEEWAY: u64 = testkit::LEEWAY_SECONDS;
const AGE: u64 = testkit::TOKEN_AGE_SECONDS;
const T: u64 = testkit::NOW;

#[test]
fn rejects_token_at_expiry_plus_leeway() {
    check_claim("exp", Some((T - LEEWAY + 1).into()), Ok(()));
    check_claim("exp", Some((T - LEEWAY).into()), Err(TokenError::Expired));
    check_claim("exp", Some((T - LEEWAY - 1).into()), Err(TokenError::Expired));
    check_claim("exp", Some(0.into()), Err(TokenError::Expired));
    check_claim("exp", Some(T.into()), Ok(()));
}

#[test]
fn accepts_token_from_not_before_minus_leeway() {
    check_claim("nbf", Some((T + LEEWAY).into()), Ok(()));
    check_claim("nbf", Some((T + LEEWAY + 1).into()), Err(TokenError::NotYetValid));
    check_claim("nbf", Some(NUMERIC_DATE_MAX.into()), Err(TokenError::NotYetValid));
    check_claim("nbf", Some(0.into()), Ok(()));
    check_claim("nbf", None, Ok(()));
}

#[test]
fn rejects_tokens_issued_in_the_future_beyond_leeway() {
    check_claim("iat", Some((T + LEEWAY).into()), Ok(()));
    check_claim("iat", Some((T + LEEWAY + 1).into()), Err(TokenError::NotYetValid));
    check_claim("iat", Some(NUMERIC_DATE_MAX.into()), Err(TokenError::NotYetValid));
}

#[test]
fn measures_age_from_issue_time() {
    check_claim("iat", Some((T - AGE - LEEWAY).into()), Ok(()));
    check_claim("iat", Some((T - AGE - LEEWAY - 1).into()), Err(TokenError::TooOld));
    check_claim("iat", Some(0.into()), Err(TokenError::TooOld));
}

/// `exp - iat` is not bounded itself: Kubernetes tokens live for a year. The maximum age applies all the same.
#[test]
fn limits_age_of_long_lived_tokens() {
    const YEAR: u64 = 365 * 24 * 3600;
    let mut claims = testkit::claims();
    for lifetime in [300, 3600, YEAR, NUMERIC_DATE_MAX - T] {
        claims["exp"] = (T + lifetime).into();
        for (age, expected) in [(AGE + LEEWAY, Ok(())), (AGE + LEEWAY + 1, Err(TokenError::TooOld))] {
            claims["iat"] = (T - age).into();
            check(&format!("{lifetime} {age}"), &mint(&claims), expected);
        }
    }
}

#[test]
fn applies_exact_bounds_without_leeway() {
    let record = IssuerRecord { leeway_seconds: 0, ..testkit::issuer_record() };
    let issuer = TrustedIssuer::try_from(record).unwrap();
    for (name, value, expected) in [
        ("exp", T + 1, Ok(())),
        ("exp", T, Err(TokenError::Expired)),
        ("nbf", T, Ok(())),
        ("nbf", T + 1, Err(TokenError::NotYetValid)),
        ("iat", T, Ok(())),
        ("iat", T + 1, Err(TokenError::NotYetValid)),
        ("iat", T - AGE, Ok(())),
        ("iat", T - AGE - 1, Err(TokenError::TooOld)),
    ] {
        let outcome = verify(&mint(&claims_with(name, Some(value.into()))), &issuer, &keys(), NOW).map(|_| ());
        assert_eq!(outcome, expected, "{name} {value}");
    }
}

/// Tokens without an expiry have been accepted forever elsewhere (regressions.md, row 6).
#[test]
fn rejects_tokens_without_expiry_or_issue_time() {
    check_claim("exp", None, Err(missing("exp")));
    check_claim("iat", None, Err(missing("iat")));
}

#[test]
fn rejects_times_that_are_not_numeric_dates() {
    let good = testkit::claims().to_string();
    for name in ["exp", "nbf", "iat"] {
        for value in [
            r#""1800000300""#,
            "null",
            "true",
            "[1800000300]",
            "{}",
            "-1",
            "-0.5",
            "-1e300",
            "253402300800",
            "253402300800.5",
            "1e30",
            "1e308",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            r#""""#,
        ] {
            let member = format!(r#""{name}":{}"#, testkit::claims()[name]);
            let payload = good.replace(&member, &format!(r#""{name}":{value}"#));
            assert_ne!(payload, good);
            let token = mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256"}"#, &payload);
            check(&format!("{name} {value}"), &token, Err(invalid(name)));
        }
    }
}

#[test]
fn truncates_fractional_times() {
    for (exp, seconds) in [("1800000300.0", 1_800_000_300), ("1800000300.999", 1_800_000_300), ("1.8e9", 1_800_000_000)]
    {
        let payload = testkit::claims().to_string().replace("\"exp\":1800000300", &format!("\"exp\":{exp}"));
        let token = mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256"}"#, &payload);
        let verified = verify(&token, &issuer(), &keys(), NOW).unwrap();
        assert_eq!(verified.subject().exp, seconds, "{exp}");
    }
    // Truncated, the expiry is already past.
    check_claim("exp", Some(json!(0.9)), Err(TokenError::Expired));
}

#[test]
fn accepts_expiries_up_to_last_date() {
    check_claim("exp", Some(NUMERIC_DATE_MAX.into()), Ok(()));
    check_claim("exp", Some((NUMERIC_DATE_MAX + 1).into()), Err(invalid("exp")));
}

/// Arithmetic at both ends of the range neither wraps nor panics.
#[test]
fn handles_clocks_at_both_extremes() {
    let token = mint(&testkit::claims());
    let set = || {
        std::rc::Rc::new(
            vouchsafe_jose::KeySet::parse(
                testkit::key_set_document().as_bytes(),
                vouchsafe_jose::KeyUse::Signature,
                &vouchsafe_crypto::Software,
            )
            .unwrap(),
        )
    };
    let at = |now: u64, until: u64| {
        verify(&token, &issuer(), &TrustedKeys::new(set(), "test", UnixSeconds(until)), UnixSeconds(now))
    };
    assert_eq!(at(0, 1), Err(TokenError::NotYetValid));
    assert_eq!(at(u64::MAX - 1, u64::MAX), Err(TokenError::Expired));
}
