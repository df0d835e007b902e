//! The request head that a guest sees: its authority, and the headers that Spin adds.

use http::header::{CONNECTION, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Uri, request};
use std::net::SocketAddr;

/// The request has no single valid authority (RFC 9112 §3.2).
#[derive(Debug, PartialEq, Eq)]
pub struct BadRequest;

/// Turns a received request head into the one that a guest gets. Spin's headers are appended: if the client sent one
/// of the same name, the last value is the host's, as with Spin.
pub fn prepare(head: &mut request::Parts, client: SocketAddr) -> Result<(), BadRequest> {
    let authority = authority(head)?;
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    for (name, value) in [
        ("spin-path-info", head.uri.path().to_owned()),
        ("spin-full-url", format!("http://{authority}{path}")),
        ("spin-matched-route", "/...".to_owned()),
        ("spin-base-path", "/".to_owned()),
        ("spin-raw-component-route", "/...".to_owned()),
        ("spin-component-route", String::new()),
        ("spin-client-addr", client.to_string()),
    ] {
        let value = HeaderValue::from_str(&value).map_err(|_| BadRequest)?;
        head.headers.append(HeaderName::from_static(name), value);
    }
    head.headers.remove(CONNECTION);
    head.uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| BadRequest)?;
    Ok(())
}

/// Finds the authority: exactly one `Host`, and no different one in the target.
fn authority(head: &request::Parts) -> Result<Authority, BadRequest> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(BadRequest);
    }
    let host = host.map(|host| Authority::try_from(host.as_bytes())).transpose().map_err(|_| BadRequest)?;
    match (head.uri.authority(), host) {
        (Some(target), Some(host)) if *target != host => Err(BadRequest),
        (Some(target), _) => Ok(target.clone()),
        (None, Some(host)) => Ok(host),
        (None, None) => Err(BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&'static str, &str)]) -> request::Parts {
        let mut builder = http::Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).expect("a request").into_parts().0
    }

    fn client() -> SocketAddr {
        "192.0.2.1:5".parse().expect("an address")
    }

    #[test]
    fn last_spin_header_is_from_the_host() {
        let mut head = parts("/token?a=b", &[("host", "b.example:80"), ("spin-client-addr", "1.2.3.4:5")]);
        prepare(&mut head, client()).expect("accepted");
        let seen: Vec<_> = head.headers.get_all("spin-client-addr").iter().collect();
        assert_eq!(seen, ["1.2.3.4:5", "192.0.2.1:5"]);
        assert_eq!(head.headers["spin-full-url"], "http://b.example:80/token?a=b");
        assert_eq!(head.headers["spin-path-info"], "/token");
        assert_eq!(head.uri, "http://b.example:80/token?a=b");
    }

    #[test]
    fn refuses_ambiguous_authority() {
        for (uri, headers) in [
            ("/", &[][..]),
            ("/", &[("host", "a.example"), ("host", "b.example")][..]),
            ("/", &[("host", "a b")][..]),
            ("/", &[("host", "")][..]),
            ("http://a.example/", &[("host", "b.example")][..]),
        ] {
            assert_eq!(prepare(&mut parts(uri, headers), client()), Err(BadRequest), "{uri} {headers:?}");
        }
    }

    #[test]
    fn removes_connection_header() {
        let mut head = parts("/", &[("host", "a.example"), ("connection", "close")]);
        prepare(&mut head, client()).expect("accepted");
        assert!(!head.headers.contains_key("connection"));
    }
}
