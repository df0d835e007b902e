use super::failure::Failure;
use super::*;
use crate::cause::Cause;
use crate::metrics::Metrics;
use crate::networks::Networks;
use crate::proxy::Proxy;
use crate::tls::Tls;
use http_body_util::Empty;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use vouchsafe_manifest::HostPattern;

fn network(allowed: &str, blocked: &[&str]) -> Arc<Network> {
    let blocked: Vec<String> = blocked.iter().map(|&text| text.to_owned()).collect();
    Arc::new(Network {
        allowed: vec![HostPattern::parse(allowed).expect(allowed)],
        blocked: Networks::parse(&blocked).expect("networks"),
        proxy: Proxy::default(),
        tls: Tls::new(&[], "guest").expect("roots"),
        metrics: Arc::new(Metrics::default()),
        lines: LogLines::default(),
    })
}

/// Answers one connection with `reply`, then sends nothing more; returns its port.
async fn server(reply: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let mut head = [0; 1024];
        let read = stream.read(&mut head).await.expect("reads");
        assert!(head[..read].starts_with(b"GET /a?b HTTP/1.1\r\n"), "{:?}", String::from_utf8_lossy(&head[..read]));
        stream.write_all(reply.as_bytes()).await.expect("writes");
        std::future::pending::<()>().await;
    });
    port
}

fn request(url: &str) -> Request<WasiBody> {
    Request::get(url).body(Empty::new().map_err(|never| match never {}).boxed_unsync()).expect(url)
}

async fn get(network: &Arc<Network>, url: &str, timeouts: Timeouts) -> Result<String, Error> {
    let (response, _finished) = send(network, request(url), timeouts).await?;
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn failure(network: &Network, url: &str) -> Failure {
    answer(network, request(url), short()).await.map(|_| ()).expect_err(url)
}

fn short() -> Timeouts {
    let step = Duration::from_millis(200);
    Timeouts { connect: step, first_byte: step, between_bytes: step }
}

/// The samples of `vouchsafe_outbound_total`.
fn counted(network: &Network) -> Vec<String> {
    let text = network.metrics.render();
    text.lines().filter_map(|line| line.strip_prefix("vouchsafe_outbound_total")).map(str::to_owned).collect()
}

#[tokio::test]
async fn sends_only_the_path_to_an_allowed_host() {
    let port = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let network = network(&format!("http://127.0.0.1:{port}"), &[]);
    let text = get(&network, &format!("http://127.0.0.1:{port}/a?b"), short()).await.expect("answers");
    assert_eq!(text, "ok");
    assert_eq!(counted(&network), ["{host=\"127.0.0.1\",outcome=\"answered\",cause=\"\"} 1"]);
}

#[tokio::test]
async fn denies_unlisted_hosts() {
    let network = network("http://a.example:81", &[]);
    for url in ["http://a.example/", "https://a.example:81/", "http://b.example:81/", "http://a.example.:81/"] {
        assert!(matches!(get(&network, url, short()).await, Err(Error::HttpRequestDenied)), "{url}");
    }
    let failure = failure(&network, "https://b.example/").await;
    let expected = "`https://b.example:443` is not among the allowed hosts (hint: add it to allowed_outbound_hosts of the manifest)";
    assert_eq!(failure.text(), expected);
}

#[tokio::test]
async fn refuses_listed_name_with_blocked_address() {
    for (pattern, blocked, url) in [
        ("http://localhost:9", "private", "http://localhost:9/"),
        ("http://127.0.0.1:9", "127.0.0.0/8", "http://127.0.0.1:9/"),
        ("http://[::1]:9", "private", "http://[::1]:9/"),
        ("http://*:9", "private", "http://0.0.0.0:9/"),
    ] {
        let network = network(pattern, &[blocked]);
        let outcome = get(&network, url, short()).await;
        assert!(matches!(outcome, Err(Error::DestinationIpProhibited)), "{url}: {outcome:?}");
        let failure = failure(&network, url).await;
        let text = failure.text();
        let expected =
            format!(" is in the blocked network `{blocked}` (hint: change block_networks in the runtime config file)");
        assert!(text.starts_with("the address ") && text.ends_with(&expected), "{text}");
    }
}

#[tokio::test]
async fn idle_server_times_out() {
    for (reply, expected) in [("", "head"), ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", "body")] {
        let port = server(reply).await;
        let network = network(&format!("http://127.0.0.1:{port}"), &[]);
        let outcome = get(&network, &format!("http://127.0.0.1:{port}/a?b"), short()).await;
        assert!(matches!(outcome, Err(Error::ConnectionReadTimeout)), "{expected}: {outcome:?}");
        let counted = counted(&network);
        assert_eq!(counted, ["{host=\"127.0.0.1\",outcome=\"timed_out\",cause=\"answer_timeout\"} 1"], "{expected}");
    }
}

/// A guest with a deadline of its own drops the request before the host's timeout.
#[tokio::test]
async fn counts_request_that_the_guest_gives_up() {
    let timeouts = || Timeouts { first_byte: STEP_TIMEOUT_MAX, between_bytes: STEP_TIMEOUT_MAX, ..short() };
    for reply in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"] {
        let port = server(reply).await;
        let network = network(&format!("http://127.0.0.1:{port}"), &[]);
        let url = format!("http://127.0.0.1:{port}/a?b");
        let given_up = timeout(Duration::from_millis(200), get(&network, &url, timeouts())).await;
        assert!(given_up.is_err());
        let counted = counted(&network);
        assert_eq!(counted, ["{host=\"127.0.0.1\",outcome=\"timed_out\",cause=\"answer_timeout\"} 1"], "{reply}");
    }
}

#[tokio::test]
async fn distinguishes_closed_port_from_unknown_name() {
    // Nothing listens on port 1 of loopback.
    let closed = failure(&network("http://127.0.0.1:1", &[]), "http://127.0.0.1:1/").await;
    assert!(matches!((closed.cause, &closed.error), (Cause::ConnectionRefused, Error::ConnectionRefused)));
    assert!(closed.text().starts_with("cannot connect to 127.0.0.1:1: "), "{}", closed.text());
    assert!(closed.text().contains(" (hint: nothing listens there: check the port in the URL, "), "{}", closed.text());
    // Longer than a label may be, so that no name server is asked.
    let name = "a".repeat(64) + ".invalid";
    let unknown = failure(&network("http://*", &[]), &format!("http://{name}/")).await;
    assert!(matches!((unknown.cause, &unknown.error), (Cause::Dns, Error::DnsError { .. })), "{}", unknown.text());
    assert!(unknown.text().starts_with(&format!("cannot resolve `{name}`: ")), "{}", unknown.text());
    assert!(unknown.text().contains(" (hint: check the name in the URL, "), "{}", unknown.text());
}

#[tokio::test]
async fn recognizes_server_without_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("writes");
        std::future::pending::<()>().await;
    });
    let failure = failure(&network("https://127.0.0.1:*", &[]), &format!("https://127.0.0.1:{port}/")).await;
    assert_eq!((failure.cause, failure.text().as_str()), (Cause::Tls, "the server does not speak TLS"));
}

#[test]
fn guest_can_only_shorten_timeouts() {
    let asked =
        |seconds| Some(RequestOptions { connect_timeout: Some(Duration::from_secs(seconds)), ..Default::default() });
    assert_eq!(Timeouts::new(asked(2)).connect, Duration::from_secs(2));
    assert_eq!(Timeouts::new(asked(31)).connect, STEP_TIMEOUT_MAX);
    assert_eq!(Timeouts::new(None).between_bytes, STEP_TIMEOUT_MAX);
}
