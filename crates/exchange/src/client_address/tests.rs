use super::*;

fn trusted(text: &str) -> TrustedProxies {
    TrustedProxies::parse(text).expect("networks")
}

/// The client's address for a request from `peer` with these headers.
fn client(peer: &str, headers: &[(&str, &str)]) -> Result<Option<String>, Undetermined> {
    client_by(ForwardedHeader::Either, peer, headers)
}

fn client_by(header: ForwardedHeader, peer: &str, headers: &[(&str, &str)]) -> Result<Option<String>, Undetermined> {
    let values = |header: &str| {
        let of_name = headers.iter().filter(|(name, _)| *name == header);
        of_name.map(|(_, value)| (*value).to_owned()).collect()
    };
    let forwarded_for =
        ForwardedFor { peer: peer.to_owned(), forwarded: values("forwarded"), x_forwarded_for: values("xff") };
    let trusted = trusted("10.0.0.0/8, 2001:db8:f::/48").writing(header);
    let client = forwarded_for.client(&trusted)?;
    Ok(client.map(|address| address.to_string()))
}

fn is(address: &str) -> Result<Option<String>, Undetermined> {
    Ok(Some(address.to_owned()))
}

const PROXY: &str = "10.0.0.1:5000";

#[test]
fn uses_peer_address_of_untrusted_client() {
    for headers in [
        &[][..],
        &[("xff", "192.0.2.9")],
        &[("forwarded", "for=192.0.2.9")],
        &[("xff", "192.0.2.9"), ("forwarded", "for=192.0.2.9")],
        &[("xff", "garbage")],
    ] {
        assert_eq!(client("198.51.100.7:9", headers), is("198.51.100.7"));
    }
    assert_eq!(client("[2001:db8::7]:9", &[]), is("2001:db8::7"));
    assert_eq!(client("[::ffff:198.51.100.7]:9", &[]), is("198.51.100.7"));
}

