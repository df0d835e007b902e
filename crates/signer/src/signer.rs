//! The signer with a software root.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::algorithm::Algorithm;
use crate::ceilings::AllowedToken;
use crate::claims;
use crate::config::Config;
use crate::document::AllowedDocument;
use crate::epoch::{Epoch, WITHDRAWAL_MARGIN_SECONDS};
use crate::error::{Ceiling, Error};
use crate::key::EpochKey;
use crate::request::typ;
use crate::root::Root;
use vouchsafe_crypto::{Crypto, Entropy};
use vouchsafe_types::{
    Audience, PublicKeySet, RevocationList, SignedToken, SignerSettings, SigningRequest, StatusList, Superseded, Tier,
    UnixSeconds,
};

/// How long a verifier may keep the JWK Set.
pub const MAX_AGE_SECONDS: u64 = 300;

/// Signs what [`Config`] allows, with keys derived from a software root.
pub struct Signer {
    config: Config,
    root: Root,
    crypto: &'static dyn Crypto,
    /// INVARIANT: only keys of the epochs that were published at the last call, at most four per algorithm.
    keys: BTreeMap<(Epoch, Algorithm), EpochKey>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({:?}, ..)", self.config)
    }
}

impl Signer {
    #[must_use]
    pub fn new(config: Config, root: Root, crypto: &'static dyn Crypto) -> Self {
        Self { config, root, crypto, keys: BTreeMap::new() }
    }

    pub fn settings(&self) -> SignerSettings {
        SignerSettings {
            issuer: self.config.issuer.as_str().to_owned(),
            development: self.config.development,
            epoch_seconds: self.config.epoch_seconds,
            algorithms: self.config.algorithms.iter().map(|algorithm| algorithm.name().to_owned()).collect(),
            backend_urls: Vec::new(),
            warnings: self.config.warnings().into_iter().map(str::to_owned).collect(),
            trusted_proxies: self.config.trusted_proxies.clone(),
            forwarded_header: self.config.forwarded_header.clone(),
            group: self.config.group.clone(),
            root_fingerprint: Some(self.root.fingerprint()),
        }
    }

    /// What the configuration refuses of the tokens for `audiences`, for the operator.
    #[must_use]
    pub fn conflicts(&self, audiences: &[Audience]) -> Vec<String> {
        audiences.iter().filter_map(|audience| self.config.conflict(audience, None)).collect()
    }

    /// The public keys of the previous, current and next two epochs, oldest first, then by algorithm.
    ///
    /// # Errors
    /// [`Error::Superseded`] if the root's generation is below `generation_min`.
    pub fn public_keys(&mut self, generation_min: u64, now: UnixSeconds) -> Result<PublicKeySet, Error> {
        self.require_generation(generation_min)?;
        let current = self.enter_epoch(now)?;
        let mut jwks = Vec::new();
        for epoch in current.published() {
            for algorithm in self.config.algorithms.clone() {
                jwks.push(self.key(epoch, algorithm)?.public_jwk());
            }
        }
        Ok(public_key_set(&jwks))
    }

    /// Checks `request` against every ceiling, builds the JWS (RFC 7515 §3.1) and signs it.
    pub fn sign(
        &mut self,
        request: &SigningRequest,
        now: UnixSeconds,
        entropy: &Entropy,
    ) -> Result<SignedToken, Error> {
        // ORDER: every ceiling before any key is derived.
        match request.tier {
            Tier::Delegated => {}
            // Never fall back to a software key.
            Tier::Hsm => return Err(Error::TierUnavailable),
        }
        let algorithm = self.config.epoch_algorithm(&request.algorithm)?;
        let allowed = self.config.allow(request, now)?;
        self.enter_epoch(now)?;
        let epoch = allowed.epoch(now, self.config.epoch_seconds)?;
        let generation = self.root.generation();
        allowed.sign(self.key(epoch, algorithm)?, generation, entropy)
    }

    /// Builds the document of `list` and signs it.
    ///
    /// # Errors
    /// [`Error::Superseded`] if the root's generation is below `generation_min`; [`Error::Refused`].
    pub fn sign_revocations(
        &mut self,
        list: &RevocationList,
        issued_at: u64,
        generation_min: u64,
        now: UnixSeconds,
        entropy: &Entropy,
    ) -> Result<String, Error> {
        self.require_generation(generation_min)?;
        let allowed = self.config.allow_revocations(list, issued_at, now)?;
        self.sign_document(&allowed, now, entropy)
    }

    /// Builds the status list token of `list` and signs it.
    ///
    /// # Errors
    /// As [`Self::sign_revocations`].
    pub fn sign_status_list(
        &mut self,
        list: &StatusList,
        issued_at: u64,
        generation_min: u64,
        now: UnixSeconds,
        entropy: &Entropy,
    ) -> Result<String, Error> {
        self.require_generation(generation_min)?;
        let allowed = self.config.allow_status_list(list, issued_at, now)?;
        self.sign_document(&allowed, now, entropy)
    }

