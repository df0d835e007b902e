//! The signer's side: `vouchsafe:signer` with a gateway behind it.
//!
//! Tier `delegated`: one seed per epoch and algorithm, fetched once however many requests wait for it;
//! the key is made here and signs here. Tier `hsm`: every token is signed by the gateway. Several
//! gateways are tried in their order; one that failed lately is tried last.
//!
//! What is held goes on being used while no gateway answers, for as long as its epoch lasts. Nothing is
//! signed with a key that no JWK Set of the gateway's had.
//!
//! Does not read a clock or the network: both are a [`Network`].

mod calls;
mod config;
mod epochs;
mod fetch;
mod keys;
mod network;
mod state;

use std::rc::Rc;

use vouchsafe_signer::{
    AllowedToken, Ceiling, Error, PublicKeySet, SignedToken, SignerSettings, SigningRequest, Tier,
    UnixSeconds,
};

use crate::canary::Workload;
pub use crate::timing::KEYS_FRESH_SECONDS;
use crate::wire::{SIGN_PATH, SignRequest, Signature};
use calls::accepted;
pub use config::{GATEWAYS_MAX, GatewayConfig};
use keys::KnownKeys;
use network::wait;
pub use network::{Answer, Network, Unreachable};
pub use state::GatewaySigner;
use vouchsafe_types::BackendStatus;

/// How old the gateway's word on the current generation may be when a delegated token is signed: with the
/// second that a gateway takes to learn of it, an emergency rotation is followed within 5 s.
pub const GENERATION_FRESH_SECONDS: u64 = 3;
/// The same while it is being asked for, so that not every request waits.
const GENERATION_BRIDGED_SECONDS: u64 = 4;
/// How often the gateways are asked, at most, whether they have a generation that is not over.
const SUPERSEDED_ASK_SECONDS: u64 = 1;

impl GatewaySigner {
    #[must_use]
    pub fn settings(&self) -> SignerSettings {
        let config = &self.config.signer;
        let epoch = config.algorithms().iter().map(|algorithm| algorithm.name());
        let mut algorithms: Vec<_> = epoch.map(str::to_owned).collect();
        for algorithm in &self.config.hsm_algorithms {
            if !algorithms.iter().any(|known| known == algorithm.name()) {
                algorithms.push(algorithm.name().to_owned());
            }
        }
        SignerSettings {
            issuer: config.issuer().to_owned(),
            development: config.development(),
            epoch_seconds: config.epoch_seconds(),
            algorithms,
            backend_urls: self.config.urls.clone(),
            warnings: config.warnings().into_iter().map(str::to_owned).collect(),
            trusted_proxies: config.trusted_proxies().to_owned(),
            forwarded_header: config.forwarded_header().to_owned(),
            group: config.group().to_owned(),
        }
    }

    /// Public keys of the published epochs and of the HSM's keys, as the gateway has them; while it
    /// does not answer, as it had them. Where they are of a generation below `generation_min`, they are
    /// asked for again first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the current epoch's keys are not known; [`Error::Superseded`] where no
    /// gateway has a generation that is not over.
    pub async fn public_keys(
        &self,
        generation_min: u64,
        network: &impl Network,
    ) -> Result<PublicKeySet, Error> {
        // As new as when something is signed: a broker that issues nothing follows an emergency, too.
        self.follow_generation(network).await?;
        let now = network.now();
        let over = |keys: &KnownKeys| keys.generation() < generation_min;
        let good = |keys: &KnownKeys| {
            // A gateway that stays behind is not asked by every request.
            keys.is_fresh(now) && (!over(keys) || keys.age_seconds(now) < SUPERSEDED_ASK_SECONDS)
        };
        let keys = self.keys(network, good, |keys| keys.cover(now)).await?;
        // INVARIANT: no key is published of a generation that is known to be over.
        if over(&keys) {
            return Err(Error::Superseded);
        }
        Ok(vouchsafe_signer::public_key_set(&keys.jwks(now)?))
    }

    /// What stands behind this signer, if anything was heard of it.
    #[must_use]
    pub fn backend(&self, now: UnixSeconds) -> Option<BackendStatus> {
        self.known_keys().map(|keys| keys.backend(now))
    }

    /// Which gateways gave no answer, and why, if the last call got none. For logs.
    #[must_use]
    pub fn outage(&self) -> Option<String> {
        self.state.borrow().outage.clone()
    }

