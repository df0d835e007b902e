//! Step 2: the subject token is verified, the actor token, and the proof of possession.

use crate::actor::{self, VerifiedActor};
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

/// A request whose tokens passed every check. Only [`verify`] makes one.
pub struct VerifiedExchange {
    pub(crate) request: UnverifiedExchange,
    pub(crate) subject: Subject,
    pub(crate) issuer: Rc<IssuerRecord>,
    /// Who acts for the subject.
    pub(crate) actor: Option<VerifiedActor>,
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

/// Verifies the subject token of `request`, the actor token if there is one, and then `proof`, at the time of the request.
pub async fn verify<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    request: UnverifiedExchange,
    proof: Option<&str>,
    trace: &mut Trace,
) -> Result<VerifiedExchange, Failure> {
    let now = ports.now();
    let verifier = Verifier { ports, settings, bundle, now };
    let (subject, issuer) = verifier.verify(&request.subject_token, |issuer| trace.issuer = Some(issuer)).await?;
    let actor = match &request.actor_token {
        Some(token) => Some(verifier.verify(token, |_| {}).await.map_err(actor::of_token)?),
        None => None,
    };
    let chain = actor::chain(&subject, actor.as_ref().map(|(actor, _)| actor)).map_err(Refusal::from)?;
    let actor = actor.map(|(subject, issuer)| VerifiedActor { subject, issuer, chain });
    let bound: Vec<_> = [Some(&subject), actor.as_ref().map(|actor| &actor.subject)].into_iter().flatten().collect();
    let proof = proof::verify(ports, settings, bundle, proof, &bound, now).await?;
    Ok(VerifiedExchange { request, subject, issuer, actor, proof, now })
}

/// What it takes to verify a token.
pub(crate) struct Verifier<'a, P> {
    pub(crate) ports: &'a P,
    pub(crate) settings: &'a Settings,
    pub(crate) bundle: &'a BundleInfo,
    pub(crate) now: u64,
}

impl<P: Ports> Verifier<'_, P> {
    /// Verifies `token` by the keys of the issuer that it names; `note` gets the name of that issuer's file first.
    pub(crate) async fn verify(
        &self,
        token: &str,
        note: impl FnOnce(String),
    ) -> Result<(Subject, Rc<IssuerRecord>), Failure> {
        let Self { ports, settings, bundle, now } = *self;
        let token = ports.parse(token)?;
        // ORDER: only configured issuers are fetched from, so look up the issuer first.
        let issuer = issuer(ports, settings, bundle, &token)?;
        note(issuer.name.clone());
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
        Ok((subject, issuer))
    }
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
