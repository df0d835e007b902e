use super::*;

fn trusted(text: &str) -> TrustedProxies {
    TrustedProxies::parse(text).expect("networks")
}

/// What a request from `peer` with these headers is taken to come from.
fn client(peer: &str, headers: &[(&str, &str)]) -> Option<String> {
    let values = |wanted: &str| {
        let of_name = headers.iter().filter(|(name, _)| *name == wanted);
        of_name.map(|(_, value)| (*value).to_owned()).collect()
    };
    let hops = Hops {
        peer: peer.to_owned(),
        forwarded: values("forwarded"),
        x_forwarded_for: values("xff"),
    };
    let client = hops.client(&trusted("10.0.0.0/8, 2001:db8:f::/48"));
    client.map(|address| address.to_string())
}

const PROXY: &str = "10.0.0.1:5000";

#[test]
fn a_direct_client_is_its_peer_address_whatever_it_sends() {
    for headers in [
        &[][..],
        &[("xff", "192.0.2.9")],
        &[("forwarded", "for=192.0.2.9")],
        &[("xff", "192.0.2.9"), ("forwarded", "for=192.0.2.9")],
        &[("xff", "garbage")],
    ] {
        assert_eq!(
            client("198.51.100.7:9", headers).as_deref(),
            Some("198.51.100.7")
        );
    }
    assert_eq!(
        client("[2001:db8::7]:9", &[]).as_deref(),
        Some("2001:db8::7")
    );
    assert_eq!(
        client("[::ffff:198.51.100.7]:9", &[]).as_deref(),
        Some("198.51.100.7")
    );
}

#[test]
fn the_nearest_hop_that_is_no_trusted_proxy_is_the_client() {
    for (header, value, expected) in [
        ("xff", "192.0.2.1", Some("192.0.2.1")),
        ("xff", "6.6.6.6, 192.0.2.1", Some("192.0.2.1")),
        ("xff", "6.6.6.6, 192.0.2.1, 10.1.2.3", Some("192.0.2.1")),
        ("xff", "garbage, 192.0.2.1", Some("192.0.2.1")),
        ("xff", "192.0.2.1:4711", Some("192.0.2.1")),
        ("xff", "2001:db8::1", Some("2001:db8::1")),
        ("xff", "[2001:db8::1]", Some("2001:db8::1")),
        ("xff", "[2001:db8::1]:4711", Some("2001:db8::1")),
        ("xff", "192.0.2.1, 2001:db8:f::2", Some("192.0.2.1")),
        ("xff", "::ffff:192.0.2.1", Some("192.0.2.1")),
        ("xff", "192.0.2.1, ::ffff:10.1.2.3", Some("192.0.2.1")),
        ("forwarded", "for=192.0.2.1", Some("192.0.2.1")),
        (
            "forwarded",
            "FOR=192.0.2.1;proto=https;by=10.0.0.1",
            Some("192.0.2.1"),
        ),
        (
            "forwarded",
            "for=6.6.6.6, for=\"192.0.2.1:4711\"",
            Some("192.0.2.1"),
        ),
        (
            "forwarded",
            "for=\"[2001:db8::1]:4711\"",
            Some("2001:db8::1"),
        ),
        (
            "forwarded",
            "for=192.0.2.1, for=10.2.2.2;host=\"a,b;c\"",
            Some("192.0.2.1"),
        ),
        ("forwarded", "for=unknown, for=192.0.2.1", Some("192.0.2.1")),
    ] {
        assert_eq!(
            client(PROXY, &[(header, value)]).as_deref(),
            expected,
            "{value}"
        );
    }
    let lines = [
        ("xff", "6.6.6.6"),
        ("xff", "192.0.2.1"),
        ("xff", "10.1.1.1"),
    ];
    assert_eq!(client(PROXY, &lines).as_deref(), Some("192.0.2.1"));
    let mapped = client("[::ffff:10.0.0.1]:5", &[("xff", "192.0.2.1")]);
    assert_eq!(mapped.as_deref(), Some("192.0.2.1"));
}

#[test]
fn whatever_is_in_doubt_gives_no_address() {
    for headers in [
        &[][..],
        // Which of them did the proxy write?
        &[("xff", "192.0.2.1"), ("forwarded", "for=192.0.2.1")],
        &[("xff", "")],
        &[("xff", "192.0.2.1, garbage")],
        &[("xff", "192.0.2.1,")],
        &[("xff", "192.0.2.1, unknown, 10.1.1.1")],
        &[("xff", "192.0.2.1:99999")],
        &[("xff", "192.0.2.1:")],
        &[("xff", "192.0.2.01")],
        &[("xff", "[192.0.2.1]")],
        &[("xff", "2001:db8::1]:5")],
        &[("xff", "0.0.0.0")],
        &[("xff", "::")],
        &[("xff", "10.1.1.1, 10.2.2.2")],
        &[("forwarded", "")],
        &[("forwarded", "for")],
        &[("forwarded", "for=unknown")],
        &[("forwarded", "for=_hidden")],
        &[("forwarded", "proto=https")],
        &[("forwarded", "for=192.0.2.1;for=192.0.2.2")],
        &[("forwarded", "for=\"192.0.2.1")],
        &[("forwarded", "for=\"192.0.2.1\\\"\"")],
        // A client that opens a quote for the proxy to close.
        &[("forwarded", "for=6.6.6.6;x=\", for=\"[2001:db8::1]\"")],
        &[("forwarded", "for=6.6.6.6;x=\", for=192.0.2.1")],
        &[("forwarded", "for=6.6.6.6;x=\", for=192.0.2.1;by=\"\"")],
        &[("forwarded", "x\"=6.6.6.6\", for=192.0.2.1")],
    ] {
        assert_eq!(client(PROXY, headers), None, "{headers:?}");
    }
    for peer in ["", "10.0.0.1", "0.0.0.0:0", "[::]:0", "garbage:1"] {
        assert_eq!(client(peer, &[("xff", "192.0.2.1")]), None, "{peer}");
    }
    let hops = Hops {
        peer: "198.51.100.7:9".to_owned(),
        ..Hops::default()
    };
    assert_eq!(hops.client(&TrustedProxies::default()), None);
}

/// Both sides of the bound of hops.
#[test]
fn walks_so_many_hops_and_no_more() {
    let chain = |proxies: usize| format!("192.0.2.1{}", ", 10.1.1.1".repeat(proxies));
    let at_most = client(PROXY, &[("xff", &chain(HOPS_MAX - 1))]);
    assert_eq!(at_most.as_deref(), Some("192.0.2.1"));
    assert_eq!(client(PROXY, &[("xff", &chain(HOPS_MAX))]), None);
}

#[test]
fn reads_networks_and_refuses_what_could_mean_two_things() {
    for fine in [
        "",
        "  ",
        "10.0.0.0/8",
        "192.0.2.1",
        "10.0.0.0/8,fd00::/8 ::1",
        "0.0.0.0/0",
    ] {
        assert!(TrustedProxies::parse(fine).is_ok(), "{fine}");
    }
    for wrong in [
        "*",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "proxy.example",
        "10.0.0.0/8;::1",
        "::ffff:10.0.0.0/104",
    ] {
        assert_eq!(
            TrustedProxies::parse(wrong),
            Err(NetworksInvalid),
            "{wrong}"
        );
    }
    let many = |count: usize| "192.0.2.1 ".repeat(count);
    assert!(TrustedProxies::parse(&many(TRUSTED_PROXIES_MAX)).is_ok());
    assert!(TrustedProxies::parse(&many(TRUSTED_PROXIES_MAX + 1)).is_err());
}
