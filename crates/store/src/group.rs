//! Group commit: rows of concurrent calls wait while a statement is in flight, and the next
//! statement takes all of them, up to a bound.
//!
//! Does not know SQL. One of the callers runs the statement for everybody in its batch; each caller
//! returns only when the statement with its own row is confirmed. No timer: an idle group writes at
//! once.
//!
//! A caller's deadline ends its waiting, for its turn or for another's statement, and keeps it from
//! starting a statement. It does not end the statement that the caller runs, which has a deadline of
//! its own ([`Database::run`]): a caller may answer late by one statement.
//!
//! Invariants: no cell is borrowed across an await; whoever is dropped while waiting or while running
//! a statement strands nobody; a row whose statement did not end in time, or whose caller did not
//! wait for it, has an unknown outcome and an error for an answer.
//!
//! [`Database::run`]: crate::Database::run

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::rc::Rc;

use crate::deadline::Deadline;
use crate::error::{Cause, Error};

/// Rows of one statement.
pub(crate) const BATCH_ROWS_MAX: usize = 16;

/// Rows of type `R`, each of which is answered with a `T`; `A` is an alarm of [`Database::alarm`].
///
/// [`Database::alarm`]: crate::Database::alarm
#[derive(Debug)]
pub(crate) struct Group<R, T, A> {
    state: RefCell<State<R, T, A>>,
}

#[derive(Debug)]
struct State<R, T, A> {
    /// In order of arrival; none of them is in a statement yet.
    waiting: VecDeque<(Rc<Ticket<T, A>>, R)>,
    /// Whether a statement is in flight.
    in_flight: bool,
}

/// Where a caller finds its answer.
#[derive(Debug)]
struct Ticket<T, A>(RefCell<Progress<T, A>>);

#[derive(Debug)]
enum Progress<T, A> {
    Answered(Result<T, Error>),
    Awake,
    Sleeping(A),
}

impl<R, T, A> Group<R, T, A> {
    pub(crate) fn new() -> Self {
        Self {
            state: RefCell::new(State {
                waiting: VecDeque::new(),
                in_flight: false,
            }),
        }
    }

    /// Writes `row` in a batch through `run`, which answers each row of a batch in its order.
    /// `alarm` makes a sleep that ends when its alarm is dropped. Waits no longer than `deadline`.
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
            // ORDER: an answer that is there counts however late it is; a turn that comes too late
            // is the next one's.
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

    /// Takes the next batch, if none is in flight.
    fn next_batch(&self) -> Option<(Batch<'_, R, T, A>, Vec<R>)> {
        let mut state = self.state.borrow_mut();
        if state.in_flight || state.waiting.is_empty() {
            return None;
        }
        state.in_flight = true;
        let rows_next = state.waiting.len().min(BATCH_ROWS_MAX);
        let (tickets, rows) = state.waiting.drain(..rows_next).unzip();
        Some((
            Batch {
                group: self,
                tickets,
            },
            rows,
        ))
    }

    /// Lets the caller that waits longest run the next statement.
    fn wake_next(&self) {
        let next = match &*self.state.borrow() {
            State {
                in_flight: false,
                waiting,
            } => waiting.front().map(|(ticket, _)| Rc::clone(ticket)),
            State {
                in_flight: true, ..
            } => None,
        };
        if let Some(ticket) = next {
            ticket.wake();
        }
    }
}

impl<T, A> Ticket<T, A> {
    fn set(&self, progress: Progress<T, A>) {
        // What was there is dropped when the cell is free again: to drop an alarm may wake somebody.
        drop(self.0.replace(progress));
    }

    /// Wakes the caller, if it sleeps and has no answer yet.
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

/// A caller, for as long as it is interested.
struct Member<'a, R, T, A> {
    group: &'a Group<R, T, A>,
    ticket: Rc<Ticket<T, A>>,
}

impl<'a, R, T, A> Member<'a, R, T, A> {
    fn join(group: &'a Group<R, T, A>, row: R) -> Self {
        let ticket = Rc::new(Ticket(RefCell::new(Progress::Awake)));
        group
            .state
            .borrow_mut()
            .waiting
            .push_back((Rc::clone(&ticket), row));
        Self { group, ticket }
    }
}

impl<R, T, A> Drop for Member<'_, R, T, A> {
    /// A row that waits still is not written; and if it was this caller's turn, it is the next one's.
    fn drop(&mut self) {
        self.group
            .state
            .borrow_mut()
            .waiting
            .retain(|(ticket, _)| !Rc::ptr_eq(ticket, &self.ticket));
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
    /// Callers that have no answer yet never get one: the statement's caller was cancelled. The
    /// next turn is passed on when that caller leaves, or it takes it itself.
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
