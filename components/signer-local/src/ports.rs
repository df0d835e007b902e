//! The signer's variables and its clock.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spin_sdk::variables;
use vouchsafe_signer::{Config, Error, Fault, Root, Signer, UnixSeconds, Variable, Variables};

/// Longest that a call of the signer may take (design: 2 s). Signing itself waits for nothing.
const CALL_DEADLINE: Duration = Duration::from_secs(2);

thread_local! {
    /// The one signer of this instance: its configuration and the keys of at most four epochs per
    /// algorithm, in memory only, for as long as the instance lives. It holds nothing of a request.
    static SIGNER: RefCell<Option<Signer>> = const { RefCell::new(None) };
}

/// Runs `use_signer` on the instance's signer, which is made from the variables at its first use.
///
/// A configuration that can't be read or is wrong is not remembered: the next call reads again.
pub async fn with_signer<T>(
    use_signer: impl FnOnce(&mut Signer) -> Result<T, Error>,
) -> Result<T, Error> {
    if !is_made() {
        // Two first calls may both read; the later signer replaces an equal one. The cell is not
        // borrowed across the await.
        let variables = read_variables().await?;
        let signer = Signer::new(Config::parse(&variables)?, Root::parse(&variables)?);
        SIGNER.with(|cell| cell.replace(Some(signer)));
    }
    SIGNER.with(|cell| match cell.try_borrow_mut() {
        Ok(mut signer) => signer.as_mut().ok_or(Error::Internal).and_then(use_signer),
        Err(_) => Err(Error::Internal),
    })
}

/// The signer's own clock.
pub fn now() -> Result<UnixSeconds, Error> {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Error::Internal)?;
    Ok(UnixSeconds(since_epoch.as_secs()))
}

fn is_made() -> bool {
    SIGNER.with(|cell| cell.try_borrow().is_ok_and(|signer| signer.is_some()))
}

/// Every variable. A provider of Spin's may be a server elsewhere, so it gets a deadline.
async fn read_variables() -> Result<Variables, Error> {
    let mut reading = pin!(read_each());
    let mut deadline = pin!(spin_sdk::time::sleep(CALL_DEADLINE));
    poll_fn(|context| match reading.as_mut().poll(context) {
        Poll::Ready(variables) => Poll::Ready(variables),
        Poll::Pending => deadline
            .as_mut()
            .poll(context)
            .map(|()| Err(Error::Unavailable)),
    })
    .await
}

async fn read_each() -> Result<Variables, Error> {
    let mut variables = Variables::default();
    for variable in Variable::LOCAL {
        let text = variables::get(variable.name()).await;
        *variables.slot(variable) = text.map_err(|error| match error {
            variables::Error::InvalidName(_) | variables::Error::Undefined(_) => {
                Error::Misconfigured {
                    variable,
                    fault: Fault::Missing,
                }
            }
            variables::Error::Provider(_) | variables::Error::Other(_) => Error::Unavailable,
        })?;
    }
    Ok(variables)
}
