//! In-memory ports: deterministic, scriptable, and recording each call.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use vouchsafe_exchange::client_address::TrustedProxies;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::limited::LimitedTokens;
use vouchsafe_exchange::ports::{Identity, Instance, KnownKeys, Policy, Signer, Store};
use vouchsafe_exchange::refusal::{Part, Refusal, ReplayFault};
use vouchsafe_exchange::settings::Settings;
use vouchsafe_types::{
    Attribute, AttributeValue, Audience, AuditRecord, BundleInfo, Client, Consumption, Decision, Effect, IssuerRecord,
    KeySet, KeySource, Principal, ProofError, Recorded, ReplayMode, SignedToken, SigningRequest, StatusReference,
    Subject, Tier, TokenError, TokenRequest, TokenUse, VerifiedProof,
};

pub const NOW: u64 = 1_800_000_000;

/// An event that happens during a call.
pub type Act = Box<dyn Fn(&Fake)>;

/// Ports that allow everything until a test changes that.
pub struct Fake {
    /// The clock; a request reads it once, except for `limit`.
    pub now: Cell<u64>,
    pub clients: RefCell<Vec<Client>>,
    pub issuer: RefCell<Option<IssuerRecord>>,
    pub audience: RefCell<Option<Audience>>,
    pub subject: RefCell<Subject>,
    /// Who the actor token `agent` names.
    pub actor: RefCell<Subject>,
    pub actor_issuer: RefCell<IssuerRecord>,
    pub actor_error: RefCell<Option<TokenError>>,
    /// Whether policy lets the actor act.
    pub may_act: Cell<bool>,
    /// Who was to act for whom.
    pub acts: RefCell<Vec<(String, String)>>,
    pub permitted: Cell<bool>,
    /// Policy denies scopes beyond these.
    pub scopes_allowed: RefCell<Option<Vec<String>>>,
    /// The token's `kid` and the published ones, which double as the digest of the key set.
    pub token_kid: RefCell<String>,
    pub published: RefCell<Option<String>>,
    pub verify_error: RefCell<Option<TokenError>>,
    pub unavailable: RefCell<Vec<&'static str>>,
    /// By key: when the token was issued, how long the use is kept, and how often it was used.
    pub consumed: RefCell<HashMap<String, (u64, u64, u32)>>,
    pub predates: Cell<bool>,
    pub records: RefCell<Vec<AuditRecord>>,
    pub signed: RefCell<Vec<SigningRequest>>,
    pub questions: RefCell<Vec<TokenRequest>>,
    pub documents: RefCell<HashMap<String, String>>,
    pub leases: RefCell<HashMap<String, u64>>,
    pub pointers: RefCell<HashMap<String, String>>,
    /// Names of documents, in the order of their reads.
    pub read: RefCell<Vec<String>>,
    pub memory: RefCell<HashMap<String, KnownKeys>>,
    pub calls: RefCell<Vec<&'static str>>,
    pub trust_domain: RefCell<Option<String>>,
    pub trusted_proxies: RefCell<TrustedProxies>,
    pub jitter: Cell<u64>,
    /// The highest generation that the store remembers.
    pub generation_seen: Cell<u64>,
    /// Whether a revocation matches every token.
    pub revoked: Cell<bool>,
    pub proof_nonce_required: Cell<bool>,
    /// The clock's time at the end of the request, if it moves.
    pub moves_to: Cell<Option<u64>>,
    pub bundle_digest: RefCell<String>,
    /// The store's answers to the next refusals; `Written` once it is empty.
    pub recorded: RefCell<VecDeque<Recorded>>,
    pub limited: RefCell<LimitedTokens>,
    /// Called while a request waits for another one's fetch.
    pub while_waiting: RefCell<Option<Act>>,
    /// Called once, before the issuer responds.
    pub while_fetching: RefCell<Option<Act>>,
}

