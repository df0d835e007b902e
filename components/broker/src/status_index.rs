//! The indexes of this instance's tokens in status lists.
//!
//! Documented cache, per instance (I7): leased indexes, for a minute.

use crate::bindings::revocations;
use std::cell::RefCell;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::refusal::Refusal;
use vouchsafe_exchange::status_indexes::StatusIndexes;
use vouchsafe_types::StatusReference;

thread_local! {
    static INDEXES: RefCell<StatusIndexes> = const { RefCell::new(StatusIndexes::new()) };
}

/// An index for a token. Two concurrent requests may both lease indexes; those of the earlier lease are given up.
pub async fn index(now: u64, random: u64) -> Result<StatusReference, Failure> {
    if let Some(index) = INDEXES.with_borrow_mut(|indexes| indexes.take(now, random)) {
        return Ok(index);
    }
    let block = revocations::lease_status().await?;
    let index = INDEXES.with_borrow_mut(|indexes| {
        indexes.lease(&block, now);
        indexes.take(now, random)
    });
    index.ok_or_else(|| Refusal::Internal.into())
}
