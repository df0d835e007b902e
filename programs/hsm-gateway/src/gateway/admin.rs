//! Operations of admins. Each is logged before it has an effect.

use super::Gateway;
use super::states::States;
use crate::log::{Line, Quota};
use crate::pkcs11::protocol::{Bytes, Call, Pkcs11Error, Reply};
use crate::pkcs11::{CREATE_MAX, HsmError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use vouchsafe_gateway::admin::{
    OperationAnswer, OperationRequest, ProbeAnswer, ProbeOutcome, ProbeRequest, RotateAnswer, RotateRequest,
};
use vouchsafe_gateway::versions::{KeyOperation, KeyVersions, Plan, VersionRecord};
use vouchsafe_gateway::{Generation, KeyRule, Refusal, Verdict, judge, probe_input};

impl Gateway {
    /// `POST /v1/admin/act`.
    pub async fn operate(&self, admin: &str, request: &OperationRequest) -> Result<OperationAnswer, Refusal> {
        let operation = request.operation()?;
        let rule = self.rule(&request.key)?;
        let _turn = self.operating.lock().await;
        self.refresh_states().await?;
        let states = self.states();
        let versions = states.versions(rule).ok_or(Refusal::Key)?;
        let now = self.clock.now().0;
        let plan = versions.plan(operation, now, rule.lifetime_seconds_max)?;
        if operation == KeyOperation::Promote {
            self.require_healthy_canary(rule, versions)?;
        }
        let before = versions.to_string();
        let changed = !plan.is_done_already();
        let mut after = before.clone();
        if changed {
            after = versions.after(&plan, now).to_string();
            let line = || {
                Line::new("admin", now)
                    .with("caller", admin)
                    .with("act", operation.name())
                    .with("key", rule.name.as_str())
                    .with("version", plan.version)
                    .with("before", before.as_str())
                    .with("after", after.as_str())
            };
            // ORDER: logged before it is done.
            self.record(Quota::Gateway, line()).await?;
            if let Err(refusal) = self.execute(rule, &states, &plan).await {
                self.full_refresh.store(true, Relaxed);
                self.record(Quota::Gateway, line().with("failed", refusal.slug())).await?;
                return Err(refusal);
            }
            self.refresh_states().await?;
        }
        Ok(OperationAnswer { key: rule.name.clone(), version: plan.version, changed, before, after })
    }

    pub(super) fn rule(&self, name: &str) -> Result<&KeyRule, Refusal> {
        let mut keys = self.rules.keys();
        keys.find(|rule| rule.name == name).ok_or(Refusal::Key)
    }

    /// The verdict on a key's canary by the outcomes at this gateway, if there is a canary.
    pub(super) fn verdict(&self, rule: &KeyRule, versions: &KeyVersions) -> Option<Verdict> {
        let (canary, _) = versions.canary()?;
        let active = versions.active()?;
        let stats = self.version_stats();
        let figures = |version| stats.figures(&rule.name, version);
        Some(judge(figures(canary), figures(active)))
    }

    fn require_healthy_canary(&self, rule: &KeyRule, versions: &KeyVersions) -> Result<(), Refusal> {
        match self.verdict(rule, versions) {
            None | Some(Verdict::Healthy) => Ok(()),
            Some(Verdict::TooFew { missing }) => Err(Refusal::CanaryUnproven { missing }),
            Some(Verdict::Worse) => Err(Refusal::CanaryWorse),
        }
    }

    /// Executes a plan, and stops if another gateway changes the same objects.
    async fn execute(&self, rule: &KeyRule, states: &States, plan: &Plan) -> Result<(), Refusal> {
        if let Some(version) = plan.create {
            self.create(rule, version).await.map_err(operation_refusal)?;
        }
        let mut written: BTreeMap<u64, Bytes> = BTreeMap::new();
        let before = |written: &BTreeMap<u64, Bytes>, version| {
            let found = written.get(&version).or_else(|| states.id(rule, version));
            found.cloned().ok_or(Refusal::Conflict)
        };
        for (version, record) in &plan.writes {
            let from = before(&written, *version)?;
            self.write_record(rule, *version, &from, record).await.map_err(operation_refusal)?;
            self.confirm(rule, *version, record).await?;
            written.insert(*version, record.to_bytes().to_vec().into());
        }
        let Some(version) = plan.destroy else {
            return Ok(());
        };
        let label = rule.label_of(version).to_string();
        let has_duplicates = |it: &KeyVersions| it.doubled().any(|it| it == version);
        let call = if states.versions(rule).is_some_and(has_duplicates) {
            Call::DestroyDuplicates { label }
        } else {
            let from = before(&written, version)?;
            Call::DestroyKey { label, from }
        };
        match self.hsm.call_internal(call).await {
            Ok(Reply::Done) => Ok(()),
            Ok(_) => Err(Refusal::HsmUnavailable),
            Err(error) => Err(operation_refusal(error)),
        }
    }

    /// Checks that the token holds what was written: another gateway may have written at the same moment, and the next
    /// step relies on it.
    async fn confirm(&self, rule: &KeyRule, version: u64, written: &VersionRecord) -> Result<(), Refusal> {
        self.refresh_states().await?;
        let states = self.states();
        let found = states.id(rule, version);
        if found.is_some_and(|it| *it.0 == written.to_bytes()) { Ok(()) } else { Err(Refusal::Conflict) }
    }

    async fn create(&self, rule: &KeyRule, version: u64) -> Result<(), HsmError> {
        // ORDER: before anything is created, since a process that logs in inspects it afterwards.
        self.hsm.require_login_allowed()?;
        // If the gateway dies before the second write, the version merely stays pending for longer.
        let created_by = self.clock.now().0.saturating_add(CREATE_MAX.as_secs());
        let created: Bytes = VersionRecord::pending(created_by).to_bytes().to_vec().into();
        let call = Call::CreateKey {
            label: rule.label_of(version).to_string(),
            algorithm: rule.algorithm.into(),
            id: created.clone(),
        };
        let Reply::Done = self.hsm.call_slow(call).await? else {
            return Err(HsmError::unexpected_reply());
        };
        self.require_alone(&rule.label_of(version).to_string()).await?;
        let record = VersionRecord::pending(self.clock.now().0);
        self.write_record(rule, version, &created, &record).await
    }

    /// Destroys what was created under `label` if another gateway created the same. The worker that created it may not
    /// see that; a new one does.
    async fn require_alone(&self, label: &str) -> Result<(), HsmError> {
        let inventory = self.hsm.inspect_with_fresh_worker().await?;
        if !inventory.duplicates.iter().any(|it| it == label) {
            return Ok(());
        }
        let label = label.to_owned();
        let call = Call::DestroyCreated { label: label.clone() };
        let undone = self.hsm.call_internal(call).await;
        self.hsm.replace_worker("it may not see objects of other gateways");
        undone?;
        Err(HsmError::Pkcs11(Pkcs11Error::CreatedConcurrently(label)))
    }

    /// `POST /v1/admin/probe`.
    pub async fn probe(&self, admin: &str, request: &ProbeRequest) -> Result<ProbeAnswer, Refusal> {
        let rule = self.rule(&request.key)?;
        let states = self.fresh_states().await?;
        let key = states.published_version(rule, request.version).ok_or(Refusal::KeyVersion)?;
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
        self.record(Quota::Gateway, line).await?;
        let signature = self.sign_and_verify(rule, key, input.as_bytes()).await?;
        Ok(ProbeAnswer { probe: format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)) })
    }

    /// `POST /v1/admin/probe-outcome`: whether verifiers accept a probe.
    pub async fn record_probe_outcome(&self, admin: &str, outcome: &ProbeOutcome) -> Result<(), Refusal> {
        let rule = self.rule(&outcome.key)?;
        let states = self.states();
        let key = states.published_version(rule, outcome.version);
        key.ok_or(Refusal::KeyVersion)?;
        if !outcome.verified {
            let line = Line::new("probe-failure", self.clock.now().0)
                .with("caller", admin)
                .with("key", rule.name.as_str())
                .with("version", outcome.version);
            self.record(Quota::Gateway, line).await?;
        }
        self.version_stats().count(&rule.name, outcome.version, |it| {
            let count = if outcome.verified { &mut it.probes } else { &mut it.probe_failures };
            *count = count.saturating_add(1);
        });
        Ok(())
    }

    /// `POST /v1/admin/rotate`: the standby generation becomes the current one.
    pub async fn rotate(&self, admin: &str, request: &RotateRequest) -> Result<RotateAnswer, Refusal> {
        let _turn = self.operating.lock().await;
        let current = self.read_generation().await?;
        if current.number < request.from {
            return Err(Refusal::SeedGeneration);
        }
        let changed = current.number == request.from;
        if changed {
            self.leave_generation(admin, current, request.although_unpublished).await?;
        }
        self.follow_generation().await?;
        // Now rather than on request: the new generation's seeds, and the standby generation's public keys.
        self.derive_epochs().await?;
        Ok(RotateAnswer { generation: self.keyring().generation(), changed })
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
        // ORDER: logged before it is done.
        self.record(Quota::Gateway, line()).await?;
        let call = Call::SetGeneration { from: current.to_bytes().into(), to: next.to_bytes().into() };
        let refusal = match self.hsm.call_internal(call).await {
            Ok(Reply::Done) => return Ok(()),
            Ok(_) => Refusal::HsmUnavailable,
            Err(error) => operation_refusal(error),
        };
        self.record(Quota::Gateway, line().with("failed", refusal.slug())).await?;
        Err(refusal)
    }
}

/// The refusal of an operation; a conflict with another gateway can be retried.
fn operation_refusal(error: HsmError) -> Refusal {
    match error {
        HsmError::Pkcs11(
            Pkcs11Error::Changed(_)
            | Pkcs11Error::CreatedConcurrently(_)
            | Pkcs11Error::DuplicateKey(_)
            | Pkcs11Error::KeyExists(_),
        ) => Refusal::Conflict,
        error => error.into(),
    }
}
