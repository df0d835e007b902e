//! Step 2: the subject token is verified, and the proof of possession.

use crate::failure::Failure;
use crate::keys::Keys;
use crate::ports::Ports;
use crate::proof;
use crate::refusal::Refusal;
use crate::request::UnverifiedExchange;
use crate::settings::Settings;
use crate::trace::Trace;
use std::rc::Rc;
use vouchsafe_types::{BundleInfo, IssuerRecord, Subject, TokenError, VerifiedProof, View};

/// A request whose subject token passed every check. Only [`verify`] makes one.
pub struct VerifiedExchange {
    pub(crate) request: UnverifiedExchange,
    pub(crate) subject: Subject,
    pub(crate) issuer: Rc<IssuerRecord>,
    /// Proves possession of the key that the issued token is bound to.
    pub(crate) proof: Option<VerifiedProof>,
    /// The time at which the token was verified, in Unix seconds.
    pub(crate) now: u64,
}

impl VerifiedExchange {
    /// `sub` of the token to issue.
    pub(crate) fn token_subject(&self) -> String {
        format!("{}:{}", self.issuer.name, self.subject.name)
    }
}

/// Verifies the subject token of `request`, and then `proof`, at the time of the request.
pub async fn verify<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    request: UnverifiedExchange,
    proof: Option<&str>,
    trace: &mut Trace,
) -> Result<VerifiedExchange, Failure> {
    let now = ports.now();
    let token = ports.parse(&request.subject_token)?;
    // ORDER: only configured issuers are fetched from, so look up the issuer first.
    let issuer = issuer(ports, settings, bundle, &token)?;
    trace.issuer = Some(issuer.name.clone());
    let keys = Keys::of(ports, bundle, &issuer, now);
    let trusted = keys.trusted().await?;
    let subject = match ports.verify(&token, &issuer, &trusted, now) {
        Err(failure) if failure.refusal == Refusal::Token(TokenError::KeyUnknown) => {
            match keys.newer_than(&trusted).await? {
                Some(newer) => ports.verify(&token, &issuer, &newer, now),
                None => return Err(failure),
            }
        }
        verified => verified,
    };
    let subject = subject.map_err(|failure| name_accepted(failure, &issuer))?;
    let proof = proof::verify(ports, settings, proof, &subject, now)?;
    Ok(VerifiedExchange { request, subject, issuer, proof, now })
}

/// Adds what the issuer's file accepts to an audience mismatch. The signature was verified before the audience, so only
/// holders of a token of the issuer learn it.
fn name_accepted(failure: Failure, issuer: &IssuerRecord) -> Failure {
    if failure.refusal == Refusal::Token(TokenError::AudienceMismatch) {
        return Refusal::AudienceMismatch { accepted: issuer.audiences.clone() }.into();
    }
    failure
}

/// The token's configured issuer. `iss` comes first; the trust domain counts only if `iss` is not configured, as a
/// JWT-SVID may have an unrelated `iss`. Either way, the issuer's own keys must verify the token.
fn issuer<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    token: &P::Token,
) -> Result<Rc<IssuerRecord>, Failure> {
    for iss in ports.issuers(token) {
        if View::is_own_issuer(&settings.issuer, &iss) {
            break;
        }
        if let Some(issuer) = ports.issuer(bundle, &iss)? {
            return Ok(issuer);
        }
    }
    Err(Refusal::Token(TokenError::IssuerUntrusted).into())
}
