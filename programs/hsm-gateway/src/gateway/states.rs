//! What this gateway knows of the keys that sign tokens: the versions on the token with their states.
//!
//! The token is looked at once per tick, before each admin act and after it, and by a signature that finds
//! the last look too old. So what another gateway did is followed within a second, and nothing is
//! signed with what was true long ago.

use super::possession::unproven;
use super::{Gateway, other_reply};
use crate::hsm::{Hsm, HsmError};
use crate::inventory::{checked_key, hsm_failure, inspect, other_key, versions};
use crate::log::{Line, Share};
use crate::worker::protocol::{Bytes, Call, Fault, Inventory, Reply};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use vouchsafe_cli::Failure;
use vouchsafe_gateway::versions::{KeyVersions, STATES_FRESH_SECONDS, VersionRecord};
use vouchsafe_gateway::{KeyRule, Refusal, Rules, TOKEN_KEY_PREFIX};
use vouchsafe_jose::PublicKey;
use vouchsafe_signer::PublicJwk;

/// Longest that a signature waits for a look at the token.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Most looks at the token until the lifetimes are written, while other gateways change it.
const LOOKS_MAX: u32 = 5;

/// A published version, with its public half.
pub struct TokenKey {
    pub name: String,
    pub version: u64,
    pub label: String,
    pub jwk: PublicJwk,
    pub verifier: PublicKey,
}

/// All of it, as of one moment.
pub struct States {
    found: Arc<Found>,
    looked_at: Instant,
}

/// What a look found.
struct Found {
    /// By the names of keys.
    keys: BTreeMap<String, KeyVersions>,
    /// INVARIANT: every published version that the token has shown to sign with.
    token_keys: Vec<TokenKey>,
    /// Label and `CKA_ID` of every private key, sorted, as they were found: whatever changes in them
    /// counts.
    ids: Vec<(String, Bytes)>,
}

impl States {
    pub fn of_inventory(
        rules: &Rules,
        inventory: &Inventory,
        looked_at: Instant,
    ) -> Result<Self, Failure> {
        let mut keys = BTreeMap::new();
        let mut token_keys = Vec::new();
        for rule in rules.keys() {
            let versions = versions(inventory, rule)?;
            for version in versions.published() {
                let (jwk, verifier) = checked_key(inventory, rule, version)?;
                token_keys.push(TokenKey {
                    name: rule.name.clone(),
                    version,
                    label: rule.label_of(version).to_string(),
                    jwk,
                    verifier,
                });
            }
            keys.insert(rule.name.clone(), versions);
        }
        let private = inventory.keys.iter().filter(|key| !key.secret);
        let private = private.filter(|key| key.label.starts_with(TOKEN_KEY_PREFIX));
        let mut ids: Vec<_> = private
            .map(|key| (key.label.clone(), key.id.clone()))
            .collect();
        ids.sort_by(|a, b| (&a.0, a.1.0.as_slice()).cmp(&(&b.0, b.1.0.as_slice())));
        let found = Arc::new(Found {
            keys,
            token_keys,
            ids,
        });
        Ok(Self { found, looked_at })
    }

    /// Whether a version that was published is the same key in `next`.
    fn has_keys_of(&self, next: &Self) -> Result<(), Failure> {
        for key in &self.found.token_keys {
            let mut others = next.found.token_keys.iter();
            if others.any(|it| it.label == key.label && it.jwk.kid() != key.jwk.kid()) {
                return Err(other_key(&key.label));
            }
        }
        Ok(())
    }

    /// Leaves out what is new since `known` and what the token can't sign with.
    async fn prove(&mut self, known: &Self, hsm: &Arc<Hsm>, rules: &Rules) -> Result<(), HsmError> {
        let is_known = |key: &&TokenKey| {
            let mut keys = known.found.token_keys.iter();
            keys.any(|it| it.label == key.label && it.jwk.kid() == key.jwk.kid())
        };
        let new = self.found.token_keys.iter().filter(|key| !is_known(key));
        let unproven = unproven(hsm, rules, new).await?;
        // Nobody else has it yet where something is new.
        if let Some(found) = Arc::get_mut(&mut self.found) {
            found
                .token_keys
                .retain(|key| !unproven.contains(&key.label));
        }
        Ok(())
    }