impl Fake {
    pub fn new() -> Self {
        Self {
            now: Cell::new(NOW),
            clients: RefCell::default(),
            issuer: RefCell::new(Some(issuer(ReplayMode::Allow))),
            audience: RefCell::new(Some(audience())),
            subject: RefCell::new(subject()),
            actor: RefCell::new(agent()),
            actor_issuer: RefCell::new(cluster(ReplayMode::Allow)),
            actor_error: RefCell::new(None),
            may_act: Cell::new(true),
            acts: RefCell::default(),
            permitted: Cell::new(true),
            proof_nonce_required: Cell::new(false),
            scopes_allowed: RefCell::new(None),
            token_kid: RefCell::new("k1".into()),
            published: RefCell::new(Some("k1".into())),
            verify_error: RefCell::new(None),
            unavailable: RefCell::new(Vec::new()),
            consumed: RefCell::default(),
            predates: Cell::new(false),
            records: RefCell::default(),
            signed: RefCell::default(),
            questions: RefCell::default(),
            documents: RefCell::default(),
            leases: RefCell::default(),
            pointers: RefCell::default(),
            read: RefCell::default(),
            memory: RefCell::default(),
            calls: RefCell::default(),
            trust_domain: RefCell::new(None),
            trusted_proxies: RefCell::default(),
            jitter: Cell::new(0),
            generation_seen: Cell::new(0),
            revoked: Cell::new(false),
            moves_to: Cell::new(None),
            bundle_digest: RefCell::new("b1".into()),
            recorded: RefCell::default(),
            limited: RefCell::default(),
            while_waiting: RefCell::new(None),
            while_fetching: RefCell::new(None),
        }
    }

    pub fn count(&self, call: &str) -> usize {
        self.calls.borrow().iter().filter(|known| **known == call).count()
    }

    fn call(&self, name: &'static str, part: Part) -> Result<(), Failure> {
        self.calls.borrow_mut().push(name);
        if self.unavailable.borrow().contains(&name) {
            return Err(Refusal::Unavailable(part).into());
        }
        Ok(())
    }
}

pub fn issuer(replay: ReplayMode) -> IssuerRecord {
    IssuerRecord {
        name: "ci".into(),
        issuer: "https://ci.example".into(),
        provider: "oidc".into(),
        audiences: vec!["https://broker.example".into()],
        algorithms: vec!["RS256".into()],
        keys: KeySource::Discovery,
        keys_max_age_seconds: 300,
        stale_keys_max_seconds: 0,
        max_token_age_seconds: 600,
        leeway_seconds: 30,
        replay,
        claims: Vec::new(),
        require: Vec::new(),
        subject_template: None,
        allow_act: false,
        development: false,
        authenticated: false,
    }
}

pub fn audience() -> Audience {
    Audience {
        id: "https://api.example".into(),
        view: None,
        tier: Tier::Delegated,
        algorithm: "ES256".into(),
        default_lifetime_seconds: 300,
        max_lifetime_seconds: 900,
        scopes: vec!["read".into(), "write".into()],
        scopes_required: false,
        claims: vec!["repository".into(), "missing".into()],
        replay: ReplayMode::Allow,
        outlive_subject: false,
        proof_required: false,
        allow_act: false,
        authorization_server: false,
        status_list: false,
    }
}

pub fn subject() -> Subject {
    Subject {
        principal: Principal {
            entity_type: "GitHub::Workflow".into(),
            id: "repo:o/r".into(),
            issuer_name: "ci".into(),
            attributes: vec![Attribute { name: "repository".into(), value: AttributeValue::Text("o/\"r\"".into()) }],
        },
        iss: "https://ci.example".into(),
        name: "repo:o/r".into(),
        jti: Some("j1".into()),
        exp: NOW + 3600,
        iat: Some(NOW - 10),
        signing_input_digest: "d1".into(),
        key_thumbprint: None,
        actors: Vec::new(),
        may_act: None,
        scopes: None,
        txn: None,
    }
}

/// The subject of the actor token `agent`.
pub fn agent() -> Subject {
    Subject {
        principal: Principal {
            entity_type: "Kubernetes::ServiceAccount".into(),
            id: "system:serviceaccount:ai:agent".into(),
            issuer_name: "cluster".into(),
            attributes: Vec::new(),
        },
        iss: "https://cluster.example".into(),
        name: "agent".into(),
        jti: Some("a1".into()),
        exp: NOW + 1800,
        signing_input_digest: "d2".into(),
        ..subject()
    }
}

