//! The exchange as a sequence of ports. The only `async` part besides [`crate::keys`].

use crate::client_address::Hops;
use crate::issued::{self, IssuedExchange};
use crate::keys::hex;
use crate::limits::{EXCHANGE_SECONDS_MAX, LIMITED_SECONDS_MAX};
use crate::permitted::{self, DeniedExchange, PermittedExchange};
use crate::ports::{
    AuditRecord, Bundle, Decision, Failure, Ports, Recorded, Refused, RefusedKind, Settings,
    UnixSeconds,
};
use crate::refusal::{Refusal, RequestFault};
use crate::request::UnverifiedExchange;
use crate::verified::{self, VerifiedExchange};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::net::IpAddr;

/// How an exchange ended, for the caller and for the log line.
pub struct Attempt {
    pub outcome: Result<IssuedExchange, Failure>,
    /// Present if a decision about a verified token was made and recorded.
    pub decision_id: Option<String>,
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
    /// Name and microseconds of each step.
    pub timings: Vec<(&'static str, u64)>,
}

/// Exchanges the form in `body`, which came by `hops`, for a token.
pub async fn exchange<P: Ports>(ports: &P, body: &[u8], hops: &Hops) -> Attempt {
    let run = Run {
        ports,
        hops,
        steps: RefCell::new(Steps {
            last_us: ports.elapsed_us(),
            done: Vec::new(),
        }),
    };
    let mut attempt = match run.verified(body).await {
        Ok((settings, bundle, verified, client_ip)) => {
            run.decided(&settings, &bundle, verified, client_ip).await
        }
        Err(failure) => Attempt {
            outcome: Err(failure),
            decision_id: None,
            determining_rules: Vec::new(),
            erring_rules: Vec::new(),
            timings: Vec::new(),
        },
    };
    attempt.timings = run.steps.into_inner().done;
    attempt
}

struct Run<'a, P> {
    ports: &'a P,
    hops: &'a Hops,
    steps: RefCell<Steps>,
}

struct Steps {
    last_us: u64,
    done: Vec<(&'static str, u64)>,
}

type Verified<P> = (
    Settings,
    Bundle,
    VerifiedExchange<<P as Ports>::Record>,
    Option<IpAddr>,
);

impl<P: Ports> Run<'_, P> {
    /// Steps 1 and 2: parse and verify. What fails here is logged and not recorded, so that
    /// anonymous traffic can't buy disk writes.
    async fn verified(&self, body: &[u8]) -> Result<Verified<P>, Failure> {
        let request = UnverifiedExchange::parse(body)?;
        let settings = self.ports.settings().await?;
        let client_ip = self.client_ip(&settings)?;
        let bundle = self.ports.bundle(&settings).await?;
        self.step("prepare");
        let verified =
            verified::verify(self.ports, &settings, &bundle, request, self.ports.now()).await;
        self.step("verify");
        Ok((settings, bundle, verified?, client_ip))
    }

    /// A client that could choose to have no address could choose which rules see it.
    fn client_ip(&self, settings: &Settings) -> Result<Option<IpAddr>, Failure> {
        let client = self.hops.client(&settings.trusted_proxies);
        client.map_err(|undetermined| Failure {
            refusal: RequestFault::ClientAddressUndetermined.into(),
            detail: undetermined.to_string(),
        })
    }

