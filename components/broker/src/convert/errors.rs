//! Errors of the ports, as refusals: what the caller is told, and what only the log says.

use crate::bindings::{decisions, signing, state, verification};
use vouchsafe_exchange::ports::Failure;
use vouchsafe_exchange::refusal::{Denial, Part, Refusal, TokenFault};

fn failure(refusal: Refusal, detail: impl Into<String>) -> Failure {
    Failure {
        refusal,
        detail: detail.into(),
    }
}

impl From<decisions::Error> for Failure {
    fn from(error: decisions::Error) -> Self {
        let policy = Refusal::Unavailable(Part::Policy);
        match error {
            decisions::Error::InvalidBundle(text) => {
                failure(policy, format!("the bundle does not load: {text}"))
            }
            decisions::Error::CredentialUnavailable(text) => failure(
                Refusal::Unavailable(Part::Issuer),
                format!("the issuer's credential: {text}"),
            ),
            decisions::Error::StaleDigest => failure(policy, "the bundle changed"),
            decisions::Error::Internal(text) => failure(policy, text),
        }
    }
}

impl From<verification::TokenError> for Failure {
    fn from(error: verification::TokenError) -> Self {
        use verification::TokenError as E;
        let fault = match error {
            E::AlgorithmNotAllowed => TokenFault::AlgorithmNotAllowed,
            E::AudienceMismatch => TokenFault::AudienceMismatch,
            E::ClaimMismatch(name) => TokenFault::ClaimMismatch(name),
            E::ClaimMissing(name) => TokenFault::ClaimMissing(name),
            E::ClaimInvalid(name) => TokenFault::ClaimInvalid(name),
            E::CriticalHeader => TokenFault::CriticalHeader,
            E::Expired => TokenFault::Expired,
            E::IssuerUntrusted => TokenFault::IssuerUntrusted,
            E::KeyUnknown => TokenFault::KeyUnknown,
            E::KeyUnusable => TokenFault::KeyUnusable,
            E::Malformed => TokenFault::Malformed,
            E::NotYetValid => TokenFault::NotYetValid,
            E::SignatureInvalid => TokenFault::SignatureInvalid,
            E::TooLarge => TokenFault::TooLarge,
            E::TooOld => TokenFault::TooOld,
            E::TypeNotAllowed => TokenFault::TypeNotAllowed,
        };
        Refusal::Token(fault).into()
    }
}

pub fn fetch_failure(issuer_name: &str, error: &verification::FetchError) -> Failure {
    use verification::FetchError as E;
    let what = match error {
        E::UrlRefused => "its URL may not be fetched".to_owned(),
        E::Unreachable => "it can't be reached, or the host does not allow it".to_owned(),
        E::TimedOut => "it did not answer in time".to_owned(),
        E::Status(status) => format!("it answered with status {status}"),
        E::TooLarge => "its document is too large".to_owned(),
        E::DocumentInvalid(reason) => format!("its document is invalid: {reason}"),
        E::IssuerMismatch => "its discovery document names another issuer".to_owned(),
        E::CredentialInvalid => "its credential is not a bearer token".to_owned(),
        E::PinnedKeysExpired => "its pinned keys have expired".to_owned(),
    };
    failure(
        Refusal::Unavailable(Part::Issuer),
        format!("keys of issuer `{issuer_name}`: {what}"),
    )
}

impl From<state::Error> for Failure {
    fn from(error: state::Error) -> Self {
        match error {
            state::Error::Unavailable(text) => failure(Refusal::Unavailable(Part::Store), text),
            state::Error::Invalid(text) => failure(Refusal::Internal, format!("store: {text}")),
        }
    }
}

impl From<signing::Error> for Failure {
    fn from(error: signing::Error) -> Self {
        let signer = Refusal::Unavailable(Part::Signer);
        match error {
            signing::Error::Misconfigured(text) => failure(signer, text),
            signing::Error::Superseded => Refusal::Superseded.into(),
            signing::Error::TierUnavailable => Refusal::Denied(Denial::TierUnavailable).into(),
            signing::Error::Refused(text) => failure(Denial::SignerRefused.into(), text),
            signing::Error::Unavailable(text) => failure(
                signer,
                format!("the signing backend is unavailable: {text}"),
            ),
            signing::Error::Internal => failure(signer, "the signer failed"),
        }
    }
}
