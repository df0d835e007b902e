//! Deadlines of calls.

use super::*;

const LATE: Error = Error::Unavailable(Cause::Deadline);

/// A future that must not be polled once it is ready.
fn passed() -> Deadline<impl Future<Output = ()> + Unpin> {
    Deadline::new(Box::pin(async {}))
}

#[test]
fn gives_up_only_calls_without_an_answer() {
    let silent = || std::future::pending::<Result<(), Error>>();
    assert_eq!(done(passed().limit(silent())), Err(LATE));
    assert_eq!(done(passed().limit(async { Ok(1) })), Ok(1));
    assert_eq!(done(passed().check()), Err(LATE));
    assert_eq!(done(unlimited().check()), Ok(()));
}

#[test]
fn deadline_stays_passed() {
    let mut deadline = passed();
    assert_eq!(done(deadline.check()), Err(LATE));
    assert_eq!(done(deadline.check()), Err(LATE));
}