    /// Builds the signed `response` to an introspection for the resource server `audience`.
    ///
    /// # Errors
    /// As [`Self::sign_revocations`].
    pub fn sign_introspection(
        &mut self,
        audience: &str,
        response: &str,
        issued_at: u64,
        generation_min: u64,
        now: UnixSeconds,
        entropy: &Entropy,
    ) -> Result<String, Error> {
        self.require_generation(generation_min)?;
        let allowed = self.config.allow_introspection(audience, response, issued_at, now)?;
        self.sign_document(&allowed, now, entropy)
    }

    fn sign_document(
        &mut self,
        allowed: &AllowedDocument,
        now: UnixSeconds,
        entropy: &Entropy,
    ) -> Result<String, Error> {
        let algorithm = self.config.document_algorithm()?;
        self.enter_epoch(now)?;
        allowed.sign(self.key(allowed.epoch(), algorithm)?, entropy)
    }

    /// The nonces of which a proof of possession may have one at `now`.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn proof_nonces(&mut self, now: UnixSeconds) -> Result<Vec<String>, Error> {
        let (epoch, algorithm) = (self.enter_epoch(now)?, self.config.document_algorithm()?);
        self.key(epoch, algorithm)?.proof_nonces(now)
    }

    /// INVARIANT: a superseded generation signs nothing, and is not published.
    fn require_generation(&self, generation_min: u64) -> Result<(), Error> {
        let generation = self.root.generation();
        if generation < generation_min {
            return Err(Error::Superseded(Superseded { generation, latest: generation_min }));
        }
        Ok(())
    }

    /// The key of the log that the store names `log`, for verifiers.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn log_key(&self, log: u64) -> Result<String, Error> {
        Ok(self.root.log_key(&self.config, log, self.crypto)?.verifier())
    }

    /// Signs the checkpoint of that log with `size` leaves and this root.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn sign_checkpoint(&self, log: u64, size: u64, root: &[u8], entropy: &Entropy) -> Result<String, Error> {
        self.root.log_key(&self.config, log, self.crypto)?.sign(size, root, entropy)
    }

    /// Drops the keys that are not published at `now`, and returns the current epoch.
    fn enter_epoch(&mut self, now: UnixSeconds) -> Result<Epoch, Error> {
        let current = Epoch::containing(now, self.config.epoch_seconds)?;
        self.keys.retain(|(epoch, _), _| current.published().any(|published| published == *epoch));
        Ok(current)
    }

    fn key(&mut self, epoch: Epoch, algorithm: Algorithm) -> Result<&EpochKey, Error> {
        use std::collections::btree_map::Entry;
        match self.keys.entry((epoch, algorithm)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(self.root.key(&self.config, algorithm, epoch, self.crypto)?)),
        }
    }

    #[cfg(test)]
    pub(crate) fn keys_held(&self) -> usize {
        self.keys.len()
    }
}

/// Builds the JWK Set from JWKs in JSON.
#[must_use]
pub fn public_key_set(jwks: &[String]) -> PublicKeySet {
    PublicKeySet { document: format!(r#"{{"keys":[{}]}}"#, jwks.join(",")), max_age_seconds: MAX_AGE_SECONDS }
}

impl AllowedToken<'_> {
    /// The epoch whose key must sign.
    ///
    /// # Errors
    /// [`Error::Refused`] if the token would outlive the publication of its key (I3).
    pub fn epoch(&self, now: UnixSeconds, epoch_seconds: u64) -> Result<Epoch, Error> {
        // An `iat` ahead of our clock may be in the next epoch, whose key is already published. Signed with this
        // epoch's key, such a token could outlive it.
        let epoch = Epoch::containing(now.max(UnixSeconds(self.request.issued_at)), epoch_seconds)?;
        let latest = epoch.withdrawal().0.saturating_sub(WITHDRAWAL_MARGIN_SECONDS);
        if self.expires_at.0 > latest {
            return Err(Error::Refused(Ceiling::Lifetime));
        }
        Ok(epoch)
    }

    /// Builds `BASE64URL(header) . BASE64URL(payload)` (RFC 7515 §3.1).
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn signing_input(&self, algorithm: &str, kid: &str) -> Result<String, Error> {
        let header = claims::header(algorithm, kid, typ(self.request.token_type));
        let payload = claims::payload(self.request, self.expires_at)?;
        let mut input = URL_SAFE_NO_PAD.encode(header);
        input.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut input);
        Ok(input)
    }

    /// Assembles the token from `signing_input` and the `signature` that version `key_version` of the key `kid` made.
    #[must_use]
    pub fn finish(&self, signing_input: String, signature: &[u8], kid: &str, key_version: String) -> SignedToken {
        let mut jwt = signing_input;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        SignedToken { jwt, kid: kid.to_owned(), key_version, generation: None, expires_at: self.expires_at.0 }
    }

    /// Signs with `key`, which must be the key of [`AllowedToken::epoch`] and of `generation`.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn sign(&self, key: &EpochKey, generation: u64, entropy: &Entropy) -> Result<SignedToken, Error> {
        let input = self.signing_input(key.algorithm().name(), key.kid())?;
        let signature = key.sign(input.as_bytes(), entropy)?;
        let version = key.epoch().start().to_string();
        Ok(SignedToken { generation: Some(generation), ..self.finish(input, &signature, key.kid(), version) })
    }
}
