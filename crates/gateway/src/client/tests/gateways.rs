//! Gateways made of this crate's other end, with a software HSM.

use std::cell::{Cell, RefCell};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vouchsafe_signer::{Algorithm, ENTROPY_BYTES, Entropy, Epoch, EpochKey, Seed};

use super::*;
use crate::refusal::Refusal;
use crate::rules::tests::{AUDIENCE, credential, rules};
use crate::rules::{KeyRule, Rules};
use crate::wire::{GroupKeys, KEYS_PATH, Keys, PublicTokenKey, SEED_PATH, SeedRequest, Signature, seed_answer};
use crate::{EpochKeyring, SigningInput};
use vouchsafe_types::UnreachableCause;

/// Gateways at `https://a`, `https://b`, …, all with one HSM.
pub(super) struct Gateways {
    rules: Rules,
    pub(super) now: Cell<u64>,
    /// Added to the signer's clock.
    pub(super) skew: Cell<u64>,
    pub(super) generation: Cell<u64>,
    pub(super) key_version: Cell<u64>,
    /// A version that signs for the workload `in-share`.
    pub(super) canary: Cell<Option<u64>>,
    /// Hosts that do not answer.
    pub(super) down: RefCell<Vec<char>>,
    /// Hosts whose clocks are an hour ahead.
    pub(super) ahead: RefCell<Vec<char>>,
    /// Hosts that don't know the current generation.
    pub(super) behind: RefCell<Vec<char>>,
    /// Hosts whose keys are over their rate limit.
    pub(super) busy: RefCell<Vec<char>>,
    /// Host and path where the credential is over its rate limit, as `a /v1/keys`.
    pub(super) limited: RefCell<Vec<&'static str>>,
    /// Hosts whose key groups belong to another issuer.
    pub(super) foreign: RefCell<Vec<char>>,
    /// Hosts whose keys have another root.
    pub(super) rootless: RefCell<Vec<char>>,
    /// Hosts that have no key of the current epoch.
    pub(super) late: RefCell<Vec<char>>,
    /// Host and path that answer 503, as `a /v1/keys`.
    pub(super) broken: RefCell<Vec<&'static str>>,
    /// Hosts behind a proxy that answers with this status.
    pub(super) strange: RefCell<Vec<(char, u16)>>,
    /// The requests so far, as `a /v1/keys`.
    pub(super) asked: RefCell<Vec<String>>,
    /// Whether the host has no randomness.
    pub(super) without_entropy: Cell<bool>,
}

impl Gateways {
    pub(super) fn new() -> Self {
        Self {
            rules: rules(""),
            now: Cell::new(NOON),
            skew: Cell::new(0),
            generation: Cell::new(1),
            key_version: Cell::new(1),
            canary: Cell::new(None),
            down: RefCell::default(),
            ahead: RefCell::default(),
            behind: RefCell::default(),
            busy: RefCell::default(),
            limited: RefCell::default(),
            foreign: RefCell::default(),
            rootless: RefCell::default(),
            late: RefCell::default(),
            broken: RefCell::default(),
            strange: RefCell::default(),
            asked: RefCell::default(),
            without_entropy: Cell::new(false),
        }
    }

    fn keyring(&self, host: char) -> EpochKeyring {
        let now = self.gateway_now(host);
        let behind = u64::from(self.behind.borrow().contains(&host));
        let mut keyring = EpochKeyring::new(self.rules.groups().cloned().collect(), self.generation.get() - behind);
        for derivation in keyring.missing(now).unwrap() {
            let root = if self.rootless.borrow().contains(&host) { 8 } else { 7 };
            let mut mac = Hmac::<Sha256>::new_from_slice(&[root; 32]).unwrap();
            mac.update(&derivation.label);
            keyring.learn(derivation, mac.finalize().into_bytes().into(), now).unwrap();
        }
        for key in keyring.uncertified() {
            let certificate = crate::jwk::tests::certificate(&key.jwk);
            keyring.certify(key, &certificate);
        }
        keyring
    }

    fn gateway_now(&self, host: char) -> UnixSeconds {
        let ahead = self.ahead.borrow().contains(&host);
        UnixSeconds(self.now.get() + self.skew.get() + u64::from(ahead) * HOUR)
    }

    /// The HSM's key that signs tokens: any key will do.
    fn token_key(version: u64) -> EpochKey {
        let seed = Seed::from_bytes([u8::try_from(version).unwrap(); 32]);
        EpochKey::from_seed(&seed, Algorithm::Es256, Epoch::starting_at(0, HOUR).unwrap(), &vouchsafe_crypto::Software)
            .unwrap()
    }