    /// Steps 3 to 6: whatever is decided here is recorded.
    async fn decided(
        &self,
        settings: &Settings,
        bundle: &Bundle,
        verified: VerifiedExchange<P::Record>,
        client_ip: Option<IpAddr>,
    ) -> Attempt {
        let digest = &verified.subject.signing_input_digest;
        if let Some(until) = self.ports.limited_until(digest) {
            return ended(Err(denied_too_often(until, verified.now)), None, None);
        }
        let decision_id = match self.ports.decision_id() {
            Ok(id) => id,
            Err(failure) => return ended(Err(failure), None, None),
        };
        let permitted = permitted::permit(self.ports, bundle, verified, client_ip).await;
        self.step("decide");
        match permitted {
            Ok(permitted) => self.issued(settings, bundle, permitted, decision_id).await,
            Err(denied) => {
                let DeniedExchange {
                    verified,
                    decision,
                    failure,
                } = *denied;
                let record = record(
                    &decision_id,
                    bundle,
                    &verified,
                    decision.as_ref(),
                    Some(&failure.refusal),
                );
                self.refused(record, decision, failure).await
            }
        }
    }

    async fn issued(
        &self,
        settings: &Settings,
        bundle: &Bundle,
        permitted: PermittedExchange<P::Record>,
        decision_id: String,
    ) -> Attempt {
        // ORDER: the time before the use, so that a token is not used up for one that the signer refuses.
        let used = match self.in_time(&permitted.verified) {
            Ok(()) => issued::consume(self.ports, &permitted).await,
            Err(refusal) => Err(refusal.into()),
        };
        let signed = match used {
            Ok(()) => {
                self.step("consume");
                issued::sign(self.ports, settings, &permitted, &decision_id).await
            }
            Err(failure) => Err(failure),
        };
        self.step("sign");
        let PermittedExchange {
            verified, decision, ..
        } = permitted;
        let signed = match signed {
            Ok(signed) => signed,
            Err(failure) => {
                let record = record(
                    &decision_id,
                    bundle,
                    &verified,
                    Some(&decision),
                    Some(&failure.refusal),
                );
                return self.refused(record, Some(decision), failure).await;
            }
        };
        let entry = |refusal| record(&decision_id, bundle, &verified, Some(&decision), refusal);
        let superseded = || entry(Some(&Refusal::Superseded));
        let mut entry = entry(None);
        entry.kid.clone_from(&signed.kid);
        entry.expires_at = signed.expires_at;
        entry.generation.clone_from(&signed.generation);
        entry.timings.clone_from(&self.steps.borrow().done);
        // INVARIANT: the record is durable before the token leaves.
        let outcome = match self.ports.record(entry).await {
            Ok(Recorded::Written) => Ok(IssuedExchange::released(signed)),
            // INVARIANT: no token leaves whose key is of a generation that is over.
            Ok(Recorded::Superseded) => {
                let (record, failure) = (superseded(), Refusal::Superseded.into());
                return self.refused(record, Some(decision), failure).await;
            }
            // Only refusals are counted on other records.
            Ok(Recorded::Counted { .. } | Recorded::Limited { .. }) => {
                Err(Refusal::Internal.into())
            }
            Err(failure) => Err(failure),
        };
        self.step("record");
        ended(outcome, Some(decision), Some(decision_id))
    }

    /// Records a refusal. One that can't be recorded is no decision: the caller is told to retry. The decision id
    /// that it gets is that of the record on which the refusal was counted.
    async fn refused(
        &self,
        mut entry: AuditRecord,
        decision: Option<Decision>,
        failure: Failure,
    ) -> Attempt {
        entry.timings.clone_from(&self.steps.borrow().done);
        let digest = entry.subject_digest.clone();
        let (own_id, now) = (entry.decision_id.clone(), entry.decided_at);
        let is_decision = recordable(&failure.refusal);
        let (failure, decision_id) = match self.ports.record(entry).await {
            Ok(Recorded::Written | Recorded::Superseded) => (failure, own_id),
            Ok(Recorded::Counted { decision_id }) => (failure, decision_id),
            Ok(Recorded::Limited { decision_id, until }) if is_decision => {
                self.ports.limit(&digest, until);
                (denied_too_often(until, now), decision_id)
            }
            Ok(Recorded::Limited { decision_id, .. }) => (failure, decision_id),
            Err(unrecorded) if is_decision => (unrecorded, own_id),
            Err(_) => (failure, own_id),
        };
        self.step("record");
        ended(Err(failure), decision, Some(decision_id))
    }

