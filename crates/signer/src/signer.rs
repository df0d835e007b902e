//! The signer: its configuration, and the keys of the published epochs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ceilings::{self, Allowed};
use crate::claims;
use crate::config::Config;
use crate::epoch::{Epoch, WITHDRAWAL_MARGIN_SECONDS};
use crate::error::{Ceiling, Error};
use crate::key::{Algorithm, EpochKey};
use crate::request::{SignedToken, TokenRequest, UnixSeconds};

/// How long a verifier may keep the JWK Set.
pub const MAX_AGE_SECONDS: u64 = 300;

/// What others need to know of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub issuer: String,
    pub development: bool,
    pub epoch_seconds: u64,
    pub algorithms: Vec<&'static str>,
}

/// A JWK Set (RFC 7517 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeySet {
    pub document: String,
    pub max_age_seconds: u64,
}

/// Signs what [`Config`] allows.
pub struct Signer {
    config: Config,
    /// INVARIANT: only keys of the epochs published at the last call, at most four per algorithm.
    keys: BTreeMap<(Epoch, Algorithm), EpochKey>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({:?}, ..)", self.config)
    }
}

impl Signer {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            keys: BTreeMap::new(),
        }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            issuer: self.config.issuer.as_str().to_owned(),
            development: self.config.development,
            epoch_seconds: self.config.epoch_seconds,
            algorithms: self
                .config
                .algorithms
                .iter()
                .map(|algorithm| algorithm.name())
                .collect(),
        }
    }

    /// Previous, current and next two epochs of each algorithm, oldest first, then by algorithm.
    pub fn public_keys(&mut self, now: UnixSeconds) -> Result<PublicKeySet, Error> {
        let current = self.turn_to(now)?;
        let mut jwks = Vec::new();
        for epoch in current.published() {
            for algorithm in self.config.algorithms.clone() {
                jwks.push(self.key(epoch, algorithm)?.jwk().to_json());
            }
        }
        let document = format!(r#"{{"keys":[{}]}}"#, jwks.join(","));
        Ok(PublicKeySet {
            document,
            max_age_seconds: MAX_AGE_SECONDS,
        })
    }

    /// Checks `request` against every ceiling, builds the JWS (RFC 7515 §3.1) and signs it.
    pub fn sign(&mut self, request: &TokenRequest, now: UnixSeconds) -> Result<SignedToken, Error> {
        // ORDER: every ceiling before any key is derived.
        let Allowed {
            algorithm,
            expires_at,
        } = ceilings::check(&self.config, request, now)?;
        self.turn_to(now)?;
        // An `iat` ahead of our clock may lie in the next epoch, whose key is published already;
        // signed with this epoch's key, such a token could outlive it.
        let epoch = Epoch::containing(now.max(request.issued_at), self.config.epoch_seconds)?;
        if expires_at.0
            > epoch
                .withdrawal()
                .0
                .saturating_sub(WITHDRAWAL_MARGIN_SECONDS)
        {
            return Err(Error::Refused(Ceiling::Lifetime));
        }
        let payload = claims::payload(request, expires_at)?;
        let key = self.key(epoch, algorithm)?;
        let header = claims::header(algorithm.name(), key.jwk().kid(), request.token_type);
        Ok(SignedToken {
            jwt: compact(key, &header, &payload)?,
            kid: key.jwk().kid().to_owned(),
            key_version: key.epoch().start().to_string(),
            expires_at,
        })
    }

    /// Forgets the keys that are no longer, or not yet, published at `now`.
    fn turn_to(&mut self, now: UnixSeconds) -> Result<Epoch, Error> {
        let current = Epoch::containing(now, self.config.epoch_seconds)?;
        self.keys
            .retain(|(epoch, _), _| current.published().any(|published| published == *epoch));
        Ok(current)
    }

    fn key(&mut self, epoch: Epoch, algorithm: Algorithm) -> Result<&EpochKey, Error> {
        use std::collections::btree_map::Entry;
        match self.keys.entry((epoch, algorithm)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let key =
                    EpochKey::derive(&self.config.root, self.config.scope(), algorithm, epoch)?;
                Ok(entry.insert(key))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn keys_held(&self) -> usize {
        self.keys.len()
    }
}

/// `BASE64URL(header) . BASE64URL(payload) . BASE64URL(signature)` (RFC 7515 §3.1).
fn compact(key: &EpochKey, header: &str, payload: &str) -> Result<String, Error> {
    let mut jwt = URL_SAFE_NO_PAD.encode(header);
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut jwt);
    let signature = key.sign(jwt.as_bytes())?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(jwt)
}
