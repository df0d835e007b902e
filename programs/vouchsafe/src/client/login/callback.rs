//! The loopback redirect (RFC 8252 §7.3): a server for one request of the browser.
//!
//! Whatever else runs on this machine, or in the browser, can send requests here too. So only the answer with this
//! login's `state` ends the wait, and a request for another host is refused, against DNS rebinding.

use super::issuer::{OidcIssuer, refused};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use vouchsafe_cli::Failure;

const PATH: &str = "/callback";
/// Most bytes of a request's head. Codes can be JWTs.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long a connection may take to send its request. Browsers open some that they never use.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Most requests that wait for an answer to be read.
const PENDING_MAX: usize = 16;

/// The server.
pub struct Callback {
    listener: TcpListener,
    port: u16,
}

/// The authorization response (RFC 6749 §4.1.2).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Response {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
}

impl Callback {
    /// Listens on a free port, since another program may use any fixed one (RFC 8252 §7.3).
    pub fn listen() -> Result<Self, Failure> {
        let failed = |error| Failure::refused(format!("cannot listen on 127.0.0.1 for the browser: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port })
    }

    pub fn redirect_uri(&self) -> String {
        format!("http://{}{PATH}", self.host())
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The response with this `state`.
    pub fn wait(self, state: &str, timeout: Duration) -> Result<Response, Failure> {
        let (host, state) = (self.host(), state.to_owned());
        let (sender, receiver) = sync_channel(PENDING_MAX);
        // Each connection has a thread: an idle one must not keep the browser's answer waiting.
        std::thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                let (host, state, sender) = (host.clone(), state.clone(), sender.clone());
                std::thread::spawn(move || serve(stream, &host, &state, &sender));
            }
        });
        first(&receiver, timeout)
    }
}

fn first(receiver: &Receiver<Response>, timeout: Duration) -> Result<Response, Failure> {
    receiver.recv_timeout(timeout).map_err(|_| {
        Failure::refused(format!("nobody signed in within {} s", timeout.as_secs()))
            .hint("open the URL in a browser on this machine, and finish the login there")
    })
}

/// Answers one request, and passes the response on if it is this login's.
fn serve(mut stream: TcpStream, host: &str, state: &str, sender: &SyncSender<Response>) {
    let deadline = Instant::now() + READ_TIMEOUT;
    let Some(head) = read_head(&mut stream, deadline) else { return };
    let (status, text, response) = match answer(&head, host, state) {
        Ok(response) if response.code.is_some() => ("200 OK", "Signed in. You can close this window.", Some(response)),
        Ok(response) => ("200 OK", "The login was refused. You can close this window.", Some(response)),
        Err((status, text)) => (status, text, None),
    };
    let page = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         referrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    // ORDER: the page first, since the command ends with the response.
    let _ = stream.write_all(page.as_bytes());
    if let Some(response) = response {
        // A second response of the same login is dropped once nobody waits.
        let _ = sender.try_send(response);
    }
}

