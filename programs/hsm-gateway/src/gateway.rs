//! The gateway behind its routes: rules, epoch keys in memory, the HSM, the log.

use crate::clock::Clock;
use crate::config::Config;
use crate::failure::Failure;
use crate::hsm::{Hsm, HsmError};
use crate::inventory::{
    checked_key, generation, hsm_failure, inspect, make_private, remember_generation,
};
use crate::log::{Line, Log};
use crate::metrics::Metrics;
use crate::root::Root;
use crate::worker::protocol::{Algorithm, Call, Fault, Inventory, Reply};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vouchsafe_gateway::wire::{GroupKeys, Keys, PublicTokenKey, SeedRequest, SignRequest};
use vouchsafe_gateway::{
    Caller, EpochKeyring, KeyAlgorithm, KeyRule, Rates, Refusal, Rules, SigningInput, wire,
};
use vouchsafe_jose::PublicKey;
use vouchsafe_signer::{PublicJwk, Seed};
use zeroize::Zeroizing;

/// How often is looked whether an epoch began, or an emergency raised the generation.
const TICK: Duration = Duration::from_millis(900);

/// A key in the HSM that signs tokens, with its public half.
struct TokenKey {
    name: String,
    version: u64,
    label: String,
    jwk: PublicJwk,
    verifier: PublicKey,
}

pub struct Gateway {
    rules: Rules,
    clock: Clock,
    hsm: Arc<Hsm>,
    token_keys: Vec<TokenKey>,
    root: Root,
    keyring: Mutex<EpochKeyring>,
    rates: Mutex<Rates>,
    log: Log,
    state_dir: PathBuf,
    pub metrics: Arc<Metrics>,
}

/// What `/readyz` says.
pub struct Readiness {
    pub generation: u64,
    pub hsm_is_up: bool,
    /// Unix seconds until which delegated tokens can be signed without the HSM.
    pub seeds_until: Option<u64>,
    pub seconds_left: u64,
}

impl Gateway {
    /// Opens the HSM, checks its keys and derives the first epochs'.
    pub async fn open(config: Config, clock: Clock) -> Result<Arc<Self>, Failure> {
        make_private(&config.state_dir)?;
        let metrics = Arc::new(Metrics::default());
        let path = config.state_dir.join("gateway.log");
        let log = Log::open(&path)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let hsm = Hsm::start(config.module, &config.state_dir, Arc::clone(&metrics), true)
            .await
            .map_err(hsm_failure)?;
        let inventory = inspect(&hsm).await.map_err(hsm_failure)?;
        let generation = generation(&inventory)?;
        remember_generation(&config.state_dir, generation)?;
        let token_keys = config
            .rules
            .keys()
            .flat_map(|rule| rule.versions().map(move |version| (rule, version)))
            .map(|(rule, version)| token_key(&inventory, rule, version))
            .collect::<Result<_, _>>()?;
        let root = Root::of(&inventory)?;
        let groups = config.rules.groups().cloned().collect();
        let gateway = Arc::new(Self {
            keyring: Mutex::new(EpochKeyring::new(groups, generation)),
            rules: config.rules,
            clock,
            hsm,
            token_keys,
            root,
            rates: Mutex::default(),
            log,
            state_dir: config.state_dir,
            metrics,
        });
        let line = Line::new("start", clock.now().0)
            .with("generation", generation)
            .with("serial", inventory.serial);
        gateway
            .log
            .write(line)
            .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
        gateway.turn_to_now().await.map_err(hsm_failure)?;
        Ok(gateway)
    }

