//! The gateway behind its routes: rules, epoch keys in memory, the HSM, the log.

mod admin;
mod counted;
mod list;
mod possession;
mod readiness;
mod seeds;
mod sign;
mod states;
mod tallies;
mod watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::hsm::{Hsm, HsmError};
use crate::inventory::{
    generation, hsm_failure, lock, make_private, no_generation, remember_generation,
};
use crate::log::{Line, Log, Share};
use crate::metrics::Metrics;
use crate::root::Root;
use crate::worker::protocol::{Algorithm, Call, Fault, Reply};
use counted::Counted;
pub use counted::Who;
use seeds::Handouts;
use states::States;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tallies::Tallies;
use tokio::task::JoinHandle;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::{
    Admins, Derivation, EpochKeyring, Generation, KeyAlgorithm, Rates, Refusal, RolloutSecret,
    Rules,
};
use vouchsafe_signer::SEED_BYTES;
use zeroize::Zeroizing;

/// How often is looked whether an epoch began, or an emergency raised the generation.
const TICK: Duration = Duration::from_millis(900);

pub struct Gateway {
    rules: Rules,
    admins: Admins,
    clock: Clock,
    hsm: Arc<Hsm>,
    root: Root,
    rollout: RolloutSecret,
    states: Mutex<Arc<States>>,
    /// One look at the token at a time.
    looking: tokio::sync::Mutex<()>,
    /// One admin act at a time.
    acting: tokio::sync::Mutex<()>,
    tallies: Mutex<Tallies>,
    /// By how many seconds the clock was set, as it was told last.
    told_step: Mutex<Option<i64>>,
    /// Whether the last look found keys that can't be used, or that took the place of others.
    keys_differ: AtomicBool,
    /// Whether the next look is to take nothing for unchanged.
    looks_whole: AtomicBool,
    /// What `state_dir` remembers, at least.
    generation_on_disk: AtomicU64,
    keyring: Mutex<EpochKeyring>,
    rates: Mutex<Rates>,
    handouts: Mutex<Handouts>,
    counted: Mutex<Counted>,
    log: Log,
    state_dir: PathBuf,
    /// Keeps other gateways out of `state_dir`.
    _lock: std::fs::File,
    pub metrics: Arc<Metrics>,
}

