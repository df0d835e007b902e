//! What the exchange needs of the outside, as capabilities.
//!
//! The component implements [`Ports`] over its WIT imports; tests implement it in memory.

use crate::client_address::TrustedProxies;
use crate::refusal::Refusal;
use std::net::IpAddr;

/// Seconds since the Unix epoch.
pub type UnixSeconds = u64;

/// A port's failure: what the caller is told, and what only the log may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub refusal: Refusal,
    /// For the log. Never a token, a key or a claim's value.
    pub detail: String,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            detail: String::new(),
        }
    }
}

/// What the signer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub issuer: String,
    pub development: bool,
    pub epoch_seconds: u64,
    pub algorithms: Vec<String>,
    /// URLs of what stands behind the signer, which no issuer may name as its own.
    pub backend_urls: Vec<String>,
    /// What the signer tells an operator to change.
    pub warnings: Vec<String>,
    pub trusted_proxies: TrustedProxies,
    /// The signer's key group.
    pub group: String,
}

impl Settings {
    /// The name under which the store remembers generations.
    #[must_use]
    pub fn generation_of(&self) -> String {
        // Neither has a space.
        format!("{} {}", self.issuer, self.group)
    }
}

/// Names and digest of the loaded bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub name: String,
    pub version: String,
    pub digest: String,
}

/// What a token says of itself. Good for choosing keys only.
#[derive(Debug, Clone)]
pub struct Peeked {
    pub iss: Option<String>,
    /// The trust domain of a SPIFFE ID, as an issuer: `spiffe://example.org`.
    pub trust_domain: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayMode {
    Allow,
    /// So many uses, 2 or more.
    Bounded(u32),
    SingleUse,
}

/// A configured issuer: what the exchange reads of it, and the record as the ports know it.
#[derive(Debug, Clone)]
pub struct Issuer<Record> {
    pub name: String,
    pub iss: String,
    pub replay: ReplayMode,
    /// How long keys are used past their trust while the issuer can't be asked.
    pub stale_keys_max_seconds: u64,
    /// Whether keys are part of the bundle, so that nothing is ever fetched.
    pub pinned: bool,
    pub record: Record,
}

/// A JWK Set as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    pub digest: String,
    pub document: String,
    /// First moment at which the keys are no longer trusted.
    pub trusted_until: UnixSeconds,
    pub etag: Option<String>,
}

/// A key set that an instance holds in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKeys {
    pub keys: KeySet,
    /// When this instance renews them, ahead of the end of their trust.
    pub refresh_at: UnixSeconds,
    /// When they were last fetched because of an unknown `kid`; 0 for never.
    pub unknown_kid_at: UnixSeconds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
    TextSet(Vec<String>),
}

/// A verified subject, as identity proved it.
#[derive(Debug, Clone)]
pub struct Subject {
    pub issuer_name: String,
    pub iss: String,
    /// What the issued token's `sub` holds behind `<issuer name>:`.
    pub subject: String,
    pub jti: Option<String>,
    pub exp: UnixSeconds,
    pub iat: Option<UnixSeconds>,
    pub signing_input_digest: String,
    pub entity_type: String,
    pub entity_id: String,
    pub attributes: Vec<(String, AttributeValue)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Delegated,
    Hsm,
}

/// An audience file.
#[derive(Debug, Clone)]
pub struct Audience {
    pub id: String,
    pub tier: Tier,
    pub algorithm: String,
    pub default_lifetime_seconds: u64,
    pub max_lifetime_seconds: u64,
    pub scopes: Vec<String>,
    pub claims: Vec<String>,
    pub replay: ReplayMode,
    pub outlive_subject: bool,
}

/// What Cedar is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub audience: String,
    pub scopes: Vec<String>,
    pub requested_lifetime_seconds: u64,
    /// As far as trusted proxies can tell.
    pub client_ip: Option<IpAddr>,
}

/// What Cedar answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub permitted: bool,
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
    pub cedar_request: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumption {
    Fresh,
    PredatesStore,
    Spent,
}

/// One decision about a verified token, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    pub decision_id: String,
    pub decided_at: UnixSeconds,
    /// None for an issued token.
    pub refused: Option<Refused>,
    pub slug: &'static str,
    pub bundle_digest: String,
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
    pub cedar_request: String,
    pub issuer_name: String,
    pub subject: String,
    pub subject_jti: String,
    pub subject_digest: String,
    pub audience: String,
    pub scopes: Vec<String>,
    pub kid: String,
    pub expires_at: UnixSeconds,
    pub timings: Vec<(&'static str, u64)>,
    /// Of an issued token: the generation of the key that signed it.
    pub generation: Option<Generation>,
}

/// A generation of epoch keys, of one issuer and key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    pub of: String,
    pub number: u64,
}

