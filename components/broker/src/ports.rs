//! The exchange's ports, implemented over the broker's imports.
//!
//! Documented caches, per instance (I7): settings; the bundle, and those of its issuers and audiences that requests
//! named, which cannot change while an instance lives and number at most as many as the bundle has; fetched key sets,
//! at most `KEY_SETS_IN_MEMORY_MAX`, each until its own `trusted_until`; their parsed forms and the checked issuers, as
//! handles of the identity component; and tokens of subjects that were denied too often, at most `LIMITED_TOKENS_MAX`,
//! each for a minute. No other per-request data outlives its request.

use crate::bindings::{decisions, signing, state, verification};
use crate::trusted::{checked_issuer, parsed_keys};
use crate::{random, status_index};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::limited::LimitedTokens;
use vouchsafe_exchange::limits::KEY_SETS_IN_MEMORY_MAX;
use vouchsafe_exchange::ports::{Identity, Instance, KnownKeys, Policy, Signer, Store};
use vouchsafe_exchange::settings::Settings;
use vouchsafe_types::{
    Audience, AuditRecord, BackendStatus, BundleInfo, Client, Consumption, Decision, Document, IssuerRecord, KeySet,
    Principal, PublicKeySet, Recorded, SignedToken, SigningRequest, Space, StatusReference, Subject, TokenRequest,
    TokenUse, VerifiedProof,
};

/// The document with the seals of validated bundles, and its retention.
const SEALS: &str = "policy/seals";
const SEALS_SECONDS: u64 = 30 * 24 * 3600;

thread_local! {
    static SETTINGS: RefCell<Option<Settings>> = const { RefCell::new(None) };
    static BUNDLE: RefCell<Option<BundleInfo>> = const { RefCell::new(None) };
    static ISSUERS: RefCell<BTreeMap<String, Rc<IssuerRecord>>> = const { RefCell::new(BTreeMap::new()) };
    static AUDIENCES: RefCell<BTreeMap<String, Rc<Audience>>> = const { RefCell::new(BTreeMap::new()) };
    static LATEST_GENERATION: Cell<Option<LatestGeneration>> = const { Cell::new(None) };
    static WARM: Cell<bool> = const { Cell::new(false) };
    static KEY_SETS: RefCell<Vec<(String, KnownKeys)>> = const { RefCell::new(Vec::new()) };
    static LIMITED: RefCell<LimitedTokens> = const { RefCell::new(LimitedTokens::new()) };
}

/// The highest generation that the store remembers, and when it was read.
#[derive(Clone, Copy)]
struct LatestGeneration {
    number: u64,
    /// Unix seconds.
    at: u64,
}

/// The ports of one request.
pub struct Wasm {
    started: Instant,
    now: u64,
    loading_us: Cell<Option<u64>>,
}

impl Wasm {
    pub fn new() -> Self {
        Self { started: Instant::now(), now: clock(), loading_us: Cell::new(None) }
    }

    /// How long this request took to load the bundle, if it did.
    pub fn loading_us(&self) -> Option<u64> {
        self.loading_us.get()
    }

    /// The keys for verifiers, excluding superseded generations as far as the store knows. While the store is
    /// unavailable, the signer's answer is published as is: without keys, no token verifies.
    pub async fn public_keys(&self) -> Result<PublicKeySet, Failure> {
        let generation_min = self.latest_generation().await?;
        signing::public_keys(generation_min).await.map_err(Failure::from)
    }

    /// Reads the store at most once a second, because anyone can request keys.
    pub async fn latest_generation(&self) -> Result<u64, Failure> {
        let settings = self.settings().await?;
        let known = LATEST_GENERATION.get();
        if let Some(latest) = known {
            if latest.at == self.now {
                return Ok(latest.number);
            }
            // Concurrent requests use the known generation instead of waiting for the store.
            LATEST_GENERATION.set(Some(LatestGeneration { at: self.now, ..latest }));
        }
        let known = known.map_or(0, |latest| latest.number);
        let Ok(stored) = state::generation_get(settings.generation_of()).await else {
            return Ok(known);
        };
        let number = known.max(stored.unwrap_or(0));
        LATEST_GENERATION.set(Some(LatestGeneration { number, at: self.now }));
        Ok(number)
    }

    /// The nonce for the next proof of a client that sent `proofs`, if proofs need one.
    pub async fn next_nonce(&self, proofs: &[String]) -> Option<String> {
        if proofs.is_empty() || !BUNDLE.with_borrow(|bundle| bundle.as_ref().is_some_and(|it| it.proof_nonce_required))
        {
            return None;
        }
        self.proof_nonces().await.ok()?.into_iter().next()
    }

    pub async fn backend(&self) -> Result<Option<BackendStatus>, Failure> {
        signing::backend().await.map_err(Failure::from)
    }

