//! Clients that do not read what they asked for.

use crate::support::{Server, folder, guest, manifest, start};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than the host's limit on a stalled write (10 s) by far, so that only the host ends it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Shorter than that limit by far.
const PAUSE: Duration = Duration::from_secs(2);
/// The guest sends a request's headers back: answers of this size fill the kernel's buffers soon.
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
fn a_client_that_never_reads_loses_its_connection() {
    let server = server();
    let request = request(&server, "keep-alive");
    let mut stream = connect(&server);
    // As long as the host reads it also answers, until nobody has room for another answer.
    let error = loop {
        if let Err(error) = stream.write_all(request.as_bytes()) {
            break error;
        }
    };
    assert!(
        matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
        "{error:?}"
    );
    assert_eq!(server.get("/count").status, 200);
}

#[test]
fn a_client_that_reads_late_gets_every_answer() {
    const REQUESTS: usize = 400;
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
    assert!(
        !sent.is_finished(),
        "the pause came too late to be one: send more requests"
    );
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("all answers");
    sent.join().expect("everything was sent");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), REQUESTS);
}
