//! Proofs of possession (RFC 9449).

use crate::wit_enum::wit_enum;
use std::fmt;

/// A proof of possession that passed every check except that of its first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedProof {
    /// The SHA-256 thumbprint (RFC 7638) of the key that made it.
    pub key_thumbprint: String,
    pub jti: String,
    pub issued_at: u64,
}

wit_enum! {
    /// Why a proof is rejected. No text holds a value of the proof.
    pub enum ProofError {
        AlgorithmNotAllowed,
        ClaimInvalid,
        Expired,
        KeyInvalid,
        Malformed,
        MethodMismatch,
        NotYetValid,
        SignatureInvalid,
        TooLarge,
        TypeNotAllowed,
        UrlMismatch,
    }
}

impl ProofError {
    /// Stable name in the log.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::AlgorithmNotAllowed => "proof.algorithm_not_allowed",
            Self::ClaimInvalid => "proof.claim_invalid",
            Self::Expired => "proof.expired",
            Self::KeyInvalid => "proof.key_invalid",
            Self::Malformed => "proof.malformed",
            Self::MethodMismatch => "proof.method_mismatch",
            Self::NotYetValid => "proof.not_yet_valid",
            Self::SignatureInvalid => "proof.signature_invalid",
            Self::TooLarge => "proof.too_large",
            Self::TypeNotAllowed => "proof.type_not_allowed",
            Self::UrlMismatch => "proof.url_mismatch",
        }
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AlgorithmNotAllowed => "the algorithm of the DPoP proof is not supported",
            Self::ClaimInvalid => "the DPoP proof lacks jti, htm, htu or iat, or has an invalid one",
            Self::Expired => "the DPoP proof is too old: make one for each request, and compare clocks",
            Self::KeyInvalid => "the DPoP proof has no usable public key in its header",
            Self::Malformed => "the DPoP proof is malformed",
            Self::MethodMismatch => "the htm of the DPoP proof is not the method of the request",
            Self::NotYetValid => "the iat of the DPoP proof is in the future: compare clocks",
            Self::SignatureInvalid => "the signature of the DPoP proof is invalid",
            Self::TooLarge => "the DPoP proof is over 4 KiB",
            Self::TypeNotAllowed => "the typ of the DPoP proof is not dpop+jwt",
            Self::UrlMismatch => "the htu of the DPoP proof is not the URL of the request",
        })
    }
}

impl std::error::Error for ProofError {}
