use super::*;
use http_body_util::Empty;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn network(allowed: &str, blocked: &[&str]) -> Network {
    let blocked: Vec<String> = blocked.iter().map(|&text| text.to_owned()).collect();
    Network {
        allowed: vec![HostPattern::parse(allowed).expect(allowed)],
        blocked: Networks::parse(&blocked).expect("networks"),
        tls: Tls::new(&[], "guest").expect("roots"),
        metrics: Arc::new(Metrics::default()),
    }
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

async fn get(network: &Network, url: &str, timeouts: Timeouts) -> Result<String, Error> {
    let body: WasiBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::get(url).body(body).expect(url);
    let (response, _finished) = send(network, request, timeouts).await?;
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn short() -> Timeouts {
    let step = Duration::from_millis(200);
    Timeouts { connect: step, first_byte: step, between_bytes: step }
}

#[tokio::test]
async fn sends_only_the_path_to_an_allowed_host() {
    let port = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let network = network(&format!("http://127.0.0.1:{port}"), &[]);
    let text = get(&network, &format!("http://127.0.0.1:{port}/a?b"), short()).await.expect("answers");
    assert_eq!(text, "ok");
}

#[tokio::test]
async fn denies_unlisted_hosts() {
    let network = network("http://a.example:81", &[]);
    for url in ["http://a.example/", "https://a.example:81/", "http://b.example:81/", "http://a.example.:81/"] {
        assert!(matches!(get(&network, url, short()).await, Err(Error::HttpRequestDenied)), "{url}");
    }
}

#[tokio::test]
async fn refuses_listed_name_with_blocked_address() {
    for (pattern, blocked, url) in [
        ("http://localhost:9", "private", "http://localhost:9/"),
        ("http://localhost:9", "127.0.0.0/8", "http://127.0.0.1:9/"),
        ("http://[::1]:9", "private", "http://[::1]:9/"),
        ("http://*:9", "private", "http://0.0.0.0:9/"),
    ] {
        let pattern = if url.contains("127.0.0.1") { "http://127.0.0.1:9" } else { pattern };
        let outcome = get(&network(pattern, &[blocked]), url, short()).await;
        assert!(matches!(outcome, Err(Error::DestinationIpProhibited)), "{url}: {outcome:?}");
    }
}

#[tokio::test]
async fn idle_server_times_out() {
    for (reply, expected) in [("", "head"), ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", "body")] {
        let port = server(reply).await;
        let network = network(&format!("http://127.0.0.1:{port}"), &[]);
        let outcome = get(&network, &format!("http://127.0.0.1:{port}/a?b"), short()).await;
        assert!(matches!(outcome, Err(Error::ConnectionReadTimeout)), "{expected}: {outcome:?}");
    }
}

#[test]
fn guest_can_only_shorten_timeouts() {
    let asked =
        |seconds| Some(RequestOptions { connect_timeout: Some(Duration::from_secs(seconds)), ..Default::default() });
    assert_eq!(Timeouts::new(asked(2)).connect, Duration::from_secs(2));
    assert_eq!(Timeouts::new(asked(31)).connect, STEP_TIMEOUT_MAX);
    assert_eq!(Timeouts::new(None).between_bytes, STEP_TIMEOUT_MAX);
}
