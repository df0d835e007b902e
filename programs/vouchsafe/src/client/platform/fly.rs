//! Fly.io machines: an HTTP API on a Unix socket, which authenticates the machine.

use crate::client::raw_token::validate;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use vouchsafe_cli::Failure;

const SOCKET: &str = "/.fly/api";
const TIMEOUT: Duration = Duration::from_secs(10);
const REPLY_BYTES_MAX: usize = 64 * 1024;

pub fn token(audience: &str) -> Result<String, Failure> {
    vouchsafe_cli::run(async { ask(Path::new(SOCKET), audience).await })
}

async fn ask(socket: &Path, audience: &str) -> Result<String, Failure> {
    let answer = tokio::time::timeout(TIMEOUT, post(socket, audience)).await;
    let why =
        |error: &dyn std::fmt::Display| Failure::unreachable(format!("no answer from {}: {error}", socket.display()));
    let (status, body) = answer.map_err(|_| why(&"timeout"))?.map_err(|error| why(&error))?;
    if status != 200 {
        return Err(Failure::unreachable(format!("Fly.io returned no token (status {status})")));
    }
    validate(&String::from_utf8_lossy(&body))
}

async fn post(socket: &Path, audience: &str) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/tokens/oidc")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(json!({ "aud": audience }).to_string())))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await?;
    Ok((status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Asks a server on a socket that gives `answer`; returns the outcome and the request.
    fn check(name: &str, answer: &'static str) -> (Result<String, Failure>, String) {
        let socket = std::env::temp_dir().join(format!("vouchsafe-fly-{name}-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (String::new(), [0; 4096]);
            while !request.ends_with('}') {
                let read = stream.read(&mut buffer).unwrap();
                request.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        let outcome = vouchsafe_cli::run(async { ask(&socket, "https://broker.example").await });
        std::fs::remove_file(&socket).unwrap();
        (outcome, server.join().unwrap())
    }

    #[test]
    fn posts_the_audience_to_the_socket() {
        let (token, request) = check("ok", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\na.b.c\n");
        assert_eq!(token.unwrap(), "a.b.c");
        assert!(request.starts_with("POST /v1/tokens/oidc HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"aud\":\"https://broker.example\"}"), "{request}");
    }

    #[test]
    fn refusal_shows_the_status_only() {
        let (failure, _) = check("no", "HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\nsecret");
        let failure = failure.unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (3, "Fly.io returned no token (status 403)"));
    }

    #[test]
    fn missing_socket_is_no_answer() {
        let failure = vouchsafe_cli::run(async { ask(Path::new("/nonexistent/api"), "a").await }).unwrap_err();
        assert_eq!(failure.code, 3);
        assert!(failure.message.starts_with("no answer from /nonexistent/api: No such file"), "{}", failure.message);
    }
}
