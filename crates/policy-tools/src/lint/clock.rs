//! The moments at which policies with time windows are tried.

use super::value::Value;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use vouchsafe_policy::Bundle;

/// 2027-01-04T00:30:00Z, a Monday. Half past, so that it is in the same hour in zones with whole offsets.
const START: u64 = 1_799_022_600;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;
const HOURS_OF_WEEK: u64 = 168;

/// Moments, each with the local times of the bundle's zones.
pub(super) struct Clock(BTreeMap<u64, Json>);

impl Clock {
    /// Every hour of a week in winter, and noon and midnight of one day in each of the months after it.
    pub fn of(bundle: &Bundle) -> Self {
        let hours = (0..HOURS_OF_WEEK).map(|hour| hour.saturating_mul(HOUR));
        let months = (1..24_u64).map(|half| half.saturating_mul(15 * DAY + 12 * HOUR));
        let moments = hours.chain(months).map(|after| START.saturating_add(after));
        Self(moments.map(|now| (now, bundle.local_times(now).unwrap_or(Json::Null))).collect())
    }

    pub fn moments(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    /// The moment of requests whose time does not matter.
    pub fn first(&self) -> u64 {
        self.moments().next().unwrap_or(START)
    }

    /// The context's `local` at a moment.
    pub fn local_times(&self, now: u64) -> Option<&Json> {
        self.0.get(&now)
    }

    /// The value of an attribute such as `local.berlin.hour`.
    pub fn local(&self, now: u64, path: &str) -> Option<Value> {
        let pointer = path.strip_prefix("local")?.replace('.', "/");
        match self.0.get(&now)?.pointer(&pointer)? {
            Json::String(text) => Some(Value::Text(text.clone())),
            Json::Number(number) => Some(Value::Integer(number.as_i64()?)),
            _ => None,
        }
    }
}
