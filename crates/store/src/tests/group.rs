//! Group commit, on a database that answers when the test lets it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Wake;

use super::*;
use crate::group::BATCH_ROWS_MAX;

/// Holds every statement that begins with `holds` back until [`Slow::release`].
struct Slow {
    real: Rusqlite,
    holds: Cell<&'static str>,
    /// Parameters of each INSERT, in order of arrival.
    inserts: RefCell<Vec<usize>>,
    held: RefCell<Option<Waker>>,
    released: Cell<Option<Result<(), Error>>>,
}

impl Slow {
    fn release(&self, answer: Result<(), Error>) {
        self.released.set(Some(answer));
        self.held.take().expect("a statement is held").wake();
    }

    async fn hold(&self) -> Result<(), Error> {
        poll_fn(|context| match self.released.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                self.held.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

impl Database for Slow {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = Bell;

    fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
        bell()
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        if statement.sql.starts_with("INSERT INTO") {
            self.inserts.borrow_mut().push(statement.parameters.len());
        }
        if statement.sql.starts_with(self.holds.get()) {
            self.hold().await?;
        }
        self.real.run(statement).await
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Task = Pin<Box<dyn Future<Output = Result<Consumption, Error>>>>;

/// Polls tasks that were woken, as a component's runtime does, and no others.
struct Executor {
    store: Rc<Store<Slow>>,
    tasks: BTreeMap<&'static str, (Task, Arc<Woken>)>,
    answers: BTreeMap<&'static str, Result<Consumption, Error>>,
    /// Each call's deadline, which ends when its bell is dropped.
    deadlines: BTreeMap<&'static str, Bell>,
    /// Wakers of finished tasks. Waking one, even while it is being
    /// dropped, is an error in a component's runtime.
    gone: Vec<Arc<Woken>>,
}

impl Executor {
    fn new(file: &File) -> Self {
        // A moment at which the first write does not sweep.
        Self::opened_at(file, UnixMilliseconds(NOW.0 / 64 * 64 + 1))
    }

    fn opened_at(file: &File, opening: UnixMilliseconds) -> Self {
        let real = file.connect();
        let database = Slow {
            real,
            holds: Cell::new("INSERT INTO"),
            inserts: RefCell::default(),
            held: RefCell::default(),
            released: Cell::default(),
        };
        drop(file.open());
        let store = Rc::new(done(Store::open(database, opening)).unwrap());
        Self { store, tasks: BTreeMap::new(), answers: BTreeMap::new(), deadlines: BTreeMap::new(), gone: vec![] }
    }

    /// Starts to consume `key` as the call `name`.
    fn start(&mut self, name: &'static str, key: &'static str) {
        let (bell, sleep) = bell();
        self.deadlines.insert(name, bell);
        self.spawn(name, key, Deadline::new(sleep));
        self.run();
    }

    fn spawn(&mut self, name: &'static str, key: &'static str, deadline: Deadline<Sleep>) {
        self.spawn_issued(name, key, NOW_SECONDS, deadline);
    }

    fn spawn_issued(&mut self, name: &'static str, key: &'static str, issued_at: u64, mut deadline: Deadline<Sleep>) {
        let store = Rc::clone(&self.store);
        let call = async move { store.consume(key, 1, issued_at, KEEP_UNTIL, NOW, &mut deadline).await };
        self.tasks.insert(name, (Box::pin(call), Arc::new(Woken(AtomicBool::new(true)))));
    }

    /// Lets the deadline of the call `name` pass, before the call is polled again.
    fn pass_deadline(&mut self, name: &str) {
        drop(self.deadlines.remove(name).unwrap());
    }

    fn time_out(&mut self, name: &str) {
        self.pass_deadline(name);
        self.run();
    }

    /// Releases the statement that `name` runs, and polls nobody but `name`.
    fn release_to(&mut self, name: &str) -> Result<Consumption, Error> {
        self.store.database().release(Ok(()));
        let (mut task, _) = self.tasks.remove(name).unwrap();
        done(task.as_mut())
    }

    fn start_all(&mut self, names: &[&'static str]) {
        for name in names {
            self.start(name, name);
        }
    }

    fn cancel(&mut self, name: &'static str) {
        let (task, woken) = self.tasks.remove(name).unwrap();
        woken.0.store(false, Ordering::Relaxed);
        drop(task);
        self.gone.push(woken);
        self.run();
    }

    fn release(&mut self, answer: Result<(), Error>) {
        self.store.database().release(answer);
        self.run();
    }

    fn run(&mut self) {
        while let Some(name) = self.woken() {
            let (task, woken) = self.tasks.get_mut(name).unwrap();
            let waker = Waker::from(Arc::clone(woken));
            if let Poll::Ready(answer) = task.as_mut().poll(&mut Context::from_waker(&waker)) {
                let (task, woken) = self.tasks.remove(name).unwrap();
                drop(task);
                woken.0.store(false, Ordering::Relaxed);
                self.gone.push(woken);
                self.answers.insert(name, answer);
            }
        }
        assert!(self.gone.iter().all(|woken| !woken.0.load(Ordering::Relaxed)));
    }

    fn woken(&self) -> Option<&'static str> {
        let woken = |(_, (_, woken)): &(&&'static str, &(Task, Arc<Woken>))| woken.0.swap(false, Ordering::Relaxed);
        self.tasks.iter().find(woken).map(|(name, _)| *name)
    }

    /// Rows of each INSERT so far.
    fn batches(&self) -> Vec<usize> {
        self.store.database().inserts.borrow().iter().map(|parameters| parameters / 5).collect()
    }

    fn kept(&self) -> Vec<String> {
        self.store.database().real.column("SELECT key FROM consumed ORDER BY key")
    }
}

const FRESH: Result<Consumption, Error> = Ok(Consumption::Fresh);
const SPENT: Result<Consumption, Error> = Ok(Consumption::Spent);
const INTERRUPTED: Result<Consumption, Error> = Err(Error::Unavailable(Cause::Interrupted));
const TOO_LATE: Error = Error::Unavailable(Cause::Deadline);
const FULL: Error = Error::Unavailable(Cause::DatabaseFull);

#[test]
fn calls_during_a_statement_share_the_next() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c", "d"]);
    assert_eq!(calls.batches(), [1]);
    assert_eq!(calls.answers, BTreeMap::new());
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 3]);
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH)]), "nobody returns before its own statement");
    calls.release(Ok(()));
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH), ("b", FRESH), ("c", FRESH), ("d", FRESH)]));
    calls.start("e", "a");
    calls.release(Ok(()));
    assert_eq!(calls.answers["e"], SPENT);
}

