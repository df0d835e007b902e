//! The inputs of both signers: variables and randomness.

use spin_sdk::variables;
use std::time::Duration;
use vouchsafe_signer::{ENTROPY_BYTES, Entropy, Error, Fault, Variable, Variables};

/// Longest time for reading the variables; a call of the signer has 2 s.
const READ_MAX: Duration = Duration::from_secs(2);

/// Draws randomness for one signature; without it, nothing is signed.
///
/// # Errors
/// The host provides no randomness.
pub fn draw_entropy() -> Result<Entropy, Error> {
    let mut bytes = [0; ENTROPY_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| Error::Internal)?;
    Ok(Entropy::from_bytes(bytes))
}

/// Reads every variable of `list`. A variable provider of Spin may be a remote server, hence the deadline.
///
/// # Errors
/// A variable is undefined, or its provider does not respond in time.
pub async fn read_variables(list: &[Variable]) -> Result<Variables, Error> {
    super::within(READ_MAX, read_each(list)).await.unwrap_or(Err(Error::Unavailable))
}

async fn read_each(list: &[Variable]) -> Result<Variables, Error> {
    let mut variables = Variables::default();
    for variable in list.iter().copied() {
        let text = variables::get(variable.name()).await;
        *variables.slot(variable) = text.map_err(|error| match error {
            variables::Error::InvalidName(_) | variables::Error::Undefined(_) => {
                Error::Misconfigured { variable, fault: Fault::Missing }
            }
            variables::Error::Provider(_) | variables::Error::Other(_) => Error::Unavailable,
        })?;
    }
    Ok(variables)
}
