//! Signatures with keys of tier `hsm`.

use super::Gateway;
use super::published_key::PublishedKey;
use crate::hex::hex;
use crate::log::{Line, Quota};
use crate::pkcs11::HsmError;
use crate::pkcs11::protocol::{Call, Reply};
use sha2::{Digest as _, Sha256};
use std::sync::atomic::Ordering::Relaxed;
use vouchsafe_gateway::versions::KeyVersions;
use vouchsafe_gateway::wire::{SignRequest, Signature};
use vouchsafe_gateway::{Caller, KeyRule, Refusal, SigningInput};

impl Gateway {
    /// `POST /v1/sign-token`.
    pub async fn sign(&self, caller: Caller<'_>, request: SignRequest) -> Result<Signature, Refusal> {
        let moment = self.trusted_moment()?;
        let now = moment.now.0;
        let rule = caller.key(&request.key)?;
        let states = self.fresh_states().await?;
        let versions = states.versions(rule).ok_or(Refusal::Key)?;
        let is_published = |kid: &str| states.published(rule).any(|key| key.jwk.kid() == kid);
        let input = SigningInput::check(request, rule, is_published, now)?;
        // ORDER: refused requests don't count towards the rate; those that count reach the HSM.
        self.rates().count(rule, moment.steady)?;
        let version = self.choose_version(versions, &input);
        let key = version.and_then(|version| states.published_version(rule, version));
        let key = key.ok_or(Refusal::KeyVersion)?;
        // INVARIANT: no token outlives its key's publication, which lasts as long as the version's record says (I3).
        // Another gateway with another configuration may just have written a shorter lifetime.
        let record = versions.get(key.version);
        if record.is_none_or(|it| it.lifetime_seconds < input.lifetime_seconds()) {
            return Err(Refusal::HsmUnavailable);
        }
        let text = input.signed_by(rule, key.jwk.kid());
        let signature = self.sign_and_verify(rule, key, text.as_bytes()).await?;
        let line = Line::new("signature", now)
            .with("caller", caller.name())
            .with("key", rule.name.as_str())
            .with("version", key.version)
            .with("kid", key.jwk.kid())
            .with("decision_id", input.jti())
            .with("sha256", hex(&Sha256::digest(text.as_bytes())));
        self.record(Quota::Group(rule.group.clone()), line).await?;
        self.metrics.signatures.fetch_add(1, Relaxed);
        let mut stats = self.version_stats();
        stats.count(&key.name, key.version, |it| it.signed = it.signed.saturating_add(1));
        stats.record_use(&key.label, now);
        Ok(Signature { kid: key.jwk.kid().to_owned(), version: key.version, signature })
    }

    /// Chooses the canary for workloads in its share, and the active version for all others.
    fn choose_version(&self, versions: &KeyVersions, input: &SigningInput) -> Option<u64> {
        let workload = input.workload();
        let place = workload.and_then(|it| self.rollout.place(it, input.audience()));
        versions.signer(|share| place.is_some_and(|place| place.is_within(share)))
    }

    /// Signs with `key`, and verifies the signature.
    pub(super) async fn sign_and_verify(
        &self,
        rule: &KeyRule,
        key: &PublishedKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let call =
            Call::Sign { label: key.label.clone(), algorithm: rule.algorithm.into(), message: message.to_vec().into() };
        let outcome: Result<_, Refusal> = match self.hsm.call(call).await {
            Ok(Reply::Bytes(signature)) => Ok(signature.0.to_vec()),
            Ok(_) => Err(HsmError::unexpected_reply().into()),
            Err(error) => Err(error.into()),
        };
        let signature = outcome.inspect_err(|refusal| {
            // A full queue says nothing about a version.
            if *refusal != Refusal::Overloaded {
                self.version_stats()
                    .count(&key.name, key.version, |it| it.sign_failures = it.sign_failures.saturating_add(1));
            }
        })?;
        // INVARIANT: only signatures that verify leave: a faulty one can reveal an ECDSA or RSA key.
        if key.verifier.verify(message, &signature).is_err() {
            self.metrics.signatures_withheld.fetch_add(1, Relaxed);
            self.version_stats()
                .count(&key.name, key.version, |it| it.verify_failures = it.verify_failures.saturating_add(1));
            eprintln!("hsm-gateway: a signature by `{}` does not verify and is withheld", key.label);
            return Err(Refusal::HsmUnavailable);
        }
        Ok(signature)
    }
}
