//! Responses to requests whose body was not read, which must reach clients that send everything first.

use crate::support::{Answer, Server, folder, guest, manifest, parse, start};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// The host's limit on a body.
const BODY_BYTES_MAX: usize = 128 * 1024;
/// How much of a refused body the host discards.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// More than the buffers of both ends can hold.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;
/// Much longer than any time limit of the host.
const PATIENCE: Duration = Duration::from_secs(60);

fn server() -> Server {
    start(&manifest(&folder(), &guest("trap"), ""), &[])
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn head(length: usize, more: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: x\r\n{more}content-length: {length}\r\n\r\n")
}

/// Reads until the connection is closed, which must not be a reset.
fn read_to_close(mut stream: TcpStream) -> (Answer, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("no reset");
    (parse(&text), text)
}

#[test]
fn client_that_sends_first_reads_413() {
    let server = server();
    for length in [BODY_BYTES_MAX + 1, 8 * BODY_BYTES_MAX, DISCARDED_BYTES_MAX] {
        let mut stream = connect(&server);
        stream.write_all(head(length, "").as_bytes()).expect("sends");
        for chunk in vec![b'a'; length].chunks(8 * 1024) {
            stream.write_all(chunk).expect("nobody closes the connection");
        }
        let (answer, text) = read_to_close(stream);
        assert_eq!(answer.status, 413, "{length}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    }
    // Up to the limit, the connection stays open for more requests.
    let mut stream = connect(&server);
    for _ in 0..2 {
        stream.write_all(head(BODY_BYTES_MAX, "").as_bytes()).expect("sends");
        stream.write_all(&vec![b'a'; BODY_BYTES_MAX]).expect("sends");
    }
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sends");
    let (_, text) = read_to_close(stream);
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{text}");
}

#[test]
fn chunked_body_over_the_limit_reads_413() {
    let server = server();
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "a".repeat(64 * 1024));
    let mut stream = connect(&server);
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").expect("sends");
    for _ in 0..16 {
        stream.write_all(chunk.as_bytes()).expect("sends");
    }
    stream.write_all(b"0\r\n\r\n").expect("sends");
    assert_eq!(read_to_close(stream).0.status, 413);
}

#[test]
fn other_early_refusals_arrive() {
    let server = server();
    for (request, status) in [
        ("CONNECT x:1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n", 400),
    ] {
        let mut stream = connect(&server);
        stream.write_all(request.as_bytes()).expect("sends");
        for chunk in vec![b'a'; 1_000_000].chunks(8 * 1024) {
            stream.write_all(chunk).expect("nobody closes the connection");
        }
        assert_eq!(read_to_close(stream).0.status, status);
    }
}

#[test]
fn cuts_off_endless_body() {
    let server = server();
    let mut stream = connect(&server);
    stream.write_all(head(ENDLESS_BYTES, "").as_bytes()).expect("sends");
    let piece = vec![b'a'; 64 * 1024];
    let sent = (0..ENDLESS_BYTES / piece.len()).try_for_each(|_| stream.write_all(&piece));
    sent.expect_err("the host stops reading");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn missing_body_ends_the_connection() {
    let server = server();
    let mut stream = connect(&server);
    stream.write_all(head(BODY_BYTES_MAX + 1, "").as_bytes()).expect("sends");
    assert_eq!(read_to_close(stream).0.status, 413);
}

#[test]
fn refuses_large_body_without_100_continue() {
    let server = server();
    let expect = "expect: 100-continue\r\n";
    // The client sends nothing, as RFC 9110 §10.1.1 requires, or does not wait.
    for sent in [0, BODY_BYTES_MAX + 1] {
        let mut stream = connect(&server);
        stream.write_all(head(BODY_BYTES_MAX + 1, expect).as_bytes()).expect("sends");
        stream.write_all(&vec![b'a'; sent]).expect("sends");
        let (answer, text) = read_to_close(stream);
        assert_eq!(answer.status, 413, "{text}");
        assert!(!text.contains("100 Continue"), "{text}");
    }
    // At the limit, the host requests the body.
    let mut stream = connect(&server);
    let more = format!("{expect}connection: close\r\n");
    stream.write_all(head(BODY_BYTES_MAX, &more).as_bytes()).expect("sends");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).expect("reads");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&vec![b'a'; BODY_BYTES_MAX]).expect("sends");
    assert_eq!(read_to_close(stream).0.status, 200);
}

/// Python's own client, which sends a body in full before it reads.
#[test]
fn python_client_reads_413() {
    const CLIENT: &str = "
import sys, http.client
for length in (128 * 1024, 128 * 1024 + 1, 1024 * 1024):
    connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
    connection.request('POST', '/', body=b'a' * length)
    print(connection.getresponse().status)
";
    let server = server();
    let output = Command::new("python3").args(["-c", CLIENT, &server.address]).output().expect("python3 starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    let statuses = String::from_utf8_lossy(&output.stdout);
    assert_eq!(statuses, "200\n413\n413\n", "{errors}");
}
