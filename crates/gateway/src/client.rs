//! The signer's end of the protocol: a signer whose keys come from a gateway.
//!
//! Tier `delegated`: one seed per epoch and algorithm is fetched, once for all waiting requests; the key is derived and
//! used here. Tier `hsm`: the gateway signs every token. Gateways are tried in the configured order, recently failed ones
//! last.
//!
//! While no gateway answers, held keys remain in use until their epoch ends. Nothing is signed with a key that was in no
//! JWK Set of a gateway.
//!
//! Does not read a clock or the network; a [`Network`] provides both.

mod calls;
mod config;
mod epochs;
mod fetch;
mod keys;
mod network;
mod state;
mod status;

use std::rc::Rc;

use vouchsafe_signer::{
    AllowedDocument, AllowedToken, Audience, Ceiling, Epoch, Error, PublicKeySet, RevocationList, SignedToken,
    SignerSettings, SigningRequest, StatusList, Superseded, Tier,
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

/// How old the known generation may be when a delegated token is signed. Together with the second that a gateway needs
/// to learn of it, an emergency rotation takes effect within 5 s.
pub const GENERATION_FRESH_SECONDS: u64 = 3;
/// The same bound while the generation is being fetched, so that not every request waits.
const GENERATION_BRIDGED_SECONDS: u64 = 4;
/// Shortest time between two checks whether a gateway has a generation that is not superseded.
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
            root_fingerprint: None,
        }
    }

    /// What the signer refuses of the tokens for `audiences`, for the operator. Whether the HSM has a key for an audience
    /// is known once the gateway's keys are.
    #[must_use]
    pub fn conflicts(&self, audiences: &[Audience]) -> Vec<String> {
        let offered: Vec<_> = self.config.hsm_algorithms.iter().map(|it| it.name()).collect();
        let keys = self.known_keys();
        let without_key = |audience: &Audience| {
            let keys = keys.as_ref().filter(|_| audience.tier == Tier::Hsm)?;
            let Audience { id, algorithm, .. } = audience;
            let lacks = keys.token_key(algorithm, id).is_none();
            lacks.then(|| format!("the HSM has no `{algorithm}` key that signs for audience `{id}`"))
        };
        let conflict =
            |it: &Audience| self.config.signer.conflict(it, Some(offered.as_slice())).or_else(|| without_key(it));
        audiences.iter().filter_map(conflict).collect()
    }

    /// The gateway's public keys of the published epochs and of the HSM keys, or the last known ones while it does not
    /// answer. Keys of a generation below `generation_min` are fetched again first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the current epoch's keys are unknown; [`Error::Superseded`] if every gateway's generation
    /// is superseded.
    pub async fn public_keys(&self, generation_min: u64, network: &impl Network) -> Result<PublicKeySet, Error> {
        // As fresh as for signing, so that a broker that issues nothing follows an emergency rotation too.
        self.follow_generation(network).await?;
        let now = network.now();
        let over = |keys: &KnownKeys| keys.generation() < generation_min;
        let good = |keys: &KnownKeys| {
            // Don't let every request ask a gateway that lags behind.
            keys.is_fresh(now) && (!over(keys) || keys.age_seconds(now) < SUPERSEDED_ASK_SECONDS)
        };
        let keys = self.keys(network, good, |keys| keys.cover(now)).await?;
        // INVARIANT: no key of a superseded generation is published.
        if over(&keys) {
            let superseded = Superseded { generation: keys.generation(), latest: generation_min };
            return Err(Error::Superseded(superseded));
        }
        Ok(vouchsafe_signer::public_key_set(&keys.jwks(now)?))
    }

    /// Why no gateway answered the last call, for logs; `None` if one did.
    #[must_use]
    pub fn outage(&self) -> Option<String> {
        self.state.borrow().outage.clone()
    }

    /// Checks `request` against the signer's ceilings, builds the JWS, and signs it here or in the HSM, as its tier
    /// requires.
    ///
    /// # Errors
    /// [`Error::Refused`] with the ceiling that `request` exceeds; [`Error::Unavailable`] if no gateway can sign.
    pub async fn sign(&self, request: &SigningRequest, network: &impl Network) -> Result<SignedToken, Error> {
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
                let known = |name: &str| self.config.hsm_algorithms.iter().any(|it| it.name() == name);
                if !known(&request.algorithm) {
                    return Err(Error::Refused(Ceiling::Algorithm));
                }
                let allowed = config.allow(request, now)?;
                self.sign_in_hsm(request, &allowed, network).await
            }
        }
    }

    /// Builds the document of `list` and signs it with an epoch key.
    ///
    /// # Errors
    /// [`Error::Superseded`] if every gateway's generation is below `generation_min`; [`Error::Refused`];
    /// [`Error::Unavailable`] if no gateway releases a seed.
    pub async fn sign_revocations(
        &self,
        list: &RevocationList,
        issued_at: u64,
        generation_min: u64,
        network: &impl Network,
    ) -> Result<String, Error> {
        // ORDER: every ceiling before the network.
        let allowed = self.config.signer.allow_revocations(list, issued_at, network.now())?;
        self.sign_document(&allowed, generation_min, network).await
    }

    /// Builds the status list token of `list` and signs it with an epoch key.
    ///
    /// # Errors
    /// As [`Self::sign_revocations`].
    pub async fn sign_status_list(
        &self,
        list: &StatusList,
        issued_at: u64,
        generation_min: u64,
        network: &impl Network,
    ) -> Result<String, Error> {
        // ORDER: every ceiling before the network.
        let allowed = self.config.signer.allow_status_list(list, issued_at, network.now())?;
        self.sign_document(&allowed, generation_min, network).await
    }

    /// Builds the signed `response` to an introspection for the resource server `audience`, with an epoch key.
    ///
    /// # Errors
    /// As [`Self::sign_revocations`].
    pub async fn sign_introspection(
        &self,
        audience: &str,
        response: &str,
        issued_at: u64,
        generation_min: u64,
        network: &impl Network,
    ) -> Result<String, Error> {
        // ORDER: every ceiling before the network.
        let allowed = self.config.signer.allow_introspection(audience, response, issued_at, network.now())?;
        self.sign_document(&allowed, generation_min, network).await
    }

    async fn sign_document(
        &self,
        allowed: &AllowedDocument,
        generation_min: u64,
        network: &impl Network,
    ) -> Result<String, Error> {
        self.follow_generation(network).await?;
        let algorithm = self.config.signer.document_algorithm()?;
        let (key, generation) = self.epoch_key(allowed.epoch(), algorithm, network).await?;
        if generation < generation_min {
            return Err(Error::Superseded(Superseded { generation, latest: generation_min }));
        }
        allowed.sign(&key, &network.entropy()?)
    }

    /// The nonces of which a proof of possession may have one now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no gateway releases a seed.
    pub async fn proof_nonces(&self, network: &impl Network) -> Result<Vec<String>, Error> {
        let (config, now) = (&self.config.signer, network.now());
        let epoch = Epoch::containing(now, config.epoch_seconds())?;
        self.follow_generation(network).await?;
        self.epoch_key(epoch, config.document_algorithm()?, network).await?.0.proof_nonces(now)
    }

    /// Fetches the current generation unless it is fresh. An outage changes nothing.
    async fn follow_generation(&self, network: &impl Network) -> Result<(), Error> {
        let now = network.now();
        let is_new = |keys: &KnownKeys| {
            let bridged = self.state.borrow().fetching;
            let fresh = if bridged { GENERATION_BRIDGED_SECONDS } else { GENERATION_FRESH_SECONDS };
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
        let mut keys = self.keys(network, |keys| keys.is_fresh(now), |_| true).await?;
        let workload = request.presented.as_ref();
        let workload = workload.and_then(|it| Workload::new(&it.issuer, &it.principal));
        for last in [false, true] {
            let key = keys.token_key(&request.algorithm, &request.audience).ok_or(Error::Refused(Ceiling::Gateway))?;
            let ask = SignRequest {
                key: key.name.clone(),
                signing_input: allowed.signing_input(&request.algorithm, &key.kid)?,
                workload: workload.clone(),
            };
            let is_one = |body: &[u8]| Signature::parse(body).is_ok();
            let answer = self.call(SIGN_PATH, ask.to_json(), is_one, network).await?;
            if answer.status == 409 && !last {
                // The version in the header is no longer published.
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
            // INVARIANT: no token is released unless its key is in our JWK Set.
            if !keys.publishes_version(&key.name, &answer.kid) {
                return Err(Error::Unavailable);
            }
            let signing_input = allowed.signing_input(&request.algorithm, &answer.kid)?;
            let version = answer.version.to_string();
            return Ok(allowed.finish(signing_input, &answer.signature, &answer.kid, version));
        }
        Err(Error::Internal)
    }

    /// Returns the known keys if they are `good`, otherwise fetches them. If that fails, returns the known keys if they are
    /// `tolerable`.
    async fn keys(
        &self,
        network: &impl Network,
        good: impl Fn(&KnownKeys) -> bool,
        tolerable: impl Fn(&KnownKeys) -> bool,
    ) -> Result<Rc<KnownKeys>, Error> {
        let _turn = loop {
            // While every gateway fails, use tolerable keys at once.
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
            Err(Error::Unavailable) => self.known_keys().filter(|keys| tolerable(keys)).ok_or(Error::Unavailable),
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests;
