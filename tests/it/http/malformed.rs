//! Malformed HTTP never reaches a guest and harms none.

use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::{FORM, Form, Want, check, check_answer, refused};
use vouchsafe_harness::http::{Request, Response, send_raw};

/// Largest body that the host passes on; the broker's own limit is lower.
const HOST_BODY_BYTES_MAX: usize = 128 * 1024;
/// Many times the host's limit of 64 KiB.
const HEAD_BYTES: usize = 4 * 1024 * 1024;

/// Malformed requests, and the statuses that may answer each.
fn malformed(address: &str) -> Vec<(&'static str, String, &'static [u16])> {
    let post = |head: &str, body: &str| format!("POST /token HTTP/1.1\r\n{head}content-type: {FORM}\r\n\r\n{body}");
    let host = format!("host: {address}\r\nconnection: close\r\n");
    let post_to_host = |head: &str, body: &str| post(&format!("{host}{head}"), body);
    vec![
        ("no host", post("connection: close\r\ncontent-length: 1\r\n", "a"), &[400]),
        ("two hosts", post_to_host("host: other.example\r\ncontent-length: 1\r\n", "a"), &[400]),
        ("two lengths", post_to_host("content-length: 1\r\ncontent-length: 2\r\n", "aa"), &[400]),
        ("a length that is not a number", post_to_host("content-length: x\r\n", "a"), &[400]),
        ("a negative length", post_to_host("content-length: -1\r\n", "a"), &[400]),
        ("a broken chunk", post_to_host("transfer-encoding: chunked\r\n", "zz\r\n"), &[400]),
        ("an unknown transfer coding", post_to_host("transfer-encoding: gzip\r\n", "a"), &[400, 501]),
        ("no version", "GET /token\r\n\r\n".to_owned(), &[400]),
        ("not HTTP", "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\r\n\r\n".to_owned(), &[400]),
        ("a header without a name", format!("GET /healthz HTTP/1.1\r\n{host}: x\r\n\r\n"), &[400]),
        ("a NUL in a header", format!("GET /healthz HTTP/1.1\r\n{host}x: a\0b\r\n\r\n"), &[400]),
        ("CONNECT", format!("CONNECT {address} HTTP/1.1\r\n{host}\r\n"), &[405]),
        (
            "a body over the host's cap",
            post_to_host(&format!("content-length: {}\r\n", HOST_BODY_BYTES_MAX + 1), ""),
            &[413],
        ),
    ]
}

#[test]
fn answers_malformed_requests_without_guest() {
    let fixture = Fixture::start();
    let address = &fixture.broker.address;
    let mut failures = Vec::new();
    for (name, bytes, statuses) in &malformed(address) {
        match send_raw(address, bytes.as_bytes(), false) {
            Ok(response) if statuses.contains(&response.status) => {}
            Ok(response) => failures.push(format!("- {name}: {} {}", response.status, response.text())),
            Err(error) => failures.push(format!("- {name}: {error:#}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let token = fixture.token();
    check(&fixture.broker, &Form::of(&token).request(), &token, Want::Issued).expect("unharmed");
    fixture.broker.assert_healthy();
}

/// A head far larger than the host's buffer is cut off, with a response if the client still reads one.
#[test]
fn stops_reading_endless_head() {
    let fixture = Fixture::start();
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(HEAD_BYTES));
    if let Ok(response) = send_raw(&fixture.broker.address, head.as_bytes(), false) {
        assert_eq!(response.status, 431, "{}", response.text());
    }
    fixture.broker.assert_healthy();
}

/// Above the host's own limit no guest is asked; the response looks the same as the broker's.
#[test]
fn formats_host_refusals_like_broker_refusals() {
    let fixture = Fixture::start();
    let over = vec![b'a'; HOST_BODY_BYTES_MAX + 1];
    let request = Request { chunk_bytes: Some(4096), ..Request::post("/token", FORM, over) };
    let want = refused(413, "invalid_request", "none");
    let [first, second] = [(); 2].map(|()| fixture.broker.send(&request));
    check_answer(&first, None, false, want).expect("the broker's words");
    let id = |response: &Response| response.header("x-request-id").map(str::to_owned);
    assert!(id(&first).is_some_and(|id| id.len() == 32) && id(&first) != id(&second), "128 random bits each");
    fixture.broker.assert_healthy();
}

#[test]
fn answers_unknown_paths_and_methods() {
    let fixture = Fixture::start();
    for (method, path, status) in [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/.well-known/jwks.json", 200),
        ("GET", "/.well-known/openid-configuration", 200),
        ("GET", "/.well-known/oauth-authorization-server", 200),
        ("POST", "/.well-known/jwks.json", 405),
        ("DELETE", "/readyz", 405),
        ("GET", "/", 404),
        ("POST", "/token/", 404),
        ("POST", "/Token", 404),
        ("POST", "//token", 404),
        ("GET", "/%74oken", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/policies/bundle.toml", 404),
    ] {
        let request = Request { method: method.to_owned(), ..Request::get(path) };
        assert_eq!(fixture.broker.send(&request).status, status, "{method} {path}");
    }
    fixture.broker.assert_healthy();
}
