use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::root::Root;
use crate::tests::variables;

#[track_caller]
fn check(variable: Variable, text: &str, expected: Result<(), Fault>) {
    let mut variables = variables();
    *variables.slot(variable) = text.into();
    let expected = expected.map_err(|fault| Error::Misconfigured { variable, fault });
    assert_eq!(Config::parse(&variables).and(Root::parse(&variables)).map(drop), expected, "{variable} = {text}");
}

#[test]
fn every_variable_of_the_signer_must_be_set() {
    let of_the_broker = |variable: &Variable| matches!(variable, Variable::ForwardedHeader | Variable::TrustedProxies);
    for variable in Variable::LOCAL.into_iter().filter(|it| !of_the_broker(it)) {
        check(variable, "", Err(Fault::Empty));
    }
}

#[test]
fn development_and_http_are_for_loopback_only() {
    let parse = |issuer: &str, development: &str| {
        let variables = Variables { issuer: issuer.into(), development: development.into(), ..variables() };
        Config::parse(&variables).map(|config| config.development)
    };
    let wrong = |variable, fault| Err(Error::Misconfigured { variable, fault });
    assert_eq!(parse("https://broker.example", "false"), Ok(false));
    assert_eq!(parse("https://broker.example", "true"), wrong(Variable::Development, Fault::NotLoopback));
    assert_eq!(parse("http://broker.example", "true"), wrong(Variable::Development, Fault::NotLoopback));
    assert_eq!(parse("http://broker.example", "false"), wrong(Variable::Issuer, Fault::NotHttpsUrl));
    for host in ["http://127.0.0.1:3000", "http://[::1]", "http://localhost:3000"] {
        assert_eq!(parse(host, "true"), Ok(true));
        assert_eq!(parse(host, "false"), wrong(Variable::Issuer, Fault::NotHttpsUrl));
    }
    assert_eq!(parse("https://localhost", "false"), Ok(false));
    for text in ["TRUE", "1", "yes", " true"] {
        assert_eq!(parse("http://localhost", text), wrong(Variable::Development, Fault::NotTrueOrFalse));
    }
}

#[test]
fn reads_algorithms() {
    for text in ["ES256", "EdDSA", "EdDSA ES256", "  ES256\tEdDSA\n"] {
        check(Variable::SignerAlgorithms, text, Ok(()));
    }
    check(Variable::SignerAlgorithms, " ", Err(Fault::Empty));
    check(Variable::SignerAlgorithms, "ES256 ES256", Err(Fault::Repeated));
    for text in ["RS256", "none", "es256", "ES256,EdDSA"] {
        check(Variable::SignerAlgorithms, text, Err(Fault::UnknownAlgorithm));
    }
}

#[test]
fn reads_audiences() {
    let many = |count: usize| (0..count).map(|index| format!("a{index} ")).collect::<String>();
    check(Variable::SignerAudiences, "*", Ok(()));
    check(Variable::SignerAudiences, "https://a.example b", Ok(()));
    check(Variable::SignerAudiences, "* b", Err(Fault::Malformed));
    check(Variable::SignerAudiences, "a a", Err(Fault::Repeated));
    check(Variable::SignerAudiences, "\n", Err(Fault::Empty));
    check(Variable::SignerAudiences, &many(AUDIENCES_MAX), Ok(()));
    check(Variable::SignerAudiences, &many(AUDIENCES_MAX + 1), Err(Fault::OutOfRange { min: 1, max: 1024 }));
}

#[test]
fn bounds_the_numbers() {
    let epoch = Fault::OutOfRange { min: 300, max: 604_800 };
    let lifetime = Fault::OutOfRange { min: 1, max: 3540 };
    let generation = Fault::OutOfRange { min: 1, max: u64::MAX };
    for (variable, text, expected) in [
        (Variable::SignerEpoch, "3600", Ok(())),
        (Variable::SignerEpoch, "604800", Ok(())),
        (Variable::SignerEpoch, "604801", Err(epoch)),
        (Variable::SignerEpoch, "299", Err(epoch)),
        (Variable::SignerEpoch, "99999999999999999999", Err(epoch)),
        (Variable::SignerEpoch, "1h", Err(Fault::NotNumber)),
        (Variable::SignerEpoch, "+3600", Err(Fault::NotNumber)),
        (Variable::SignerLifetimeMax, "0", Err(lifetime)),
        (Variable::SignerLifetimeMax, "1", Ok(())),
        (Variable::SignerLifetimeMax, "3540", Ok(())),
        (Variable::SignerLifetimeMax, "3541", Err(lifetime)),
        (Variable::SignerLifetimeMax, "-1", Err(Fault::NotNumber)),
        (Variable::SignerGeneration, "0", Err(generation)),
        (Variable::SignerGeneration, "1", Ok(())),
        (Variable::SignerGeneration, "18446744073709551615", Ok(())),
        (Variable::SignerGeneration, "18446744073709551616", Err(generation)),
    ] {
        check(variable, text, expected);
    }
}

/// The shortest epoch leaves 240 s.
#[test]
fn the_lifetime_is_bounded_by_the_epoch() {
    let parse = |lifetime: &str| {
        let variables = Variables { signer_epoch: "300".into(), signer_lifetime_max: lifetime.into(), ..variables() };
        Config::parse(&variables).map(drop)
    };
    let fault = Fault::OutOfRange { min: 1, max: 240 };
    assert_eq!(parse("240"), Ok(()));
    assert_eq!(parse("241"), Err(Error::Misconfigured { variable: Variable::SignerLifetimeMax, fault }));
}

#[test]
fn reads_the_group() {
    check(Variable::SignerGroup, "ci-2", Ok(()));
    check(Variable::SignerGroup, &"g".repeat(GROUP_BYTES_MAX), Ok(()));
    let wrong = Fault::WrongLength { min: 1, max: GROUP_BYTES_MAX };
    check(Variable::SignerGroup, &"g".repeat(GROUP_BYTES_MAX + 1), Err(wrong));
    for text in ["Group", "a b", "a_b", "é"] {
        check(Variable::SignerGroup, text, Err(Fault::Malformed));
    }
}

#[test]
fn reads_the_root_and_never_shows_it() {
    let wrong = Fault::WrongLength { min: 32, max: 64 };
    let root = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xfb; bytes]);
    for (bytes, expected) in [(31, Err(wrong)), (32, Ok(())), (64, Ok(())), (65, Err(wrong))] {
        check(Variable::SignerRoot, &root(bytes), expected);
    }
    let padded = format!("{}=", root(32));
    let standard = root(32).replace('-', "+");
    for text in [padded.as_str(), standard.as_str(), "secret-root!", &format!("{}\n", root(32))] {
        check(Variable::SignerRoot, text, Err(Fault::NotBase64Url));
        let shown = Error::Misconfigured { variable: Variable::SignerRoot, fault: Fault::NotBase64Url }.to_string();
        assert_eq!(shown, "variable `signer_root` is not base64url without padding");
    }
}
