//! The gateway's own log: JSON lines, appended.
//!
//! A line is on the disk before what it tells of leaves, unless `log_sync` is off: one thread writes, and
//! lines that wait at the same time share one `fdatasync`. Nothing in a line is secret: of what was
//! signed it has the SHA-256.
//!
//! What a caller can have written is bounded. A signature is a line, and `requests_per_day` of its key bounds
//! them. Of one seed the first hand-out to a credential is a line, the rest is counted (`gateway/seeds.rs`), as
//! are refusals beyond a rate and attempts without a valid credential (`gateway/counted.rs`).
//! Each group has its own share of the queue, so that none can fill that of another.

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

/// Most lines that share a write.
const LINES_PER_WRITE_MAX: usize = 256;
/// Most lines of one share that wait for the disk. While it hangs, those who wait go and come back, and their
/// lines stay. There is one share per group, and two more.
const LINES_PER_SHARE_MAX: usize = 1024;
/// Longest that a line may take to the disk. One that takes longer may get there all the same.
const WRITE_MAX: Duration = Duration::from_secs(2);

/// Where lines are handed to the thread that writes.
pub struct Log {
    /// Has no bound of its own: each line that waits holds a place of its share.
    orders: Sender<Order>,
    shares: Mutex<BTreeMap<Share, Arc<Semaphore>>>,
    fails: Arc<AtomicBool>,
}

/// Whose part of the queue a line takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Refusals, and what was counted.
    Counted,
    /// Seeds and signatures of a `[[group]]`, by its name.
    Group(String),
    /// What the gateway and its admins do.
    Own,
}

type Done = oneshot::Sender<std::io::Result<()>>;

enum Order {
    Write(Waiting),
    /// The file may have been moved away: open it by its name again.
    Reopen(Done),
}

/// A line that waits for the disk.
struct Waiting {
    text: String,
    done: Done,
    /// Given back once the line was written, or could not be.
    _place: OwnedSemaphorePermit,
}

/// One line, member by member.
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
    /// Opens `path` for appending, readable by its owner alone.
    pub fn open(path: &Path, sync: bool, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (file, torn) = open(path)?;
        let writer = Writer {
            file,
            torn,
            sync,
            metrics,
        };
        let path = path.to_path_buf();
        Self::of_writer(writer, move || open(&path))
    }

    /// `open` gives the file of the log's name, anew.
    fn of_writer<D: Disk + Send + 'static>(
        mut writer: Writer<D>,
        open: impl Fn() -> std::io::Result<(D, bool)> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, receiver) = channel();
        let fails = Arc::new(AtomicBool::new(false));
        let writer_fails = Arc::clone(&fails);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || serve(&mut writer, &open, &receiver, &writer_fails))?;
        Ok(Self {
            orders,
            shares: Mutex::default(),
            fails,
        })
    }

    /// Appends `line`: it is on the disk, or there is an error.
    pub async fn write(&self, share: Share, line: Line) -> std::io::Result<()> {
        // Ends of lines to some readers, which JSON does not escape.
        let text = Value::Object(line.0).to_string();
        let text = text.replace('\u{2028}', "\\u2028");
        let mut text = text.replace('\u{2029}', "\\u2029");
        text.push('\n');
        // A full share says nothing of the disk: its lines do, once they were waited for.
        let place = self.place(share)?;
        let outcome = self.order(text, place).await;
        if outcome.is_err() {
            self.fails.store(true, Relaxed);
        }
        outcome
    }

    fn place(&self, share: Share) -> std::io::Result<OwnedSemaphorePermit> {
        let places = {
            let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
            let places = shares
                .entry(share)
                .or_insert_with(|| Arc::new(Semaphore::new(LINES_PER_SHARE_MAX)));
            Arc::clone(places)
        };
        places.try_acquire_owned().map_err(|_| {
            let text = format!("{LINES_PER_SHARE_MAX} lines wait for the disk");
            std::io::Error::new(ErrorKind::WouldBlock, text)
        })
    }

    async fn order(&self, text: String, place: OwnedSemaphorePermit) -> std::io::Result<()> {
        let (done, outcome) = oneshot::channel();
        let waiting = Waiting {
            text,
            done,
            _place: place,
        };
        self.orders
            .send(Order::Write(waiting))
            .map_err(|_| gone())?;
        within_write_max(outcome).await
    }

    /// Whether a line could not be written, and none was since.
    pub fn fails(&self) -> bool {
        self.fails.load(Relaxed)
    }

    /// Goes on in a new file if the old one was moved away.
    pub async fn reopen(&self) -> std::io::Result<()> {
        let (done, outcome) = oneshot::channel();
        self.orders.send(Order::Reopen(done)).map_err(|_| gone())?;
        within_write_max(outcome).await
    }
}

fn gone() -> std::io::Error {
    std::io::Error::other("the thread that writes has ended")
}

async fn within_write_max(outcome: oneshot::Receiver<std::io::Result<()>>) -> std::io::Result<()> {
    match timeout(WRITE_MAX, outcome).await {
        Ok(outcome) => outcome.map_err(|_| gone())?,
        Err(_) => Err(ErrorKind::TimedOut.into()),
    }
}

/// The file, and whether its last line has no end: the machine died while it was written.
fn open(path: &Path) -> std::io::Result<(File, bool)> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let torn = match file.seek(SeekFrom::End(-1)) {
        Ok(_) => {
            let mut last = [0];
            file.read_exact(&mut last)?;
            last != *b"\n"
        }
        // Nothing is in it.
        Err(_) => false,
    };
    // A file that was just made is lost with the machine until its folder is on the disk too.
    let folder = path.parent().filter(|it| *it != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok((file, torn))
}

/// What the thread writes to.
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
    /// Whether the last line has no end, and the next has to begin with one.
    torn: bool,
    sync: bool,
    metrics: Arc<Metrics>,
}

impl<D: Disk> Writer<D> {
    fn append(&mut self, lines: &[Waiting]) -> std::io::Result<()> {
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

/// Writes what is ordered until nobody can order any more.
fn serve<D: Disk>(
    writer: &mut Writer<D>,
    open: &dyn Fn() -> std::io::Result<(D, bool)>,
    orders: &Receiver<Order>,
    fails: &AtomicBool,
) {
    let mut next = orders.recv().ok();
    while let Some(order) = next.take() {
        match order {
            Order::Reopen(done) => {
                let outcome = open().map(|(file, torn)| {
                    (writer.file, writer.torn) = (file, torn);
                });
                // Whoever asked may not wait.
                drop(done.send(outcome));
            }
            Order::Write(line) => {
                let mut lines = vec![line];
                while lines.len() < LINES_PER_WRITE_MAX && next.is_none() {
                    match orders.try_recv() {
                        Ok(Order::Write(line)) => lines.push(line),
                        Ok(reopen @ Order::Reopen(_)) => next = Some(reopen),
                        Err(_) => break,
                    }
                }
                let outcome = writer.append(&lines);
                fails.store(outcome.is_err(), Relaxed);
                for line in lines {
                    let outcome = outcome.as_ref().map(drop);
                    let outcome =
                        outcome.map_err(|it| std::io::Error::new(it.kind(), it.to_string()));
                    // Who asked may have gone; the line stays.
                    drop(line.done.send(outcome));
                }
            }
        }
        if next.is_none() {
            next = orders.recv().ok();
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
