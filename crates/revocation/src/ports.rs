//! The capabilities that these endpoints need from outside.

use vouchsafe_exchange::client::{ClientDecision, Presented};
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::refusal::ClientFault;
use vouchsafe_exchange::settings::Settings;
use vouchsafe_types::{
    Added, Affected, Attribution, Consumption, IssuedToken, Principal, ProofError, Revocation, RevocationList,
    RevocationTarget, StatusList, TokenError, TokenUse, VerifiedProof,
};

/// The broker's own tokens, and the store's revocations.
#[expect(async_fn_in_trait, reason = "the only implementations are single-threaded guests and tests")]
pub trait Ports {
    /// A parsed but unverified token.
    type Token;

    /// The time of the request, in Unix seconds.
    fn now(&self) -> u64;
    async fn settings(&self) -> Result<Settings, Failure>;
    fn parse(&self, token: &str) -> Result<Self::Token, TokenError>;
    /// The `aud` that the token states, if it is a string.
    fn stated_audience(&self, token: &Self::Token) -> Option<String>;
    /// Verifies that this broker issued `token`, and that it is valid now.
    ///
    /// # Errors
    /// [`Failure`] if the broker's keys are unavailable.
    async fn verify_issued(&self, token: &Self::Token) -> Result<Result<IssuedToken, TokenError>, Failure>;

    /// Verifies a proof of possession for a request of `method` to `url` that presents `token`.
    fn verify_proof(&self, proof: &str, method: &str, url: &str, token: &str) -> Result<VerifiedProof, ProofError>;
    /// The nonces of which a proof must have one; none if proofs need none.
    async fn proof_nonces(&self) -> Result<Option<Vec<String>>, Failure>;
    async fn consume(&self, token_use: TokenUse) -> Result<Consumption, Failure>;
    /// Checks a client's credential where none is needed.
    async fn check_client(&self, presented: Result<Option<Presented>, ClientFault>) -> Result<(), Failure>;
    /// The client with this credential.
    async fn authenticate(&self, presented: Presented) -> Result<Principal, Failure>;
    /// Whether `client` may ask for `scope` of `audience`; none if there is no such audience.
    async fn decide_client(
        &self,
        client: &Principal,
        audience: &str,
        scope: &str,
        forwarded_for: &ForwardedFor,
    ) -> Result<Option<ClientDecision>, Failure>;

    /// Which of the tokens with these `jti`s were issued and are not revoked.
    async fn active(&self, jtis: Vec<String>) -> Result<Vec<bool>, Failure>;
    async fn add(&self, id: String, target: RevocationTarget, by: Attribution) -> Result<Added, Failure>;
    async fn lift(&self, id: String, by: Attribution) -> Result<Option<Revocation>, Failure>;
    async fn list(&self) -> Result<Vec<Revocation>, Failure>;
    async fn count(&self, target: RevocationTarget) -> Result<Affected, Failure>;

    /// Everything that is revoked.
    async fn in_force(&self) -> Result<RevocationList, Failure>;
    /// The signed document of `list`, as of the time of the request.
    async fn sign_revocations(&self, list: RevocationList) -> Result<String, Failure>;

    /// The status list `name`; none if there is no such list.
    async fn status_list(&self, name: &str) -> Result<Option<StatusList>, Failure>;
    /// The signed document of `list`, as of the time of the request.
    async fn sign_status_list(&self, list: StatusList) -> Result<String, Failure>;
    /// The signed response of an introspection (RFC 9701 §5) for the resource server `audience`.
    async fn sign_introspection(&self, audience: String, response: String) -> Result<String, Failure>;
}
