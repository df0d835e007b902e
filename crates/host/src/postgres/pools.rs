//! Pools of connections.
//!
//! Unlike with Spin, a guest's connection holds no physical one: that is taken from the pool for each statement. Every
//! wait has a limit, and the TCP connection goes to an address that was checked, as with outbound HTTP.

#![expect(clippy::result_large_err, reason = "the error is Spin's")]

use super::address::Address;
use super::connect::{Connector, Refused};
use super::timelines::Timelines;
use crate::bindings::postgres::Error;
use crate::metrics::PoolStatus;
use crate::outbound::Network;
use deadpool::Runtime;
use deadpool::managed::{Pool, PoolError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vouchsafe_serve::log;

/// Most connections to one address. Beyond some times the server's cores, more connections don't commit faster.
const CONNECTIONS_MAX: usize = 16;
/// Most addresses, so that a guest can't open any number of pools.
const ADDRESSES_MAX: usize = 4;
/// How often the same reason is logged again.
const LOG_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Longest wait for a connection, and longest time to make one.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The pools by address.
pub struct Pools {
    network: Arc<Network>,
    timelines: Arc<Timelines>,
    pools: Mutex<BTreeMap<String, Arc<Database>>>,
    connections_max: usize,
}

/// The pool of one address.
pub struct Database {
    pub(super) pool: Pool<Connector>,
    /// The last reason that was logged, and when.
    logged: Mutex<Option<(String, Instant)>>,
}

impl Pools {
    pub fn new(network: Arc<Network>) -> Self {
        Self::with_connections(network, CONNECTIONS_MAX)
    }

    pub(super) fn with_connections(network: Arc<Network>, connections_max: usize) -> Self {
        Self { network, timelines: Arc::default(), pools: Mutex::default(), connections_max }
    }

    /// The database at `address`. Connects to nothing yet.
    pub fn get(&self, address: &str) -> Result<Arc<Database>, Error> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = pools.get(address) {
            return Ok(Arc::clone(database));
        }
        if pools.len() >= ADDRESSES_MAX {
            return Err(Error::ConnectionFailed(format!("more than {ADDRESSES_MAX} addresses")));
        }
        let parsed = Address::parse(address, &self.network).map_err(Error::ConnectionFailed)?;
        let connector = Connector::new(parsed, Arc::clone(&self.network), Arc::clone(&self.timelines));
        let pool = Pool::builder(connector)
            .max_size(self.connections_max)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_MAX))
            .create_timeout(Some(WAIT_MAX))
            .recycle_timeout(Some(WAIT_MAX))
            .build()
            .map_err(|error| Error::Other(error.to_string()))?;
        let database = Arc::new(Database { pool, logged: Mutex::default() });
        pools.insert(address.to_owned(), Arc::clone(&database));
        Ok(database)
    }

    /// The connections of all pools, added up.
    pub fn status(&self) -> PoolStatus {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = PoolStatus::default();
        for database in pools.values() {
            let status = database.pool.status();
            sum.open = sum.open.saturating_add(status.size);
            sum.idle = sum.idle.saturating_add(status.available);
            sum.waiting = sum.waiting.saturating_add(status.waiting);
        }
        sum
    }
}

impl Database {
    /// The guest's view of a failure to get a connection. Logs the reason, but not for each of many requests.
    pub(super) fn no_connection(&self, error: PoolError<Refused>) -> Error {
        let reason = match error {
            PoolError::Backend(refused) => refused.to_string(),
            PoolError::Timeout(kind) => format!("no connection within {} s ({kind:?})", WAIT_MAX.as_secs()),
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => "no pool".to_owned(),
        };
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let known = logged.as_ref().is_some_and(|(text, at)| *text == reason && at.elapsed() < LOG_AGAIN_AFTER);
        if !known {
            log!("serve: postgres: {reason}");
            *logged = Some((reason.clone(), Instant::now()));
        }
        Error::ConnectionFailed(reason)
    }
}
