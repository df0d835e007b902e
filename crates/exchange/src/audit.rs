//! The audit record of one decision: opened before policy is evaluated, closed before anything is released.

use crate::failure::Failure;
use crate::issued::{IssuedExchange, SignedExchange};
use crate::keys::hex;
use crate::limits::LIMITED_SECONDS_MAX;
use crate::ports::{Instance, Policy, Store};
use crate::refusal::{Denial, Refusal};
use crate::trace::Trace;
use crate::verified::VerifiedExchange;
use sha2::{Digest, Sha256};
use vouchsafe_types::{
    AuditRecord, BundleInfo, Decision, Generation, Limited, Recorded, Refused, RefusedKind, Superseded,
};

/// The record of one decision about a verified token.
pub struct Audit {
    record: AuditRecord,
    /// Groups repeated refusals of this request.
    refused_key: String,
    now: u64,
}

impl Audit {
    /// Opens the record of `verified`.
    ///
    /// # Errors
    /// The token was denied too often within this minute and gets no decision, or no randomness is available.
    pub fn open<P: Instance + Policy>(
        ports: &P,
        bundle: &BundleInfo,
        verified: &VerifiedExchange,
    ) -> Result<Self, Failure> {
        let subject = &verified.subject;
        if let Some(until) = ports.limited_until(&subject.signing_input_digest) {
            return Err(denied_too_often(until, verified.now));
        }
        let actors =
            verified.actor.as_ref().map(|actor| actor.recorded(ports, bundle)).transpose()?.unwrap_or_default();
        let record = AuditRecord {
            decision_id: ports.decision_id()?,
            decided_at_ms: verified.now.saturating_mul(1000),
            bundle_digest: bundle.digest.clone(),
            issuer_name: subject.principal.issuer_name.clone(),
            subject: subject.name.clone(),
            subject_jti: subject.jti.clone().unwrap_or_default(),
            subject_digest: subject.signing_input_digest.clone(),
            audience: verified.request.audience.clone(),
            scopes: verified.request.scopes.clone(),
            actors,
            key_thumbprint: verified.proof.as_ref().map(|proof| proof.key_thumbprint.clone()),
            salt: ports.salt()?,
            ..AuditRecord::default()
        };
        Ok(Self { refused_key: refused_key(bundle, verified), record, now: verified.now })
    }

    #[must_use]
    pub fn decision_id(&self) -> &str {
        &self.record.decision_id
    }

    /// Records policy's decision.
    pub fn note(&mut self, decision: &Decision) {
        let record = &mut self.record;
        record.determining_rules.clone_from(&decision.determining_rules);
        record.erring_rules.clone_from(&decision.erring_rules);
        record.cedar_request.clone_from(&decision.cedar_request);
    }

    /// Stores the record of the exchange's outcome, and only then releases a token.
    ///
    /// INVARIANT: each decision has exactly one entry or is counted on one, durable before its outcome leaves (I1).
    pub async fn close<P: Store + Instance>(
        self,
        ports: &P,
        signed: Result<SignedExchange, Failure>,
        trace: &mut Trace,
    ) -> Result<IssuedExchange, Failure> {
        trace.note_policies(&self.record.determining_rules, &self.record.erring_rules);
        let outcome = match signed {
            Ok(signed) => self.record_token(ports, signed, trace).await,
            Err(failure) => Err(self.record_refusal(ports, failure, trace).await),
        };
        trace.step(ports, "record");
        outcome
    }

    async fn record_token<P: Store + Instance>(
        self,
        ports: &P,
        signed: SignedExchange,
        trace: &mut Trace,
    ) -> Result<IssuedExchange, Failure> {
        trace.decision_id = Some(self.record.decision_id.clone());
        let record = AuditRecord {
            slug: "issued".to_owned(),
            kid: signed.kid.clone(),
            expires_at: signed.expires_at,
            token_digest: signed.token_digest(),
            generation: signed.generation.clone(),
            status: signed.status.clone(),
            timings: trace.timings(),
            ..self.record.clone()
        };
        match ports.record(record).await? {
            Recorded::Written => Ok(IssuedExchange::released(signed)),
            // INVARIANT: a token signed with a superseded generation is never released.
            Recorded::Superseded => {
                let failure = superseded(ports, signed.generation.as_ref()).await;
                Err(self.record_refusal(ports, failure, trace).await)
            }
            // INVARIANT: a token that a revocation matches is never released (I11).
            Recorded::Revoked => Err(self.record_refusal(ports, Denial::Revoked.into(), trace).await),
            // Only refusals are counted on other entries.
            Recorded::Counted(_) | Recorded::Limited(_) => Err(Refusal::Internal.into()),
        }
    }

