//! A use of a key, and what the database answers about several.

use std::collections::BTreeMap;

use crate::database::{self, Row, Value};
use crate::error::Error;

/// A key to consume.
#[derive(Debug)]
pub(crate) struct ConsumeRow {
    pub(crate) key: String,
    pub(crate) keep_until: i64,
    pub(crate) uses_left: i64,
    pub(crate) issued_at: i64,
    /// The earliest acceptable alive mark.
    pub(crate) alive_after: i64,
}

impl ConsumeRow {
    pub(crate) fn new(
        key: &str,
        uses_max: u32,
        issued_at: u64,
        keep_until: u64,
        alive_after: u64,
    ) -> Result<Self, Error> {
        Ok(Self {
            key: key.to_owned(),
            keep_until: Value::signed(keep_until)?,
            uses_left: i64::from(uses_max).saturating_sub(1),
            issued_at: Value::signed(issued_at)?,
            alive_after: Value::signed(alive_after)?,
        })
    }

    /// The part that [`fresh`] needs.
    pub(crate) fn claim(&self) -> (String, i64) {
        (self.key.clone(), self.issued_at)
    }
}

/// Which of `claims` (keys with the moments at which their tokens were issued) were used, given the key of each row that
/// used it.
///
/// INVARIANT: as many rows of a key are used as came back for it, the latest issued ones: those that were
/// issued before the creation mark are not among them (I4).
pub(crate) fn fresh(claims: &[(String, i64)], answer: Vec<Row>) -> Result<Vec<bool>, Error> {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for mut row in answer {
        let count = used.entry(database::text(&mut row, 0)?).or_default();
        *count = count.saturating_add(1);
    }
    let mut latest_first: Vec<(usize, &(String, i64))> = claims.iter().enumerate().collect();
    latest_first.sort_by_key(|(_, (_, issued_at))| std::cmp::Reverse(*issued_at));
    let mut verdicts = vec![false; claims.len()];
    for (at, (key, _)) in latest_first {
        let (Some(count), Some(verdict)) = (used.get_mut(key), verdicts.get_mut(at)) else {
            continue;
        };
        *verdict = *count > 0;
        *count = count.saturating_sub(1);
    }
    Ok(verdicts)
}
