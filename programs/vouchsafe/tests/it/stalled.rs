//! Clients that don't read their responses.

use crate::support::{Server, folder, guest, manifest, start};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Much longer than the host's limit on a stalled write (10 s), so that only the host ends the connection.
const PATIENCE: Duration = Duration::from_secs(120);
/// Much shorter than that limit.
const PAUSE: Duration = Duration::from_secs(2);
/// The guest echoes request headers; answers of this size soon fill the kernel's buffers.
const FILLER_BYTES: usize = 30 * 1024;

fn server() -> Server {
    start(&manifest(&folder(), &guest("trap"), ""), &[])
}

fn request(server: &Server, connection: &str) -> String {
    format!(
        "GET /headers HTTP/1.1\r\nhost: {}\r\nconnection: {connection}\r\nx-filler: {}\r\n\r\n",
        server.address,
        "x".repeat(FILLER_BYTES)
    )
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.address).expect("connects");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

#[test]
fn disconnects_client_that_never_reads() {
    let server = server();
    let request = request(&server, "keep-alive");
    let mut stream = connect(&server);
    // The host reads and answers requests until all buffers are full.
    let error = loop {
        if let Err(error) = stream.write_all(request.as_bytes()) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error:?}");
    assert_eq!(server.get("/count").status, 200);
}

#[test]
fn slow_reader_gets_every_answer() {
    const REQUESTS: usize = 1000;
    let server = server();
    let mut stream = connect(&server);
    let mut writer = stream.try_clone().expect("a second handle");
    let (more, last) = (request(&server, "keep-alive"), request(&server, "close"));
    let sent = std::thread::spawn(move || {
        for _ in 1..REQUESTS {
            writer.write_all(more.as_bytes()).expect("sends");
        }
        writer.write_all(last.as_bytes()).expect("sends");
    });
    std::thread::sleep(PAUSE);
    assert!(!sent.is_finished(), "all requests were sent before the pause ended: send more");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("all answers");
    sent.join().expect("everything was sent");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), REQUESTS);
}
