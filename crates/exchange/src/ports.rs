//! The capabilities that the exchange needs from outside.
//!
//! The broker component implements them over its WIT imports, one trait per import; tests implement them in memory.

use crate::failure::Failure;
use crate::settings::Settings;
use std::rc::Rc;
use vouchsafe_types::{
    Audience, AuditRecord, BundleInfo, Client, Consumption, Decision, IssuerRecord, KeySet, Principal, Recorded,
    SignedToken, SigningRequest, StatusReference, Subject, TokenRequest, TokenUse, VerifiedProof,
};

/// A key set that an instance holds in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKeys {
    pub keys: Rc<KeySet>,
    /// When this instance refreshes them, before their trust ends.
    pub refresh_at: u64,
    /// When keys were last fetched because of an unknown `kid`; 0 for never.
    pub unknown_kid_at: u64,
}

/// Verifies subject tokens and fetches issuers' keys.
#[expect(async_fn_in_trait, reason = "the only implementations are single-threaded guests and tests")]
pub trait Identity {
    /// A parsed but unverified token.
    type Token;

    fn parse(&self, token: &str) -> Result<Self::Token, Failure>;
    /// The issuers that the token names, in the order in which to look for a configured one.
    fn issuers(&self, token: &Self::Token) -> Vec<String>;
    fn verify(&self, token: &Self::Token, issuer: &IssuerRecord, keys: &KeySet, now: u64) -> Result<Subject, Failure>;
    /// Verifies a proof of possession for a request of `method` to `url`.
    fn verify_proof(&self, proof: &str, method: &str, url: &str, now: u64) -> Result<VerifiedProof, Failure>;
    async fn fetch_keys(&self, issuer: &IssuerRecord, known: Option<&KeySet>, now: u64) -> Result<KeySet, Failure>;
}

/// Loads the bundle and decides.
#[expect(async_fn_in_trait, reason = "the only implementations are single-threaded guests and tests")]
pub trait Policy {
    async fn bundle(&self, settings: &Settings) -> Result<BundleInfo, Failure>;
    fn issuer(&self, bundle: &BundleInfo, iss: &str) -> Result<Option<Rc<IssuerRecord>>, Failure>;
    fn audience(&self, bundle: &BundleInfo, id: &str) -> Result<Option<Rc<Audience>>, Failure>;
    fn client(&self, bundle: &BundleInfo, id: &str) -> Result<Option<Client>, Failure>;
    /// Whether the bundle has any client.
    fn has_clients(&self, bundle: &BundleInfo) -> Result<bool, Failure>;
    fn decide(
        &self,
        bundle: &BundleInfo,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, Failure>;
    /// Decides whether `subject` may have the token, and `actor` may act for it.
    fn decide_actor(
        &self,
        bundle: &BundleInfo,
        actor: &Principal,
        subject: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, Failure>;
}

/// Keeps the state that all instances share.
#[expect(async_fn_in_trait, reason = "the only implementations are single-threaded guests and tests")]
pub trait Store {
    /// The answers are in the order of the uses.
    async fn consume(&self, uses: Vec<TokenUse>) -> Result<Vec<Consumption>, Failure>;
    async fn record(&self, record: AuditRecord) -> Result<Recorded, Failure>;
    /// An index of a status list that no other token has.
    async fn status_index(&self) -> Result<StatusReference, Failure>;
    async fn lease(&self, name: &str, ttl_ms: u64) -> Result<bool, Failure>;
    async fn document(&self, name: &str) -> Result<Option<String>, Failure>;
    async fn put_document(&self, name: &str, body: String, keep_until: u64) -> Result<(), Failure>;
    /// The highest recorded generation of the name `of`.
    async fn generation(&self, of: &str) -> Result<Option<u64>, Failure>;
    async fn pointer(&self, name: &str) -> Result<Option<String>, Failure>;
    /// Creates the pointer `name`; false if it exists.
    async fn create_pointer(&self, name: &str, value: &str) -> Result<bool, Failure>;
}

/// Signs tokens.
#[expect(async_fn_in_trait, reason = "the only implementations are single-threaded guests and tests")]
pub trait Signer {
    async fn settings(&self) -> Result<Settings, Failure>;
    async fn sign(&self, request: SigningRequest) -> Result<SignedToken, Failure>;
    /// The nonces of which a proof of possession may have one now; the first is the one to give out.
    async fn proof_nonces(&self) -> Result<Vec<String>, Failure>;
}

/// The instance that runs the exchange: its clock, its randomness and its memory.
#[expect(async_fn_in_trait, reason = "the only implementations are single-threaded guests and tests")]
pub trait Instance {
    /// The time of the request in Unix seconds: the clock, read once per request.
    fn now(&self) -> u64;
    /// The clock at this call, in Unix seconds.
    fn clock(&self) -> u64;
    /// Microseconds since some point of this request, for timings only.
    fn elapsed_us(&self) -> u64;
    /// A new decision id: 128 random bits, base64url.
    fn decision_id(&self) -> Result<String, Failure>;
    /// 256 random bits, which hide a record in the log.
    fn salt(&self) -> Result<(u64, u64, u64, u64), Failure>;
    /// An arbitrary number that spreads simultaneous actions of several instances.
    fn jitter(&self) -> u64;
    /// Waits while another request fetches an issuer's keys.
    async fn pause(&self, milliseconds: u64);

    /// The time until which the token with this signing-input digest gets no decision, as far as this instance
    /// remembers.
    fn limited_until(&self, digest: &str) -> Option<u64>;
    /// Remembers that the token gets no decision until `until`; the implementation bounds the number of tokens.
    fn limit(&self, digest: &str, until: u64);
    /// Keys that this instance holds in memory for the issuer `id`.
    fn remembered_keys(&self, id: &str) -> Option<KnownKeys>;
    /// Holds `keys` in memory; the implementation bounds the number of issuers.
    fn remember_keys(&self, id: &str, keys: &KnownKeys);
    /// Runs [`crate::keys::refresh`] for the issuer after the response is sent, if the host supports that; otherwise
    /// the keys are fetched once they have expired.
    fn refresh_later(&self, bundle: &BundleInfo, issuer: &Rc<IssuerRecord>);
}

/// Everything that an exchange uses.
pub trait Ports: Identity + Policy + Store + Signer + Instance {}

impl<P: Identity + Policy + Store + Signer + Instance> Ports for P {}
