//! The exchange's ports over the broker's imports.
//!
//! Documented caches, per instance (I7): settings, bundle and the bundle's issuers and audiences that
//! were asked for, which can't change while an instance lives, and of which only those that the bundle
//! has are kept, so that it bounds them; fetched key sets, at most `KEY_SETS_IN_MEMORY_MAX`, each dying at its own
//! `trusted_until`; and tokens of subjects that were denied too often, at most `LIMITED_TOKENS_MAX`, each for a minute. The log counts
//! requests by route and slug. No other per-request data outlives its request.

use crate::bindings::{decisions, signing, state, verification};
use crate::convert;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use vouchsafe_exchange::keys::hex;
use vouchsafe_exchange::limited::LimitedTokens;
use vouchsafe_exchange::limits::KEY_SETS_IN_MEMORY_MAX;
use vouchsafe_exchange::log::{Line, Sampler};
use vouchsafe_exchange::ports::*;
use vouchsafe_exchange::refusal::Refusal;

/// The document with the seals of bundles that were checked, and how long it is kept.
const SEALS: &str = "policy/seals";
const SEALS_SECONDS: u64 = 30 * 24 * 3600;

thread_local! {
    static SETTINGS: RefCell<Option<Settings>> = const { RefCell::new(None) };
    static BUNDLE: RefCell<Option<Bundle>> = const { RefCell::new(None) };
    static ISSUERS: RefCell<BTreeMap<String, Issuer<Rc<decisions::IssuerRecord>>>> =
        const { RefCell::new(BTreeMap::new()) };
    static AUDIENCES: RefCell<BTreeMap<String, Audience>> = const { RefCell::new(BTreeMap::new()) };
    static GENERATION_SEEN: Cell<Option<GenerationSeen>> = const { Cell::new(None) };
    static WARM: Cell<bool> = const { Cell::new(false) };
    static KEY_SETS: RefCell<Vec<(String, KnownKeys)>> = const { RefCell::new(Vec::new()) };
    static LOG: RefCell<Sampler> = const { RefCell::new(Sampler::new()) };
    static LIMITED: RefCell<LimitedTokens> = const { RefCell::new(LimitedTokens::new()) };
}

/// The highest generation that the store remembers, and when it was asked.
#[derive(Clone, Copy)]
struct GenerationSeen {
    number: u64,
    at: UnixSeconds,
}

/// The ports of one request.
pub struct Wasm {
    started: Instant,
    now: UnixSeconds,
    loading_us: Cell<Option<u64>>,
}

impl Wasm {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            now: clock(),
            loading_us: Cell::new(None),
        }
    }

    /// How long this request took to load the bundle, if it was the first of its instance.
    pub fn loading_us(&self) -> Option<u64> {
        self.loading_us.get()
    }

    /// The keys that verifiers may be shown: none of a generation that is over, as far as the store can
    /// tell. While it can't be asked, keys are published on the signer's word alone: without them no
    /// token of anybody's verifies.
    pub async fn public_keys(&self) -> Result<signing::PublicKeySet, Failure> {
        let settings = self.settings().await?;
        let generation_min = self.generation_seen(&settings).await;
        signing::public_keys(generation_min)
            .await
            .map_err(Failure::from)
    }

    /// Asks the store once a second at most, since anybody can ask for keys.
    async fn generation_seen(&self, settings: &Settings) -> u64 {
        let known = GENERATION_SEEN.get();
        if let Some(seen) = known {
            if seen.at == self.now {
                return seen.number;
            }
            // Others at this moment don't wait for the store too.
            GENERATION_SEEN.set(Some(GenerationSeen {
                at: self.now,
                ..seen
            }));
        }
        let known = known.map_or(0, |seen| seen.number);
        let Ok(stored) = state::generation_get(settings.generation_of()).await else {
            return known;
        };
        let number = known.max(stored.unwrap_or(0));
        GENERATION_SEEN.set(Some(GenerationSeen {
            number,
            at: self.now,
        }));
        number
    }

    pub async fn backend(&self) -> Result<Option<signing::BackendStatus>, Failure> {
        signing::backend().await.map_err(Failure::from)
    }

    pub async fn store_ready(&self) -> Result<(), Failure> {
        state::ready().await.map_err(Failure::from)
    }

    /// Whether the store can be written, and how much room it has left.
    pub async fn store_space(&self) -> Result<&'static str, Failure> {
        Ok(match state::writable().await? {
            state::Space::Unknown => "unknown",
            state::Space::Ok => "ok",
            state::Space::Low => "low",
        })
    }

    /// Opens the store with an instance's first request, whatever that is: single-use tokens that
    /// are older than the store are refused, so it should be as old as the broker. What fails here
    /// fails again, and is told, where the store is needed.
    pub async fn warm(&self) {
        if !WARM.replace(true) {
            let _ = self.store_ready().await;
        }
    }
}

