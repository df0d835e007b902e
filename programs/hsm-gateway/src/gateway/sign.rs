//! Signatures with keys of tier `hsm`.

use super::states::TokenKey;
use super::{Gateway, algorithm, hsm_refusal};
use crate::hex::hex;
use crate::log::{Line, Share};
use crate::worker::protocol::{Call, Reply};
use sha2::{Digest as _, Sha256};
use std::sync::atomic::Ordering::Relaxed;
use vouchsafe_gateway::versions::KeyVersions;
use vouchsafe_gateway::wire::{SignRequest, Signature};
use vouchsafe_gateway::{Caller, KeyRule, Refusal, SigningInput};

impl Gateway {
    /// `POST /v1/sign-token`.
    pub async fn sign(
        &self,
        caller: Caller<'_>,
        request: SignRequest,
    ) -> Result<Signature, Refusal> {
        let moment = self.believed()?;
        let now = moment.now.0;
        let rule = caller.key(&request.key)?;
        let states = self.fresh_states().await?;
        let versions = states.versions(rule).ok_or(Refusal::Key)?;
        let is_published = |kid: &str| states.published(rule).any(|key| key.jwk.kid() == kid);
        let input = SigningInput::check(request, rule, is_published, now)?;
        // ORDER: what is refused is not counted, what is counted has its turn at the HSM.
        self.rates().count(rule, moment.steady)?;
        let version = self.version_for(versions, &input);
        let key = version.and_then(|version| states.token_key(rule, version));
        let key = key.ok_or(Refusal::KeyVersion)?;
        // INVARIANT: no token outlives its key's place in the JWK Set, which lasts for as long as the
        // version's record says (I3). Another gateway with another file may just have written a shorter life.
        let record = versions.get(key.version);
        if record.is_none_or(|it| it.lifetime_seconds < input.lifetime_seconds()) {
            return Err(Refusal::HsmUnavailable);
        }
        let text = input.signed_by(rule, key.jwk.kid());
        let signature = self.signed(rule, key, text.as_bytes()).await?;
        let line = Line::new("signature", now)
            .with("caller", caller.name())
            .with("key", rule.name.as_str())
            .with("version", key.version)
            .with("kid", key.jwk.kid())
            .with("decision_id", input.jti())
            .with("sha256", hex(&Sha256::digest(text.as_bytes())));
        self.record(Share::Group(rule.group.clone()), line).await?;
        self.metrics.signatures.fetch_add(1, Relaxed);
        let mut tallies = self.tallies();
        tallies.count(&key.name, key.version, |it| {
            it.signed = it.signed.saturating_add(1)
        });
        tallies.used(&key.label, now);
        Ok(Signature {
            kid: key.jwk.kid().to_owned(),
            version: key.version,
            signature,
        })
    }

    /// The canary for workloads in its share, the active version for all others.
    fn version_for(&self, versions: &KeyVersions, input: &SigningInput) -> Option<u64> {
        let workload = input.workload();
        let place = workload.and_then(|it| self.rollout.place(it, input.audience()));
        versions.signer(|share| place.is_some_and(|place| place.is_within(share)))
    }

    /// A signature of `key` that verifies.
    pub(super) async fn signed(
        &self,
        rule: &KeyRule,
        key: &TokenKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let call = Call::Sign {
            label: key.label.clone(),
            algorithm: algorithm(rule.algorithm),
            message: message.to_vec().into(),
        };
        let outcome = match self.hsm.call(call).await {
            Ok(Reply::Bytes(signature)) => Ok(signature.0.to_vec()),
            Ok(_) => Err(Refusal::HsmUnavailable),
            Err(error) => Err(hsm_refusal(&error)),
        };
        let signature = outcome.inspect_err(|refusal| {
            // A full queue says nothing of a version.
            if *refusal != Refusal::Overloaded {
                self.tallies().count(&key.name, key.version, |it| {
                    it.sign_failures = it.sign_failures.saturating_add(1)
                });
            }
        })?;
        // INVARIANT: no signature leaves that does not verify: a faulty one can give an ECDSA or RSA
        // key away.
        if key.verifier.verify(message, &signature).is_err() {
            self.metrics.signatures_withheld.fetch_add(1, Relaxed);
            self.tallies().count(&key.name, key.version, |it| {
                it.verify_failures = it.verify_failures.saturating_add(1)
            });
            eprintln!(
                "hsm-gateway: a signature of `{}` does not verify, and is withheld",
                key.label
            );
            return Err(Refusal::HsmUnavailable);
        }
        Ok(signature)
    }
}