/// How a refusal is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub kind: RefusedKind,
    /// Refusals with the same key repeat each other.
    pub key: String,
}

/// The two kinds of refusals, which the store counts separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    Denial,
    /// A part that the decision needed was unavailable.
    Outage,
}

/// What became of an audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    Written,
    /// A refusal that repeats earlier ones was counted on the record of `decision_id`.
    Counted {
        decision_id: String,
    },
    /// The same, and the subject had too many refusals in this minute, which ends at `until`.
    Limited {
        decision_id: String,
        until: UnixSeconds,
    },
    /// A higher generation was recorded before; nothing was written.
    Superseded,
}

/// What the signer is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    pub tier: Tier,
    pub algorithm: String,
    pub access_token: bool,
    pub issued_at: UnixSeconds,
    pub lifetime_seconds: u64,
    pub jti: String,
    pub scopes: Vec<String>,
    /// Name and JSON value.
    pub extra_claims: Vec<(String, String)>,
    /// Issuer and immutable id of the workload, for rollout shares.
    pub presented: (String, String),
}

/// What the signer gave.
pub struct SignedToken {
    pub jwt: String,
    pub kid: String,
    /// Of an epoch key: its generation.
    pub generation: Option<u64>,
    pub expires_at: UnixSeconds,
}

/// Everything outside of the exchange.
#[expect(
    async_fn_in_trait,
    reason = "the only implementations are single-threaded guests and tests"
)]
pub trait Ports {
    /// The issuer record as the ports pass it from policy to identity.
    type Record: Clone;

    /// The broker's clock, read once per request.
    fn now(&self) -> UnixSeconds;
    /// The broker's clock, read at this call.
    fn clock(&self) -> UnixSeconds;
    /// Microseconds since some moment of this request; never decides anything.
    fn elapsed_us(&self) -> u64;
    /// A new decision id: 128 random bits, base64url.
    fn decision_id(&self) -> Result<String, Failure>;
    /// Waits, while another request fetches an issuer's keys.
    async fn pause(&self, milliseconds: u64);

    async fn settings(&self) -> Result<Settings, Failure>;
    async fn bundle(&self, settings: &Settings) -> Result<Bundle, Failure>;
    async fn issuer(
        &self,
        bundle: &Bundle,
        iss: &str,
    ) -> Result<Option<Issuer<Self::Record>>, Failure>;
    async fn audience(&self, bundle: &Bundle, id: &str) -> Result<Option<Audience>, Failure>;
    async fn decide(
        &self,
        bundle: &Bundle,
        subject: &Subject,
        question: &Question,
        now: UnixSeconds,
    ) -> Result<Decision, Failure>;

    async fn peek(&self, token: &str) -> Result<Peeked, Failure>;
    async fn fetch_keys(
        &self,
        issuer: &Issuer<Self::Record>,
        known: Option<&KeySet>,
        now: UnixSeconds,
    ) -> Result<KeySet, Failure>;
    async fn verify(
        &self,
        token: &str,
        issuer: &Issuer<Self::Record>,
        keys: &KeySet,
        now: UnixSeconds,
    ) -> Result<Subject, Failure>;

    async fn consume(
        &self,
        key: &str,
        uses_max: u32,
        issued_at: UnixSeconds,
        keep_until: UnixSeconds,
    ) -> Result<Consumption, Failure>;
    async fn record(&self, record: AuditRecord) -> Result<Recorded, Failure>;
    async fn lease(&self, name: &str, ttl_ms: u64) -> Result<bool, Failure>;
    async fn document(&self, name: &str) -> Result<Option<String>, Failure>;
    async fn put_document(
        &self,
        name: &str,
        body: String,
        keep_until: UnixSeconds,
    ) -> Result<(), Failure>;

    async fn sign(&self, request: SigningRequest) -> Result<SignedToken, Failure>;

    /// Until when the token with this digest of its signing input gets no decision, as far as this instance
    /// remembers.
    fn limited_until(&self, digest: &str) -> Option<UnixSeconds>;
    /// Remembers that the token gets no decision until then; the implementation bounds how many.
    fn limit(&self, digest: &str, until: UnixSeconds);

    /// Keys that this instance holds in memory for the issuer `id`.
    fn remembered_keys(&self, id: &str) -> Option<KnownKeys>;
    /// Holds `keys` in memory; the implementation bounds how many.
    fn remember_keys(&self, id: &str, keys: &KnownKeys);
    /// Has [`crate::keys::refresh`] run for the issuer once this request is answered, where the host
    /// allows that, else never: the keys are then fetched when they have expired.
    fn refresh_later(&self, bundle: &Bundle, issuer: &Issuer<Self::Record>);
    /// Any number; spreads what several instances would do at once.
    fn jitter(&self) -> u64;
}
