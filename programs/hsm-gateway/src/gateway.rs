//! The gateway behind its routes: limits, epoch keys in memory, the HSM, the log.

mod admin;
mod counts;
mod epochs;
mod handouts;
mod list;
mod possession;
mod published_key;
mod readiness;
mod refresh;
mod refusals;
mod seed;
mod sign;
mod states;
mod version_stats;
mod watch;

pub use counts::Requester;

use crate::clock::Clock;
use crate::config::Config;
use crate::log::{Line, Log, Quota};
use crate::metrics::Metrics;
use crate::pkcs11::{Hsm, Root, root_generation};
use crate::state_dir;
use counts::Counts;
use handouts::Handouts;
use states::States;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use version_stats::VersionStats;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::{Admins, EpochKeyring, Rates, Refusal, RolloutSecret, Rules};

pub struct Gateway {
    rules: Rules,
    admins: Admins,
    clock: Clock,
    hsm: Arc<Hsm>,
    root: Root,
    rollout: RolloutSecret,
    states: Mutex<Arc<States>>,
    /// Held while the states are read from the token.
    refreshing: tokio::sync::Mutex<()>,
    /// Held during an admin's operation.
    operating: tokio::sync::Mutex<()>,
    version_stats: Mutex<VersionStats>,
    /// The step of the clock that was reported last.
    reported_step: Mutex<Option<i64>>,
    /// Whether the last refresh found keys that can't be used, or that replaced others.
    keys_differ: AtomicBool,
    /// Whether the next refresh inspects the whole token.
    full_refresh: AtomicBool,
    /// The generation in `state_dir`, or a lower one.
    generation_on_disk: AtomicU64,
    keyring: Mutex<EpochKeyring>,
    rates: Mutex<Rates>,
    handouts: Mutex<Handouts>,
    counts: Mutex<Counts>,
    log: Log,
    state_dir: PathBuf,
    /// Keeps other gateways out of `state_dir`.
    _lock: std::fs::File,
    pub metrics: Arc<Metrics>,
}

impl Gateway {
    /// Opens the HSM, checks its keys and derives the current epoch keys.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, Failure> {
        state_dir::create(&config.state_dir)?;
        let lock = state_dir::lock(&config.state_dir)?;
        let metrics = Arc::new(Metrics::default());
        let path = config.state_dir.join("gateway.log");
        let log =
            Log::open(&path, config.log_sync, Arc::clone(&metrics)).map_err(|error| Failure::state(&path, error))?;
        let hsm = Hsm::start(config.module, &config.state_dir, Arc::clone(&metrics), true).await?;
        hsm.pin_root().await?;
        let (inventory, states) = States::first(&config.rules, &hsm).await?;
        let generation = root_generation(&inventory)?.number;
        state_dir::remember_generation(&config.state_dir, generation)?;
        let root = Root::find(&inventory)?;
        let mut version_stats = VersionStats::open(&config.state_dir);
        version_stats.reset_for_new_canaries(&states);
        let rollout = hsm.derive(RolloutSecret::label().into()).await?;
        let groups = config.rules.groups().cloned().collect();
        let gateway = Arc::new(Self {
            keyring: Mutex::new(EpochKeyring::new(groups, generation)),
            rules: config.rules,
            admins: config.admins,
            clock,
            hsm,
            root,
            rollout: RolloutSecret::from_bytes(*rollout),
            states: Mutex::new(Arc::new(states)),
            refreshing: tokio::sync::Mutex::default(),
            operating: tokio::sync::Mutex::default(),
            version_stats: Mutex::new(version_stats),
            reported_step: Mutex::default(),
            keys_differ: AtomicBool::new(false),
            full_refresh: AtomicBool::new(false),
            generation_on_disk: AtomicU64::new(generation),
            rates: Mutex::default(),
            handouts: Mutex::default(),
            counts: Mutex::default(),
            log,
            state_dir: config.state_dir,
            _lock: lock,
            metrics,
        });
        let line =
            Line::new("start", gateway.clock.now().0).with("generation", generation).with("serial", inventory.serial);
        gateway.log.write(Quota::Gateway, line).await.map_err(|error| Failure::state(&path, error))?;
        gateway.report_duplicates(&States::none()).await;
        gateway.record_lifetimes().await?;
        gateway.derive_epochs().await?;
        Ok(gateway)
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn admins(&self) -> &Admins {
        &self.admins
    }

    /// Reopens the log, after its file was moved away.
    pub async fn reopen_log(&self) {
        self.write_counts().await;
        if let Err(error) = self.log.reopen().await {
            eprintln!("hsm-gateway: cannot reopen the log, so the old file stays in use: {error}");
        }
    }

    async fn record(&self, quota: Quota, line: Line) -> Result<(), Refusal> {
        self.log.write(quota, line).await.map_err(|error| {
            eprintln!("hsm-gateway: cannot write to the log: {error}");
            Refusal::LogUnavailable
        })?;
        self.metrics.log_lines.fetch_add(1, Relaxed);
        Ok(())
    }

    fn version_stats(&self) -> MutexGuard<'_, VersionStats> {
        self.version_stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keyring(&self) -> MutexGuard<'_, EpochKeyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
