//! The gateway's own log: JSON lines, appended.
//!
//! A line is on disk before its event has an effect, unless `log_sync` is off. One thread writes, and lines that wait
//! at the same time share one `fdatasync`. Lines contain nothing secret; of a signed message they contain the SHA-256.
//!
//! What callers can cause to be written is bounded. Each signature is a line, and `requests_per_day` of its key limits
//! them. The first handout of a seed to a credential is a line, and the rest are counted (`gateway/handouts.rs`), as
//! are refusals beyond a rate and attempts without a valid credential (`gateway/counts.rs`). Each key group has its own
//! quota of the queue, so that it can't fill that of another.

use crate::metrics::Metrics;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// Most lines in one write.
const LINES_PER_WRITE_MAX: usize = 256;
/// Most lines of one quota that wait for the disk. While it hangs, callers give up and retry, and their lines stay.
/// There is one quota per key group, and two more.
const LINES_PER_QUOTA_MAX: usize = 1024;
/// Longest wait for a line to be on disk. A line that takes longer may still get there.
const WRITE_MAX: Duration = Duration::from_secs(2);

/// The log: a handle to the thread that writes it.
pub struct Log {
    /// Needs no bound of its own: each waiting line holds a permit of its quota.
    requests: Sender<Request>,
    quotas: Mutex<BTreeMap<Quota, Arc<Semaphore>>>,
    failing: Arc<AtomicBool>,
}

/// The part of the queue that a line counts against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quota {
    /// Refusals and counts.
    Counts,
    /// Events of the gateway and its admins.
    Gateway,
    /// Seeds and signatures of a `[[group]]`, by its name.
    Group(String),
}

type Done = oneshot::Sender<std::io::Result<()>>;

enum Request {
    /// Reopen the file by its path, because it may have been moved away.
    Reopen(Done),
    Write(PendingLine),
}

/// A line that waits for the disk.
struct PendingLine {
    text: String,
    done: Done,
    /// Held until the line is written or has failed.
    _permit: OwnedSemaphorePermit,
}

/// A line, built member by member.
pub struct Line(Map<String, Value>);

impl Line {
    pub fn new(event: &str, now: u64) -> Self {
        let mut members = Map::new();
        members.insert("time".into(), now.into());
        members.insert("event".into(), event.into());
        Self(members)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }
}

impl Log {
    /// Opens `path` for appending, readable only by its owner.
    pub fn open(path: &Path, sync: bool, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (file, torn) = open(path)?;
        let writer = Writer { file, torn, sync, metrics };
        let path = path.to_path_buf();
        Self::start(writer, move || open(&path))
    }

    /// Starts the thread that writes. `open` reopens the file by its path.
    fn start<D: Disk + Send + 'static>(
        mut writer: Writer<D>,
        open: impl Fn() -> std::io::Result<(D, bool)> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (requests, receiver) = channel();
        let failing = Arc::new(AtomicBool::new(false));
        let writer_failing = Arc::clone(&failing);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run_writer(&mut writer, &open, &receiver, &writer_failing))?;
        Ok(Self { requests, quotas: Mutex::default(), failing })
    }

    /// Appends `line`; on success it is on disk.
    pub async fn write(&self, quota: Quota, line: Line) -> std::io::Result<()> {
        // JSON doesn't escape these, and some readers take them for line ends.
        let text = Value::Object(line.0).to_string();
        let text = text.replace('\u{2028}', "\\u2028");
        let mut text = text.replace('\u{2029}', "\\u2029");
        text.push('\n');
        // A full quota says nothing about the disk.
        let permit = self.acquire(quota)?;
        let outcome = self.submit(text, permit).await;
        if outcome.is_err() {
            self.failing.store(true, Relaxed);
        }
        outcome
    }

    fn acquire(&self, quota: Quota) -> std::io::Result<OwnedSemaphorePermit> {
        let permits = {
            let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
            let permits = quotas.entry(quota).or_insert_with(|| Arc::new(Semaphore::new(LINES_PER_QUOTA_MAX)));
            Arc::clone(permits)
        };
        permits.try_acquire_owned().map_err(|_| {
            let text = format!("{LINES_PER_QUOTA_MAX} lines are waiting for the disk");
            std::io::Error::new(ErrorKind::WouldBlock, text)
        })
    }

    async fn submit(&self, text: String, permit: OwnedSemaphorePermit) -> std::io::Result<()> {
        let (done, outcome) = oneshot::channel();
        let line = PendingLine { text, done, _permit: permit };
        self.requests.send(Request::Write(line)).map_err(|_| writer_gone())?;
        within_write_max(outcome).await
    }

    /// Whether the last line could not be written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    /// Reopens the file by its path, in case it was moved away.
    pub async fn reopen(&self) -> std::io::Result<()> {
        let (done, outcome) = oneshot::channel();
        self.requests.send(Request::Reopen(done)).map_err(|_| writer_gone())?;
        within_write_max(outcome).await
    }
}

