use super::Quota::Gateway;
use super::*;
use std::path::PathBuf;

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gateway-log-{name}-{}", std::process::id()));
    drop(std::fs::remove_file(&path));
    path
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("reads");
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text.lines().map(line).collect()
}

fn open_log(path: &Path) -> Log {
    Log::open(path, true, Arc::default()).expect("opens")
}

/// Some readers take other characters for line ends too.
#[test]
fn escapes_every_kind_of_line_end() {
    let path = path("separators");
    let text = "a\u{2028}b\u{2029}c\u{85}\nd";
    run(open_log(&path).write(Gateway, Line::new("refusal", 7).with("what", text))).expect("writes");
    let written = std::fs::read_to_string(&path).expect("reads");
    assert!(!written.contains(['\u{2028}', '\u{2029}']), "{written}");
    assert_eq!(lines(&path).first().map(|it| it["what"] == text), Some(true));
    std::fs::remove_file(&path).expect("removes");
}

#[test]
fn appends_to_an_existing_file() {
    let path = path("appends");
    for start in ["first", "second"] {
        let line = Line::new(start, 7).with("slug", "a\"\n");
        run(open_log(&path).write(Gateway, line)).expect("writes");
    }
    let lines = lines(&path);
    let events: Vec<_> = lines.iter().map(|it| &it["event"]).collect();
    assert_eq!(events, ["first", "second"]);
    std::fs::remove_file(&path).expect("removes");
}

#[test]
fn waiting_lines_share_a_sync() {
    const LINES: u64 = 1000;
    let (path, metrics) = (path("group"), Arc::<Metrics>::default());
    let log = Log::open(&path, true, Arc::clone(&metrics)).expect("opens");
    run(async {
        let (mut sent, log) = (tokio::task::JoinSet::new(), Arc::new(log));
        for number in 0..LINES {
            let log = Arc::clone(&log);
            sent.spawn(async move { log.write(Gateway, Line::new("seed", number)).await });
        }
        while let Some(outcome) = sent.join_next().await {
            outcome.expect("ends").expect("writes");
        }
    });
    let mut times: Vec<_> = lines(&path).iter().map(|it| it["time"].as_u64()).collect();
    times.sort_unstable();
    assert!(times.into_iter().eq((0..LINES).map(Some)));
    let syncs = metrics.log_syncs.load(Relaxed);
    assert!((1..LINES).contains(&syncs), "{syncs} syncs");
    std::fs::remove_file(&path).expect("removes");
}

/// `logrotate` moves the file away, then sends SIGHUP.
#[test]
fn reopens_a_file_that_was_moved() {
    let (path, moved) = (path("moved"), path("moved.1"));
    let log = open_log(&path);
    run(log.write(Gateway, Line::new("first", 1))).expect("writes");
    std::fs::rename(&path, &moved).expect("moves");
    run(log.write(Gateway, Line::new("second", 2))).expect("writes");
    run(log.reopen()).expect("opens");
    run(log.write(Gateway, Line::new("third", 3))).expect("writes");
    let events = |path: &Path| -> Vec<_> {
        let lines = lines(path).into_iter();
        lines.map(|line| line["event"].clone()).collect()
    };
    assert_eq!(events(&moved), ["first", "second"]);
    assert_eq!(events(&path), ["third"]);
    // If reopening fails, the open file stays in use.
    std::fs::remove_file(&path).expect("removes");
    std::fs::create_dir(&path).expect("a directory in its place");
    run(log.reopen()).expect_err("a folder");
    run(log.write(Gateway, Line::new("fourth", 4))).expect("writes");
    std::fs::remove_dir(&path).expect("removes");
    std::fs::remove_file(&moved).expect("removes");
}

#[test]
fn incomplete_line_spoils_no_other_line() {
    let path = path("torn");
    std::fs::write(&path, "{\"event\":\"whole\"}\n{\"event\":\"ha").expect("a file");
    let log = open_log(&path);
    for second in [1, 2] {
        run(log.write(Gateway, Line::new("next", second))).expect("writes");
    }
    let text = std::fs::read_to_string(&path).expect("reads");
    let good = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!((good.count(), text.lines().count()), (3, 4), "{text}");
    std::fs::remove_file(&path).expect("removes");
}

