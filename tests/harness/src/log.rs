//! The log of a broker.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a log line may take after its response.
const LINE_MAX: Duration = Duration::from_secs(20);
/// Start of the line with version, instance and address that every broker writes.
const STARTED: &str = "serve: started ";
/// Starts of the host's notices that say nothing of its health: about outbound requests that failed, a replaced bundle,
/// a proxy, and a database that was last used long ago, as if a clock was moved.
const NOTICES: [&str; 7] = [
    STARTED,
    "serve: metrics at ",
    "serve: GET ",
    "serve: POST ",
    "serve: reload: ",
    "serve: outbound https uses the proxy ",
    "serve: the database was last in use at ",
];
/// Start of the host's warnings about a bundle that doesn't match the manifest; tests omit hosts on purpose.
const AT_START: [&str; 2] = ["warning: ", "hint: "];

/// Standard error of a broker, line by line.
pub struct Log {
    lines: Mutex<Receiver<String>>,
    strange: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// Reads it on a thread of its own.
    pub fn of(stderr: std::process::ChildStderr) -> Self {
        let (sender, lines) = channel();
        let strange = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&strange);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let is_known = AT_START.iter().chain(&NOTICES).any(|start| line.starts_with(start));
                if !line.starts_with('{') && !is_known {
                    keep.lock().expect("unpoisoned").push(line.clone());
                }
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { lines: Mutex::new(lines), strange }
    }

    /// The next log line of `route`.
    pub fn line(&self, route: &str) -> Value {
        self.until(route).pop().unwrap_or_default()
    }

    /// All log lines up to the next one of `route`, which is the last.
    pub fn until(&self, route: &str) -> Vec<Value> {
        let received = self.lines.lock().expect("unpoisoned");
        let mut lines = Vec::new();
        loop {
            let line = received.recv_timeout(LINE_MAX).unwrap_or_else(|_| panic!("no log line for route `{route}`"));
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            let is_last = line["route"] == route;
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// The lines before the next log line of `route` that are not log lines, and that line.
    pub fn printed_and_line(&self, route: &str) -> (Vec<String>, Value) {
        let lines = self.lines.lock().expect("unpoisoned");
        let mut printed = Vec::new();
        loop {
            let line = lines.recv_timeout(LINE_MAX).unwrap_or_else(|_| panic!("no log line for route `{route}`"));
            match serde_json::from_str::<Value>(&line) {
                Ok(line) if line["route"] == route => return (printed, line),
                Ok(_) => {}
                Err(_) if line.starts_with(STARTED) => {}
                Err(_) => printed.push(line),
            }
        }
    }

    /// The next line that contains `text`.
    pub fn containing(&self, text: &str) -> String {
        let lines = self.lines.lock().expect("unpoisoned");
        loop {
            let line = lines.recv_timeout(LINE_MAX).unwrap_or_else(|_| panic!("no line contains `{text}`"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// All lines until the broker ends.
    pub fn rest(&self) -> Vec<String> {
        self.lines.lock().expect("unpoisoned").iter().collect()
    }

    /// The lines that arrived and were not taken yet.
    pub fn so_far(&self) -> Vec<String> {
        self.lines.lock().expect("unpoisoned").try_iter().collect()
    }

    /// Lines that no healthy broker writes.
    pub fn strange(&self) -> Vec<String> {
        self.strange.lock().expect("unpoisoned").clone()
    }
}