/// What to write to the log for `line`.
pub fn log_lines(line: &Line<'_>) -> Vec<String> {
    LOG.with_borrow_mut(|log| log.lines(line, clock()))
}

/// The wall clock now.
fn clock() -> UnixSeconds {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// A strong ETag of `body`.
pub fn etag(body: &str) -> String {
    let digest = hex(&Sha256::digest(body.as_bytes()));
    format!("\"{}\"", digest.get(..32).unwrap_or(&digest))
}

/// The digest of the bundle that this instance decides with.
pub fn loaded_digest() -> Option<String> {
    BUNDLE.with_borrow(|bundle| bundle.as_ref().map(|bundle| bundle.digest.clone()))
}

impl Ports for Wasm {
    type Record = Rc<decisions::IssuerRecord>;

    fn now(&self) -> UnixSeconds {
        self.now
    }

    fn clock(&self) -> UnixSeconds {
        clock()
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn decision_id(&self) -> Result<String, Failure> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| Failure {
            refusal: Refusal::Internal,
            detail: "the host gives no randomness".to_owned(),
        })?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    async fn pause(&self, milliseconds: u64) {
        spin_sdk::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    async fn settings(&self) -> Result<Settings, Failure> {
        if let Some(settings) = SETTINGS.with_borrow(Clone::clone) {
            return Ok(settings);
        }
        let settings = Settings::try_from(signing::settings().await?)?;
        SETTINGS.set(Some(settings.clone()));
        Ok(settings)
    }

    async fn bundle(&self, settings: &Settings) -> Result<Bundle, Failure> {
        if let Some(bundle) = BUNDLE.with_borrow(Clone::clone) {
            return Ok(bundle);
        }
        let from = self.elapsed_us();
        // Seals spare a new instance most of the checks. Without a store all is checked, as it is the
        // first time; whether the store can be used is told by those who need it.
        let kept = self.document(SEALS).await.ok().flatten();
        let loaded = decisions::load(settings.into(), kept).await?;
        if let Some(seals) = &loaded.seals {
            let until = self.now.saturating_add(SEALS_SECONDS);
            let _ = self.put_document(SEALS, seals.clone(), until).await;
        }
        let bundle = Bundle::from(loaded);
        BUNDLE.set(Some(bundle.clone()));
        let took = self.elapsed_us().saturating_sub(from);
        self.loading_us.set(Some(took));
        Ok(bundle)
    }

    async fn issuer(
        &self,
        bundle: &Bundle,
        iss: &str,
    ) -> Result<Option<Issuer<Self::Record>>, Failure> {
        if let Some(issuer) = ISSUERS.with_borrow(|known| known.get(iss).cloned()) {
            return Ok(Some(issuer));
        }
        let record = decisions::issuer(bundle.digest.clone(), iss.to_owned()).await?;
        let issuer = record.map(Issuer::from);
        if let Some(issuer) = &issuer {
            ISSUERS.with_borrow_mut(|known| known.insert(iss.to_owned(), issuer.clone()));
        }
        Ok(issuer)
    }

    async fn audience(&self, bundle: &Bundle, id: &str) -> Result<Option<Audience>, Failure> {
        if let Some(audience) = AUDIENCES.with_borrow(|known| known.get(id).cloned()) {
            return Ok(Some(audience));
        }
        let record = decisions::audience(bundle.digest.clone(), id.to_owned()).await?;
        let audience = record.map(Audience::from);
        if let Some(audience) = &audience {
            AUDIENCES.with_borrow_mut(|known| known.insert(id.to_owned(), audience.clone()));
        }
        Ok(audience)
    }

    async fn decide(
        &self,
        bundle: &Bundle,
        subject: &Subject,
        question: &Question,
        now: UnixSeconds,
    ) -> Result<Decision, Failure> {
        let decision =
            decisions::decide(bundle.digest.clone(), subject.into(), question.into(), now).await?;
        Ok(decision.into())
    }

    async fn peek(&self, token: &str) -> Result<Peeked, Failure> {
        let verification::Unverified {
            iss, trust_domain, ..
        } = verification::peek(token.to_owned()).await?;
        Ok(Peeked { iss, trust_domain })
    }

    async fn fetch_keys(
        &self,
        issuer: &Issuer<Self::Record>,
        known: Option<&KeySet>,
        now: UnixSeconds,
    ) -> Result<KeySet, Failure> {
        let record = issuer.record.as_ref();
        let credential = match record.authenticated {
            true => {
                let digest = loaded_digest().unwrap_or_default();
                decisions::credential(digest, issuer.iss.clone()).await?
            }
            false => None,
        };
        let known = known.map(Into::into);
        let closed = self.settings().await?.backend_urls;
        let keys = verification::fetch_keys(record.into(), known, credential, closed, now).await;
        keys.map(Into::into)
            .map_err(|error| convert::fetch_failure(&issuer.name, &error))
    }

    async fn verify(
        &self,
        token: &str,
        issuer: &Issuer<Self::Record>,
        keys: &KeySet,
        now: UnixSeconds,
    ) -> Result<Subject, Failure> {
        let subject = verification::verify(
            token.to_owned(),
            issuer.record.as_ref().into(),
            keys.into(),
            now,
        )
        .await?;
        Ok(subject.into())
    }

    async fn consume(
        &self,
        key: &str,
        uses_max: u32,
        issued_at: UnixSeconds,
        keep_until: UnixSeconds,
    ) -> Result<Consumption, Failure> {
        Ok(
            state::consume(key.to_owned(), uses_max, issued_at, keep_until)
                .await?
                .into(),
        )
    }

    async fn record(&self, record: AuditRecord) -> Result<Recorded, Failure> {
        Ok(state::record(record.into()).await?.into())
    }

    async fn lease(&self, name: &str, ttl_ms: u64) -> Result<bool, Failure> {
        Ok(state::lease(name.to_owned(), ttl_ms).await?)
    }

    async fn document(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(state::document_get(name.to_owned())
            .await?
            .map(|document| document.body))
    }

    async fn put_document(
        &self,
        name: &str,
        body: String,
        keep_until: UnixSeconds,
    ) -> Result<(), Failure> {
        Ok(state::document_put(name.to_owned(), state::Document { body, keep_until }).await?)
    }

    async fn sign(&self, request: SigningRequest) -> Result<SignedToken, Failure> {
        Ok(signing::sign_token(request.into()).await?.into())
    }

    fn limited_until(&self, digest: &str) -> Option<UnixSeconds> {
        LIMITED.with_borrow(|limited| limited.until(digest, self.now))
    }

    fn limit(&self, digest: &str, until: UnixSeconds) {
        LIMITED.with_borrow_mut(|limited| limited.note(digest, until, clock()));
    }

    fn remembered_keys(&self, id: &str) -> Option<KnownKeys> {
        KEY_SETS.with_borrow(|sets| {
            sets.iter()
                .find(|(known, _)| known == id)
                .map(|(_, keys)| keys.clone())
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

    fn refresh_later(&self, bundle: &Bundle, issuer: &Issuer<Self::Record>) {
        let (bundle, issuer) = (bundle.clone(), issuer.clone());
        spin_sdk::wasip3::spawn(async move {
            let ports = Self::new();
            // What fails here is tried again, and told, by the requests that need it.
            let _ = vouchsafe_exchange::keys::refresh(&ports, &bundle, &issuer, ports.now).await;
        });
    }

    /// Without randomness all instances renew at the earliest moment, which is no harm but to the
    /// issuer.
    fn jitter(&self) -> u64 {
        let mut bytes = [0; 8];
        match getrandom::fill(&mut bytes) {
            Ok(()) => u64::from_le_bytes(bytes),
            Err(_) => 0,
        }
    }
}