    /// What the signer refuses of the bundle's audiences.
    pub async fn conflicts(&self, bundle: &BundleInfo) -> Result<Vec<String>, Failure> {
        let audiences = decisions::list_audiences(&bundle.digest)?;
        signing::conflicts(audiences).await.map_err(Failure::from)
    }

    pub async fn store_ready(&self) -> Result<(), Failure> {
        state::ready().await.map_err(Failure::from)
    }

    /// Whether the store is writable, and how much space it has left.
    pub async fn store_space(&self) -> Result<&'static str, Failure> {
        Ok(match state::writable().await? {
            Space::Unknown => "unknown",
            Space::Ok => "ok",
            Space::Low => "low",
        })
    }

    /// Opens the store on an instance's first request, whatever its route: single-use tokens older than the store are
    /// refused, so it should be as old as the broker. Errors are dropped here; the call that needs the store reports
    /// them.
    pub async fn warm(&self) {
        if !WARM.replace(true) {
            let _ = self.store_ready().await;
        }
    }
}

/// The clock, in Unix seconds.
pub fn clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The digest of the bundle that this instance uses.
pub fn loaded_digest() -> Option<String> {
    BUNDLE.with_borrow(|bundle| bundle.as_ref().map(|bundle| bundle.digest.clone()))
}

impl Identity for Wasm {
    type Token = verification::UnverifiedToken;

    fn parse(&self, token: &str) -> Result<Self::Token, Failure> {
        Ok(verification::UnverifiedToken::parse(token)?)
    }

    fn issuers(&self, token: &Self::Token) -> Vec<String> {
        token.issuers()
    }

    fn verify(&self, token: &Self::Token, issuer: &IssuerRecord, keys: &KeySet, now: u64) -> Result<Subject, Failure> {
        let checked = checked_issuer(issuer)?;
        let parsed = parsed_keys(issuer, &checked, keys)?;
        Ok(token.verify(&checked, &parsed, keys.trusted_until, now)?)
    }

    fn verify_proof(&self, proof: &str, method: &str, url: &str, now: u64) -> Result<VerifiedProof, Failure> {
        Ok(verification::verify_proof(proof, method, url, None, now)?)
    }

    async fn fetch_keys(&self, issuer: &IssuerRecord, known: Option<&KeySet>, now: u64) -> Result<KeySet, Failure> {
        let credential = if issuer.authenticated {
            let digest = loaded_digest().unwrap_or_default();
            decisions::read_credential(digest, issuer.issuer.clone()).await?
        } else {
            None
        };
        let closed = self.settings().await?.backend_urls;
        let keys = verification::fetch_keys(issuer.clone(), known.cloned(), credential, closed, now).await;
        keys.map_err(|error| Failure::keys_unavailable(&issuer.name, &error))
    }
}

impl Policy for Wasm {
    async fn bundle(&self, settings: &Settings) -> Result<BundleInfo, Failure> {
        if let Some(bundle) = BUNDLE.with_borrow(Clone::clone) {
            return Ok(bundle);
        }
        let from = self.elapsed_us();
        // Seals spare a new instance most of the validation. Without a store, everything is validated; the request that
        // needs the store reports that it is unavailable.
        let kept = self.document(SEALS).await.ok().flatten();
        let mut bundle = decisions::load(settings.environment(), kept).await?;
        if let Some(seals) = bundle.seals.take() {
            let until = self.now.saturating_add(SEALS_SECONDS);
            let _ = self.put_document(SEALS, seals, until).await;
        }
        BUNDLE.set(Some(bundle.clone()));
        let took = self.elapsed_us().saturating_sub(from);
        self.loading_us.set(Some(took));
        Ok(bundle)
    }

    fn issuer(&self, bundle: &BundleInfo, iss: &str) -> Result<Option<Rc<IssuerRecord>>, Failure> {
        if let Some(issuer) = ISSUERS.with_borrow(|known| known.get(iss).cloned()) {
            return Ok(Some(issuer));
        }
        let issuer = decisions::find_issuer(&bundle.digest, iss)?.map(Rc::new);
        if let Some(issuer) = &issuer {
            ISSUERS.with_borrow_mut(|known| known.insert(iss.to_owned(), Rc::clone(issuer)));
        }
        Ok(issuer)
    }

    fn audience(&self, bundle: &BundleInfo, id: &str) -> Result<Option<Rc<Audience>>, Failure> {
        if let Some(audience) = AUDIENCES.with_borrow(|known| known.get(id).cloned()) {
            return Ok(Some(audience));
        }
        let audience = decisions::find_audience(&bundle.digest, id)?.map(Rc::new);
        if let Some(audience) = &audience {
            AUDIENCES.with_borrow_mut(|known| known.insert(id.to_owned(), Rc::clone(audience)));
        }
        Ok(audience)
    }

    fn client(&self, bundle: &BundleInfo, id: &str) -> Result<Option<Client>, Failure> {
        Ok(decisions::find_client(&bundle.digest, id)?)
    }

