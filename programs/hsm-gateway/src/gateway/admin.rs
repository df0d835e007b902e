//! What an admin can do. Each act is in the log before it has an effect.

use super::{Gateway, algorithm, hsm_refusal, other_reply};
use crate::hsm::{CREATE_MAX, HsmError};
use crate::log::Line;
use crate::worker::protocol::{Call, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vouchsafe_gateway::admin::{
    ActAnswer, ActRequest, ProbeAnswer, ProbeOutcome, ProbeRequest, RotateAnswer, RotateRequest,
};
use vouchsafe_gateway::versions::{Act, KeyVersions, Plan, VersionRecord};
use vouchsafe_gateway::{KeyRule, Refusal, Verdict, judge, probe_input};

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
            self.record(line()).await?;
            if let Err(refusal) = self.carry_out(rule, &plan).await {
                self.record(line().with("failed", refusal.slug())).await?;
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
            Some(Verdict::TooFew { wanting }) => Err(Refusal::CanaryUnproven { wanting }),
            Some(Verdict::Worse) => Err(Refusal::CanaryWorse),
        }
    }

    async fn carry_out(&self, rule: &KeyRule, plan: &Plan) -> Result<(), Refusal> {
        let failed = |error: HsmError| hsm_refusal(&error);
        if let Some(version) = plan.create {
            self.create(rule, version).await.map_err(failed)?;
        }
        for (index, (version, record)) in plan.writes.iter().enumerate() {
            if index > 0 {
                self.confirm(rule, plan.writes.get(index - 1)).await?;
            }
            self.set_record(rule, *version, record)
                .await
                .map_err(failed)?;
        }
        if let Some(version) = plan.destroy {
            let label = rule.label_of(version).to_string();
            match self.hsm.call_own(Call::DestroyKey { label }).await {
                Ok(Reply::Done) => {}
                Ok(_) => return Err(Refusal::HsmUnavailable),
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// A token can't compare before it writes: whether another gateway wrote meanwhile is seen between two
    /// writes.
    async fn confirm(
        &self,
        rule: &KeyRule,
        wrote: Option<&(u64, VersionRecord)>,
    ) -> Result<(), Refusal> {
        self.look_now().await?;
        let states = self.states();
        let found = wrote.and_then(|(version, _)| states.versions(rule)?.get(*version));
        match (found, wrote) {
            (Some(found), Some((_, wrote))) if found == wrote => Ok(()),
            _ => Err(Refusal::Conflict),
        }
    }

    async fn create(&self, rule: &KeyRule, version: u64) -> Result<(), HsmError> {
        // Made within `CREATE_MAX`: whoever dies before the second write leaves a version that waits longer.
        let made_by = self.clock.now().0.saturating_add(CREATE_MAX.as_secs());
        let call = Call::CreateKey {
            label: rule.label_of(version).to_string(),
            algorithm: algorithm(rule.algorithm),
            id: VersionRecord::pending(made_by).to_bytes().to_vec().into(),
        };
        let Reply::Done = self.hsm.call_slow(call).await? else {
            return Err(other_reply());
        };
        let record = VersionRecord::pending(self.clock.now().0);
        self.set_record(rule, version, &record).await
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
        self.record(line).await?;
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
            self.record(line).await?;
        }
        self.tallies()
            .count(&rule.name, outcome.version, |it| match outcome.verified {
                true => it.probes += 1,
                false => it.probe_failures += 1,
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
        if current < request.from {
            return Err(Refusal::SeedGeneration);
        }
        let changed = current == request.from;
        if changed {
            let next = current.checked_add(1).ok_or(Refusal::SeedGeneration)?;
            let line = Line::new("admin", self.clock.now().0)
                .with("caller", admin)
                .with("act", "rotate")
                .with("before", current)
                .with("after", next);
            // ORDER: on record before it is done.
            self.record(line).await?;
            let set = Call::SetGeneration { generation: next };
            let set = self.hsm.call_own(set).await;
            set.map_err(|error| hsm_refusal(&error))?;
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
}
