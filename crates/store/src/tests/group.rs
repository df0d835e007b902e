//! Group commit, on a database that answers when the test says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Wake;

use super::*;
use crate::group::BATCH_ROWS_MAX;

/// Holds every INSERT back until [`Slow::release`].
struct Slow {
    real: Rusqlite,
    /// Parameters of each INSERT, in order of arrival.
    inserts: RefCell<Vec<usize>>,
    held: RefCell<Option<Waker>>,
    released: Cell<Option<Result<(), Error>>>,
}

impl Slow {
    fn release(&self, answer: Result<(), Error>) {
        self.released.set(Some(answer));
        self.held.take().expect("an insert is held").wake();
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
    type Alarm = Bell;

    fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
        bell()
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        if statement.sql.starts_with("INSERT INTO") {
            self.inserts.borrow_mut().push(statement.parameters.len());
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
    /// Wakers of tasks that are over: to wake one, even while it is being
    /// dropped, is an error in a component's runtime.
    gone: Vec<Arc<Woken>>,
}

impl Executor {
    fn new(file: &File) -> Self {
        let real = file.connect();
        let database = Slow {
            real,
            inserts: RefCell::default(),
            held: RefCell::default(),
            released: Cell::default(),
        };
        // A moment at which the first write does not sweep.
        let opening = UnixMilliseconds(NOW.0 / 64 * 64 + 1);
        drop(file.open());
        let store = Rc::new(done(Store::open(database, opening)).unwrap());
        Self {
            store,
            tasks: BTreeMap::new(),
            answers: BTreeMap::new(),
            gone: vec![],
        }
    }

    /// Starts to consume `key` as the call `name`.
    fn start(&mut self, name: &'static str, key: &'static str) {
        let store = Rc::clone(&self.store);
        let call = async move { store.consume(key, NOW_SECONDS, KEEP_UNTIL, NOW).await };
        self.tasks.insert(
            name,
            (Box::pin(call), Arc::new(Woken(AtomicBool::new(true)))),
        );
        self.run();
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
        assert!(
            self.gone
                .iter()
                .all(|woken| !woken.0.load(Ordering::Relaxed))
        );
    }

    fn woken(&self) -> Option<&'static str> {
        let woken = |(_, (_, woken)): &(&&'static str, &(Task, Arc<Woken>))| {
            woken.0.swap(false, Ordering::Relaxed)
        };
        self.tasks.iter().find(woken).map(|(name, _)| *name)
    }

    /// Rows of each INSERT so far.
    fn batches(&self) -> Vec<usize> {
        self.store
            .database()
            .inserts
            .borrow()
            .iter()
            .map(|parameters| parameters / 3)
            .collect()
    }

    fn kept(&self) -> Vec<String> {
        self.store
            .database()
            .real
            .column("SELECT key FROM consumed ORDER BY key")
    }
}

const FRESH: Result<Consumption, Error> = Ok(Consumption::Fresh);
const SPENT: Result<Consumption, Error> = Ok(Consumption::Spent);
const INTERRUPTED: Result<Consumption, Error> = Err(Error::Unavailable(Cause::Interrupted));
const FULL: Error = Error::Unavailable(Cause::DatabaseFull);

#[test]
fn calls_that_come_while_a_statement_is_in_flight_share_the_next() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c", "d"]);
    assert_eq!(calls.batches(), [1]);
    assert_eq!(calls.answers, BTreeMap::new());
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 3]);
    assert_eq!(
        calls.answers,
        BTreeMap::from([("a", FRESH)]),
        "nobody returns before its own statement"
    );
    calls.release(Ok(()));
    assert_eq!(
        calls.answers,
        BTreeMap::from([("a", FRESH), ("b", FRESH), ("c", FRESH), ("d", FRESH)])
    );
    calls.start("e", "a");
    calls.release(Ok(()));
    assert_eq!(calls.answers["e"], SPENT);
}

#[test]
fn a_batch_is_bounded() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    let names: Vec<&'static str> = (0..2 * BATCH_ROWS_MAX)
        .map(|index| &*format!("k{index:02}").leak())
        .collect();
    calls.start_all(&names);
    for _ in 0..3 {
        calls.release(Ok(()));
    }
    assert_eq!(calls.batches(), [1, BATCH_ROWS_MAX, BATCH_ROWS_MAX - 1]);
    assert!(names.iter().all(|name| calls.answers[name] == FRESH));
}