    /// Fails where the clock has left the moment at which the token was judged.
    fn in_time(&self, verified: &VerifiedExchange<P::Record>) -> Result<(), Refusal> {
        match self.ports.clock().abs_diff(verified.now) <= EXCHANGE_SECONDS_MAX {
            true => Ok(()),
            false => Err(Refusal::Overloaded),
        }
    }

    fn step(&self, name: &'static str) {
        let now = self.ports.elapsed_us();
        let mut steps = self.steps.borrow_mut();
        let took = now.saturating_sub(steps.last_us);
        steps.last_us = now;
        steps.done.push((name, took));
    }
}

/// Whether a refusal is a decision that must be on record; an outage is told as what it is.
fn recordable(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Request(_) | Refusal::Token(_) | Refusal::Denied(_) | Refusal::Replay(_) => true,
        Refusal::DeniedTooOften { .. }
        | Refusal::Unavailable(_)
        | Refusal::Overloaded
        | Refusal::Superseded
        | Refusal::Internal => false,
    }
}

fn denied_too_often(until: UnixSeconds, now: UnixSeconds) -> Failure {
    let seconds = until.saturating_sub(now).clamp(1, LIMITED_SECONDS_MAX);
    let retry_after_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    Refusal::DeniedTooOften {
        retry_after_seconds,
    }
    .into()
}

/// How a refusal is counted. Its key is the token, by its signing input since ECDSA signatures are malleable,
/// the audience and the bundle; not the reason, the scopes or the lifetime, which a caller could vary at will.
fn counted<Record>(
    refusal: &Refusal,
    bundle: &Bundle,
    verified: &VerifiedExchange<Record>,
) -> Refused {
    let kind = match recordable(refusal) {
        true => RefusedKind::Denial,
        false => RefusedKind::Outage,
    };
    let mut hash = Sha256::new();
    let token = &verified.subject.signing_input_digest;
    let audience = &verified.request.audience;
    for part in ["vouchsafe-refused-v1", token, audience, &bundle.digest] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    Refused {
        kind,
        key: hex(&hash.finalize()),
    }
}

fn ended(
    outcome: Result<IssuedExchange, Failure>,
    decision: Option<Decision>,
    decision_id: Option<String>,
) -> Attempt {
    let (determining_rules, erring_rules) = decision
        .map(|decision| (decision.determining_rules, decision.erring_rules))
        .unwrap_or_default();
    Attempt {
        outcome,
        decision_id,
        determining_rules,
        erring_rules,
        timings: Vec::new(),
    }
}

fn record<Record>(
    decision_id: &str,
    bundle: &Bundle,
    verified: &VerifiedExchange<Record>,
    decision: Option<&Decision>,
    refusal: Option<&Refusal>,
) -> AuditRecord {
    let subject = &verified.subject;
    AuditRecord {
        decision_id: decision_id.to_owned(),
        decided_at: verified.now,
        refused: refusal.map(|refusal| counted(refusal, bundle, verified)),
        slug: refusal.map_or("issued", Refusal::slug),
        bundle_digest: bundle.digest.clone(),
        determining_rules: decision
            .map(|d| d.determining_rules.clone())
            .unwrap_or_default(),
        erring_rules: decision.map(|d| d.erring_rules.clone()).unwrap_or_default(),
        cedar_request: decision
            .map(|d| d.cedar_request.clone())
            .unwrap_or_default(),
        issuer_name: subject.issuer_name.clone(),
        subject: subject.subject.clone(),
        subject_jti: subject.jti.clone().unwrap_or_default(),
        subject_digest: subject.signing_input_digest.clone(),
        audience: verified.request.audience.clone(),
        scopes: verified.request.scopes.clone(),
        kid: String::new(),
        expires_at: 0,
        timings: Vec::new(),
        generation: None,
    }
}
