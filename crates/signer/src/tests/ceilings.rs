//! Hostile requests, and both sides of every ceiling.

use super::*;
use vouchsafe_claims::NAME_BYTES_MAX;

#[track_caller]
fn check(change: impl FnOnce(&mut SigningRequest), expected: Result<(), Ceiling>) {
    check_with(
        &mut signer_with(|variables| variables.signer_audiences = format!("{AUDIENCE} other")),
        change,
        expected,
    );
}

#[track_caller]
fn check_with(signer: &mut Signer, change: impl FnOnce(&mut SigningRequest), expected: Result<(), Ceiling>) {
    let mut request = request("ES256", NOW);
    change(&mut request);
    let found = signer.sign(&request, NOW, &entropy()).map(drop);
    assert_eq!(found, expected.map_err(Error::Refused));
    assert_eq!(signer.keys_held(), usize::from(expected.is_ok()), "a refused request derives no key");
}

#[test]
fn refuses_another_issuer() {
    check(|_| {}, Ok(()));
    for issuer in
        ["https://evil.example", "https://broker.example/", "https://broker.exampl", "HTTPS://broker.example", ""]
    {
        check(|request| request.issuer = issuer.into(), Err(Ceiling::Issuer));
    }
}

#[test]
fn refuses_another_audience() {
    check(|request| request.audience = "other".into(), Ok(()));
    for audience in ["https://deploy.example/", "https://deploy.exampl", "OTHER", "*", "other https://deploy.example"] {
        check(|request| request.audience = audience.into(), Err(Ceiling::Audience));
    }
    for audience in ["", "other\n", "other\u{7f}", "other\u{85}", "other\u{200b}", "\u{202e}other"] {
        check(|request| request.audience = audience.into(), Err(Ceiling::AudienceText));
    }
}

#[test]
fn star_allows_every_valid_audience() {
    let audience = |bytes: usize| move |request: &mut SigningRequest| request.audience = "a".repeat(bytes);
    check_with(&mut signer(), |request| request.audience = "anything at all".into(), Ok(()));
    check_with(&mut signer(), audience(AUDIENCE_BYTES_MAX), Ok(()));
    check_with(&mut signer(), audience(AUDIENCE_BYTES_MAX + 1), Err(Ceiling::AudienceText));
}

#[test]
fn refuses_a_longer_life() {
    let lifetime = |seconds| move |request: &mut SigningRequest| request.lifetime_seconds = seconds;
    let short = || signer_with(|variables| variables.signer_lifetime_max = "600".into());
    for (seconds, expected) in [
        (0, Err(Ceiling::Lifetime)),
        (1, Ok(())),
        (600, Ok(())),
        (601, Err(Ceiling::Lifetime)),
        (u64::MAX, Err(Ceiling::Lifetime)),
    ] {
        check_with(&mut short(), lifetime(seconds), expected);
    }
    check(lifetime(3540), Ok(()));
    check(lifetime(3541), Err(Ceiling::Lifetime));
}

#[test]
fn refuses_an_iat_far_from_its_clock() {
    let issued_at = |at: u64| move |request: &mut SigningRequest| request.issued_at = at;
    for (at, expected) in [
        (NOW.0 - 16, Err(Ceiling::IssuedAt)),
        (NOW.0 - 15, Ok(())),
        (NOW.0 + 15, Ok(())),
        (NOW.0 + 16, Err(Ceiling::IssuedAt)),
        (0, Err(Ceiling::IssuedAt)),
        (u64::MAX, Err(Ceiling::IssuedAt)),
    ] {
        check(issued_at(at), expected);
    }
}

#[test]
fn refuses_tier_hsm() {
    let mut request = request("RS256", NOW);
    request.tier = Tier::Hsm;
    assert_eq!(signer().sign(&request, NOW, &entropy()).map(drop), Err(Error::TierUnavailable));
    assert_eq!(Error::TierUnavailable.slug(), "audience.tier_unavailable");
}

#[test]
fn rejects_unconfigured_algorithms() {
    for algorithm in ["none", "NONE", "HS256", "RS256", "es256", "ES384", "EdDSA ", ""] {
        check(|request| request.algorithm = algorithm.into(), Err(Ceiling::Algorithm));
    }
    let mut only = signer_with(|variables| variables.signer_algorithms = "EdDSA".into());
    check_with(&mut only, |request| request.algorithm = "ES256".into(), Err(Ceiling::Algorithm));
    check_with(&mut only, |request| request.algorithm = "EdDSA".into(), Ok(()));
}

