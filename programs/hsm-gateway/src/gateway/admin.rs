//! What an admin can do. Each act is in the log before it has an effect.

use super::states::States;
use super::{Gateway, algorithm, hsm_refusal, other_reply};
use crate::hsm::{CREATE_MAX, HsmError};
use crate::log::{Line, Share};
use crate::worker::protocol::{Bytes, Call, Fault, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use vouchsafe_gateway::admin::{
    ActAnswer, ActRequest, ProbeAnswer, ProbeOutcome, ProbeRequest, RotateAnswer, RotateRequest,
};
use vouchsafe_gateway::versions::{Act, KeyVersions, Plan, VersionRecord};
use vouchsafe_gateway::{Generation, KeyRule, Refusal, Verdict, judge, probe_input};

impl Gateway {
    /// `POST /v1/admin/act`.
    pub async fn act(&self, admin: &str, request: &ActRequest) -> Result<ActAnswer, Refusal> {
        let act = request.act()?;
        let rule = self.rule(&request.key)?;
        let _turn = self.acting.lock().await;
        self.look_now().await?;
        let states = self.states();
        let versions = states.versions(rule).ok_or(Refusal::Key)?;
        let now = self.clock.now().0;
        let plan = versions.plan(act, now, rule.lifetime_seconds_max)?;
        if act == Act::Promote {
            self.judged(rule, versions)?;
        }
        let before = versions.to_string();
        let changed = !plan.is_done_already();
        let mut after = before.clone();
        if changed {
            after = versions.after(&plan, now).to_string();
            let line = || {
                Line::new("admin", now)
                    .with("caller", admin)
                    .with("act", act.name())
                    .with("key", rule.name.as_str())
                    .with("version", plan.version)
                    .with("before", before.as_str())
                    .with("after", after.as_str())
            };
            // ORDER: on record before it is done.
            self.record(Share::Own, line()).await?;
            if let Err(refusal) = self.carry_out(rule, &states, &plan).await {
                self.looks_whole.store(true, Relaxed);
                self.record(Share::Own, line().with("failed", refusal.slug()))
                    .await?;
                return Err(refusal);
            }
            self.look_now().await?;
        }
        Ok(ActAnswer {
            key: rule.name.clone(),
            version: plan.version,
            changed,
            before,
            after,
        })
    }

    pub(super) fn rule(&self, name: &str) -> Result<&KeyRule, Refusal> {
        let mut keys = self.rules.keys();
        keys.find(|rule| rule.name == name).ok_or(Refusal::Key)
    }

    async fn look_now(&self) -> Result<(), Refusal> {
        self.look().await.map_err(|error| hsm_refusal(&error))
    }

    /// What the figures of this gateway say of a key's canary, where there is one.
    pub(super) fn verdict(&self, rule: &KeyRule, versions: &KeyVersions) -> Option<Verdict> {
        let (canary, _) = versions.canary()?;
        let active = versions.active()?;
        let tallies = self.tallies();
        let figures = |version| tallies.figures(&rule.name, version);
        Some(judge(figures(canary), figures(active)))
    }

    fn judged(&self, rule: &KeyRule, versions: &KeyVersions) -> Result<(), Refusal> {
        match self.verdict(rule, versions) {
            None | Some(Verdict::Healthy) => Ok(()),
            Some(Verdict::TooFew { missing }) => Err(Refusal::CanaryUnproven { missing }),
            Some(Verdict::Worse) => Err(Refusal::CanaryWorse),
        }
    }

    /// Does what is planned, as long as nobody else changes what was looked at.
    async fn carry_out(&self, rule: &KeyRule, states: &States, plan: &Plan) -> Result<(), Refusal> {
        if let Some(version) = plan.create {
            self.create(rule, version).await.map_err(act_refusal)?;
        }
        let mut written: BTreeMap<u64, Bytes> = BTreeMap::new();
        let before = |written: &BTreeMap<u64, Bytes>, version| {
            let found = written.get(&version).or_else(|| states.id(rule, version));
            found.cloned().ok_or(Refusal::Conflict)
        };
        for (version, record) in &plan.writes {
            let from = before(&written, *version)?;
            self.set_record(rule, *version, &from, record)
                .await
                .map_err(act_refusal)?;
            self.confirm(rule, *version, record).await?;
            written.insert(*version, record.to_bytes().to_vec().into());
        }
        let Some(version) = plan.destroy else {
            return Ok(());
        };
        let label = rule.label_of(version).to_string();
        let is_doubled = |it: &KeyVersions| it.doubled().any(|it| it == version);
        let call = match states.versions(rule).is_some_and(is_doubled) {
            true => Call::DestroyDoubled { label },
            false => Call::DestroyKey {
                label,
                from: before(&written, version)?,
            },
        };
        match self.hsm.call_own(call).await {
            Ok(Reply::Done) => Ok(()),
            Ok(_) => Err(Refusal::HsmUnavailable),
            Err(error) => Err(act_refusal(error)),
        }
    }

    /// Whether what was written is what is read: another gateway may have written in the same moment, and
    /// what is done next relies on it.
    async fn confirm(
        &self,
        rule: &KeyRule,
        version: u64,
        wrote: &VersionRecord,
    ) -> Result<(), Refusal> {
        self.look_now().await?;
        let states = self.states();
        let found = states.id(rule, version);
        match found.is_some_and(|it| *it.0 == wrote.to_bytes()) {
            true => Ok(()),
            false => Err(Refusal::Conflict),
        }
    }

    async fn create(&self, rule: &KeyRule, version: u64) -> Result<(), HsmError> {
        // ORDER: before anything is made, since what is made is looked at by a process that logs in.
        self.hsm.may_log_in()?;
        // Made within `CREATE_MAX`: whoever dies before the second write leaves a version that waits longer.
        let made_by = self.clock.now().0.saturating_add(CREATE_MAX.as_secs());
        let made: Bytes = VersionRecord::pending(made_by).to_bytes().to_vec().into();
        let call = Call::CreateKey {
            label: rule.label_of(version).to_string(),
            algorithm: algorithm(rule.algorithm),
            id: made.clone(),
        };
        let Reply::Done = self.hsm.call_slow(call).await? else {
            return Err(other_reply());
        };
        self.require_alone(&rule.label_of(version).to_string())
            .await?;
        let record = VersionRecord::pending(self.clock.now().0);
        self.set_record(rule, version, &made, &record).await
    }

    /// Takes back what was made under `label`, if another gateway made the same: the worker that made it may
    /// not see that, one that starts now does.
    async fn require_alone(&self, label: &str) -> Result<(), HsmError> {
        let inventory = self.hsm.inspect_afresh().await?;
        if !inventory.doubled.iter().any(|it| it == label) {
            return Ok(());
        }
        let label = label.to_owned();
        let call = Call::DestroyMade {
            label: label.clone(),
        };
        let undone = self.hsm.call_own(call).await;
        self.hsm
            .renew("it may not see what another gateway has made");
        undone?;
        Err(HsmError::Fault(Fault::MadeTwice(label)))
    }

    /// `POST /v1/admin/probe`.
    pub async fn probe(&self, admin: &str, request: &ProbeRequest) -> Result<ProbeAnswer, Refusal> {
        let rule = self.rule(&request.key)?;
        let states = self.fresh_states().await?;
        let key = states
            .token_key(rule, request.version)
            .ok_or(Refusal::KeyVersion)?;
        let now = self.clock.now().0;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| Refusal::HsmUnavailable)?;
        let nonce = URL_SAFE_NO_PAD.encode(nonce);
        let input = probe_input(rule, key.jwk.kid(), &nonce, now);
        let line = Line::new("probe", now)
            .with("caller", admin)
            .with("key", rule.name.as_str())
            .with("version", key.version)
            .with("kid", key.jwk.kid());
        self.record(Share::Own, line).await?;
        let signature = self.signed(rule, key, input.as_bytes()).await?;
        Ok(ProbeAnswer {
            probe: format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)),
        })
    }

    /// `POST /v1/admin/probe-outcome`: what became of a probe at a verifier.
    pub async fn probe_outcome(&self, admin: &str, outcome: &ProbeOutcome) -> Result<(), Refusal> {
        let rule = self.rule(&outcome.key)?;
        let states = self.states();
        let key = states.token_key(rule, outcome.version);
        key.ok_or(Refusal::KeyVersion)?;
        if !outcome.verified {
            let line = Line::new("probe-failure", self.clock.now().0)
                .with("caller", admin)
                .with("key", rule.name.as_str())
                .with("version", outcome.version);
            self.record(Share::Own, line).await?;
        }
        self.tallies()
            .count(&rule.name, outcome.version, |it| match outcome.verified {
                true => it.probes = it.probes.saturating_add(1),
                false => it.probe_failures = it.probe_failures.saturating_add(1),
            });
        Ok(())
    }

    /// `POST /v1/admin/rotate`: the standby generation becomes the current one.
    pub async fn rotate(
        &self,
        admin: &str,
        request: &RotateRequest,
    ) -> Result<RotateAnswer, Refusal> {
        let _turn = self.acting.lock().await;
        let current = self.generation_of_token().await;
        let current = current.map_err(|error| hsm_refusal(&error))?;
        if current.number < request.from {
            return Err(Refusal::SeedGeneration);
        }
        let changed = current.number == request.from;
        if changed {
            self.leave_generation(admin, current, request.although_unpublished)
                .await?;
        }
        self.follow_generation()
            .await
            .map_err(|error| hsm_refusal(&error))?;
        // Before anybody asks: the next generation's seeds, and the standby's public keys.
        self.turn_to_now()
            .await
            .map_err(|error| hsm_refusal(&error))?;
        Ok(RotateAnswer {
            generation: self.keyring().generation(),
            changed,
        })
    }

    async fn leave_generation(
        &self,
        admin: &str,
        current: Generation,
        although_unpublished: bool,
    ) -> Result<(), Refusal> {
        let now = self.clock.now().0;
        if !although_unpublished {
            current.may_be_left(now)?;
        }
        let next = current.next(now).ok_or(Refusal::SeedGeneration)?;
        let line = || {
            Line::new("admin", now)
                .with("caller", admin)
                .with("act", "rotate")
                .with("before", current.number)
                .with("after", next.number)
                .with("although_unpublished", although_unpublished)
        };
        // ORDER: on record before it is done.
        self.record(Share::Own, line()).await?;
        let call = Call::SetGeneration {
            from: current.to_bytes().into(),
            to: next.to_bytes().into(),
        };
        let refusal = match self.hsm.call_own(call).await {
            Ok(Reply::Done) => return Ok(()),
            Ok(_) => Refusal::HsmUnavailable,
            Err(error) => act_refusal(error),
        };
        self.record(Share::Own, line().with("failed", refusal.slug()))
            .await?;
        Err(refusal)
    }
}

/// What an admin is told: where another gateway changed the same, it can be asked again.
fn act_refusal(error: HsmError) -> Refusal {
    match error {
        HsmError::Fault(
            Fault::Changed(_) | Fault::KeyExists(_) | Fault::KeyTwice(_) | Fault::MadeTwice(_),
        ) => Refusal::Conflict,
        error => hsm_refusal(&error),
    }
}