#[test]
fn a_batch_is_bounded() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    let names: Vec<&'static str> = (0..2 * BATCH_ROWS_MAX).map(|index| &*format!("k{index:02}").leak()).collect();
    calls.start_all(&names);
    for _ in 0..3 {
        calls.release(Ok(()));
    }
    assert_eq!(calls.batches(), [1, BATCH_ROWS_MAX, BATCH_ROWS_MAX - 1]);
    assert!(names.iter().all(|name| calls.answers[name] == FRESH));
}

/// I4, with both users of a key in one statement.
#[test]
fn one_of_two_equal_batched_keys_is_fresh() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start("first", "other");
    for name in ["one", "three", "two"] {
        calls.start(name, "same");
    }
    calls.release(Ok(()));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 3]);
    assert_eq!(calls.answers, BTreeMap::from([("first", FRESH), ("one", FRESH), ("three", SPENT), ("two", SPENT)]));
}

/// Of two tokens with one `jti`, the one that predates the store must not be mistaken for the other.
#[test]
fn counts_use_for_the_admissible_token() {
    for order in [["old", "new"], ["new", "old"]] {
        let file = File::new();
        let mut calls = Executor::new(&file);
        calls.start("first", "other");
        for name in order {
            let issued_at = match name {
                "old" => NOW_SECONDS - 1,
                _ => NOW_SECONDS,
            };
            let (bell, sleep) = bell();
            calls.deadlines.insert(name, bell);
            calls.spawn_issued(name, "same", issued_at, Deadline::new(sleep));
            calls.run();
        }
        calls.release(Ok(()));
        calls.release(Ok(()));
        assert_eq!(calls.batches(), [1, 2]);
        assert_eq!((&calls.answers["new"], &calls.answers["old"]), (&FRESH, &SPENT));
    }
}

