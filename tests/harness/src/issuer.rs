//! An OpenID provider that follows a script, well-behaved or not, and counts the requests it gets.
//!
//! Each realm is a separate issuer under `http://ADDRESS/<realm>`.

use crate::bundle::{BROKER, IssuerFile};
use crate::jwt;
use crate::keys::Key;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a realm answers.
#[derive(Debug, Clone)]
pub enum Script {
    /// Correct discovery document and key set, with these keys.
    Keys(Vec<Value>),
    /// Correct discovery document; this as the key set: status, content type, body.
    KeysAre(u16, &'static str, Vec<u8>),
    /// Like `honest` for requests with this bearer token; 401 for all others.
    Guarded(String),
    /// This as the discovery document: status, content type, body.
    DiscoveryIs(u16, &'static str, Vec<u8>),
    /// Redirects the discovery document to another realm.
    DiscoveryMoved(String),
    /// Correct discovery document; redirects the key set to another realm.
    KeysMoved(String),
    /// Accepts the request and never answers.
    Silent,
    /// Closes the connection without an answer.
    Reset,
    /// Correct discovery document; these keys, after this delay.
    Slow(Duration, Vec<Value>),
    /// Sends the head of the key set, but never the rest of its body.
    Stalled,
}

impl Script {
    /// All keys of the issuers, each with its algorithm as `kid`.
    pub fn honest() -> Self {
        Self::Keys(Self::keys(&["RS256", "ES256", "ES384", "EdDSA"]))
    }

    /// The issuers' keys for these algorithms.
    pub fn keys(algorithms: &[&str]) -> Vec<Value> {
        let jwk = |alg: &&str| Key::issuer(alg).jwk(alg);
        algorithms.iter().map(jwk).collect()
    }
}

#[derive(Default)]
struct State {
    realms: Mutex<BTreeMap<String, Script>>,
    fetched: Mutex<BTreeMap<String, usize>>,
    heads: Mutex<Vec<String>>,
}

/// A running provider. Its threads run until the process ends.
pub struct Issuer {
    address: String,
    state: Arc<State>,
}

impl Issuer {
    pub fn start(realms: impl IntoIterator<Item = (&'static str, Script)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(State::default());
        let issuer = Self { address: address.clone(), state: Arc::clone(&state) };
        realms.into_iter().for_each(|(realm, script)| issuer.set_script(realm, script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, address) = (Arc::clone(&state), address.clone());
                std::thread::spawn(move || drop(answer(stream, &state, &address)));
            }
        });
        issuer
    }

    /// An issuer with one well-behaved realm, `main`.
    pub fn honest() -> Self {
        Self::start([("main", Script::honest())])
    }

    /// Issuer files of the realms `main`, whose workloads the policies permit, and `other`, whose workloads they
    /// don't.
    pub fn files(&self) -> Vec<IssuerFile> {
        let algorithms = "algorithms = [\"RS256\", \"ES256\", \"EdDSA\"]\n";
        vec![IssuerFile::new("main", self.url("main"), algorithms), IssuerFile::new("other", self.url("other"), "")]
    }

    /// Claims of `main` that the tests' brokers accept at `now`.
    pub fn claims(&self, now: u64) -> Value {
        jwt::claims(&self.url("main"), BROKER, now)
    }

    /// Changes how `realm` answers from now on.
    pub fn set_script(&self, realm: &str, script: Script) {
        self.state.realms.lock().expect("unpoisoned").insert(realm.to_owned(), script);
    }

    /// The issuer URL of `realm`.
    pub fn url(&self, realm: &str) -> String {
        format!("http://{}/{realm}", self.address)
    }

    /// Scheme and authority, as in a manifest's `allowed_outbound_hosts`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Number of requests to `realm` so far.
    pub fn fetches(&self, realm: &str) -> usize {
        self.state.fetched.lock().expect("unpoisoned").get(realm).copied().unwrap_or(0)
    }

    /// The head of every request so far, in lowercase.
    pub fn heads(&self) -> Vec<String> {
        self.state.heads.lock().expect("unpoisoned").clone()
    }

    /// Number of requests so far, including connections without one.
    pub fn fetches_total(&self) -> usize {
        self.state.fetched.lock().expect("unpoisoned").values().sum()
    }
}

fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn answer(mut stream: TcpStream, state: &State, address: &str) -> std::io::Result<()> {
    let head = read_head(&mut stream)?;
    let noted = head.to_ascii_lowercase();
    state.heads.lock().expect("unpoisoned").push(noted);
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let (realm, document) = path.trim_start_matches('/').split_once('/').unwrap_or(("", ""));
    *state.fetched.lock().expect("unpoisoned").entry(realm.to_owned()).or_default() += 1;
    let script = state.realms.lock().expect("unpoisoned").get(realm).cloned();
    let shown = |bearer: &str| {
        let line = format!("authorization: Bearer {bearer}");
        head.lines().any(|found| found.eq_ignore_ascii_case(&line) && found.ends_with(bearer))
    };
    let script = match script {
        Some(Script::Guarded(bearer)) if shown(&bearer) => Some(Script::honest()),
        script => script,
    };
    let base = format!("http://{address}/{realm}");
    let is_keys = document == "jwks";
    match script {
        None => respond(&mut stream, 404, "text/plain", "", b"no such realm"),
        Some(Script::Guarded(_)) => respond(&mut stream, 401, "text/plain", "", b"who are you?"),
        Some(Script::Reset) => Ok(()),
        Some(Script::Silent) => wait_for_close(&mut stream),
        Some(Script::DiscoveryIs(status, kind, body)) => respond(&mut stream, status, kind, "", &body),
        Some(Script::DiscoveryMoved(realm)) => redirect(&mut stream, address, &realm, document),
        Some(Script::KeysMoved(realm)) if is_keys => redirect(&mut stream, address, &realm, document),
        Some(Script::KeysAre(status, kind, body)) if is_keys => respond(&mut stream, status, kind, "", &body),
        Some(Script::Stalled) if is_keys => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")?;
            wait_for_close(&mut stream)
        }
        Some(Script::Slow(time, keys)) if is_keys => {
            std::thread::sleep(time);
            let body = json!({ "keys": keys }).to_string();
            respond(&mut stream, 200, "application/json", "", body.as_bytes())
        }
        Some(Script::Keys(keys)) if is_keys => {
            let body = json!({ "keys": keys }).to_string();
            respond(&mut stream, 200, "application/json", "", body.as_bytes())
        }
        Some(Script::Keys(_) | Script::KeysMoved(_) | Script::KeysAre(..) | Script::Slow(..) | Script::Stalled) => {
            let body = json!({ "issuer": base, "jwks_uri": format!("{base}/jwks") }).to_string();
            respond(&mut stream, 200, "application/json", "", body.as_bytes())
        }
    }
}

/// Waits until the client gives up.
fn wait_for_close(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

fn redirect(stream: &mut TcpStream, address: &str, realm: &str, document: &str) -> std::io::Result<()> {
    let location = format!("location: http://{address}/{realm}/{document}\r\n");
    respond(stream, 302, "text/plain", &location, b"over there")
}

fn respond(stream: &mut TcpStream, status: u16, kind: &str, more: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