/// The issuer of the actor token.
pub fn cluster(replay: ReplayMode) -> IssuerRecord {
    IssuerRecord { name: "cluster".into(), issuer: "https://cluster.example".into(), ..issuer(replay) }
}

impl Instance for Fake {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn clock(&self) -> u64 {
        self.moves_to.get().unwrap_or(self.now.get())
    }

    fn elapsed_us(&self) -> u64 {
        0
    }

    fn decision_id(&self) -> Result<String, Failure> {
        if self.unavailable.borrow().contains(&"decision_id") {
            return Err(Refusal::Internal.into());
        }
        Ok(format!("decision-{}", self.records.borrow().len()))
    }

    fn salt(&self) -> Result<(u64, u64, u64, u64), Failure> {
        Ok((1, 2, 3, 4))
    }

    fn jitter(&self) -> u64 {
        self.jitter.get()
    }

    async fn pause(&self, _milliseconds: u64) {
        self.calls.borrow_mut().push("pause");
        if let Some(act) = self.while_waiting.borrow().as_ref() {
            act(self);
        }
    }

    fn limited_until(&self, digest: &str) -> Option<u64> {
        self.limited.borrow().until(digest, self.now.get())
    }

    fn limit(&self, digest: &str, until: u64) {
        let mut limited = self.limited.borrow_mut();
        limited.note(digest, until, self.now.get());
    }

    fn remembered_keys(&self, id: &str) -> Option<KnownKeys> {
        self.memory.borrow().get(id).cloned()
    }

    fn remember_keys(&self, id: &str, keys: &KnownKeys) {
        self.memory.borrow_mut().insert(id.to_owned(), keys.clone());
    }

    fn refresh_later(&self, _: &BundleInfo, _: &Rc<IssuerRecord>) {
        self.calls.borrow_mut().push("refresh_later");
    }
}

impl Signer for Fake {
    async fn settings(&self) -> Result<Settings, Failure> {
        self.call("settings", Part::Signer)?;
        let algorithms = vec!["ES256".into()];
        Ok(Settings {
            issuer: "https://broker.example".into(),
            development: false,
            epoch_seconds: 3600,
            algorithms,
            backend_urls: Vec::new(),
            warnings: Vec::new(),
            trusted_proxies: self.trusted_proxies.borrow().clone(),
            group: "default".into(),
            root_fingerprint: None,
        })
    }

    async fn proof_nonces(&self) -> Result<Vec<String>, Failure> {
        self.call("proof_nonces", Part::Signer)?;
        Ok(vec!["n2".into(), "n1".into()])
    }

    async fn sign(&self, request: SigningRequest) -> Result<SignedToken, Failure> {
        self.call("sign", Part::Signer)?;
        let expires_at = request.issued_at + request.lifetime_seconds;
        self.signed.borrow_mut().push(request);
        Ok(SignedToken {
            jwt: "signed.by.fake".into(),
            kid: "kid-1".into(),
            key_version: "1".into(),
            generation: Some(2),
            expires_at,
        })
    }
}

impl Store for Fake {
    async fn consume(&self, uses: Vec<TokenUse>) -> Result<Vec<Consumption>, Failure> {
        self.call("consume", Part::Store)?;
        let mut consumed = self.consumed.borrow_mut();
        let consume = |TokenUse { key, uses_max, issued_at, keep_until }| {
            if self.predates.get() {
                return Consumption::PredatesStore;
            }
            let entry = consumed.entry(key).or_insert((issued_at, keep_until, 0));
            if entry.2 >= uses_max {
                return Consumption::Spent;
            }
            entry.2 += 1;
            Consumption::Fresh
        };
        Ok(uses.into_iter().map(consume).collect())
    }