fn writer_gone() -> std::io::Error {
    std::io::Error::other("the log's thread has ended")
}

async fn within_write_max(outcome: oneshot::Receiver<std::io::Result<()>>) -> std::io::Result<()> {
    match timeout(WRITE_MAX, outcome).await {
        Ok(outcome) => outcome.map_err(|_| writer_gone())?,
        Err(_) => Err(ErrorKind::TimedOut.into()),
    }
}

/// Opens the file; also returns whether its last line is incomplete, because the machine crashed while it was written.
fn open(path: &Path) -> std::io::Result<(File, bool)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let torn = match file.seek(SeekFrom::End(-1)) {
        Ok(_) => {
            let mut last = [0];
            file.read_exact(&mut last)?;
            last != *b"\n"
        }
        // The file is empty.
        Err(_) => false,
    };
    // Until its directory is synced too, a new file would be lost in a crash.
    let folder = path.parent().filter(|it| *it != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok((file, torn))
}

/// A file, or a fake in tests.
trait Disk: Write {
    fn sync(&self) -> std::io::Result<()>;
}

impl Disk for File {
    fn sync(&self) -> std::io::Result<()> {
        self.sync_data()
    }
}

struct Writer<D> {
    file: D,
    /// Whether the last line is incomplete, so that the next write must begin with a line end.
    torn: bool,
    sync: bool,
    metrics: Arc<Metrics>,
}

impl<D: Disk> Writer<D> {
    fn append(&mut self, lines: &[PendingLine]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        if self.torn {
            bytes.push(b'\n');
        }
        for line in lines {
            bytes.extend_from_slice(line.text.as_bytes());
        }
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let (written, rest) = left.split_at_checked(count).unwrap_or((left, &[]));
                    self.torn = written.last() != Some(&b'\n');
                    left = rest;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sync {
            self.metrics.log_syncs.fetch_add(1, Relaxed);
            self.file.sync()?;
        }
        Ok(())
    }
}

/// Serves requests until the [`Log`] is dropped.
fn run_writer<D: Disk>(
    writer: &mut Writer<D>,
    open: &dyn Fn() -> std::io::Result<(D, bool)>,
    requests: &Receiver<Request>,
    failing: &AtomicBool,
) {
    let mut next = requests.recv().ok();
    while let Some(request) = next.take() {
        match request {
            Request::Reopen(done) => {
                let outcome = open().map(|(file, torn)| {
                    (writer.file, writer.torn) = (file, torn);
                });
                // The caller may be gone.
                drop(done.send(outcome));
            }
            Request::Write(line) => {
                let mut lines = vec![line];
                while lines.len() < LINES_PER_WRITE_MAX && next.is_none() {
                    match requests.try_recv() {
                        Ok(Request::Write(line)) => lines.push(line),
                        Ok(reopen @ Request::Reopen(_)) => next = Some(reopen),
                        Err(_) => break,
                    }
                }
                let outcome = writer.append(&lines);
                failing.store(outcome.is_err(), Relaxed);
                for line in lines {
                    let outcome = outcome.as_ref().map(drop);
                    let outcome = outcome.map_err(|it| std::io::Error::new(it.kind(), it.to_string()));
                    // The caller may be gone; the line stays.
                    drop(line.done.send(outcome));
                }
            }
        }
        if next.is_none() {
            next = requests.recv().ok();
        }
    }
}

#[cfg(test)]
mod tests;