#[test]
fn rejects_invalid_subjects_and_ids() {
    for (bytes, expected) in [
        (0, Err(Ceiling::Subject)),
        (1, Ok(())),
        (SUBJECT_BYTES_MAX, Ok(())),
        (SUBJECT_BYTES_MAX + 1, Err(Ceiling::Subject)),
    ] {
        check(|request| request.subject = "s".repeat(bytes), expected);
    }
    for (bytes, expected) in
        [(0, Err(Ceiling::Jti)), (1, Ok(())), (JTI_BYTES_MAX, Ok(())), (JTI_BYTES_MAX + 1, Err(Ceiling::Jti))]
    {
        check(|request| request.jti = "j".repeat(bytes), expected);
    }
    for text in ["a\0", "a\nb", "\u{1b}", "a\u{9f}", "a\u{202e}b", "a\u{2069}", "\u{200b}", "a\u{2028}", "\u{feff}a"] {
        check(|request| request.subject = text.into(), Err(Ceiling::Subject));
        check(|request| request.jti = text.into(), Err(Ceiling::Jti));
    }
}

#[test]
fn rejects_invalid_scope_tokens() {
    for scope in ["a", "!", "~", "[]", "a:b/c", "x"] {
        check(|request| request.scopes = vec![scope.into()], Ok(()));
    }
    for scope in ["", "a b", "\"", "\\", "a\n", "\u{7f}", "é", " "] {
        check(|request| request.scopes = vec!["a".into(), scope.into()], Err(Ceiling::Scope));
    }
    let scopes = |count: usize| move |request: &mut SigningRequest| request.scopes = vec!["a".into(); count];
    check(scopes(SCOPES_MAX), Ok(()));
    check(scopes(SCOPES_MAX + 1), Err(Ceiling::ScopesTooMany));
    check(|request| request.scopes = vec!["a".repeat(SCOPE_BYTES_MAX)], Ok(()));
    check(|request| request.scopes = vec!["a".repeat(SCOPE_BYTES_MAX + 1)], Err(Ceiling::Scope));
}

#[test]
fn refuses_registered_names() {
    let named = |name: &str, expected| {
        check(|request| request.extra_claims = vec![claim(name, "1")], expected);
    };
    for name in vouchsafe_claims::REGISTERED {
        named(name, Err(Ceiling::ExtraClaimRegistered));
    }
    for name in ["SUB", "Aud", "EXP", "jtI", "Client_Id"] {
        named(name, Err(Ceiling::ExtraClaimRegistered));
    }
    // U+017F folds to `s` and U+212A to `k`: Go's decoder takes the first two for `sub` and `iss`.
    for name in ["ſub", "iſſ", "\u{212a}id", "é", "sub ", "a\"", "a\\", "a\n"] {
        named(name, Err(Ceiling::ExtraClaimName));
    }
    for name in ["subject", "repository", "https://claims.example/sub"] {
        named(name, Ok(()));
    }
}

/// The signer's own claims can't be set from outside, whatever list they are on.
#[test]
fn every_own_claim_is_registered() {
    let mut signer = signer();
    let token = signer.sign(&request("EdDSA", NOW), NOW, &entropy()).unwrap();
    let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
    for name in payload.as_object().unwrap().keys() {
        assert!(vouchsafe_claims::REGISTERED.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn rejects_repeated_claims() {
    let claims = |names: [&str; 3]| names.map(|name| claim(name, "1")).to_vec();
    check(|request| request.extra_claims = claims(["a", "b", "c"]), Ok(()));
    check(|request| request.extra_claims = claims(["a", "b", "a"]), Err(Ceiling::ExtraClaimRepeated));
    check(|request| request.extra_claims = claims(["a", "b", "A"]), Err(Ceiling::ExtraClaimRepeated));
}

#[test]
fn rejects_values_that_are_not_strict_json() {
    for value in
        ["", "x", "1 2", "1,\"sub\":\"root\"", "1}", "{\"a\":1,\"a\":2}", "[{\"a\":{\"b\":1,\"b\":1}}]", "\"", "nan"]
    {
        check(|request| request.extra_claims = vec![claim("a", value)], Err(Ceiling::ExtraClaimNotJson));
    }
}

#[test]
fn bounds_extra_claims() {
    let many = |count: usize| (0..count).map(|index| claim(&format!("c{index}"), "1")).collect::<Vec<_>>();
    check(|request| request.extra_claims = many(EXTRA_CLAIMS_MAX), Ok(()));
    check(|request| request.extra_claims = many(EXTRA_CLAIMS_MAX + 1), Err(Ceiling::ExtraClaimsTooMany));
    let long = |bytes: usize| vec![claim("a", &format!("\"{}\"", "v".repeat(bytes - 2)))];
    check(|request| request.extra_claims = long(EXTRA_CLAIM_BYTES_MAX), Ok(()));
    check(|request| request.extra_claims = long(EXTRA_CLAIM_BYTES_MAX + 1), Err(Ceiling::ExtraClaimTooLong));
    let named = |name: String| vec![claim(&name, "1")];
    check(|request| request.extra_claims = named("n".repeat(NAME_BYTES_MAX)), Ok(()));
    check(|request| request.extra_claims = named("n".repeat(NAME_BYTES_MAX + 1)), Err(Ceiling::ExtraClaimName));
    check(|request| request.extra_claims = named(String::new()), Err(Ceiling::ExtraClaimName));
    check(|request| request.extra_claims = named("a\n".into()), Err(Ceiling::ExtraClaimName));
}
