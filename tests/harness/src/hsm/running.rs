//! A gateway that runs, and what can be done to it.

use super::GatewaySetup;
use crate::http::{self, Request, Response};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longest that something may take which happens by itself.
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

    /// As the broker, or whoever has its credential.
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

    /// Asks as the broker does, and closes the connection before there is an answer.
    pub fn ask_and_leave(&self, path: &str, body: &Value) {
        let bearer = format!("Bearer {}", self.setup.credential);
        let request = Request::post(path, "application/json", body.to_string())
            .with("authorization", &bearer);
        let address = format!("127.0.0.1:{}", self.setup.port);
        http::send_and_leave(&address, &request).expect("sends");
    }

    /// One of its counters or gauges, by the name that Prometheus sees.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.metrics();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .expect("a number")
    }

    /// All of its metrics, in the Prometheus format.
    pub fn metrics(&self) -> String {
        let address = format!("127.0.0.1:{}", self.setup.metrics_port);
        let answer = http::send(&address, &Request::get("/metrics"));
        answer.expect("metrics").text()
    }

    /// As an admin, on the admins' listener.
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

    /// As an admin who closes the connection before there is an answer.
    pub fn administer_and_leave(&self, path: &str, body: &Value) {
        let bearer = format!("Bearer {}", self.setup.admin_credential);
        let request = Request::post(path, "application/json", body.to_string())
            .with("authorization", &bearer);
        let address = format!("127.0.0.1:{}", self.setup.admin_port);
        http::send_and_leave(&address, &request).expect("sends");
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

    /// Process id of the worker that has the module, which may be none for a while.
    pub fn worker(&self) -> Option<u32> {
        let id = self.child.lock().expect("unpoisoned").id();
        let children = format!("/proc/{id}/task");
        let tasks = std::fs::read_dir(Path::new(&children)).expect("Linux");
        let lists = tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let all: String = lists.collect();
        all.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The next worker after `previous`.
    pub fn next_worker(&self, previous: u32) -> u32 {
        eventually("another worker", || {
            self.worker().filter(|worker| *worker != previous)
        })
    }

    /// Sends a signal to the gateway.
    pub fn signal(&self, name: &str) {
        signal(self.child.lock().expect("unpoisoned").id(), name);
    }

    /// Sends a signal to the worker, which is this test's own process's grandchild.
    pub fn signal_worker(&self, name: &str) -> u32 {
        let worker = self.worker().expect("a worker");
        signal(worker, name);
        worker
    }

    /// Has a gateway of [`GatewaySetup::shimmed`] meet `fault` once, and waits until it has.
    pub fn suffer(&self, fault: &str) {
        let file = self.setup.folder.join(fault);
        std::fs::write(&file, "").expect("a file");
        eventually(fault, || (!file.exists()).then_some(()));
    }

    /// How many files and sockets its process has open.
    pub fn open_files(&self) -> usize {
        let id = self.child.lock().expect("unpoisoned").id();
        let files = std::fs::read_dir(format!("/proc/{id}/fd"));
        files.expect("Linux").count()
    }

    /// Sends SIGKILL, and waits for the end.
    pub fn kill(&self) {
        let mut child = self.child.lock().expect("unpoisoned");
        child.kill().expect("kills");
        child.wait().expect("ends");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(status.expect("kill").success(), "kill {name} {process}");
}

/// Waits for what happens by itself.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < BY_ITSELF_MAX, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
