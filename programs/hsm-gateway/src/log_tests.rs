use super::Share::Own;
use super::*;
use std::path::PathBuf;

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
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

/// Whatever a reader takes for the end of a line.
#[test]
fn a_line_is_one_line_to_everybody() {
    let path = path("separators");
    let text = "a\u{2028}b\u{2029}c\u{85}\nd";
    run(open_log(&path).write(Own, Line::new("refusal", 7).with("what", text))).expect("writes");
    let written = std::fs::read_to_string(&path).expect("reads");
    assert!(!written.contains(['\u{2028}', '\u{2029}']), "{written}");
    assert_eq!(
        lines(&path).first().map(|it| it["what"] == text),
        Some(true)
    );
    std::fs::remove_file(&path).expect("removes");
}

#[test]
fn appends_to_what_is_there() {
    let path = path("appends");
    for start in ["first", "second"] {
        let line = Line::new(start, 7).with("slug", "a\"\n");
        run(open_log(&path).write(Own, line)).expect("writes");
    }
    let lines = lines(&path);
    let events: Vec<_> = lines.iter().map(|it| &it["event"]).collect();
    assert_eq!(events, ["first", "second"]);
    std::fs::remove_file(&path).expect("removes");
}

#[test]
fn lines_that_wait_share_a_sync_and_none_is_lost() {
    const LINES: u64 = 1000;
    let (path, metrics) = (path("group"), Arc::<Metrics>::default());
    let log = Log::open(&path, true, Arc::clone(&metrics)).expect("opens");
    run(async {
        let (mut sent, log) = (tokio::task::JoinSet::new(), Arc::new(log));
        for number in 0..LINES {
            let log = Arc::clone(&log);
            sent.spawn(async move { log.write(Own, Line::new("seed", number)).await });
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

/// As `logrotate` does it: the file is moved away, then SIGHUP.
#[test]
fn goes_on_in_a_new_file_once_it_is_told_that_the_old_one_was_moved() {
    let (path, moved) = (path("moved"), path("moved.1"));
    let log = open_log(&path);
    run(log.write(Own, Line::new("first", 1))).expect("writes");
    std::fs::rename(&path, &moved).expect("moves");
    run(log.write(Own, Line::new("second", 2))).expect("writes");
    run(log.reopen()).expect("opens");
    run(log.write(Own, Line::new("third", 3))).expect("writes");
    let events = |path: &Path| -> Vec<_> {
        let lines = lines(path).into_iter();
        lines.map(|line| line["event"].clone()).collect()
    };
    assert_eq!(events(&moved), ["first", "second"]);
    assert_eq!(events(&path), ["third"]);
    // A file that can't be opened is no reason to lose the one that is open.
    std::fs::remove_file(&path).expect("removes");
    std::fs::create_dir(&path).expect("a folder in its place");
    run(log.reopen()).expect_err("a folder");
    run(log.write(Own, Line::new("fourth", 4))).expect("writes");
    std::fs::remove_dir(&path).expect("removes");
    std::fs::remove_file(&moved).expect("removes");
}

#[test]
fn a_line_without_an_end_costs_no_other_line() {
    let path = path("torn");
    std::fs::write(&path, "{\"event\":\"whole\"}\n{\"event\":\"ha").expect("a file");
    let log = open_log(&path);
    for second in [1, 2] {
        run(log.write(Own, Line::new("next", second))).expect("writes");
    }
    let text = std::fs::read_to_string(&path).expect("reads");
    let good = text
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!((good.count(), text.lines().count()), (3, 4), "{text}");
    std::fs::remove_file(&path).expect("removes");
}

/// A disk with room for so many bytes.
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
fn a_disk_that_is_full_is_an_error_and_later_lines_are_whole() {
    for room in 0..12 {
        let bytes = Vec::new();
        let mut writer = Writer {
            file: Full { bytes, room },
            torn: false,
            sync: true,
            metrics: Arc::default(),
        };
        let places = Arc::new(Semaphore::new(3));
        let line = |text: &str| {
            let place = Arc::clone(&places).try_acquire_owned();
            vec![Waiting {
                text: text.to_owned(),
                done: oneshot::channel().0,
                _place: place.expect("a place"),
            }]
        };
        writer
            .append(&line("{\"lost\":true}\n"))
            .expect_err("no room");
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

/// A disk that says that it hangs, and does until the sender of its channel is gone.
struct Hung {
    began: std::sync::mpsc::Sender<()>,
    ends: std::sync::mpsc::Receiver<()>,
}

impl Write for Hung {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Nobody may listen, and an error says that it hangs no more.
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

/// A log on a disk that hangs with its first line, until what is given is dropped.
async fn hung() -> (Arc<Log>, std::sync::mpsc::Sender<()>) {
    let ((began, has_begun), (end, ends)) =
        (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let writer = Writer {
        file: Hung { began, ends },
        torn: false,
        sync: true,
        metrics: Arc::default(),
    };
    let nowhere = || Err(ErrorKind::NotFound.into());
    let log = Arc::new(Log::of_writer(writer, nowhere).expect("starts"));
    let first = Arc::clone(&log);
    tokio::spawn(async move { first.write(Own, Line::new("start", 1)).await });
    tokio::task::yield_now().await;
    has_begun.recv().expect("it hangs with the first");
    (log, end)
}

/// Sends `count` lines of `share`; gives how many were turned away, once all have an outcome.
async fn turned_away(log: &Arc<Log>, share: &Share, count: usize) -> usize {
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (log, share) = (Arc::clone(log), share.clone());
        sent.spawn(async move { log.write(share, Line::new("seed", 1)).await });
    }
    let mut turned_away = 0;
    while let Some(outcome) = sent.join_next().await {
        let error = outcome.expect("ends").expect_err("it hangs");
        turned_away += usize::from(error.kind() == ErrorKind::WouldBlock);
    }
    turned_away
}

/// Those who wait give up after a while, and their lines are there still: what comes then is turned away.
#[test]
fn lines_that_wait_for_a_disk_that_hangs_are_bounded() {
    const MORE: usize = 10;
    let share = Share::Group("default".to_owned());
    run(async {
        let (log, end) = hung().await;
        let turned = turned_away(&log, &share, LINES_PER_SHARE_MAX + MORE).await;
        assert_eq!(turned, MORE);
        let error = log.write(share.clone(), Line::new("seed", 1)).await;
        let error = error.expect_err("those before it were not forgotten");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(end);
        while let Err(error) = log.write(share.clone(), Line::new("seed", 1)).await {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "until there is room");
        }
    });
}

#[test]
fn a_group_that_fills_its_share_starves_no_other() {
    let group = |name: &str| Share::Group(name.to_owned());
    run(async {
        let (log, end) = hung().await;
        assert_eq!(
            turned_away(&log, &group("one"), LINES_PER_SHARE_MAX).await,
            0
        );
        assert_eq!(turned_away(&log, &group("one"), 1).await, 1);
        for share in [group("other"), Share::Counted, Own] {
            let turned = turned_away(&log, &share, LINES_PER_SHARE_MAX - 1).await;
            assert_eq!(turned, 0, "{share:?}");
        }
        drop(end);
    });
}

/// A flood on a disk that works must not make the gateway unready.
#[test]
fn a_full_share_alone_is_no_failure_of_the_disk() {
    let path = path("full-share");
    let log = open_log(&path);
    let share = Share::Group("default".to_owned());
    let place = || log.place(share.clone());
    let places: Vec<_> = std::iter::from_fn(|| place().ok()).collect();
    assert_eq!(places.len(), LINES_PER_SHARE_MAX);
    let refused = run(log.write(share.clone(), Line::new("seed", 1)));
    let refused = refused.expect_err("the share is full");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    assert!(!log.fails());
    drop(places);
    run(log.write(share, Line::new("seed", 1))).expect("there is room");
    std::fs::remove_file(&path).expect("removes");
}