    async fn record(&self, record: AuditRecord) -> Result<Recorded, Failure> {
        self.call("record", Part::Store)?;
        if let Some(generation) = &record.generation {
            assert_eq!(generation.of, "https://broker.example default");
            if generation.number < self.generation_seen.get() {
                return Ok(Recorded::Superseded);
            }
        }
        let refused = record.refused.is_some();
        if self.revoked.get() && !refused {
            return Ok(Recorded::Revoked);
        }
        self.records.borrow_mut().push(record);
        let scripted = refused.then(|| self.recorded.borrow_mut().pop_front());
        Ok(scripted.flatten().unwrap_or(Recorded::Written))
    }

    async fn status_index(&self) -> Result<StatusReference, Failure> {
        self.call("status_index", Part::Store)?;
        Ok(StatusReference { list: "1-2".into(), index: 3 })
    }

    async fn lease(&self, name: &str, ttl_ms: u64) -> Result<bool, Failure> {
        self.call("lease", Part::Store)?;
        let (now, mut leases) = (self.now.get(), self.leases.borrow_mut());
        // As in the store, a later end comes from a clock that was ahead.
        let held = now + 1..=now + ttl_ms / 1000 + 30;
        if leases.get(name).is_some_and(|until| held.contains(until)) {
            return Ok(false);
        }
        leases.insert(name.to_owned(), now + ttl_ms / 1000);
        Ok(true)
    }

    async fn document(&self, name: &str) -> Result<Option<String>, Failure> {
        self.call("document", Part::Store)?;
        self.read.borrow_mut().push(name.to_owned());
        Ok(self.documents.borrow().get(name).cloned())
    }

    async fn put_document(&self, name: &str, body: String, _keep_until: u64) -> Result<(), Failure> {
        self.call("put_document", Part::Store)?;
        self.documents.borrow_mut().insert(name.to_owned(), body);
        Ok(())
    }

    async fn generation(&self, of: &str) -> Result<Option<u64>, Failure> {
        self.call("generation", Part::Store)?;
        assert_eq!(of, "https://broker.example default");
        Ok(Some(self.generation_seen.get()).filter(|seen| *seen > 0))
    }

    async fn pointer(&self, name: &str) -> Result<Option<String>, Failure> {
        self.call("pointer", Part::Store)?;
        Ok(self.pointers.borrow().get(name).cloned())
    }

    async fn create_pointer(&self, name: &str, value: &str) -> Result<bool, Failure> {
        self.call("create_pointer", Part::Store)?;
        let mut pointers = self.pointers.borrow_mut();
        let created = !pointers.contains_key(name);
        pointers.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        Ok(created)
    }
}

impl Policy for Fake {
    async fn bundle(&self, _settings: &Settings) -> Result<BundleInfo, Failure> {
        self.call("bundle", Part::Policy)?;
        Ok(BundleInfo {
            name: "test".into(),
            version: "1".into(),
            digest: self.bundle_digest.borrow().clone(),
            seals: None,
            proof_nonce_required: self.proof_nonce_required.get(),
        })
    }

    fn issuer(&self, _bundle: &BundleInfo, iss: &str) -> Result<Option<Rc<IssuerRecord>>, Failure> {
        self.call("issuer", Part::Policy)?;
        let known = self.issuer.borrow().clone().into_iter().chain([self.actor_issuer.borrow().clone()]);
        Ok(known.into_iter().find(|issuer| issuer.issuer == iss).map(Rc::new))
    }

    fn audience(&self, _bundle: &BundleInfo, id: &str) -> Result<Option<Rc<Audience>>, Failure> {
        self.call("audience", Part::Policy)?;
        Ok(self.audience.borrow().clone().filter(|audience| audience.id == id).map(Rc::new))
    }

    fn client(&self, _: &BundleInfo, id: &str) -> Result<Option<Client>, Failure> {
        self.call("client", Part::Policy)?;
        let clients = self.clients.borrow();
        Ok(clients.iter().find(|client| client.principal.id == id).cloned())
    }

    fn has_clients(&self, _: &BundleInfo) -> Result<bool, Failure> {
        self.call("has_clients", Part::Policy)?;
        Ok(!self.clients.borrow().is_empty())
    }

