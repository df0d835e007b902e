//! The signer's variables, for both signers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use spin_sdk::variables;
use vouchsafe_signer::{Error, Fault, Variable, Variables};

/// Longest that reading them may take (design: 2 s for a call of the signer).
const READ_MAX: Duration = Duration::from_secs(2);

/// Every variable of `list`. A provider of Spin's may be a server elsewhere, so it gets a deadline.
pub async fn read(list: &[Variable]) -> Result<Variables, Error> {
    let mut reading = pin!(read_each(list));
    let mut deadline = pin!(spin_sdk::time::sleep(READ_MAX));
    poll_fn(|context| match reading.as_mut().poll(context) {
        Poll::Ready(variables) => Poll::Ready(variables),
        Poll::Pending => deadline
            .as_mut()
            .poll(context)
            .map(|()| Err(Error::Unavailable)),
    })
    .await
}

async fn read_each(list: &[Variable]) -> Result<Variables, Error> {
    let mut variables = Variables::default();
    for variable in list.iter().copied() {
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