/// The head of a request, if it arrives in time and is short enough.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> Option<String> {
    let mut head = Vec::new();
    let mut part = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut part) {
            Ok(0) => return None,
            Ok(count) => head.extend_from_slice(part.get(..count)?),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// The response of this login in a request, or the status and the text that refuse it.
fn answer(head: &str, host: &str, state: &str) -> Result<Response, (&'static str, &'static str)> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut hosts = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    if hosts.next() != Some(host) || hosts.next().is_some() {
        return Err(("421 Misdirected Request", "This server is for another host."));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != PATH {
        return Err(("404 Not Found", "Nothing is here."));
    }
    if method != "GET" {
        return Err(("405 Method Not Allowed", "Use GET."));
    }
    let response = Response::parse(query).filter(|response| response.state.as_deref() == Some(state));
    response.ok_or(("400 Bad Request", "This is not the answer to the login of this command."))
}

impl Response {
    /// None if a parameter is repeated (RFC 6749 §3.1).
    fn parse(query: &str) -> Option<Self> {
        let mut response = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "state" => &mut response.state,
                "code" => &mut response.code,
                "error" => &mut response.error,
                "error_description" => &mut response.error_description,
                "iss" => &mut response.iss,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(response)
    }

    /// The code, if it is from `issuer` (RFC 9207 §2.4).
    pub fn code(self, issuer: &OidcIssuer) -> Result<String, Failure> {
        match &self.iss {
            Some(iss) if *iss == issuer.issuer => {}
            None if !issuer.names_itself => {}
            _ => {
                return Err(Failure::refused("the login was answered by another issuer")
                    .hint("nothing was sent there; check which issuer the browser showed"));
            }
        }
        if let Some(error) = &self.error {
            return Err(refused(error, self.error_description.as_deref()));
        }
        self.code
            .filter(|code| !code.is_empty())
            .ok_or_else(|| Failure::refused("the login was answered without a code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "127.0.0.1:7";

    fn issuer(names_itself: bool) -> OidcIssuer {
        let metadata = serde_json::json!({
            "issuer": "https://login.example", "authorization_endpoint": "https://login.example/a",
            "token_endpoint": "https://login.example/t", "authorization_response_iss_parameter_supported": names_itself,
        });
        serde_json::from_value(metadata).unwrap()
    }

    fn status(head: &str) -> &'static str {
        answer(head, HOST, "s1").map_or_else(|(status, _)| status, |_| "200")
    }

    #[test]
    fn reads_heads_up_to_their_largest_size() {
        for (bytes, expected) in [(HEAD_BYTES_MAX, true), (HEAD_BYTES_MAX + 1, false)] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let sent = std::thread::spawn(move || {
                let head = format!("{}\r\n\r\n", "a".repeat(bytes - 4));
                // The server may close before everything is sent.
                let _ = client.write_all(head.as_bytes());
                client
            });
            let head = read_head(&mut stream, Instant::now() + READ_TIMEOUT);
            assert_eq!(head.is_some_and(|head| head.len() == bytes), expected, "{bytes}");
            drop(sent.join().unwrap());
        }
    }

    #[test]
    fn takes_only_the_answer_to_this_login() {
        let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        for (target, expected) in [
            ("/callback?code=c&state=s1", "200"),
            ("/callback?error=access_denied&state=s1", "200"),
            ("/callback?code=c&state=s2", "400 Bad Request"),
            ("/callback?code=c", "400 Bad Request"),
            ("/callback", "400 Bad Request"),
            ("/callback?code=c&state=s1&state=s1", "400 Bad Request"),
            ("/callback?code=c&code=d&state=s1", "400 Bad Request"),
            ("/favicon.ico", "404 Not Found"),
            ("/callback/?code=c&state=s1", "404 Not Found"),
        ] {
            assert_eq!(status(&get(target)), expected, "{target}");
        }
        assert_eq!(status("POST /callback?state=s1 HTTP/1.1\r\nhost: 127.0.0.1:7\r\n\r\n"), "405 Method Not Allowed");
    }

    #[test]
    fn refuses_requests_for_other_hosts() {
        for hosts in
            ["", "Host: evil.example:7\r\n", "Host: localhost:7\r\n", "Host: 127.0.0.1:7\r\nHost: 127.0.0.1:7\r\n"]
        {
            let head = format!("GET /callback?code=c&state=s1 HTTP/1.1\r\n{hosts}\r\n");
            assert_eq!(status(&head), "421 Misdirected Request", "{hosts}");
        }
    }

    /// RFC 9207 §2.4: against mix-up attacks.
    #[test]
    fn takes_the_code_of_the_right_issuer_only() {
        let code = |query: &str, names_itself| {
            let response = Response::parse(query).unwrap();
            response.code(&issuer(names_itself)).map_err(|failure| failure.message)
        };
        let other = || Err("the login was answered by another issuer".to_owned());
        let own = "code=c&iss=https%3A%2F%2Flogin.example";
        for (query, names_itself, expected) in [
            (own, true, Ok("c".to_owned())),
            (own, false, Ok("c".to_owned())),
            ("code=c", false, Ok("c".to_owned())),
            ("code=c", true, other()),
            ("code=c&iss=https%3A%2F%2Fevil.example", false, other()),
            ("error=access_denied&iss=https%3A%2F%2Fevil.example", false, other()),
            ("state=s1", false, Err("the login was answered without a code".to_owned())),
            ("code=", false, Err("the login was answered without a code".to_owned())),
            (
                "error=access_denied&error_description=No+thanks&code=c",
                false,
                Err("the issuer refused the login: access_denied: No thanks".to_owned()),
            ),
        ] {
            assert_eq!(code(query, names_itself), expected, "{query}");
        }
    }

    /// An idle connection, and answers of other logins, delay nothing and end nothing.
    #[test]
    fn waits_for_the_answer_among_others() {
        let callback = Callback::listen().unwrap();
        let (host, redirect_uri) = (callback.host(), callback.redirect_uri());
        assert_eq!(redirect_uri, format!("http://{host}/callback"));
        let address = host.clone();
        let browser = std::thread::spawn(move || {
            let idle = TcpStream::connect(&address).unwrap();
            let get = |query: &str| {
                let mut stream = TcpStream::connect(&address).unwrap();
                write!(stream, "GET /callback?{query} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
                let mut page = String::new();
                stream.read_to_string(&mut page).unwrap();
                page
            };
            let pages = [get("code=evil&state=guessed"), get("code=c&state=s1")];
            drop(idle);
            pages
        });
        let response = callback.wait("s1", Duration::from_secs(60)).unwrap();
        assert_eq!(response.code.as_deref(), Some("c"));
        let [refused, done] = browser.join().unwrap();
        assert!(refused.starts_with("HTTP/1.1 400 ") && done.starts_with("HTTP/1.1 200 "), "{refused}{done}");
        assert!(done.ends_with("\r\n\r\nSigned in. You can close this window.\n"), "{done}");
    }

    #[test]
    fn gives_up_in_the_end() {
        let callback = Callback::listen().unwrap();
        let failure = callback.wait("s1", Duration::from_millis(1)).unwrap_err();
        assert_eq!(failure.message, "nobody signed in within 0 s");
    }
}