#[test]
fn error_fails_only_calls_of_its_statement() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    calls.start("d", "d");
    calls.release(Err(FULL));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 2, 1]);
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH), ("b", Err(FULL)), ("c", Err(FULL)), ("d", FRESH)]));
    assert_eq!(calls.kept(), ["a", "d"]);
}

#[test]
fn cancelled_waiting_call_writes_and_blocks_nothing() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.cancel("b");
    calls.release(Ok(()));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 1]);
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH), ("c", FRESH)]));
    assert_eq!(calls.kept(), ["a", "c"]);
}

#[test]
fn cancelled_batch_member_blocks_nobody() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    // `b` waits longest and runs the statement of both.
    calls.cancel("c");
    calls.release(Ok(()));
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH), ("b", FRESH)]));
    calls.start("d", "d");
    calls.release(Ok(()));
    assert_eq!(calls.answers["d"], FRESH);
}

#[test]
fn cancelled_running_call_fails_its_batch_only() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    calls.start_all(&["d", "e"]);
    assert_eq!(calls.batches(), [1, 2]);
    calls.cancel("b");
    assert_eq!(calls.answers["c"], INTERRUPTED, "nobody knows whether its row was written");
    assert_eq!(calls.batches(), [1, 2, 2], "the next one runs without being asked");
    calls.release(Ok(()));
    assert_eq!((&calls.answers["d"], &calls.answers["e"]), (&FRESH, &FRESH));
    assert!(calls.tasks.is_empty());
}

/// The caller whose turn it is stops waiting before it takes it.
#[test]
fn unused_turn_passes_on() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    // `a` finishes and wakes `b`, which is cancelled before it is polled.
    assert_eq!(calls.release_to("a"), FRESH);
    calls.cancel("b");
    assert_eq!(calls.batches(), [1, 1]);
    calls.release(Ok(()));
    assert_eq!(calls.answers, BTreeMap::from([("c", FRESH)]));
}

#[test]
fn late_waiting_call_writes_and_blocks_nothing() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.time_out("b");
    assert_eq!(calls.answers, BTreeMap::from([("b", Err(TOO_LATE))]));
    calls.release(Ok(()));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 1]);
    assert_eq!((&calls.answers["a"], &calls.answers["c"]), (&FRESH, &FRESH));
    assert_eq!(calls.kept(), ["a", "c"]);
}

/// Its row is written with the others', so its key must never be fresh again.
#[test]
fn reports_no_fresh_key_past_the_deadline() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c", "d"]);
    calls.release(Ok(()));
    calls.time_out("c");
    assert_eq!(calls.answers["c"], Err(TOO_LATE));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 3]);
    assert_eq!((&calls.answers["b"], &calls.answers["d"]), (&FRESH, &FRESH));
    calls.start("again", "c");
    calls.release(Ok(()));
    assert_eq!(calls.answers["again"], SPENT);
}

#[test]
fn late_running_call_still_answers_its_batch() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c", "d"]);
    calls.release(Ok(()));
    // `b` waits longest and runs the statement of three.
    calls.time_out("b");
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH)]));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 3]);
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH), ("b", FRESH), ("c", FRESH), ("d", FRESH)]));
}

#[test]
fn slow_statement_fails_its_batch_only() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    calls.start("d", "d");
    calls.time_out("b");
    calls.release(Err(TOO_LATE));
    assert_eq!(calls.answers, BTreeMap::from([("a", FRESH), ("b", Err(TOO_LATE)), ("c", Err(TOO_LATE))]));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 2, 1]);
    assert_eq!(calls.answers["d"], FRESH);
}

/// The client is gone or the instance ends, so nothing of the call continues.
#[test]
fn cancelled_late_running_call_blocks_nobody() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    calls.start("d", "d");
    calls.time_out("b");
    calls.cancel("b");
    assert_eq!(calls.answers["c"], INTERRUPTED);
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 2, 1]);
    assert_eq!(calls.answers["d"], FRESH);
    assert!(calls.tasks.is_empty());
}

#[test]
fn answer_at_the_deadline_counts() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    assert_eq!(calls.release_to("b"), FRESH);
    calls.time_out("c");
    assert_eq!(calls.answers["c"], FRESH);
}

