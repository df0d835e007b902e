use super::*;

fn check(text: &str, development: bool, expected: Result<(), UrlRejection>) {
    assert_eq!(KeyUrl::of_keys(text, development).map(|_| ()), expected, "{text} development={development}");
}

#[test]
fn accepts_https_to_named_hosts() {
    for text in [
        "https://issuer.example",
        "https://issuer.example/",
        "https://issuer.example/path/keys?p=policy",
        "https://issuer.example:8443/keys",
        "https://token.actions.githubusercontent.com/.well-known/jwks",
        "https://xn--bcher-kva.example/keys",
        "https://host",
        "https://a-b.c1.example",
    ] {
        check(text, false, Ok(()));
        check(text, true, Ok(()));
    }
}

/// octo-sts 2025-06-26, GHSA-59jp-pj84-45mr and similar cases (regressions.md, row 9).
#[test]
fn rejects_urls_to_unintended_targets() {
    for (text, error) in [
        ("https://169.254.169.254/latest/meta-data", UrlRejection::Address),
        ("https://10.0.0.1/keys", UrlRejection::Address),
        ("https://93.184.216.34/keys", UrlRejection::Address),
        ("https://[fd00:ec2::254]/keys", UrlRejection::Address),
        ("https://[::ffff:169.254.169.254]/keys", UrlRejection::Address),
        ("https://0.0.0.0/keys", UrlRejection::Address),
        ("https://user@issuer.example/keys", UrlRejection::Userinfo),
        ("https://user:password@issuer.example/keys", UrlRejection::Userinfo),
        ("https://issuer.example@attacker.example/keys", UrlRejection::Userinfo),
        ("https://issuer.example/keys#fragment", UrlRejection::Fragment),
        ("https://issuer.example#@attacker.example/keys", UrlRejection::Fragment),
        ("http://issuer.example/keys", UrlRejection::Scheme),
        ("file:///etc/passwd", UrlRejection::Scheme),
        ("ftp://issuer.example/keys", UrlRejection::Scheme),
        ("HTTPS://issuer.example/keys", UrlRejection::Scheme),
        ("//issuer.example/keys", UrlRejection::Scheme),
        ("issuer.example", UrlRejection::Scheme),
        ("", UrlRejection::Scheme),
        ("https://issuer.example\\@attacker.example", UrlRejection::Malformed),
        ("https://issuer.example/a b", UrlRejection::Malformed),
        ("https://issuer.example/\r\nx:y", UrlRejection::Malformed),
        (" https://issuer.example", UrlRejection::Malformed),
        ("https://iss\u{fc}er.example", UrlRejection::Malformed),
    ] {
        check(text, false, Err(error));
        check(text, true, Err(error));
    }
}

#[test]
fn rejects_hosts_that_resolve_as_addresses() {
    for host in [
        "2130706433",
        "0x7f000001",
        "127.1",
        "0x7f.0.0.1",
        "1.2.3.0x4",
        "999.999.999.999",
        "1.2.3.4.5",
        "issuer.example.123",
    ] {
        check(&format!("https://{host}/keys"), true, Err(UrlRejection::Host));
    }
}

#[test]
fn rejects_hosts_that_are_not_dns_names() {
    let long_label = "a".repeat(64);
    for host in [
        "issuer..example",
        ".issuer.example",
        "issuer.example.",
        "-issuer.example",
        "issuer-.example",
        "issuer_a.example",
        "*.example",
        &long_label,
    ] {
        let outcome = KeyUrl::of_keys(&format!("https://{host}/keys"), false);
        assert_eq!(outcome, Err(UrlRejection::Host), "{host}");
    }
    check(&format!("https://{}/keys", "a".repeat(63)), false, Ok(()));
    let labels = |count: usize| vec!["abcdefghi"; count].join(".");
    check(&format!("https://{}.abcd/keys", labels(25)), false, Err(UrlRejection::Host));
    check(&format!("https://{}.abc/keys", labels(25)), false, Ok(()));
}

#[test]
fn rejects_ports_that_are_not_plain_numbers() {
    for port in ["", "0", "00443", "65536", "+443", "-1", "44a"] {
        check(&format!("https://issuer.example:{port}/keys"), false, Err(UrlRejection::Malformed));
    }
    check("https://issuer.example:65535/keys", false, Ok(()));
    check("https://issuer.example:1/keys", false, Ok(()));
}

#[test]
fn allows_loopback_for_development_only() {
    for text in [
        "http://127.0.0.1:7000",
        "http://localhost:7000/keys",
        "http://[::1]:7000/",
        "https://127.0.0.1/",
        "https://localhost",
        "http://127.255.0.1/",
        "https://idp.localhost/keys",
    ] {
        check(text, true, Ok(()));
        let expected = UrlRejection::Address;
        check(text, false, Err(expected));
    }
    for text in ["http://128.0.0.1/", "http://[::2]/", "http://0.0.0.0/"] {
        check(text, true, Err(UrlRejection::Address));
    }
    check("http://localhost.attacker.example/", true, Err(UrlRejection::Scheme));
}

#[test]
fn bounds_the_url() {
    let of_length = |bytes: usize| format!("https://issuer.example/{}", "a".repeat(bytes - 23));
    check(&of_length(URL_BYTES_MAX), false, Ok(()));
    check(&of_length(URL_BYTES_MAX + 1), false, Err(UrlRejection::TooLong));
}

#[test]
fn builds_discovery_url_under_issuer() {
    let well_known = "/.well-known/openid-configuration";
    for (issuer, expected) in [
        ("https://issuer.example", Ok(format!("https://issuer.example{well_known}"))),
        ("https://issuer.example/", Ok(format!("https://issuer.example{well_known}"))),
        ("https://issuer.example/tenant", Ok(format!("https://issuer.example/tenant{well_known}"))),
        ("https://issuer.example?x=1", Err(UrlRejection::Query)),
        ("https://issuer.example/#x", Err(UrlRejection::Fragment)),
        ("http://issuer.example", Err(UrlRejection::Scheme)),
    ] {
        assert_eq!(KeyUrl::of_discovery(issuer, false).map(|url| url.as_str().to_owned()), expected, "{issuer}");
    }
}
