//! An HTTP proxy that only knows CONNECT, and takes every name for this machine.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How a proxy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Connects everyone.
    Open,
    /// Connects clients with this `proxy-authorization`, and answers 407 to all others.
    Guarded(&'static str),
    /// Answers with this status.
    Refusing(u16),
    /// Accepts the request and never answers.
    Silent,
}

/// A running proxy. Its threads run until the process ends.
pub struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || drop(serve(stream, mode, &noted)));
            }
        });
        Self { port, heads }
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The targets of the requests so far.
    pub fn targets(&self) -> Vec<String> {
        let heads = self.heads.lock().expect("unpoisoned");
        heads.iter().map(|head| head.split(' ').nth(1).unwrap_or_default().to_owned()).collect()
    }
}

fn serve(mut client: TcpStream, mode: Mode, heads: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let port = head.split(' ').nth(1).and_then(|target| target.rsplit_once(':')?.1.parse::<u16>().ok());
    let is_connect = head.starts_with("CONNECT ");
    heads.lock().expect("unpoisoned").push(head.clone());
    let shown = |value: &str| {
        head.lines().any(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:") && line.ends_with(value))
    };
    let status = match mode {
        Mode::Silent => {
            while client.read(&mut [0; 64])? > 0 {}
            return Ok(());
        }
        Mode::Refusing(status) => status,
        Mode::Guarded(value) if !shown(value) => 407,
        Mode::Guarded(_) | Mode::Open => 200,
    };
    let (200, true, Some(port)) = (status, is_connect, port) else {
        return write!(client, "HTTP/1.1 {status} Refused\r\ncontent-length: 0\r\n\r\n");
    };
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    write!(client, "HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_server));
        drop(to_server.shutdown(Shutdown::Write));
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Write)
}