    /// Checks `request` against the signer's ceilings, builds the JWS and has it signed where its tier
    /// says.
    ///
    /// # Errors
    /// Which ceiling was broken, or that nobody can sign now.
    pub async fn sign(
        &self,
        request: &SigningRequest,
        network: &impl Network,
    ) -> Result<SignedToken, Error> {
        let now = network.now();
        let config = &self.config.signer;
        // ORDER: every ceiling before the network.
        match request.tier {
            Tier::Delegated => {
                let algorithm = config.epoch_algorithm(&request.algorithm)?;
                let allowed = config.allow(request, now)?;
                let epoch = allowed.epoch(now, config.epoch_seconds())?;
                self.follow_generation(network).await?;
                let (key, generation) = self.epoch_key(epoch, algorithm, network).await?;
                allowed.sign(&key, generation, &network.entropy()?)
            }
            Tier::Hsm if self.config.hsm_algorithms.is_empty() => Err(Error::TierUnavailable),
            Tier::Hsm => {
                let known = |name: &str| {
                    self.config
                        .hsm_algorithms
                        .iter()
                        .any(|it| it.name() == name)
                };
                if !known(&request.algorithm) {
                    return Err(Error::Refused(Ceiling::Algorithm));
                }
                let allowed = config.allow(request, now)?;
                self.sign_in_hsm(request, &allowed, network).await
            }
        }
    }

    /// Asks for the current generation, if that was not done just now; an outage changes nothing.
    async fn follow_generation(&self, network: &impl Network) -> Result<(), Error> {
        let now = network.now();
        let is_new = |keys: &KnownKeys| {
            let bridged = self.state.borrow().fetching;
            let fresh = if bridged {
                GENERATION_BRIDGED_SECONDS
            } else {
                GENERATION_FRESH_SECONDS
            };
            keys.age_seconds(now) < fresh
        };
        let tolerable = |keys: &KnownKeys| keys.cover(now);
        self.keys(network, is_new, tolerable).await.map(drop)
    }

    async fn sign_in_hsm(
        &self,
        request: &SigningRequest,
        allowed: &AllowedToken<'_>,
        network: &impl Network,
    ) -> Result<SignedToken, Error> {
        let now = network.now();
        let mut keys = self
            .keys(network, |keys| keys.is_fresh(now), |_| true)
            .await?;
        let workload = request.presented.as_ref();
        let workload = workload.and_then(|it| Workload::new(&it.issuer, &it.principal));
        for last in [false, true] {
            let key = keys
                .token_key(&request.algorithm, &request.audience)
                .ok_or(Error::Refused(Ceiling::Gateway))?;
            let ask = SignRequest {
                key: key.name.clone(),
                signing_input: allowed.signing_input(&request.algorithm, &key.kid)?,
                workload: workload.clone(),
            };
            let is_one = |body: &[u8]| Signature::parse(body).is_ok();
            let answer = self.call(SIGN_PATH, ask.to_json(), is_one, network).await?;
            if answer.status == 409 && !last {
                // The version that signed is not even published by now.
                keys = self.keys(network, |_| false, |_| false).await?;
                continue;
            }
            if matches!(answer.status, 403 | 409) {
                return Err(Error::Refused(Ceiling::Gateway));
            }
            let body = accepted(answer)?;
            let answer = Signature::parse(&body).map_err(|_| Error::Unavailable)?;
            if !keys.publishes_version(&key.name, &answer.kid) {
                keys = self.keys(network, |_| false, |_| false).await?;
            }
            // INVARIANT: nothing leaves that no JWK Set of ours has.
            if !keys.publishes_version(&key.name, &answer.kid) {
                return Err(Error::Unavailable);
            }
            let signing_input = allowed.signing_input(&request.algorithm, &answer.kid)?;
            let version = answer.version.to_string();
            return Ok(allowed.finish(signing_input, &answer.signature, &answer.kid, version));
        }
        Err(Error::Internal)
    }

    /// The known keys if they are `good`, else fetched ones; and if they can't be fetched, the known
    /// ones if they are `tolerable`.
    async fn keys(
        &self,
        network: &impl Network,
        good: impl Fn(&KnownKeys) -> bool,
        tolerable: impl Fn(&KnownKeys) -> bool,
    ) -> Result<Rc<KnownKeys>, Error> {
        let _turn = loop {
            // While every gateway fails, what can be tolerated is used at once.
            let outage = self.all_failed_lately(network.now().0);
            let known = self.known_keys();
            if let Some(keys) = known.filter(|keys| good(keys) || outage && tolerable(keys)) {
                return Ok(keys);
            }
            if let Some(turn) = self.take_turn() {
                break turn;
            }
            wait(network).await?;
        };
        match self.fetch_keys(network).await {
            Err(Error::Unavailable) => self
                .known_keys()
                .filter(|keys| tolerable(keys))
                .ok_or(Error::Unavailable),
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests;
