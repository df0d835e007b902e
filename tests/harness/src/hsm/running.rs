//! A running gateway and what tests do to it.

use super::GatewaySetup;
use crate::http::{self, Request, Response};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long to wait for something that happens without a request.
const BY_ITSELF_MAX: Duration = Duration::from_secs(60);

/// A running gateway; killed when dropped.
pub struct Gateway {
    pub setup: GatewaySetup,
    pub(super) child: Mutex<Child>,
}

impl Gateway {
    pub fn send(&self, request: &Request) -> Response {
        let address = format!("127.0.0.1:{}", self.setup.port);
        http::send(&address, request).unwrap_or_else(|error| panic!("no answer: {error:#}"))
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    /// Sends a request with the broker's credential.
    pub fn ask(&self, path: &str, body: Option<&Value>) -> Response {
        self.ask_as(&self.setup.credential, path, body)
    }

    pub fn ask_as(&self, credential: &str, path: &str, body: Option<&Value>) -> Response {
        let request = match body {
            Some(body) => Request::post(path, "application/json", body.to_string()),
            None => Request::get(path),
        };
        self.send(&request.with("authorization", &format!("Bearer {credential}")))
    }

    /// Sends a request with the broker's credential, and disconnects before the response.
    pub fn ask_and_disconnect(&self, path: &str, body: &Value) {
        let bearer = format!("Bearer {}", self.setup.credential);
        let request = Request::post(path, "application/json", body.to_string()).with("authorization", &bearer);
        let address = format!("127.0.0.1:{}", self.setup.port);
        http::send_and_disconnect(&address, &request).expect("sends");
    }

    /// A counter or gauge, by its Prometheus name.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }

    /// All of its metrics, in the Prometheus format.
    pub fn metrics(&self) -> String {
        let address = format!("127.0.0.1:{}", self.setup.metrics_port);
        let answer = http::send(&address, &Request::get("/metrics"));
        answer.expect("metrics").text()
    }

    /// Sends a request with the admin's credential to the admin listener.
    pub fn administer(&self, path: &str, body: Option<&Value>) -> Response {
        let credential = &self.setup.admin_credential;
        self.administer_as(credential, path, body)
    }

    pub fn administer_as(&self, credential: &str, path: &str, body: Option<&Value>) -> Response {
        let request = match body {
            Some(body) => Request::post(path, "application/json", body.to_string()),
            None => Request::get(path),
        };
        let request = request.with("authorization", &format!("Bearer {credential}"));
        let address = format!("127.0.0.1:{}", self.setup.admin_port);
        http::send(&address, &request).unwrap_or_else(|error| panic!("no answer: {error:#}"))
    }

    /// Sends a request with the admin's credential, and disconnects before the response.
    pub fn administer_and_disconnect(&self, path: &str, body: &Value) {
        let bearer = format!("Bearer {}", self.setup.admin_credential);
        let request = Request::post(path, "application/json", body.to_string()).with("authorization", &bearer);
        let address = format!("127.0.0.1:{}", self.setup.admin_port);
        http::send_and_disconnect(&address, &request).expect("sends");
    }

    /// Lines of its log.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.setup.folder.join("state/gateway.log"));
        let lines = text.expect("a log");
        let line = |line: &str| serde_json::from_str(line).expect("JSON");
        lines.lines().map(line).collect()
    }

    /// Lines of its log about `event`.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.log().into_iter();
        lines.filter(|line| line["event"] == event).collect()
    }

    /// Process id of the worker that has loaded the module; there may be none for a moment.
    pub fn worker(&self) -> Option<u32> {
        let id = self.child.lock().expect("unpoisoned").id();
        let children = format!("/proc/{id}/task");
        let tasks = std::fs::read_dir(Path::new(&children)).expect("Linux");
        let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let all: String = lists.collect();
        all.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The next worker after `previous`.
    pub fn next_worker(&self, previous: u32) -> u32 {
        eventually("another worker", || self.worker().filter(|worker| *worker != previous))
    }

    /// Sends a signal to the gateway.
    pub fn signal(&self, name: &str) {
        signal(self.child.lock().expect("unpoisoned").id(), name);
    }

    /// Sends a signal to the worker; returns its process id.
    pub fn signal_worker(&self, name: &str) -> u32 {
        let worker = self.worker().expect("a worker");
        signal(worker, name);
        worker
    }

    /// Injects `fault` once into a gateway of [`GatewaySetup::shimmed`], and waits until it has happened.
    pub fn inject(&self, fault: &str) {
        let file = self.setup.folder.join(fault);
        std::fs::write(&file, "").expect("a file");
        eventually(fault, || (!file.exists()).then_some(()));
    }

    /// Number of files and sockets that its process has open.
    pub fn open_files(&self) -> usize {
        let id = self.child.lock().expect("unpoisoned").id();
        let files = std::fs::read_dir(format!("/proc/{id}/fd"));
        files.expect("Linux").count()
    }

    /// Sends SIGKILL and waits until it has ended.
    pub fn kill(&self) {
        let mut child = self.child.lock().expect("unpoisoned");
        child.kill().expect("kills");
        child.wait().expect("ends");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.expect("kill").success(), "kill {name} {process}");
}

/// Polls until `look` finds something.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < BY_ITSELF_MAX, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
