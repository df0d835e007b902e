//! A blocking HTTP/1.1 client that can also send malformed requests.

use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a response may take. All deadlines of a broker are shorter.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A response, read to the end of its connection.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The only header of this name; none if it is missing or repeated.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it isn't JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A request, well-formed by default.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Sends the body in chunks of this size instead of with a length.
    pub chunk_bytes: Option<usize>,
}

impl Request {
    pub fn get(target: &str) -> Self {
        Self { method: "GET".into(), target: target.into(), headers: Vec::new(), body: Vec::new(), chunk_bytes: None }
    }

    pub fn post(target: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST".into(), body: body.into(), ..Self::get(target) }.with("content-type", content_type)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn bytes(&self, address: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.chunk_bytes {
            Some(size) => {
                head.push_str("transfer-encoding: chunked\r\n\r\n");
                let mut bytes = head.into_bytes();
                for chunk in self.body.chunks(size) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
                bytes
            }
            None if self.body.is_empty() && self.method == "GET" => (head + "\r\n").into_bytes(),
            None => [(head + &format!("content-length: {}\r\n\r\n", self.body.len())).as_bytes(), &self.body].concat(),
        }
    }
}

/// Sends `request` on a new connection.
pub fn send(address: &str, request: &Request) -> Result<Response> {
    send_raw(address, &request.bytes(address), request.method == "HEAD")
}

/// Sends `request` and closes the connection when the server has read the request, without waiting for a response.
///
/// A server that finds a request and the end of its connection at once need not act on the request.
pub fn send_and_disconnect(address: &str, request: &Request) -> Result<()> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    stream.write_all(&request.bytes(address)).context("write")?;
    let (client, server) = (stream.local_addr()?.port(), stream.peer_addr()?.port());
    let deadline = Instant::now() + ANSWER_MAX;
    while unread_bytes(server, client)? > 0 {
        ensure!(Instant::now() < deadline, "the server does not read");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Bytes that the process at the IPv4 port `local` has received from the port `remote` and not read (proc_net_tcp).
fn unread_bytes(local: u16, remote: u16) -> Result<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").context("/proc/net/tcp")?;
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    let line = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let line = line.filter(|words| words.len() > 4).find(|it| it[1].ends_with(&local) && it[2].ends_with(&remote));
    let queues = line.context("no such connection")?[4];
    let (_, received) = queues.split_once(':').context("two queues")?;
    u64::from_str_radix(received, 16).context("hexadecimal")
}

/// Sends `bytes` as they are.
pub fn send_raw(address: &str, bytes: &[u8], head_only: bool) -> Result<Response> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_nodelay(true)?;
    // A server may respond and close before it has read everything; the response counts.
    let written = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer)
        && answer.is_empty()
    {
        written.context("write")?;
        return Err(error).context("read");
    }
    parse(&answer, head_only)
}

fn parse(answer: &[u8], head_only: bool) -> Result<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the head")?;
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let response = Response { status, headers, body: answer[end + 4..].to_vec() };
    if !head_only && status != 304 {
        let length = response.header("content-length").context("no content-length")?;
        if length.parse() != Ok(response.body.len()) {
            bail!("content-length {length} and {} bytes", response.body.len());
        }
    }
    Ok(response)
}
