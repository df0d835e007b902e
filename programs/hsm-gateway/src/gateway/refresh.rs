//! Refresh: reads the states of all keys from the token.
//!
//! It happens on each tick, before and after each admin's operation, and for a signature that finds the states too old.
//! So the gateway follows others within a second, and signs nothing based on outdated states.

use super::Gateway;
use super::states::States;
use crate::log::{Line, Quota};
use crate::pkcs11::HsmError;
use crate::pkcs11::protocol::{Bytes, Call, Pkcs11Error, Reply};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use vouchsafe_cli::Failure;
use vouchsafe_gateway::versions::{STATES_FRESH_SECONDS, VersionRecord};
use vouchsafe_gateway::{KeyRule, Refusal};

/// Longest wait of a signature for a refresh.
const REFRESH_MAX: Duration = Duration::from_secs(2);

/// Most attempts to write the lifetimes while other gateways change the token.
const ATTEMPTS_MAX: u32 = 5;

impl Gateway {
    pub fn states(&self) -> Arc<States> {
        Arc::clone(&self.states.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns states that are recent enough for a signature.
    pub(super) async fn fresh_states(&self) -> Result<Arc<States>, Refusal> {
        let states = self.states();
        if states.age() < Duration::from_secs(STATES_FRESH_SECONDS) {
            return Ok(states);
        }
        let refresh = tokio::time::timeout(REFRESH_MAX, self.refresh_states()).await;
        refresh.map_err(|_| Refusal::HsmUnavailable)?.map_err(|_| Refusal::HsmUnavailable)?;
        Ok(self.states())
    }

    /// Reads the states from the token.
    pub(super) async fn refresh_states(&self) -> Result<(), HsmError> {
        // One at a time, so that older states never replace newer ones.
        let _turn = self.refreshing.lock().await;
        let read_at = Instant::now();
        let Reply::States(ids) = self.hsm.call_internal(Call::States).await? else {
            return Err(HsmError::unexpected_reply());
        };
        let known = self.states();
        // Public keys without a private key change no `CKA_ID`, but they reserve a version number.
        let full = self.full_refresh.load(Relaxed);
        let next = if known.ids() == ids && !full {
            Ok(known.confirmed(read_at))
        } else {
            let Reply::Inventory(inventory) = self.hsm.call_internal(Call::Inspect).await? else {
                return Err(HsmError::unexpected_reply());
            };
            // INVARIANT: nothing is published or signed with keys that replaced others, which verifiers don't know.
            let next = States::from_inventory(&self.rules, &inventory, read_at);
            next.and_then(|next| known.require_same_keys(&next).map(|()| next))
        };
        if full {
            self.full_refresh.store(false, Relaxed);
        }
        self.keys_differ.store(next.is_err(), Relaxed);
        let mut next = next.map_err(|failure| HsmError::module(failure.message))?;
        next.drop_unproven(&known, &self.hsm, &self.rules).await?;
        report_changes(&known, &next);
        let next = Arc::new(next);
        self.version_stats().reset_for_new_canaries(&next);
        *self.states.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.report_duplicates(&known).await;
        Ok(())
    }

    /// Reports versions that the token has more than once, unless `known` has them already.
    pub(super) async fn report_duplicates(&self, known: &States) {
        let states = self.states();
        for (name, version) in states.duplicates() {
            if known.duplicates().any(|it| it == (name, version)) {
                continue;
            }
            eprintln!(
                "hsm-gateway: duplicate PKCS#11 objects for version {version} of `{name}`, which is ignored; `vouchsafe \
                 keys retire {name} --version {version} --destroy` destroys both"
            );
            let line = Line::new("doubled", self.clock.now().0).with("key", name).with("version", version);
            // Reported above, even if it can't be logged.
            self.record(Quota::Gateway, line).await.unwrap_or_default();
        }
    }

    /// Writes longer lifetimes to the token before any token has one.
    ///
    /// A record is written as a whole. If another gateway changed it meanwhile, it is left alone and read again.
    pub(super) async fn record_lifetimes(&self) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let states = self.states();
            let mut outdated = Vec::new();
            for rule in self.rules.keys() {
                let longer = states.versions(rule).map(|it| it.longer_lives(rule.lifetime_seconds_max));
                outdated.extend(longer.into_iter().flatten().map(|it| (rule, it)));
            }
            if outdated.is_empty() {
                return Ok(());
            }
            for (rule, (version, record)) in outdated {
                self.record_lifetime(&states, rule, version, &record).await?;
            }
            self.refresh_states().await?;
        }
        Err(Failure::refused("other gateways keep changing the states of the keys")
            .hint("retry when no other key operation is running"))
    }

    async fn record_lifetime(
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
        self.record(Quota::Gateway, line()).await.map_err(failed)?;
        let Some(from) = states.id(rule, version) else {
            return Ok(());
        };
        match self.write_record(rule, version, from, record).await {
            Err(HsmError::Pkcs11(
                Pkcs11Error::Changed(_) | Pkcs11Error::KeyMissing(_) | Pkcs11Error::DuplicateKey(_),
            )) => {
                let line = line().with("failed", Refusal::Conflict.slug());
                self.record(Quota::Gateway, line).await.map_err(failed)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Writes a version's record if its `CKA_ID` is still `from`.
    pub(super) async fn write_record(
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
        match self.hsm.call_internal(call).await? {
            Reply::Done => Ok(()),
            _ => Err(HsmError::unexpected_reply()),
        }
    }
}

fn report_changes(known: &States, next: &States) {
    for (name, versions) in next.keys() {
        let before = known.keys().find(|(it, _)| *it == name);
        if before.is_none_or(|(_, before)| before != versions) {
            eprintln!("hsm-gateway: versions of `{name}`: {versions}");
        }
    }
}
