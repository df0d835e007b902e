//! The instance's signer and its clock. Signing itself does not wait for anything.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use vouchsafe_signer::{Config, Error, Root, Signer, UnixSeconds, Variable};

thread_local! {
    /// The signer of this instance: its configuration and the keys of at most four epochs per algorithm, in memory
    /// only, for the instance's lifetime. Contains no request data.
    static SIGNER: RefCell<Option<Signer>> = const { RefCell::new(None) };
}

/// Runs `use_signer` on the instance's signer, created from the variables on first use.
///
/// An unreadable or invalid configuration is not remembered: the next call reads it again.
pub async fn with_signer<T>(use_signer: impl FnOnce(&mut Signer) -> Result<T, Error>) -> Result<T, Error> {
    vouchsafe_guest::next_step().await;
    if !is_initialized() {
        // Two concurrent first calls may both read the variables; the later signer replaces an equal one. The cell is
        // not borrowed across the await.
        let variables = vouchsafe_guest::signer::read_variables(&Variable::LOCAL).await?;
        let signer = Signer::new(Config::parse(&variables)?, Root::parse(&variables)?, vouchsafe_guest::crypto());
        SIGNER.with(|cell| cell.replace(Some(signer)));
    }
    with_ready_signer(use_signer).unwrap_or(Err(Error::Internal))
}

/// Runs `use_signer` on the instance's signer, if it was created.
pub fn with_ready_signer<T>(use_signer: impl FnOnce(&mut Signer) -> Result<T, Error>) -> Option<Result<T, Error>> {
    SIGNER.with(|cell| match cell.try_borrow_mut() {
        Ok(mut signer) => signer.as_mut().map(use_signer),
        Err(_) => Some(Err(Error::Internal)),
    })
}

/// The signer's own clock.
pub fn now() -> Result<UnixSeconds, Error> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Error::Internal)?;
    Ok(UnixSeconds(since_epoch.as_secs()))
}

fn is_initialized() -> bool {
    SIGNER.with(|cell| cell.try_borrow().is_ok_and(|signer| signer.is_some()))
}