/// I4, with both users of a key in one statement.
#[test]
fn one_of_two_equal_keys_in_a_batch_is_fresh() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start("first", "other");
    for name in ["one", "three", "two"] {
        calls.start(name, "same");
    }
    calls.release(Ok(()));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 3]);
    assert_eq!(
        calls.answers,
        BTreeMap::from([
            ("first", FRESH),
            ("one", FRESH),
            ("three", SPENT),
            ("two", SPENT)
        ])
    );
}

#[test]
fn an_error_fails_all_calls_of_its_statement_and_no_other() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    calls.start("d", "d");
    calls.release(Err(FULL));
    calls.release(Ok(()));
    assert_eq!(calls.batches(), [1, 2, 1]);
    assert_eq!(
        calls.answers,
        BTreeMap::from([
            ("a", FRESH),
            ("b", Err(FULL)),
            ("c", Err(FULL)),
            ("d", FRESH)
        ])
    );
    assert_eq!(calls.kept(), ["a", "d"]);
}

#[test]
fn a_cancelled_call_that_waited_writes_nothing_and_holds_nobody_up() {
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
fn a_cancelled_call_in_a_batch_of_another_holds_nobody_up() {
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
fn a_cancelled_call_that_ran_the_statement_fails_its_batch_and_lets_the_next_one_run() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.release(Ok(()));
    calls.start_all(&["d", "e"]);
    assert_eq!(calls.batches(), [1, 2]);
    calls.cancel("b");
    assert_eq!(
        calls.answers["c"], INTERRUPTED,
        "nobody knows whether its row was written"
    );
    assert_eq!(
        calls.batches(),
        [1, 2, 2],
        "the next one runs without being asked"
    );
    calls.release(Ok(()));
    assert_eq!((&calls.answers["d"], &calls.answers["e"]), (&FRESH, &FRESH));
    assert!(calls.tasks.is_empty());
}

/// The one whose turn it is goes before it could take it.
#[test]
fn a_turn_that_is_not_taken_passes_on() {
    let file = File::new();
    let mut calls = Executor::new(&file);
    calls.start_all(&["a", "b", "c"]);
    calls.store.database().release(Ok(()));
    // `a` finishes and wakes `b`, which is cancelled before it is polled.
    let (mut a, _) = calls.tasks.remove("a").unwrap();
    assert_eq!(done(a.as_mut()), FRESH);
    drop(a);
    calls.cancel("b");
    assert_eq!(calls.batches(), [1, 1]);
    calls.release(Ok(()));
    assert_eq!(calls.answers, BTreeMap::from([("c", FRESH)]));
}

#[test]
fn records_share_a_statement_too() {
    let file = File::new();
    let calls = Executor::new(&file);
    let record = |id: &str| AuditRecord {
        decision_id: id.into(),
        outcome: "issued".into(),
        ..AuditRecord::default()
    };
    let mut tasks: Vec<_> = ["a", "b", "c"]
        .map(|id| Box::pin(calls.store.record(record(id), NOW)))
        .into();
    let mut poll = |index: usize| {
        tasks[index]
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    };
    assert_eq!(
        [poll(0), poll(1), poll(2)],
        [Poll::Pending, Poll::Pending, Poll::Pending]
    );
    calls.store.database().release(Ok(()));
    assert_eq!(
        [poll(0), poll(1), poll(2)],
        [Poll::Ready(Ok(())), Poll::Pending, Poll::Pending]
    );
    calls.store.database().release(Ok(()));
    assert_eq!(
        [poll(1), poll(2)],
        [Poll::Ready(Ok(())), Poll::Ready(Ok(()))]
    );
    assert_eq!(*calls.store.database().inserts.borrow(), [17, 34]);
    assert_eq!(
        file.connect()
            .column("SELECT decision_id FROM audit ORDER BY seq"),
        ["a", "b", "c"]
    );
}

#[test]
fn an_answer_that_misses_a_row_is_no_answer() {
    let group = crate::group::Group::<u8, (), Bell>::new();
    let answer = done(group.submit(1, bell, async |_| Ok(vec![])));
    assert_eq!(answer, Err(Error::Unavailable(Cause::UnexpectedRow)));
}
