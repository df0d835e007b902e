//! Group commit: while a statement is in flight, rows of concurrent calls wait, and the next statement writes up to
//! [`BATCH_ROWS_MAX`] of them.
//!
//! Has no SQL. One caller runs the statement for its batch; each caller returns only once the statement with its own
//! row is confirmed. There is no timer: an idle group writes at once.
//!
//! The standalone host batches too, but neither replaces the other. Spin runs each statement in its own transaction, so
//! there this module alone lets calls share a flush. The standalone host has many instances, each with its own group,
//! and puts their statements into one transaction.
//!
//! A caller's deadline ends its waiting, for its turn or for another caller's statement, and keeps it from starting a
//! statement. It does not end a statement that the caller runs, which has its own deadline ([`Database::run`]), so a
//! caller may answer one statement late.
//!
//! Invariants: no cell is borrowed across an await; dropping a call that waits or runs a statement blocks no other call;
//! a row whose statement did not end in time, or whose caller did not wait, has an unknown outcome, and its caller gets an
//! error.
//!
//! [`Database::run`]: crate::Database::run

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::rc::Rc;

use crate::deadline::Deadline;
use crate::error::{Cause, Error};

/// Most rows in one statement.
pub(crate) const BATCH_ROWS_MAX: usize = 16;

/// Batches rows of type `R`, each answered with a `T`; `A` is an alarm of [`Database::alarm`].
///
/// [`Database::alarm`]: crate::Database::alarm
#[derive(Debug)]
pub(crate) struct Group<R, T, A> {
    state: RefCell<State<R, T, A>>,
    /// Whether one statement can write both rows.
    together: fn(&R, &R) -> bool,
}

#[derive(Debug)]
struct State<R, T, A> {
    /// In order of arrival; none is in a statement yet.
    waiting: VecDeque<(Rc<Ticket<T, A>>, R)>,
    /// Whether a statement is in flight.
    in_flight: bool,
}

/// Receives a caller's answer.
#[derive(Debug)]
struct Ticket<T, A>(RefCell<Progress<T, A>>);

#[derive(Debug)]
enum Progress<T, A> {
    Answered(Result<T, Error>),
    Awake,
    Sleeping(A),
}

impl<R, T, A> Group<R, T, A> {
    /// A group whose statements contain only rows of which each pair may be `together`.
    pub(crate) fn new(together: fn(&R, &R) -> bool) -> Self {
        Self { state: RefCell::new(State { waiting: VecDeque::new(), in_flight: false }), together }
    }

    /// Writes `row` in a batch with `run`, which returns the answers in the order of the rows. `alarm` creates a sleep that
    /// ends when its alarm is dropped. Waits no longer than `deadline`.
    pub(crate) async fn submit<S: Future<Output = ()>>(
        &self,
        row: R,
        deadline: &mut Deadline<impl Future<Output = ()> + Unpin>,
        alarm: impl Fn() -> (A, S),
        run: impl AsyncFn(Vec<R>) -> Result<Vec<T>, Error>,
    ) -> Result<T, Error> {
        let member = Member::join(self, row);
        loop {
            if let Some(answer) = member.ticket.take_answer() {
                return answer;
            }
            // ORDER: an available answer counts, however late it is; a turn that comes too late passes to the next.
            deadline.check().await?;
            if let Some((batch, rows)) = self.next_batch() {
                batch.answer(run(rows).await);
            } else {
                let (alarm, sleep) = alarm();
                member.ticket.set(Progress::Sleeping(alarm));
                let slept = async {
                    sleep.await;
                    Ok(())
                };
                deadline.limit(slept).await?;
            }
        }
    }

    /// Takes the next batch, if none is in flight: in order of arrival, without rows that must wait for another one.
    fn next_batch(&self) -> Option<(Batch<'_, R, T, A>, Vec<R>)> {
        let mut state = self.state.borrow_mut();
        if state.in_flight || state.waiting.is_empty() {
            return None;
        }
        state.in_flight = true;
        let (mut tickets, mut rows) = (Vec::new(), Vec::new());
        for (ticket, row) in mem::take(&mut state.waiting) {
            if rows.len() < BATCH_ROWS_MAX && rows.iter().all(|other| (self.together)(other, &row)) {
                tickets.push(ticket);
                rows.push(row);
            } else {
                state.waiting.push_back((ticket, row));
            }
        }
        Some((Batch { group: self, tickets }, rows))
    }

    /// Wakes the longest-waiting caller to run the next statement.
    fn wake_next(&self) {
        let next = match &*self.state.borrow() {
            State { in_flight: false, waiting } => waiting.front().map(|(ticket, _)| Rc::clone(ticket)),
            State { in_flight: true, .. } => None,
        };
        if let Some(ticket) = next {
            ticket.wake();
        }
    }
}

impl<T, A> Ticket<T, A> {
    fn set(&self, progress: Progress<T, A>) {
        // The old value is dropped after the cell is free again, because dropping an alarm may wake a caller.
        drop(self.0.replace(progress));
    }

    /// Wakes the caller if it sleeps and has no answer yet.
    fn wake(&self) {
        let sleeps = matches!(*self.0.borrow(), Progress::Sleeping(_));
        if sleeps {
            self.set(Progress::Awake);
        }
    }

    fn take_answer(&self) -> Option<Result<T, Error>> {
        match self.0.replace(Progress::Awake) {
            Progress::Answered(answer) => Some(answer),
            Progress::Awake | Progress::Sleeping(_) => None,
        }
    }
}

/// A caller, until it stops waiting.
struct Member<'a, R, T, A> {
    group: &'a Group<R, T, A>,
    ticket: Rc<Ticket<T, A>>,
}

impl<'a, R, T, A> Member<'a, R, T, A> {
    fn join(group: &'a Group<R, T, A>, row: R) -> Self {
        let ticket = Rc::new(Ticket(RefCell::new(Progress::Awake)));
        group.state.borrow_mut().waiting.push_back((Rc::clone(&ticket), row));
        Self { group, ticket }
    }
}

impl<R, T, A> Drop for Member<'_, R, T, A> {
    /// Removes a row that still waits, and passes the turn on.
    fn drop(&mut self) {
        self.group.state.borrow_mut().waiting.retain(|(ticket, _)| !Rc::ptr_eq(ticket, &self.ticket));
        self.group.wake_next();
    }
}

/// The callers of the statement in flight.
struct Batch<'a, R, T, A> {
    group: &'a Group<R, T, A>,
    tickets: Vec<Rc<Ticket<T, A>>>,
}

impl<R, T, A> Batch<'_, R, T, A> {
    fn answer(mut self, answers: Result<Vec<T>, Error>) {
        let tickets = mem::take(&mut self.tickets);
        match answers {
            Ok(answers) if answers.len() == tickets.len() => {
                for (ticket, answer) in tickets.iter().zip(answers) {
                    ticket.set(Progress::Answered(Ok(answer)));
                }
            }
            Ok(_) => fail(&tickets, &Error::Unavailable(Cause::UnexpectedRow)),
            Err(error) => fail(&tickets, &error),
        }
    }
}

impl<R, T, A> Drop for Batch<'_, R, T, A> {
    /// Fails the calls without an answer, because the call that ran the statement was cancelled. Its `Member` passes the
    /// turn on.
    fn drop(&mut self) {
        fail(&self.tickets, &Error::Unavailable(Cause::Interrupted));
        self.group.state.borrow_mut().in_flight = false;
    }
}

fn fail<T, A>(tickets: &[Rc<Ticket<T, A>>], error: &Error) {
    for ticket in tickets {
        ticket.set(Progress::Answered(Err(error.clone())));
    }
}
