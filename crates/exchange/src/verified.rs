//! Step 2: the subject token is proved, and only then believed.

use crate::keys::Keys;
use crate::ports::{Bundle, Failure, Issuer, Peeked, Ports, Settings, Subject, UnixSeconds};
use crate::refusal::{Refusal, TokenFault};
use crate::request::UnverifiedExchange;

/// A request whose subject token passed every check. Only [`verify`] makes one.
pub struct VerifiedExchange<Record> {
    pub(crate) request: UnverifiedExchange,
    pub(crate) subject: Subject,
    pub(crate) issuer: Issuer<Record>,
    pub(crate) now: UnixSeconds,
}

/// Proves the subject token of `request` at `now`.
pub async fn verify<P: Ports>(
    ports: &P,
    settings: &Settings,
    bundle: &Bundle,
    request: UnverifiedExchange,
    now: UnixSeconds,
) -> Result<VerifiedExchange<P::Record>, Failure> {
    let token = &request.subject_token;
    // ORDER: the issuer must be a configured one before anything is fetched for it.
    let Peeked { iss, trust_domain } = ports.peek(token).await?;
    if iss.as_ref() == Some(&settings.issuer) {
        return Err(Refusal::Token(TokenFault::IssuerUntrusted).into());
    }
    // `iss` comes first: a JWT-SVID may have one that nobody here trusts, and only then its trust
    // domain is asked for. Whichever it is, its own keys have to verify the token.
    let mut issuer = None;
    for name in iss.iter().chain(&trust_domain) {
        if issuer.is_none() {
            issuer = ports.issuer(bundle, name).await?;
        }
    }
    let issuer = issuer.ok_or(Refusal::Token(TokenFault::IssuerUntrusted))?;

    let keys = Keys::of(ports, bundle, &issuer, now);
    let trusted = keys.trusted().await?;
    let subject = match ports.verify(token, &issuer, &trusted, now).await {
        Err(failure) if failure.refusal == Refusal::Token(TokenFault::KeyUnknown) => {
            match keys.newer_than(&trusted).await? {
                Some(newer) => ports.verify(token, &issuer, &newer, now).await?,
                None => return Err(failure),
            }
        }
        verified => verified?,
    };
    Ok(VerifiedExchange {
        request,
        subject,
        issuer,
        now,
    })
}