    fn keys(&self, host: char) -> String {
        let caller = credential();
        let caller = self.rules.caller(&caller, None).unwrap();
        let keyring = self.keyring(host);
        let versions = || std::iter::once(self.key_version.get()).chain(self.canary.get());
        let issuer = |issuer: &str| match self.foreign.borrow().contains(&host) {
            true => "https://another.example".to_owned(),
            false => issuer.to_owned(),
        };
        let late = self.late.borrow().contains(&host);
        let current = Epoch::containing(self.gateway_now(host), HOUR).unwrap();
        let epoch_keys = |group| {
            let mut keys = keyring.published(group);
            keys.retain(|key| !late || key.epoch_start != current.start());
            keys
        };
        let groups = caller.groups().map(|group| GroupKeys {
            name: group.name.clone(),
            issuer: issuer(&group.issuer),
            epoch_seconds: group.epoch_seconds,
            epoch_keys: epoch_keys(group),
            token_keys: versions()
                .map(|version| PublicTokenKey {
                    name: "deploy".into(),
                    version,
                    signs: version == self.key_version.get(),
                    algorithm: "ES256".into(),
                    audiences: vec![AUDIENCE.into()],
                    kid: Self::token_key(version).kid().into(),
                    jwk: Self::token_key(version).public_jwk(),
                })
                .collect(),
        });
        let keys = Keys {
            now: self.gateway_now(host).0,
            generation: keyring.generation(),
            seconds_left: 7_200,
            groups: groups.collect(),
        };
        keys.to_json()
    }

    fn rule(&self) -> &KeyRule {
        self.rules.keys().next().unwrap()
    }

    fn answer(&self, host: char, path: &str, sent: &str, body: Option<String>) -> Result<String, Refusal> {
        let caller = self.rules.caller(sent, None)?;
        let body = body.unwrap_or_default();
        let is_limited = |it: &&str| *it == format!("{host} {path}");
        let retry_after_seconds = 1;
        match path {
            SEED_PATH if self.limited.borrow().iter().any(is_limited) => Err(Refusal::SeedRate { retry_after_seconds }),
            KEYS_PATH if self.limited.borrow().iter().any(is_limited) => Err(Refusal::KeysRate { retry_after_seconds }),
            KEYS_PATH => Ok(self.keys(host)),
            SEED_PATH => {
                let ask = SeedRequest::parse(body.as_bytes()).map_err(|_| Refusal::Request)?;
                let (group, now) = (caller.group(&ask.group)?, self.gateway_now(host));
                let keyring = self.keyring(host);
                let seed = keyring.hand_out(group, ask.generation, &ask.algorithm, ask.epoch_start, now)?;
                Ok(seed_answer(seed).to_string())
            }
            SIGN_PATH if self.busy.borrow().contains(&host) => Err(Refusal::Rate { retry_after_seconds: 1 }),
            SIGN_PATH => {
                let ask = SignRequest::parse(body.as_bytes()).map_err(|_| Refusal::Request)?;
                let active = self.key_version.get();
                let now = self.gateway_now(host).0;
                let known = |kid: &str| kid == Self::token_key(active).kid();
                let input = SigningInput::check(ask, self.rule(), known, now)?;
                let in_share = input.workload().is_some_and(|it| it.principal == "in-share");
                let version = self.canary.get().filter(|_| in_share).unwrap_or(active);
                let key = Self::token_key(version);
                let signed = input.signed_by(self.rule(), key.kid());
                let answer = Signature {
                    kid: key.kid().into(),
                    version,
                    signature: key.sign(signed.as_bytes(), &entropy()).unwrap().to_vec(),
                };
                Ok(answer.to_json())
            }
            _ => panic!("{path}"),
        }
    }

    pub(super) fn take_asked(&self) -> Vec<String> {
        self.asked.take()
    }
}

/// The host's randomness.
fn entropy() -> Entropy {
    Entropy::from_bytes([7; ENTROPY_BYTES])
}

impl Network for Gateways {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.now.get())
    }

    fn entropy(&self) -> Result<Entropy, Error> {
        match self.without_entropy.get() {
            true => Err(Error::Internal),
            false => Ok(entropy()),
        }
    }

    async fn send(&self, url: &str, sent: &str, body: Option<String>) -> Result<Answer, Unreachable> {
        let host = url.strip_prefix("https://").unwrap().chars().next().unwrap();
        let path = &url["https://a".len()..];
        let asked = format!("{host} {path}");
        let broken = self.broken.borrow().contains(&asked.as_str());
        self.asked.borrow_mut().push(asked);
        // Let other tasks run, as on a real network.
        yield_once().await;
        if self.down.borrow().contains(&host) {
            return Err(Unreachable::NotReached(UnreachableCause::ConnectionFailed));
        }
        let strange = self.strange.borrow();
        if let Some((_, status)) = strange.iter().find(|(it, _)| *it == host) {
            return Ok(Answer { status: *status, body: b"{}".to_vec() });
        }
        let outcome = match broken {
            true => Err(Refusal::HsmUnavailable),
            false => self.answer(host, path, sent, body),
        };
        let (status, body) = match outcome {
            Ok(body) => (200, body),
            Err(refusal) => {
                let body = format!(r#"{{"error":"{}"}}"#, refusal.slug());
                (refusal.status(), body)
            }
        };
        Ok(Answer { status, body: body.into_bytes() })
    }

    async fn pause(&self, _: u64) -> Result<(), Unreachable> {
        yield_once().await;
        Ok(())
    }
}