    /// Derives each epoch's keys as it comes, for as long as the process lives.
    pub async fn keep_turning(self: Arc<Self>) {
        let mut told = false;
        loop {
            tokio::time::sleep(TICK).await;
            let followed = self.follow_generation().await;
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

    /// Takes the token's generation over, if it is higher: within a second of its change.
    async fn follow_generation(&self) -> Result<(), HsmError> {
        let Reply::Generation(generation) = self.hsm.call_own(Call::Generation).await? else {
            return Err(HsmError::NotRunning);
        };
        if !self.keyring().raise_to(generation) {
            return Ok(());
        }
        eprintln!("hsm-gateway: generation {generation} is current");
        // What can't be written down is told; the generation is followed all the same.
        if let Err(failure) = remember_generation(&self.state_dir, generation) {
            eprintln!("hsm-gateway: {}", failure.message);
        }
        let line = Line::new("generation", self.clock.now().0).with("generation", generation);
        self.record(line).map_err(|_| HsmError::NotRunning)
    }

    async fn turn_to_now(&self) -> Result<(), HsmError> {
        let internal = |_| HsmError::NotRunning;
        let missing = {
            let (mut keyring, now) = (self.keyring(), self.clock.now());
            keyring.turn_to(now);
            keyring.missing(now).map_err(internal)?
        };
        for derivation in missing {
            let message = derivation.label.clone().into();
            let Reply::Bytes(seed) = self.hsm.call_own(Call::Derive { message }).await? else {
                return Err(HsmError::NotRunning);
            };
            let seed = seed.0.as_slice().try_into().map_err(internal_length)?;
            let now = self.clock.now();
            self.keyring()
                .learn(derivation, seed, now)
                .map_err(internal)?;
        }
        self.certify().await
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

    pub fn readiness(&self) -> Readiness {
        let now = self.clock.now();
        let keyring = self.keyring();
        let seeds_until = keyring.seeds_until(now);
        Readiness {
            generation: keyring.generation(),
            hsm_is_up: self.hsm.is_up(),
            seeds_until,
            seconds_left: seeds_until.unwrap_or(0).saturating_sub(now.0),
        }
    }

    /// `GET /v1/keys`.
    pub fn keys(&self, caller: Caller<'_>) -> Keys {
        let now = self.clock.now();
        let keyring = self.keyring();
        let groups = caller.groups().map(|group| GroupKeys {
            name: group.name.clone(),
            issuer: group.issuer.clone(),
            epoch_seconds: group.epoch_seconds,
            epoch_keys: keyring.published(group),
            token_keys: self
                .rules
                .keys()
                .filter(|rule| rule.group == group.name)
                .flat_map(|rule| {
                    let keys = self.token_keys.iter();
                    let keys = keys.filter(|key| key.name == rule.name);
                    keys.map(|key| public_token_key(rule, key))
                })
                .collect(),
        });
        Keys {
            now: now.0,
            generation: keyring.generation(),
            groups: groups.collect(),
        }
    }

    /// `POST /v1/epoch-seed`: the answer's body.
    pub fn seed(
        &self,
        caller: Caller<'_>,
        request: &SeedRequest,
    ) -> Result<Zeroizing<String>, Refusal> {
        let now = self.clock.now();
        let answer = {
            let group = caller.group(&request.group)?;
            let keyring = self.keyring();
            let seed: &Seed = keyring.hand_out(
                group,
                request.generation,
                &request.algorithm,
                request.epoch_start,
                now,
            )?;
            wire::seed_answer(seed)
        };
        let line = Line::new("seed", now.0)
            .with("caller", caller.name())
            .with("group", request.group.as_str())
            .with("algorithm", request.algorithm.as_str())
            .with("generation", request.generation)
            .with("epoch_start", request.epoch_start);
        // ORDER: on record before it leaves.
        self.record(line)?;
        self.metrics.seeds.fetch_add(1, Relaxed);
        Ok(answer)
    }

    /// `POST /v1/sign-token`: the signature.
    pub async fn sign(&self, caller: Caller<'_>, request: SignRequest) -> Result<Vec<u8>, Refusal> {
        let now = self.clock.now().0;
        let rule = caller.key(&request.key)?;
        let key = self.token_key(rule).ok_or(Refusal::Key)?;
        let input = SigningInput::check(request, rule, key.jwk.kid(), now)?;
        // ORDER: what is refused is not counted, what is counted has its turn at the HSM.
        self.rates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(rule, now)?;
        let call = Call::Sign {
            label: key.label.clone(),
            algorithm: algorithm(rule.algorithm),
            message: input.as_bytes().to_vec().into(),
        };
        let signature = match self.hsm.call(call).await {
            Ok(Reply::Bytes(signature)) => signature.0.to_vec(),
            Ok(Reply::Done | Reply::Generation(_) | Reply::Inventory(_)) => {
                return Err(Refusal::HsmUnavailable);
            }
            Err(HsmError::Overloaded) => return Err(Refusal::Overloaded),
            Err(HsmError::Fault(_) | HsmError::NotRunning) => return Err(Refusal::HsmUnavailable),
        };
        // INVARIANT: no signature leaves that does not verify: a faulty one can give an ECDSA or RSA
        // key away.
        if key.verifier.verify(input.as_bytes(), &signature).is_err() {
            eprintln!(
                "hsm-gateway: a signature of `{}` does not verify, and is withheld",
                key.label
            );
            return Err(Refusal::HsmUnavailable);
        }
        let line = Line::new("signature", now)
            .with("caller", caller.name())
            .with("key", rule.name.as_str())
            .with("version", rule.version)
            .with("kid", key.jwk.kid())
            .with("decision_id", input.jti())
            .with("sha256", hex(&Sha256::digest(input.as_bytes())));
        self.record(line)?;
        self.metrics.signatures.fetch_add(1, Relaxed);
        Ok(signature)
    }

    /// Counts a refusal and, where the caller is known, writes it down.
    pub fn refused(&self, caller: Option<Caller<'_>>, what: &str, refusal: Refusal) {
        self.metrics.refused(refusal.slug());
        let Some(caller) = caller else {
            return;
        };
        let now = self.clock.now().0;
        let line = Line::new("refusal", now)
            .with("caller", caller.name())
            .with("what", what)
            .with("slug", refusal.slug());
        if let Err(error) = self.log.refused(line, now) {
            eprintln!("hsm-gateway: the log can't be written: {error}");
        }
    }

    fn record(&self, line: Line) -> Result<(), Refusal> {
        self.log.write(line).map_err(|error| {
            eprintln!("hsm-gateway: the log can't be written: {error}");
            Refusal::LogUnavailable
        })?;
        self.metrics.log_lines.fetch_add(1, Relaxed);
        Ok(())
    }

    /// The version of `rule`'s key that signs.
    fn token_key(&self, rule: &KeyRule) -> Option<&TokenKey> {
        self.token_keys
            .iter()
            .find(|key| key.name == rule.name && key.version == rule.version)
    }

    fn keyring(&self) -> MutexGuard<'_, EpochKeyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn internal_length(_: std::array::TryFromSliceError) -> HsmError {
    HsmError::Fault(Fault::Module("a seed that has not 32 bytes".to_owned()))
}

fn public_token_key(rule: &KeyRule, key: &TokenKey) -> PublicTokenKey {
    PublicTokenKey {
        name: rule.name.clone(),
        version: key.version,
        signs: key.version == rule.version,
        algorithm: rule.algorithm.name().to_owned(),
        audiences: rule.audiences.iter().cloned().collect(),
        kid: key.jwk.kid().to_owned(),
        jwk: key.jwk.to_json(),
    }
}

/// The worker's name of an algorithm.
pub fn algorithm(algorithm: KeyAlgorithm) -> Algorithm {
    match algorithm {
        KeyAlgorithm::EdDsa => Algorithm::EdDsa,
        KeyAlgorithm::Es256 => Algorithm::Es256,
        KeyAlgorithm::Rs256 => Algorithm::Rs256,
    }
}

fn token_key(inventory: &Inventory, rule: &KeyRule, version: u64) -> Result<TokenKey, Failure> {
    let (jwk, verifier) = checked_key(inventory, rule, version)?;
    Ok(TokenKey {
        name: rule.name.clone(),
        version,
        label: rule.label_of(version).to_string(),
        jwk,
        verifier,
    })
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