#[test]
fn picks_nearest_untrusted_hop() {
    for (header, value, expected) in [
        ("xff", "192.0.2.1", "192.0.2.1"),
        ("xff", "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("xff", "6.6.6.6, 192.0.2.1, 10.1.2.3", "192.0.2.1"),
        ("xff", "garbage, 192.0.2.1", "192.0.2.1"),
        // Every hop is trusted: the outermost is the client.
        ("xff", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("forwarded", "for=10.1.1.1", "10.1.1.1"),
        ("xff", "192.0.2.1:4711", "192.0.2.1"),
        ("xff", "2001:db8::1", "2001:db8::1"),
        ("xff", "[2001:db8::1]", "2001:db8::1"),
        ("xff", "[2001:db8::1]:4711", "2001:db8::1"),
        ("xff", "192.0.2.1, 2001:db8:f::2", "192.0.2.1"),
        ("xff", "::ffff:192.0.2.1", "192.0.2.1"),
        ("xff", "192.0.2.1, ::ffff:10.1.2.3", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1", "192.0.2.1"),
        ("forwarded", "FOR=192.0.2.1;proto=https;by=10.0.0.1", "192.0.2.1"),
        ("forwarded", "for=6.6.6.6, for=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("forwarded", "for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("forwarded", "for=192.0.2.1, for=10.2.2.2;host=\"a,b;c\"", "192.0.2.1"),
        ("forwarded", "for=unknown, for=192.0.2.1", "192.0.2.1"),
    ] {
        assert_eq!(client(PROXY, &[(header, value)]), is(expected), "{value}");
    }
    let lines = [("xff", "6.6.6.6"), ("xff", "192.0.2.1"), ("xff", "10.1.1.1")];
    assert_eq!(client(PROXY, &lines), is("192.0.2.1"));
    let mapped = client("[::ffff:10.0.0.1]:5", &[("xff", "192.0.2.1")]);
    assert_eq!(mapped, is("192.0.2.1"));
}

#[test]
fn refuses_ambiguous_or_invalid_hops() {
    use Undetermined::*;
    for (headers, why) in [
        (&[][..], HeaderMissing),
        // Ambiguous: the proxy wrote only one of them.
        (&[("xff", "192.0.2.1"), ("forwarded", "for=192.0.2.1")], BothHeaders),
        (&[("xff", "192.0.2.1"), ("forwarded", "")], BothHeaders),
        (&[("xff", "")], HopUnreadable),
        (&[("xff", "192.0.2.1, garbage")], HopUnreadable),
        (&[("xff", "192.0.2.1,")], HopUnreadable),
        (&[("xff", "192.0.2.1, unknown, 10.1.1.1")], HopUnreadable),
        (&[("xff", "192.0.2.1:99999")], HopUnreadable),
        (&[("xff", "192.0.2.1:")], HopUnreadable),
        (&[("xff", "192.0.2.01")], HopUnreadable),
        (&[("xff", "[192.0.2.1]")], HopUnreadable),
        (&[("xff", "2001:db8::1]:5")], HopUnreadable),
        (&[("xff", "0.0.0.0")], HopUnreadable),
        (&[("xff", "::")], HopUnreadable),
        (&[("forwarded", "")], HopUnreadable),
        (&[("forwarded", "for")], HopUnreadable),
        (&[("forwarded", "for=unknown")], HopUnreadable),
        (&[("forwarded", "for=_hidden")], HopUnreadable),
        (&[("forwarded", "proto=https")], HopUnreadable),
        (&[("forwarded", "for=192.0.2.1;for=192.0.2.2")], HopUnreadable),
        (&[("forwarded", "for=\"192.0.2.1")], HopUnreadable),
        (&[("forwarded", "for=\"192.0.2.1\\\"\"")], HopUnreadable),
        // A client opens a quote for the proxy to close.
        (&[("forwarded", "for=6.6.6.6;x=\", for=\"[2001:db8::1]\"")], HopUnreadable),
        (&[("forwarded", "for=6.6.6.6;x=\", for=192.0.2.1")], HopUnreadable),
        (&[("forwarded", "for=6.6.6.6;x=\", for=192.0.2.1;by=\"\"")], HopUnreadable),
        (&[("forwarded", "x\"=6.6.6.6\", for=192.0.2.1")], HopUnreadable),
    ] {
        assert_eq!(client(PROXY, headers), Err(why), "{headers:?}");
    }
    for peer in ["", "10.0.0.1", "0.0.0.0:0", "[::]:0", "garbage:1"] {
        assert_eq!(client(peer, &[("xff", "192.0.2.1")]), Err(PeerUnreadable), "{peer}");
    }
}

#[test]
fn ignores_headers_without_trusted_proxies() {
    for peer in ["198.51.100.7:9", ""] {
        let forwarded_for = ForwardedFor {
            peer: peer.to_owned(),
            forwarded: vec!["for=192.0.2.1".to_owned()],
            x_forwarded_for: vec!["192.0.2.1".to_owned()],
        };
        assert_eq!(forwarded_for.client(&TrustedProxies::default()), Ok(None));
    }
}

#[test]
fn honors_only_configured_header() {
    use ForwardedHeader::*;
    let both = [("xff", "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
    let broken = [("xff", "192.0.2.1"), ("forwarded", "for=\"")];
    for (header, headers, expected) in [
        (XForwardedFor, &both[..], is("192.0.2.1")),
        (Forwarded, &both, is("192.0.2.2")),
        (Either, &both, Err(Undetermined::BothHeaders)),
        (XForwardedFor, &broken, is("192.0.2.1")),
        (Forwarded, &broken, Err(Undetermined::HopUnreadable)),
        (XForwardedFor, &both[1..], Err(Undetermined::HeaderMissing)),
        (Forwarded, &both[..1], Err(Undetermined::HeaderMissing)),
    ] {
        assert_eq!(client_by(header, PROXY, headers), expected, "{headers:?}");
    }
    for (text, expected) in [
        ("", Ok(Either)),
        ("forwarded", Ok(Forwarded)),
        ("x-forwarded-for", Ok(XForwardedFor)),
        ("X-Forwarded-For", Ok(ForwardedHeader::XForwardedFor)),
        ("x-real-ip", Err(HeaderUnknown)),
    ] {
        assert_eq!(ForwardedHeader::parse(text), expected, "{text}");
    }
}

/// Both sides of the bound.
#[test]
fn bounds_the_number_of_hops() {
    let chain = |proxies: usize| format!("192.0.2.1{}", ", 10.1.1.1".repeat(proxies));
    let walked = |proxies: usize| client(PROXY, &[("xff", &chain(proxies))]);
    assert_eq!(walked(HOPS_MAX - 1), is("192.0.2.1"));
    assert_eq!(walked(HOPS_MAX), Err(Undetermined::HopsTooMany));
}

#[test]
fn parses_networks_and_refuses_ambiguous_ones() {
    for fine in ["", "  ", "10.0.0.0/8", "192.0.2.1", "10.0.0.0/8,fd00::/8 ::1", "0.0.0.0/0"] {
        assert!(TrustedProxies::parse(fine).is_ok(), "{fine}");
    }
    for wrong in ["*", "10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0.0/8;::1", "::ffff:10.0.0.0/104"] {
        assert_eq!(TrustedProxies::parse(wrong), Err(NetworksInvalid), "{wrong}");
    }
    let many = |count: usize| "192.0.2.1 ".repeat(count);
    assert!(TrustedProxies::parse(&many(TRUSTED_PROXIES_MAX)).is_ok());
    assert!(TrustedProxies::parse(&many(TRUSTED_PROXIES_MAX + 1)).is_err());
}