    /// What is known before the first look.
    pub fn none() -> Self {
        let found = Arc::new(Found {
            keys: BTreeMap::new(),
            token_keys: Vec::new(),
            ids: Vec::new(),
        });
        let looked_at = Instant::now();
        Self { found, looked_at }
    }

    /// The `CKA_ID` of a version, as it was found.
    pub fn id(&self, rule: &KeyRule, version: u64) -> Option<&Bytes> {
        let label = rule.label_of(version).to_string();
        let mut ids = self.found.ids.iter();
        ids.find(|(it, _)| *it == label).map(|(_, id)| id)
    }

    /// Versions that the token has twice, with their keys' names.
    fn doubled(&self) -> impl Iterator<Item = (&str, u64)> {
        let keys = self.keys();
        keys.flat_map(|(name, versions)| versions.doubled().map(move |it| (name, it)))
    }

    pub fn keys(&self) -> impl Iterator<Item = (&str, &KeyVersions)> {
        let keys = self.found.keys.iter();
        keys.map(|(name, versions)| (name.as_str(), versions))
    }

    pub fn versions(&self, rule: &KeyRule) -> Option<&KeyVersions> {
        self.found.keys.get(&rule.name)
    }

    /// Published versions of a key, by number.
    pub fn published(&self, rule: &KeyRule) -> impl Iterator<Item = &TokenKey> {
        let keys = self.found.token_keys.iter();
        keys.filter(|key| key.name == rule.name)
    }

    pub fn token_key(&self, rule: &KeyRule, version: u64) -> Option<&TokenKey> {
        self.published(rule).find(|key| key.version == version)
    }
}