/// A disk with room for `room` bytes.
struct Full {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= count;
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Disk for Full {
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn recovers_from_a_full_disk() {
    for room in 0..12 {
        let bytes = Vec::new();
        let mut writer = Writer { file: Full { bytes, room }, torn: false, sync: true, metrics: Arc::default() };
        let permits = Arc::new(Semaphore::new(3));
        let line = |text: &str| {
            let permit = Arc::clone(&permits).try_acquire_owned();
            vec![PendingLine { text: text.to_owned(), done: oneshot::channel().0, _permit: permit.expect("a permit") }]
        };
        writer.append(&line("{\"lost\":true}\n")).expect_err("no room");
        writer.file.room = 100;
        writer.append(&line("{\"kept\":1}\n")).expect("room");
        writer.append(&line("{\"kept\":2}\n")).expect("room");
        let text = String::from_utf8(writer.file.bytes).expect("text");
        let mut lines = text.lines().rev();
        assert_eq!(lines.next(), Some("{\"kept\":2}"));
        assert_eq!(lines.next(), Some("{\"kept\":1}"), "{text:?}");
        assert_eq!(lines.count(), usize::from(room > 0), "{text:?}");
    }
}

/// A disk that reports its first write, and hangs until the sender of its channel is dropped.
struct Hung {
    began: std::sync::mpsc::Sender<()>,
    ends: std::sync::mpsc::Receiver<()>,
}

impl Write for Hung {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Errors mean that nobody listens, or that it no longer hangs.
        let _ = self.began.send(());
        let _ = self.ends.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Disk for Hung {
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log whose disk hangs on its first line until the returned sender is dropped.
async fn hung() -> (Arc<Log>, std::sync::mpsc::Sender<()>) {
    let ((began, has_begun), (end, ends)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let writer = Writer { file: Hung { began, ends }, torn: false, sync: true, metrics: Arc::default() };
    let nowhere = || Err(ErrorKind::NotFound.into());
    let log = Arc::new(Log::start(writer, nowhere).expect("starts"));
    let first = Arc::clone(&log);
    tokio::spawn(async move { first.write(Gateway, Line::new("start", 1)).await });
    tokio::task::yield_now().await;
    has_begun.recv().expect("hangs on the first line");
    (log, end)
}

/// Sends `count` lines of `quota`, and returns how many were rejected.
async fn count_rejected(log: &Arc<Log>, quota: &Quota, count: usize) -> usize {
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (log, quota) = (Arc::clone(log), quota.clone());
        sent.spawn(async move { log.write(quota, Line::new("seed", 1)).await });
    }
    let mut rejected = 0;
    while let Some(outcome) = sent.join_next().await {
        let error = outcome.expect("ends").expect_err("it hangs");
        rejected += usize::from(error.kind() == ErrorKind::WouldBlock);
    }
    rejected
}

/// Callers give up after a while, but their lines stay in the queue.
#[test]
fn bounds_lines_that_wait_for_a_hung_disk() {
    const MORE: usize = 10;
    let quota = Quota::Group("default".to_owned());
    run(async {
        let (log, end) = hung().await;
        let turned = count_rejected(&log, &quota, LINES_PER_QUOTA_MAX + MORE).await;
        assert_eq!(turned, MORE);
        let error = log.write(quota.clone(), Line::new("seed", 1)).await;
        let error = error.expect_err("earlier lines still wait");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(end);
        while let Err(error) = log.write(quota.clone(), Line::new("seed", 1)).await {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "until there is room");
        }
    });
}

#[test]
fn full_quota_starves_no_other() {
    let group = |name: &str| Quota::Group(name.to_owned());
    run(async {
        let (log, end) = hung().await;
        assert_eq!(count_rejected(&log, &group("one"), LINES_PER_QUOTA_MAX).await, 0);
        assert_eq!(count_rejected(&log, &group("one"), 1).await, 1);
        for quota in [group("other"), Quota::Counts, Gateway] {
            let turned = count_rejected(&log, &quota, LINES_PER_QUOTA_MAX - 1).await;
            assert_eq!(turned, 0, "{quota:?}");
        }
        drop(end);
    });
}

/// A flood must not make a gateway with a working disk unready.
#[test]
fn full_quota_is_not_a_disk_failure() {
    let path = path("full-quota");
    let log = open_log(&path);
    let quota = Quota::Group("default".to_owned());
    let permits: Vec<_> = std::iter::from_fn(|| log.acquire(quota.clone()).ok()).collect();
    assert_eq!(permits.len(), LINES_PER_QUOTA_MAX);
    let refused = run(log.write(quota.clone(), Line::new("seed", 1)));
    let refused = refused.expect_err("the quota is full");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    assert!(!log.is_failing());
    drop(permits);
    run(log.write(quota, Line::new("seed", 1))).expect("there is room");
    std::fs::remove_file(&path).expect("removes");
}