    /// Records a refusal, and returns the one for the caller. A decision that cannot be recorded does not count: the
    /// caller must retry. The decision id is that of the entry that counts the refusal.
    async fn record_refusal<P: Store + Instance>(self, ports: &P, failure: Failure, trace: &mut Trace) -> Failure {
        let kind = refused_kind(&failure.refusal);
        let (token, own_id) = (self.record.subject_digest.clone(), self.record.decision_id.clone());
        let record = AuditRecord {
            slug: failure.refusal.slug().to_owned(),
            refused: Some(Refused { kind, key: self.refused_key }),
            timings: trace.timings(),
            ..self.record
        };
        let (failure, decision_id) = match (ports.record(record).await, kind) {
            (Ok(Recorded::Written | Recorded::Revoked | Recorded::Superseded), _) => (failure, own_id),
            (Ok(Recorded::Counted(decision_id)), _) => (failure, decision_id),
            (Ok(Recorded::Limited(Limited { decision_id, until })), RefusedKind::Denial) => {
                ports.limit(&token, until);
                (denied_too_often(until, self.now), decision_id)
            }
            (Ok(Recorded::Limited(Limited { decision_id, .. })), RefusedKind::Outage) => (failure, decision_id),
            (Err(unrecorded), RefusedKind::Denial) => (unrecorded, own_id),
            // An outage is reported as such, recorded or not.
            (Err(_), RefusedKind::Outage) => (failure, own_id),
        };
        trace.decision_id = Some(decision_id);
        failure
    }
}

/// The refusal of a token of `generation`, with the one that replaced it if the store can be read.
async fn superseded(ports: &impl Store, generation: Option<&Generation>) -> Failure {
    let Some(Generation { of, number }) = generation else {
        return Refusal::Superseded.into();
    };
    match ports.generation(of).await {
        Ok(Some(latest)) => Superseded { generation: *number, latest }.into(),
        Ok(None) | Err(_) => Refusal::Superseded.into(),
    }
}

/// Whether a refusal is a decision, which must be recorded.
fn refused_kind(refusal: &Refusal) -> RefusedKind {
    match refusal {
        Refusal::Request(_)
        | Refusal::Token(_)
        | Refusal::ActorToken(_)
        | Refusal::Actor(_)
        | Refusal::AudienceMismatch { .. }
        | Refusal::Client(_)
        | Refusal::Proof(_)
        | Refusal::Denied(_)
        | Refusal::Replay(_) => RefusedKind::Denial,
        Refusal::DeniedTooOften { .. }
        | Refusal::Unavailable(_)
        | Refusal::Overloaded
        | Refusal::Superseded
        | Refusal::Internal => RefusedKind::Outage,
    }
}

/// The key that identifies repeats of a refusal: the token, by its signing input because ECDSA signatures are
/// malleable, plus audience and bundle. Excludes reason, scopes and lifetime, which a caller could vary at will.
fn refused_key(bundle: &BundleInfo, verified: &VerifiedExchange) -> String {
    let mut hash = Sha256::new();
    let token = &verified.subject.signing_input_digest;
    let audience = &verified.request.audience;
    for part in ["vouchsafe-refused-v1", token, audience, &bundle.digest] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

fn denied_too_often(until: u64, now: u64) -> Failure {
    let seconds = until.saturating_sub(now).clamp(1, LIMITED_SECONDS_MAX);
    let retry_after_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    Refusal::DeniedTooOften { retry_after_seconds }.into()
}