impl Gateway {
    pub fn states(&self) -> Arc<States> {
        Arc::clone(&self.states.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The states, no older than a signature may rely on.
    pub(super) async fn fresh_states(&self) -> Result<Arc<States>, Refusal> {
        let states = self.states();
        if states.looked_at.elapsed() < Duration::from_secs(STATES_FRESH_SECONDS) {
            return Ok(states);
        }
        let look = tokio::time::timeout(LOOK_MAX, self.look()).await;
        look.map_err(|_| Refusal::HsmUnavailable)?
            .map_err(|_| Refusal::HsmUnavailable)?;
        Ok(self.states())
    }

    /// Looks at the token.
    pub(super) async fn look(&self) -> Result<(), HsmError> {
        // One look after the other, so that an older one never replaces a newer one.
        let _turn = self.looking.lock().await;
        let looked_at = Instant::now();
        let Reply::States(found) = self.hsm.call_own(Call::States).await? else {
            return Err(HsmError::NotRunning);
        };
        let known = self.states();
        // Public halves alone change no `CKA_ID`, and keep a number from being used.
        let whole = self.looks_whole.load(Relaxed);
        let next = if known.found.ids == found && !whole {
            let found = Arc::clone(&known.found);
            Ok(States { found, looked_at })
        } else {
            let Reply::Inventory(inventory) = self.hsm.call_own(Call::Inspect).await? else {
                return Err(HsmError::NotRunning);
            };
            // INVARIANT: nothing is published or signed of keys that took the place of others: verifiers
            // have never seen them.
            let next = States::of_inventory(&self.rules, &inventory, looked_at);
            next.and_then(|next| known.has_keys_of(&next).map(|()| next))
        };
        if whole {
            self.looks_whole.store(false, Relaxed);
        }
        self.keys_differ.store(next.is_err(), Relaxed);
        let mut next = next.map_err(|failure| HsmError::Fault(Fault::Module(failure.message)))?;
        next.prove(&known, &self.hsm, &self.rules).await?;
        self.tell_changes(&known, &next);
        let next = Arc::new(next);
        self.tallies().follow(&next);
        *self.states.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.tell_doubled(&known).await;
        Ok(())
    }

    /// Warns of versions that the token has twice, where that is news.
    pub(super) async fn tell_doubled(&self, known: &States) {
        let states = self.states();
        for (name, version) in states.doubled() {
            if known.doubled().any(|it| it == (name, version)) {
                continue;
            }
            eprintln!(
                "hsm-gateway: the token has version {version} of `{name}` twice, and it is not used: `vouchsafe keys retire {name} --version {version} --destroy` destroys both"
            );
            let line = Line::new("doubled", self.clock.now().0)
                .with("key", name)
                .with("version", version);
            // What can't be written down is told all the same.
            self.record(Share::Own, line).await.unwrap_or_default();
        }
    }

    fn tell_changes(&self, known: &States, next: &States) {
        for (name, versions) in &next.found.keys {
            if known.found.keys.get(name) != Some(versions) {
                eprintln!("hsm-gateway: versions of `{name}`: {versions}");
            }
        }
    }

    /// Has the token remember that tokens may live longer from now on, before any does.
    ///
    /// A record is written whole. What another gateway has changed since the look is left alone, and
    /// looked at again.
    pub(super) async fn remember_lifetimes(&self) -> Result<(), Failure> {
        for _ in 0..LOOKS_MAX {
            let states = self.states();
            let mut wanting = Vec::new();
            for rule in self.rules.keys() {
                let longer = states
                    .versions(rule)
                    .map(|it| it.longer_lives(rule.lifetime_seconds_max));
                wanting.extend(longer.into_iter().flatten().map(|it| (rule, it)));
            }
            if wanting.is_empty() {
                return Ok(());
            }
            for (rule, (version, record)) in wanting {
                self.remember_lifetime(&states, rule, version, &record)
                    .await?;
            }
            self.look().await.map_err(hsm_failure)?;
        }
        Err(
            Failure::refused("other gateways change the keys' states all the time")
                .hint("start again, once nobody acts on keys"),
        )
    }

    async fn remember_lifetime(
        &self,
        states: &States,
        rule: &KeyRule,
        version: u64,
        record: &VersionRecord,
    ) -> Result<(), Failure> {
        let line = || {
            Line::new("lifetime", self.clock.now().0)
                .with("key", rule.name.as_str())
                .with("version", version)
                .with("lifetime_max", record.lifetime_seconds)
        };
        let failed = |refusal: Refusal| Failure::refused(refusal.to_string());
        self.record(Share::Own, line()).await.map_err(failed)?;
        let Some(from) = states.id(rule, version) else {
            return Ok(());
        };
        match self.set_record(rule, version, from, record).await {
            Err(HsmError::Fault(Fault::Changed(_) | Fault::KeyMissing(_) | Fault::KeyTwice(_))) => {
                let line = line().with("failed", Refusal::Conflict.slug());
                self.record(Share::Own, line).await.map_err(failed)
            }
            outcome => outcome.map_err(hsm_failure),
        }
    }

    /// Writes a version's record in the place of `from`, if that is still there.
    pub(super) async fn set_record(
        &self,
        rule: &KeyRule,
        version: u64,
        from: &Bytes,
        record: &VersionRecord,
    ) -> Result<(), HsmError> {
        let call = Call::SetId {
            label: rule.label_of(version).to_string(),
            from: from.clone(),
            to: record.to_bytes().to_vec().into(),
        };
        match self.hsm.call_own(call).await? {
            Reply::Done => Ok(()),
            _ => Err(other_reply()),
        }
    }

    /// Opens the view of an inspected token.
    pub(super) async fn first_states(
        rules: &Rules,
        hsm: &Arc<Hsm>,
    ) -> Result<(Inventory, States), Failure> {
        let looked_at = Instant::now();
        let inventory = inspect(hsm).await.map_err(hsm_failure)?;
        let mut states = States::of_inventory(rules, &inventory, looked_at)?;
        let proved = states.prove(&States::none(), hsm, rules).await;
        proved.map_err(hsm_failure)?;
        Ok((inventory, states))
    }
}
