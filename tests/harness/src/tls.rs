//! An OpenID provider with TLS and a certificate of the test's choice.

use crate::hsm::certificates;
use crate::keys::Key;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A running provider at `https://localhost:PORT/tls`, or under another name. Its thread runs until the process ends.
pub struct TlsIssuer {
    origin: String,
}

impl TlsIssuer {
    /// Serves with a certificate file of [`certificates`] and the key `issuers.key`.
    pub fn start(certificate: &str) -> Self {
        Self::named("localhost", certificate)
    }

    /// As [`Self::start`], as the host `name`, which only a proxy may be able to resolve.
    pub fn named(name: &str, certificate: &str) -> Self {
        let file = |name: &str| certificates().join(name);
        let chain: Vec<_> =
            CertificateDer::pem_file_iter(file(certificate)).and_then(Iterator::collect).expect("certificates");
        let key = PrivateKeyDer::from_pem_file(file("issuers.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate of the key");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let origin = format!("https://{name}:{port}");
        let url = format!("{origin}/tls");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that rejects the certificate ends the connection.
                drop(answer(stream, &config, &url));
            }
        });
        Self { origin }
    }

    /// Scheme and authority, as in a manifest's `allowed_outbound_hosts`.
    pub fn origin(&self) -> String {
        self.origin.clone()
    }

    pub fn url(&self) -> String {
        format!("{}/tls", self.origin())
    }
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>, url: &str) -> std::io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let body = if String::from_utf8_lossy(&head).contains("/tls/jwks ") {
        json!({ "keys": keys() })
    } else {
        json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") })
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn keys() -> Vec<Value> {
    vec![Key::issuer("RS256").jwk("RS256")]
}
