//! The ports of the endpoints that take the broker's own tokens.
//!
//! Documented cache, per instance (I7): the parsed form of the broker's own JWK Set, until its document changes. The
//! document is the one that is published, so a key of a superseded generation verifies nothing here either. And the list
//! of what is revoked, for the second in which it was read.

use crate::bindings::{revocations, signing, verification};
use crate::ports::Wasm;
use std::cell::RefCell;
use std::rc::Rc;
use vouchsafe_exchange::client::{self, ClientDecision, Presented};
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::ports::{Instance, Policy, Signer, Store};
use vouchsafe_exchange::refusal::{ClientFault, Part, Refusal};
use vouchsafe_exchange::settings::Settings;
use vouchsafe_revocation::ports::Ports;
use vouchsafe_revocation::{Published, publish};
use vouchsafe_types::{
    Added, Affected, Attribution, Consumption, IssuedToken, Principal, ProofError, Revocation, RevocationList,
    RevocationTarget, SignerError, StatusList, TokenError, TokenUse, VerifiedProof,
};

thread_local! {
    static PUBLISHED: RefCell<Option<Rc<Published>>> = const { RefCell::new(None) };
    static OWN_KEYS: RefCell<Option<(String, Rc<verification::TrustedKeys>)>> = const { RefCell::new(None) };
}

/// The identity component's handle for the broker's own keys, parsed once per document.
fn own_keys(document: String) -> Result<Rc<verification::TrustedKeys>, Failure> {
    let known = OWN_KEYS.with_borrow(|known| {
        let known = known.as_ref().filter(|(parsed, _)| *parsed == document);
        known.map(|(_, keys)| Rc::clone(keys))
    });
    if let Some(keys) = known {
        return Ok(keys);
    }
    let keys = verification::TrustedKeys::of_broker(&document)
        .map_err(|error| Failure::new(Refusal::Unavailable(Part::Signer), error.to_string()))?;
    let keys = Rc::new(keys);
    OWN_KEYS.set(Some((document, Rc::clone(&keys))));
    Ok(keys)
}

/// The signed list of what is revoked. Two concurrent requests may both read it; the later list replaces the earlier one.
pub async fn published(ports: &Wasm) -> Result<Rc<Published>, Failure> {
    let published = publish(ports, PUBLISHED.with_borrow(Clone::clone)).await?;
    PUBLISHED.set(Some(Rc::clone(&published)));
    Ok(published)
}

/// Why a document is not signed. The caller asked for nothing that could be refused.
fn unsigned(error: SignerError) -> Failure {
    match error {
        SignerError::Refused(ceiling) => Failure::new(Refusal::Unavailable(Part::Signer), ceiling),
        error => error.into(),
    }
}

impl Ports for Wasm {
    type Token = verification::UnverifiedToken;

    fn now(&self) -> u64 {
        Instance::now(self)
    }

    async fn settings(&self) -> Result<Settings, Failure> {
        Signer::settings(self).await
    }

    fn parse(&self, token: &str) -> Result<Self::Token, TokenError> {
        verification::UnverifiedToken::parse(token)
    }

    fn stated_audience(&self, token: &Self::Token) -> Option<String> {
        token.stated_audience()
    }

    async fn verify_issued(&self, token: &Self::Token) -> Result<Result<IssuedToken, TokenError>, Failure> {
        let settings = Signer::settings(self).await?;
        let keys = own_keys(self.public_keys().await?.document)?;
        Ok(token.verify_issued(&settings.issuer, &keys, Instance::now(self)))
    }

    fn verify_proof(&self, proof: &str, method: &str, url: &str, token: &str) -> Result<VerifiedProof, ProofError> {
        verification::verify_proof(proof, method, url, Some(token), Instance::now(self))
    }

    async fn proof_nonces(&self) -> Result<Option<Vec<String>>, Failure> {
        let settings = Signer::settings(self).await?;
        match self.bundle(&settings).await?.proof_nonce_required {
            true => Ok(Some(Signer::proof_nonces(self).await?)),
            false => Ok(None),
        }
    }

    async fn consume(&self, token_use: TokenUse) -> Result<Consumption, Failure> {
        let consumed = Store::consume(self, vec![token_use]).await?;
        // INVARIANT: an unanswered use is not a fresh one.
        consumed.first().copied().ok_or_else(|| Refusal::Internal.into())
    }

    async fn check_client(&self, presented: Result<Option<Presented>, ClientFault>) -> Result<(), Failure> {
        let settings = Signer::settings(self).await?;
        let bundle = self.bundle(&settings).await?;
        client::check(self, &settings, &bundle, presented).await
    }

    async fn authenticate(&self, presented: Presented) -> Result<Principal, Failure> {
        let settings = Signer::settings(self).await?;
        let bundle = self.bundle(&settings).await?;
        client::authenticate(self, &settings, &bundle, presented).await
    }

    async fn decide_client(
        &self,
        client: &Principal,
        audience: &str,
        scope: &str,
        forwarded_for: &ForwardedFor,
    ) -> Result<Option<ClientDecision>, Failure> {
        let settings = Signer::settings(self).await?;
        let bundle = self.bundle(&settings).await?;
        let now = Instance::now(self);
        client::decide(self, &settings, &bundle, client, (audience, scope), forwarded_for, now)
    }

    async fn active(&self, jtis: Vec<String>) -> Result<Vec<bool>, Failure> {
        Ok(revocations::active(jtis).await?)
    }

    async fn add(&self, id: String, target: RevocationTarget, by: Attribution) -> Result<Added, Failure> {
        Ok(revocations::add(id, target, by).await?)
    }

    async fn lift(&self, id: String, by: Attribution) -> Result<Option<Revocation>, Failure> {
        Ok(revocations::lift(id, by).await?)
    }

    async fn list(&self) -> Result<Vec<Revocation>, Failure> {
        Ok(revocations::list().await?)
    }

    async fn count(&self, target: RevocationTarget) -> Result<Affected, Failure> {
        Ok(revocations::count(target).await?)
    }

    async fn in_force(&self) -> Result<RevocationList, Failure> {
        Ok(revocations::in_force().await?)
    }

    async fn sign_revocations(&self, list: RevocationList) -> Result<String, Failure> {
        let generation_min = self.latest_generation().await?;
        signing::sign_revocations(list, Instance::now(self), generation_min).await.map_err(unsigned)
    }

    async fn status_list(&self, name: &str) -> Result<Option<StatusList>, Failure> {
        Ok(revocations::status_list_get(name.to_owned()).await?)
    }

    async fn sign_status_list(&self, list: StatusList) -> Result<String, Failure> {
        let generation_min = self.latest_generation().await?;
        signing::sign_status_list(list, Instance::now(self), generation_min).await.map_err(unsigned)
    }

    async fn sign_introspection(&self, audience: String, response: String) -> Result<String, Failure> {
        let generation_min = self.latest_generation().await?;
        let now = Instance::now(self);
        signing::sign_introspection(audience, response, now, generation_min).await.map_err(unsigned)
    }
}