impl Gateway {
    /// Opens the HSM, checks its keys and derives the first epochs'.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, Failure> {
        make_private(&config.state_dir)?;
        let lock = lock(&config.state_dir)?;
        let metrics = Arc::new(Metrics::default());
        let path = config.state_dir.join("gateway.log");
        let log = Log::open(&path, config.log_sync, Arc::clone(&metrics))
            .map_err(|error| Failure::state(&path, error))?;
        let hsm = Hsm::start(config.module, &config.state_dir, Arc::clone(&metrics), true)
            .await
            .map_err(hsm_failure)?;
        hsm.remember_root().await.map_err(hsm_failure)?;
        let (inventory, states) = Self::first_states(&config.rules, &hsm).await?;
        let generation = generation(&inventory)?.number;
        remember_generation(&config.state_dir, generation)?;
        let root = Root::of(&inventory)?;
        let mut tallies = Tallies::open(&config.state_dir);
        tallies.follow(&states);
        let rollout = rollout_secret(&hsm).await.map_err(hsm_failure)?;
        let groups = config.rules.groups().cloned().collect();
        let gateway = Arc::new(Self {
            keyring: Mutex::new(EpochKeyring::new(groups, generation)),
            rules: config.rules,
            admins: config.admins,
            clock,
            hsm,
            root,
            rollout,
            states: Mutex::new(Arc::new(states)),
            looking: tokio::sync::Mutex::default(),
            acting: tokio::sync::Mutex::default(),
            tallies: Mutex::new(tallies),
            told_step: Mutex::default(),
            keys_differ: AtomicBool::new(false),
            looks_whole: AtomicBool::new(false),
            generation_on_disk: AtomicU64::new(generation),
            rates: Mutex::default(),
            handouts: Mutex::default(),
            counted: Mutex::default(),
            log,
            state_dir: config.state_dir,
            _lock: lock,
            metrics,
        });
        let line = Line::new("start", gateway.clock.now().0)
            .with("generation", generation)
            .with("serial", inventory.serial);
        gateway
            .log
            .write(Share::Own, line)
            .await
            .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
        gateway.tell_doubled(&States::none()).await;
        gateway.remember_lifetimes().await?;
        gateway.turn_to_now().await.map_err(hsm_failure)?;
        Ok(gateway)
    }

    /// Derives each epoch's keys as it comes, for as long as the process lives.
    pub async fn keep_turning(self: Arc<Self>) {
        let mut told = false;
        let mut saving = None;
        loop {
            tokio::time::sleep(TICK).await;
            let followed = self.follow_generation().await.and(self.look().await);
            self.remember_current_generation();
            // An act looks by itself, and remembers what it needs.
            if let Ok(_turn) = self.acting.try_lock()
                && let Err(failure) = self.remember_lifetimes().await
            {
                eprintln!("hsm-gateway: {}", failure.message);
            }
            self.save_uses(&mut saving);
            match self.turn_to_now().await.and(followed) {
                Ok(()) => told = false,
                Err(error) if !told => {
                    eprintln!("hsm-gateway: the HSM can't be asked for epoch keys now: {error}");
                    told = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Has uses written down beside all else, one time after the other.
    fn save_uses(self: &Arc<Self>, saving: &mut Option<JoinHandle<()>>) {
        if saving.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        let Some(save) = self.tallies().take_unsaved() else {
            return;
        };
        let gateway = Arc::clone(self);
        *saving = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = save.write() {
                eprintln!("hsm-gateway: uses are not written down: {error}");
                gateway.tallies().not_saved();
            }
        }));
    }

    /// Takes the token's generation over, if it is higher: within a second of its change.
    async fn follow_generation(&self) -> Result<(), HsmError> {
        let generation = self.generation_of_token().await?.number;
        if generation <= self.keyring().generation() {
            return Ok(());
        }
        // ORDER: its seeds first, so that none is missing when it is current; and without them if the
        // HSM does not give them, since an emergency does not wait.
        let wanted = self.keyring().seeds_of(generation, self.clock.now());
        let seeds = self.derive(wanted.unwrap_or_default()).await;
        {
            let (mut keyring, now) = (self.keyring(), self.clock.now());
            keyring.raise_to(generation);
            for (derivation, seed) in seeds.unwrap_or_default() {
                keyring.learn(derivation, *seed, now).map_err(differs)?;
            }
        }
        eprintln!("hsm-gateway: generation {generation} is current");
        self.remember_current_generation();
        let line = Line::new("generation", self.clock.now().0).with("generation", generation);
        let recorded = self.record(Share::Own, line).await;
        recorded.map_err(|_| HsmError::NotRunning)
    }

    /// Writes the generation down; what can't be, because the disk is full, is tried again with each tick: the
    /// generation is followed all the same.
    fn remember_current_generation(&self) {
        let generation = self.keyring().generation();
        if self.generation_on_disk.load(Relaxed) >= generation {
            return;
        }
        match remember_generation(&self.state_dir, generation) {
            Ok(()) => self.generation_on_disk.store(generation, Relaxed),
            Err(failure) => eprintln!("hsm-gateway: {}", failure.message),
        }
    }

    async fn generation_of_token(&self) -> Result<Generation, HsmError> {
        let Reply::Bytes(id) = self.hsm.call_own(Call::Generation).await? else {
            return Err(other_reply());
        };
        let missing = || HsmError::Fault(Fault::Module(no_generation().message));
        Generation::parse(&id.0).ok_or_else(missing)
    }

    async fn turn_to_now(&self) -> Result<(), HsmError> {
        let internal = |_| HsmError::NotRunning;
        let missing = {
            let (mut keyring, now) = (self.keyring(), self.clock.now());
            keyring.turn_to(now);
            keyring.missing(now).map_err(internal)?
        };
        for derivation in missing {
            // One by one: what is derived is of use before the rest is.
            for (derivation, seed) in self.derive(vec![derivation]).await? {
                let now = self.clock.now();
                let learnt = self.keyring().learn(derivation, *seed, now);
                learnt.map_err(differs)?;
            }
        }
        self.certify().await
    }

    async fn derive(
        &self,
        wanted: Vec<Derivation>,
    ) -> Result<Vec<(Derivation, Zeroizing<[u8; SEED_BYTES]>)>, HsmError> {
        let mut seeds = Vec::new();
        for derivation in wanted {
            let message = derivation.label.clone().into();
            let Reply::Bytes(seed) = self.hsm.call_own(Call::Derive { message }).await? else {
                return Err(HsmError::NotRunning);
            };
            let seed: &[u8; SEED_BYTES] = seed.0.as_slice().try_into().map_err(internal_length)?;
            seeds.push((derivation, Zeroizing::new(*seed)));
        }
        Ok(seeds)
    }

    /// Has the root certify the keys that have come, which publishes them.
    async fn certify(&self) -> Result<(), HsmError> {
        // ORDER: listed before the first is asked for, so that no lock is held meanwhile.
        let uncertified = self.keyring().uncertified();
        for key in uncertified {
            let certificate = self.root.certify(&self.hsm, &key).await?;
            self.keyring().certify(key, &certificate);
        }
        Ok(())
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn admins(&self) -> &Admins {
        &self.admins
    }

    async fn record(&self, share: Share, line: Line) -> Result<(), Refusal> {
        self.log.write(share, line).await.map_err(|error| {
            eprintln!("hsm-gateway: the log can't be written: {error}");
            Refusal::LogUnavailable
        })?;
        self.metrics.log_lines.fetch_add(1, Relaxed);
        Ok(())
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the log by its name again, after its file was moved away.
    pub async fn reopen_log(&self) {
        self.write_counts().await;
        if let Err(error) = self.log.reopen().await {
            eprintln!(
                "hsm-gateway: the log can't be opened anew, and goes on where it was: {error}"
            );
        }
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keyring(&self) -> MutexGuard<'_, EpochKeyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keyring takes no second key for a place.
fn differs(_: vouchsafe_signer::Error) -> HsmError {
    let text = "it derives another key than before, which verifiers would not know";
    HsmError::Fault(Fault::Module(text.to_owned()))
}

fn internal_length(_: std::array::TryFromSliceError) -> HsmError {
    HsmError::Fault(Fault::Module("a seed that has not 32 bytes".to_owned()))
}

fn other_reply() -> HsmError {
    HsmError::Fault(Fault::Module(
        "the worker answered something else".to_owned(),
    ))
}

/// What a caller is told of an HSM that gave no answer.
fn hsm_refusal(error: &HsmError) -> Refusal {
    match error {
        HsmError::Overloaded => Refusal::Overloaded,
        HsmError::Fault(_) | HsmError::NotRunning => Refusal::HsmUnavailable,
    }
}

async fn rollout_secret(hsm: &Arc<Hsm>) -> Result<RolloutSecret, HsmError> {
    let message = RolloutSecret::label().into();
    let Reply::Bytes(secret) = hsm.call_own(Call::Derive { message }).await? else {
        return Err(other_reply());
    };
    let secret = secret.0.as_slice().try_into().map_err(internal_length)?;
    Ok(RolloutSecret::from_bytes(secret))
}

/// The worker's name of an algorithm.
pub fn algorithm(algorithm: KeyAlgorithm) -> Algorithm {
    match algorithm {
        KeyAlgorithm::EdDsa => Algorithm::EdDsa,
        KeyAlgorithm::Es256 => Algorithm::Es256,
        KeyAlgorithm::Rs256 => Algorithm::Rs256,
    }
}
