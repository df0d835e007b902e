use super::*;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tls/test-certificates").join(name)
}

fn setting(host: &str) -> ClientTls {
    ClientTls {
        component_ids: vec!["guest".into()],
        hosts: vec![host.into()],
        ca_roots_file: Some(file("ca.pem")),
        ca_use_webpki_roots: None,
        client_cert_file: None,
        client_private_key_file: None,
    }
}

fn with_client_certificate() -> ClientTls {
    ClientTls {
        client_cert_file: Some(file("client.pem")),
        client_private_key_file: Some(file("client.key")),
        ..setting("localhost")
    }
}

/// Starts a TLS server for `localhost`, which requires a client certificate if `mutual`; returns its port.
async fn server(mutual: bool) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(read_certificates(&file("ca.pem")).expect("a root").remove(0)).expect("a root");
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(file("server.key")).expect("a key");
    let config = builder.with_single_cert(read_certificates(&file("server.pem")).expect("a certificate"), key);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.expect("a configuration")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accepts");
        if let Ok(mut stream) = acceptor.accept(stream).await {
            drop(stream.write_all(b"hello").await);
            drop(stream.shutdown().await);
        }
    });
    port
}

/// What a connection with the settings `tls` receives, or `None` if TLS fails.
async fn receive(tls: &Tls, mutual: bool) -> Option<String> {
    let stream = TcpStream::connect(("127.0.0.1", server(mutual).await)).await.expect("connects");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(tls.of("LOCALHOST"));
    let talk = async {
        let mut text = String::new();
        connector.connect(name, stream).await.ok()?.read_to_string(&mut text).await.ok()?;
        Some(text)
    };
    tokio::time::timeout(Duration::from_secs(10), talk).await.expect("in time")
}

#[tokio::test]
async fn private_root_is_limited_to_hosts_and_component() {
    for (what, settings, component, expected) in [
        ("the public roots alone", vec![], "guest", None),
        ("the private root", vec![setting("localhost")], "guest", Some("hello".to_owned())),
        ("another host's root", vec![setting("other.example")], "guest", None),
        ("another component's root", vec![setting("localhost")], "other", None),
    ] {
        let tls = Tls::new(&settings, component).expect(what);
        assert_eq!(receive(&tls, false).await, expected, "{what}");
    }
}

#[tokio::test]
async fn presents_configured_client_certificate() {
    for (setting, expected) in [(setting("localhost"), None), (with_client_certificate(), Some("hello".to_owned()))] {
        let tls = Tls::new(&[setting], "guest").expect("settings");
        assert_eq!(receive(&tls, true).await, expected);
    }
}

#[test]
fn refuses_incomplete_or_wrong_files() {
    let half = ClientTls { client_private_key_file: None, ..with_client_certificate() };
    let failure = Tls::new(&[half], "guest").map(|_| ()).expect_err("half a pair");
    assert_eq!(failure.message, "client_tls: client_cert_file and client_private_key_file must be set together");
    let key = ClientTls { ca_roots_file: Some(file("server.key")), ..setting("localhost") };
    let failure = Tls::new(&[key], "guest").map(|_| ()).expect_err("a key");
    assert!(failure.message.ends_with("server.key: no certificate found"), "{}", failure.message);
}
