//! Client authentication (RFC 6749 §2.3): who asks, if it is software that has no token of a platform.
//!
//! A client has a file in the bundle, with hashes of secrets (`client_secret_basic`, `client_secret_post`) or with public
//! keys (`private_key_jwt`, RFC 7523 §2.2). A workload of a SPIFFE issuer needs none: it authenticates with its JWT-SVID
//! (`spiffe_jwt`, draft-ietf-oauth-spiffe-client-auth).
//!
//! INVARIANT: a credential that is presented and checked either authenticates its client or refuses the request.

mod assertion;
mod presented;

use crate::client_address::ForwardedFor;
use crate::failure::Failure;
use crate::keys::hex;
use crate::limits::CLIENT_SECRET_BYTES_MAX;
use crate::ports::{Policy, Ports};
use crate::refusal::{ClientFault, RequestFault};
use crate::settings::Settings;
pub use presented::{AssertionKind, Credential, Presented};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use vouchsafe_types::{BundleInfo, ClientCredential, Decision, Effect, Principal, TokenRequest};

/// Authenticates the client of a token request, if there is one. The client has no influence on the token: its subject
/// token says who asks.
///
/// Many clients insist on sending a secret, so it is ignored while the bundle has no client that could have one.
pub async fn check<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    presented: Result<Option<Presented>, ClientFault>,
) -> Result<(), Failure> {
    let is_assertion = |presented: &Presented| matches!(presented.credential, Credential::Assertion { .. });
    let presented = match presented {
        Ok(None) => return Ok(()),
        Ok(Some(presented)) if is_assertion(&presented) => presented,
        Ok(Some(_)) | Err(ClientFault::Malformed) if !ports.has_clients(bundle)? => return Ok(()),
        Ok(Some(presented)) => presented,
        Err(fault) => return Err(fault.into()),
    };
    authenticate(ports, settings, bundle, presented).await.map(|_principal| ())
}

/// The client with this credential.
///
/// # Errors
/// [`Refusal::Client`](crate::refusal::Refusal::Client) if the credential proves nothing; another refusal if it cannot be checked.
pub async fn authenticate<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    presented: Presented,
) -> Result<Principal, Failure> {
    let Presented { client_id, credential } = presented;
    let principal = match credential {
        Credential::Secret { id, secret } => by_secret(ports, bundle, &id, &secret)?,
        Credential::Assertion { kind, assertion } => {
            assertion::authenticate(ports, settings, bundle, kind, &assertion).await?
        }
    };
    match client_id {
        Some(stated) if stated != principal.id => Err(ClientFault::IdMismatch.into()),
        Some(_) | None => Ok(principal),
    }
}

fn by_secret(ports: &impl Policy, bundle: &BundleInfo, id: &str, secret: &str) -> Result<Principal, Failure> {
    // ORDER: the size limit comes before any work.
    if secret.len() > CLIENT_SECRET_BYTES_MAX {
        return Err(ClientFault::SecretWrong.into());
    }
    // Hashed whether the client exists or not, so that the time says nothing of it.
    let presented = hex(&Sha256::digest(secret.as_bytes()));
    let client = ports.client(bundle, id)?;
    let (principal, hashes) = match client.map(|client| (client.principal, client.credential)) {
        Some((principal, ClientCredential::Secret(hashes))) => (principal, hashes),
        Some((_, ClientCredential::Key(_))) => return Err(ClientFault::MethodMismatch.into()),
        None => return Err(ClientFault::Unknown.into()),
    };
    let equals = |known: &String| known.as_bytes().ct_eq(presented.as_bytes());
    let found = hashes.iter().fold(Choice::from(0), |found, known| found | equals(known));
    if bool::from(found) { Ok(principal) } else { Err(ClientFault::SecretWrong.into()) }
}

/// Whether `client` may ask for `scope` of `audience`, one of the broker's own: what it would take to get a token for it.
/// None if policy was not asked, because there is no such audience.
pub fn decide(
    ports: &impl Policy,
    settings: &Settings,
    bundle: &BundleInfo,
    client: &Principal,
    (audience, scope): (&str, &str),
    forwarded_for: &ForwardedFor,
    now: u64,
) -> Result<Option<ClientDecision>, Failure> {
    let client_ip = forwarded_for
        .client(&settings.trusted_proxies)
        .map_err(|undetermined| Failure::new(RequestFault::ClientAddressUndetermined, undetermined.to_string()))?;
    let Some(audience) = ports.audience(bundle, audience)? else { return Ok(None) };
    let request = TokenRequest {
        audience: audience.id.clone(),
        scopes: vec![scope.to_owned()],
        requested_lifetime_seconds: audience.default_lifetime_seconds,
        client_ip: client_ip.map(|address| address.to_string()),
        proof_of_possession: false,
    };
    let Decision { effect, determining_rules, erring_rules, .. } = ports.decide(bundle, client, &request, now)?;
    let is_offered = audience.scopes.iter().any(|offered| offered == scope);
    let is_permitted = effect == Effect::Permit && is_offered && !audience.proof_required;
    Ok(Some(ClientDecision { is_permitted, determining_rules, erring_rules }))
}

/// A decision about a client's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDecision {
    pub is_permitted: bool,
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
}
