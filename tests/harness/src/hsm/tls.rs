//! A blocking TLS client of a gateway that keeps its connection and controls how its writes are split.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a response may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// One connection, with Nagle's algorithm on, which is the default.
pub struct TlsClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// Bytes read that belong to no response yet.
    read: Vec<u8>,
}

/// A response on a connection that stays open.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl TlsClient {
    /// Connects to `localhost`, trusting `roots`, with a client certificate and its key.
    pub fn connect(port: u16, roots: &Path, certificate: &Path, key: &Path) -> Self {
        let read = |path: &Path| -> Vec<CertificateDer<'static>> {
            let found = CertificateDer::pem_file_iter(path).expect("PEM");
            found.map(|it| it.expect("a certificate")).collect()
        };
        let mut known = RootCertStore::empty();
        for root in read(roots) {
            known.add(root).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(known)
            .with_client_auth_cert(read(certificate), PrivateKeyDer::from_pem_file(key).expect("a key"))
            .expect("a certificate with its key");
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        socket.set_read_timeout(Some(ANSWER_MAX)).expect("a socket");
        Self { stream: StreamOwned::new(session, socket), read: Vec::new() }
    }

    /// Writes each part separately, then reads one response.
    pub fn exchange(&mut self, parts: &[&[u8]]) -> Answer {
        for part in parts {
            self.stream.write_all(part).expect("writes");
            self.stream.flush().expect("flushes");
        }
        let end = loop {
            let found = self.read.windows(4).position(|it| it == b"\r\n\r\n");
            match found {
                Some(end) => break end + 4,
                None => self.fill(),
            }
        };
        let head = String::from_utf8(self.read[..end].to_vec()).expect("text");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        let end_of_body = end + length.expect("a length");
        while self.read.len() < end_of_body {
            self.fill();
        }
        let body = self.read[end..end_of_body].to_vec();
        self.read.drain(..end_of_body);
        Answer { status: status.expect("a status"), body: String::from_utf8(body).expect("text") }
    }

    fn fill(&mut self) {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).expect("reads");
        assert!(count > 0, "the connection ended");
        self.read.extend_from_slice(&bytes[..count]);
    }
}