#[test]
fn turn_at_the_deadline_passes_on() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    assert_eq!(calls.release_to("a"), FRESH);
    calls.time_out("b");
    assert_eq!(calls.answers, BTreeMap::from([("b", Err(TOO_LATE))]));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 1]);
    assert_eq!(calls.answers["c"], FRESH);
    assert_eq!(calls.kept(), ["a", "c"]);
}

#[test]
fn starts_no_statement_past_the_deadline() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    let (passed, sleep) = bell();
    drop(passed);
    calls.spawn("a", "a", Deadline::new(sleep));
    calls.run();
    assert_eq!(calls.answers, BTreeMap::from([("a", Err(TOO_LATE))]));
    assert_eq!(calls.batches(), Vec::<usize>::new());
}

/// A call is at most one statement late.
#[test]
fn late_call_runs_no_second_statement() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start("first", "first");
    let names: Vec<&'static str> = (0..BATCH_ROWS_MAX).map(|index| &*format!("k{index:02}").leak()).collect();
    calls.start_all(&names);
    assert_eq!(calls.release_to("first"), FRESH);
    // Comes when it is another's turn, is polled before it, and so runs a statement without its row.
    calls.start("a", "a");
    assert_eq!(calls.batches(), [1, BATCH_ROWS_MAX]);
    calls.start("later", "later");
    calls.time_out("a");
    assert_eq!(calls.answers, BTreeMap::new());
    calls.release(Ok(()));
    assert_eq!(calls.answers["a"], Err(TOO_LATE));
    assert!(names.iter().all(|name| calls.answers[name] == FRESH));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, BATCH_ROWS_MAX, 1]);
    assert_eq!(calls.answers["later"], FRESH);
    assert!(!calls.kept().contains(&"a".to_owned()));
}

#[test]
fn deadline_bounds_the_lookup_of_a_spent_key() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start("first", "same");
    calls.release(Ok(()));
    calls.store.database().holds.set("SELECT 1 FROM consumed");
    calls.start("second", "same");
    assert_eq!(calls.batches(), [1, 1]);
    assert!(!calls.answers.contains_key("second"));
    calls.time_out("second");
    assert_eq!(calls.answers["second"], Err(TOO_LATE));
}

#[test]
fn a_call_does_not_sweep_past_its_deadline() {
    let file = File::new();
    let mut calls = Executor::opened_at(&file, UnixMilliseconds(NOW.0 / 64 * 64));
    calls.store.database().holds.set("DELETE");
    calls.start_all(&["a", "b"]);
    assert_eq!(calls.answers, BTreeMap::from([("b", FRESH)]));
    calls.time_out("a");
    assert_eq!(calls.answers["a"], Err(TOO_LATE));
    assert_eq!(calls.kept(), ["b"]);
}

#[test]
fn records_share_a_statement_too() {
    let file = File::new();
    let calls = Executor::new(&file);
    let record = |id: &str| AuditRecord { decision_id: id.into(), ..AuditRecord::default() };
    let store = &calls.store;
    let mut tasks =
        ["a", "b", "c"].map(|id| Box::pin(async move { store.record(record(id), NOW, &mut unlimited()).await }));
    let mut poll = |index: usize| tasks[index].as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!([poll(0), poll(1), poll(2)], [Poll::Pending, Poll::Pending, Poll::Pending]);
    calls.store.database().release(Ok(()));
    assert_eq!([poll(0), poll(1), poll(2)], [Poll::Ready(Ok(Recorded::Written)), Poll::Pending, Poll::Pending]);
    calls.store.database().release(Ok(()));
    assert_eq!([poll(1), poll(2)], [Poll::Ready(Ok(Recorded::Written)), Poll::Ready(Ok(Recorded::Written))]);
    assert_eq!(*calls.store.database().inserts.borrow(), [32, 64]);
    assert_eq!(file.connect().column("SELECT decision_id FROM audit ORDER BY seq"), ["a", "b", "c"]);
}

#[test]
fn rejects_answer_with_a_missing_row() {
    let group = crate::group::Group::<u8, (), Bell>::new(|_, _| true);
    let answer = done(group.submit(1, &mut unlimited(), bell, async |_| Ok(vec![])));
    assert_eq!(answer, Err(Error::Unavailable(Cause::UnexpectedRow)));
}
