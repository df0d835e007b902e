//! Client assertions: JWTs that authenticate a client.

use crate::client::presented::AssertionKind;
use crate::failure::Failure;
use crate::keys::Keys;
use crate::limits::SUBJECT_TOKEN_BYTES_MAX;
use crate::ports::{Policy, Ports};
use crate::refusal::{ClientFault, Refusal};
use crate::replay;
use crate::settings::Settings;
use crate::verified::Verifier;
use std::rc::Rc;
use vouchsafe_types::{BundleInfo, ClientCredential, IssuerRecord, Principal, Subject, TokenError};

/// The provider whose tokens are JWT-SVIDs.
const SPIFFE: &str = "spiffe";

/// Verifies `assertion` and consumes it, if it can be used once only.
pub(super) async fn authenticate<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    kind: AssertionKind,
    assertion: &str,
) -> Result<Principal, Failure> {
    // ORDER: the size limit comes before any parsing.
    if assertion.len() > SUBJECT_TOKEN_BYTES_MAX {
        return Err(ClientFault::Assertion(TokenError::TooLarge).into());
    }
    let verified = match kind {
        AssertionKind::PrivateKeyJwt => of_client(ports, bundle, assertion).await,
        AssertionKind::SpiffeJwt => of_workload(ports, settings, bundle, assertion).await,
    };
    let (subject, issuer) = verified.map_err(of_assertion)?;
    // Nothing here proves possession of the key.
    if subject.key_thumbprint.is_some() {
        return Err(ClientFault::Assertion(TokenError::ClaimInvalid("cnf".to_owned())).into());
    }
    // ORDER: last, so that only a valid assertion is used up.
    replay::consume_assertion(ports, &subject, &issuer).await.map_err(of_assertion)?;
    Ok(subject.principal)
}

/// An assertion that the client signed itself (RFC 7523 §3).
async fn of_client<P: Ports>(
    ports: &P,
    bundle: &BundleInfo,
    assertion: &str,
) -> Result<(Subject, Rc<IssuerRecord>), Failure> {
    let token = ports.parse(assertion)?;
    let record = of_key(ports, bundle, &ports.issuers(&token))?;
    let issuer = Rc::new(record);
    let keys = Keys::of(ports, bundle, &issuer, ports.now()).trusted().await?;
    let subject = ports.verify(&token, &issuer, &keys, ports.now())?;
    // Without it, the same claims could be signed twice within a second and count as one.
    if subject.jti.is_none() {
        return Err(TokenError::ClaimMissing("jti".to_owned()).into());
    }
    Ok((subject, issuer))
}

/// How the assertions of the client in `iss` are verified.
fn of_key(ports: &impl Policy, bundle: &BundleInfo, issuers: &[String]) -> Result<IssuerRecord, Failure> {
    let id = issuers.first().ok_or(ClientFault::Unknown)?;
    match ports.client(bundle, id)?.map(|client| client.credential) {
        Some(ClientCredential::Key(record)) => Ok(record),
        Some(ClientCredential::Secret(_)) => Err(ClientFault::MethodMismatch.into()),
        None => Err(ClientFault::Unknown.into()),
    }
}

/// A JWT-SVID, which its trust domain signed. Keys come from the configured issuer only.
async fn of_workload<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    assertion: &str,
) -> Result<(Subject, Rc<IssuerRecord>), Failure> {
    let verifier = Verifier { ports, settings, bundle, now: ports.now() };
    let (subject, issuer) = verifier.verify(assertion, |_issuer| {}).await?;
    match issuer.provider == SPIFFE {
        true => Ok((subject, issuer)),
        false => Err(ClientFault::NotSpiffe.into()),
    }
}

/// Why an assertion is refused, given why its token would be. An outage stays one.
fn of_assertion(failure: Failure) -> Failure {
    match failure.refusal {
        Refusal::Token(error) => ClientFault::Assertion(error).into(),
        Refusal::AudienceMismatch { .. } => ClientFault::Assertion(TokenError::AudienceMismatch).into(),
        Refusal::Replay(_) => ClientFault::AssertionSpent.into(),
        _ => failure,
    }
}
