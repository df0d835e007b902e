//! When a token that must stay valid is replaced.

use super::issue::{IssueArgs, Token};
use std::time::Duration;
use vouchsafe_cli::{Failure, clock};

/// Longest time without a look at the clock, which goes on while the machine sleeps.
const LOOK: Duration = Duration::from_secs(10);
/// Pause after a renewal that failed for the time being, in addition to those between its own retries.
const PAUSE_SECONDS: u64 = 10;

/// The time to replace a token, in Unix seconds.
pub fn due(token: &Token) -> u64 {
    two_thirds(token.issued, token.expires.unwrap_or(token.issued))
}

/// When two thirds of a life are over.
fn two_thirds(issued: u64, expires: u64) -> u64 {
    let life = expires.saturating_sub(issued);
    issued.saturating_add((life - life / 3).max(1))
}

/// The time until `due`, or until the next look at the clock.
pub fn wait(now: u64, due: u64) -> Option<Duration> {
    let left = due.checked_sub(now).filter(|left| *left > 0)?;
    Some(Duration::from_secs(left).min(LOOK))
}

/// Gets the first token for a command that goes on renewing it.
pub fn first(issue: &IssueArgs) -> Result<Token, Failure> {
    if issue.is_piped() {
        return Err(Failure::usage("a subject token from standard input cannot be renewed")
            .hint("use --subject-token-file with a file that the platform keeps fresh, or --from"));
    }
    let token = issue.issue()?;
    if token.expires.is_none() {
        return Err(Failure::refused("the broker does not say when the token expires"));
    }
    Ok(token)
}

/// What to do after an attempt to renew.
pub enum Next {
    /// A new token.
    Renewed(Token),
    /// Try again at this time.
    Later(u64),
    /// It was refused, and will be again.
    Over(Failure),
}

pub fn renew(issue: &IssueArgs) -> Result<Next, Failure> {
    match issue.issue() {
        Ok(token) => Ok(Next::Renewed(token)),
        Err(failure) if failure.is_unreachable() => {
            failure.report();
            Ok(Next::Later(clock::unix_seconds()?.saturating_add(PAUSE_SECONDS)))
        }
        Err(failure) => Ok(Next::Over(failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renews_after_two_thirds_of_the_life() {
        for (expires, expected) in [(1300, 1200), (1003, 1002), (1002, 1002), (1001, 1001), (1000, 1001), (0, 1001)] {
            assert_eq!(two_thirds(1000, expires), expected, "{expires}");
        }
    }

    #[test]
    fn looks_at_the_clock_meanwhile() {
        let seconds = |now| wait(now, 1000).map(|wait| wait.as_secs());
        for (now, expected) in
            [(0, Some(10)), (990, Some(10)), (991, Some(9)), (999, Some(1)), (1000, None), (1001, None)]
        {
            assert_eq!(seconds(now), expected, "{now}");
        }
    }
}