    fn decide(&self, _: &BundleInfo, _: &Principal, request: &TokenRequest, _: u64) -> Result<Decision, Failure> {
        self.call("decide", Part::Policy)?;
        self.questions.borrow_mut().push(request.clone());
        let within = |allowed: &Vec<String>| request.scopes.iter().all(|scope| allowed.contains(scope));
        let permitted = self.permitted.get() && self.scopes_allowed.borrow().as_ref().is_none_or(within);
        let determining_rules = if permitted { vec!["rule-1".into()] } else { Vec::new() };
        Ok(Decision {
            effect: if permitted { Effect::Permit } else { Effect::Deny },
            determining_rules,
            erring_rules: Vec::new(),
            cedar_request: "{}".into(),
        })
    }

    fn decide_actor(
        &self,
        _: &BundleInfo,
        actor: &Principal,
        subject: &Principal,
        _: &TokenRequest,
        _: u64,
    ) -> Result<Decision, Failure> {
        self.call("decide_actor", Part::Policy)?;
        self.acts.borrow_mut().push((actor.id.clone(), subject.id.clone()));
        let permitted = self.permitted.get() && self.may_act.get();
        Ok(Decision {
            effect: if permitted { Effect::Permit } else { Effect::Deny },
            determining_rules: if permitted { vec!["actor-1".into(), "rule-1".into()] } else { Vec::new() },
            erring_rules: Vec::new(),
            cedar_request: r#"{"action":"act_for"}"#.into(),
        })
    }
}

impl Identity for Fake {
    /// Whether it is the actor token.
    type Token = bool;

    fn parse(&self, token: &str) -> Result<bool, Failure> {
        self.call("parse", Part::Issuer)?;
        Ok(token == "agent")
    }

    fn issuers(&self, is_actor: &bool) -> Vec<String> {
        if *is_actor {
            return vec![self.actor.borrow().iss.clone()];
        }
        let iss = Some(self.subject.borrow().iss.clone()).filter(|iss| !iss.is_empty());
        iss.into_iter().chain(self.trust_domain.borrow().clone()).collect()
    }

    fn verify(&self, is_actor: &bool, _: &IssuerRecord, keys: &KeySet, now: u64) -> Result<Subject, Failure> {
        self.call(if *is_actor { "verify_actor" } else { "verify" }, Part::Issuer)?;
        assert!(now < keys.trusted_until, "keys are used only while they are trusted");
        let (error, subject) = match is_actor {
            true => (&self.actor_error, &self.actor),
            false => (&self.verify_error, &self.subject),
        };
        if let Some(error) = error.borrow().clone() {
            return Err(Refusal::Token(error).into());
        }
        if !keys.digest.contains(self.token_kid.borrow().as_str()) {
            return Err(Refusal::Token(TokenError::KeyUnknown).into());
        }
        Ok(subject.borrow().clone())
    }

    fn verify_proof(&self, proof: &str, method: &str, url: &str, now: u64) -> Result<VerifiedProof, Failure> {
        self.call("verify_proof", Part::Issuer)?;
        assert_eq!((method, url, now), ("POST", "https://broker.example/token", self.now.get()));
        let (key_thumbprint, jti) = proof.split_once(' ').ok_or(ProofError::SignatureInvalid)?;
        let (jti, nonce) = jti.split_once(' ').map_or((jti, None), |(jti, nonce)| (jti, Some(nonce.to_owned())));
        Ok(VerifiedProof { key_thumbprint: key_thumbprint.into(), jti: jti.into(), issued_at: now - 1, nonce })
    }

    async fn fetch_keys(&self, _: &IssuerRecord, _: Option<&KeySet>, now: u64) -> Result<KeySet, Failure> {
        self.call("fetch_keys", Part::Issuer)?;
        if let Some(act) = self.while_fetching.take() {
            act(self);
        }
        let published = self.published.borrow().clone().ok_or(Failure {
            refusal: Refusal::Unavailable(Part::Issuer),
            detail: "the issuer responded with status 500".to_owned(),
        })?;
        Ok(KeySet { digest: published, document: "{}".into(), trusted_until: now + 300, etag: None })
    }
}

/// Runs a future that never actually waits.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Keeps the enum's name in scope of every test file.
pub const SPENT: Refusal = Refusal::Replay(ReplayFault::Spent);