    fn has_clients(&self, bundle: &BundleInfo) -> Result<bool, Failure> {
        Ok(decisions::has_clients(&bundle.digest)?)
    }

    fn decide(
        &self,
        bundle: &BundleInfo,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, Failure> {
        Ok(decisions::decide(&bundle.digest, principal, request, now)?)
    }

    fn decide_actor(
        &self,
        bundle: &BundleInfo,
        actor: &Principal,
        subject: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, Failure> {
        Ok(decisions::decide_actor(&bundle.digest, actor, subject, request, now)?)
    }
}

impl Store for Wasm {
    async fn consume(&self, uses: Vec<TokenUse>) -> Result<Vec<Consumption>, Failure> {
        Ok(state::consume(uses).await?)
    }

    async fn record(&self, record: AuditRecord) -> Result<Recorded, Failure> {
        Ok(state::record(record).await?)
    }

    async fn status_index(&self) -> Result<StatusReference, Failure> {
        status_index::index(self.now, self.jitter()).await
    }

    async fn lease(&self, name: &str, ttl_ms: u64) -> Result<bool, Failure> {
        Ok(state::lease(name.to_owned(), ttl_ms).await?)
    }

    async fn document(&self, name: &str) -> Result<Option<String>, Failure> {
        let document = state::document_get(name.to_owned()).await?;
        Ok(document.map(|document| document.body))
    }

    async fn put_document(&self, name: &str, body: String, keep_until: u64) -> Result<(), Failure> {
        Ok(state::document_put(name.to_owned(), Document { body, keep_until }).await?)
    }

    async fn generation(&self, of: &str) -> Result<Option<u64>, Failure> {
        Ok(state::generation_get(of.to_owned()).await?)
    }

    async fn pointer(&self, name: &str) -> Result<Option<String>, Failure> {
        let pointer = state::pointer_get(name.to_owned()).await?;
        Ok(pointer.map(|pointer| pointer.value))
    }

    async fn create_pointer(&self, name: &str, value: &str) -> Result<bool, Failure> {
        Ok(state::pointer_compare_and_swap(name.to_owned(), None, value.to_owned()).await?)
    }
}

impl Signer for Wasm {
    async fn settings(&self) -> Result<Settings, Failure> {
        if let Some(settings) = SETTINGS.with_borrow(Clone::clone) {
            return Ok(settings);
        }
        let settings = Settings::try_from(signing::settings().await?)?;
        SETTINGS.set(Some(settings.clone()));
        Ok(settings)
    }

    async fn proof_nonces(&self) -> Result<Vec<String>, Failure> {
        Ok(signing::proof_nonces().await?)
    }

    async fn sign(&self, request: SigningRequest) -> Result<SignedToken, Failure> {
        match signing::sign_at_once(&request)? {
            Some(token) => Ok(token),
            None => Ok(signing::sign_token(request).await?),
        }
    }
}

impl Instance for Wasm {
    fn now(&self) -> u64 {
        self.now
    }

    fn clock(&self) -> u64 {
        clock()
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn decision_id(&self) -> Result<String, Failure> {
        random::id()
    }

    fn salt(&self) -> Result<(u64, u64, u64, u64), Failure> {
        random::words::<4>().map(Into::into)
    }

    /// Without randomness, all instances refresh keys at the earliest time, which costs the issuer a few extra
    /// requests.
    fn jitter(&self) -> u64 {
        random::words().map_or(0, |[word]| word)
    }

    async fn pause(&self, milliseconds: u64) {
        spin_sdk::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    fn limited_until(&self, digest: &str) -> Option<u64> {
        LIMITED.with_borrow(|limited| limited.until(digest, self.now))
    }

    fn limit(&self, digest: &str, until: u64) {
        LIMITED.with_borrow_mut(|limited| limited.note(digest, until, clock()));
    }

    fn remembered_keys(&self, id: &str) -> Option<KnownKeys> {
        KEY_SETS.with_borrow(|sets| {
            let known = sets.iter().find(|(known, _)| known == id);
            known.map(|(_, keys)| keys.clone())
        })
    }

    fn remember_keys(&self, id: &str, keys: &KnownKeys) {
        KEY_SETS.with_borrow_mut(|sets| {
            sets.retain(|(known, _)| known != id);
            if sets.len() >= KEY_SETS_IN_MEMORY_MAX {
                sets.remove(0);
            }
            sets.push((id.to_owned(), keys.clone()));
        });
    }

    fn refresh_later(&self, bundle: &BundleInfo, issuer: &Rc<IssuerRecord>) {
        let (bundle, issuer) = (bundle.clone(), Rc::clone(issuer));
        spin_sdk::wasip3::spawn(async move {
            let ports = Self::new();
            // Best effort: requests that need the keys retry, and report failures.
            let _ = vouchsafe_exchange::keys::refresh(&ports, &bundle, &issuer, ports.now).await;
        });
    }
}
