//! Proofs of possession (RFC 9449).

use crate::wit_enum::wit_enum;

/// Longest proof, in bytes, inclusive: one by an RSA key of 4096 bits takes half of it.
pub const PROOF_BYTES_MAX: usize = 4 * 1024;
/// How old a proof may be, in seconds, inclusive. Its use is remembered for at least as long.
pub const PROOF_AGE_SECONDS_MAX: u64 = 60;

/// A proof of possession that passed every check except that of its first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedProof {
    /// The SHA-256 thumbprint (RFC 7638) of the key that made it.
    pub key_thumbprint: String,
    pub jti: String,
    pub issued_at: u64,
    /// As it is in the proof; at most 256 bytes.
    pub nonce: Option<String>,
}

wit_enum! {
    /// Why a proof is rejected. No text holds a value of the proof.
    #[derive(thiserror::Error)]
    pub enum ProofError {
        #[error("the algorithm of the DPoP proof is not supported")]
        AlgorithmNotAllowed,
        #[error("the DPoP proof lacks jti, htm, htu, iat or ath, or has an invalid claim")]
        ClaimInvalid,
        #[error("the DPoP proof is too old: make one for each request, and compare clocks")]
        Expired,
        #[error("the DPoP proof has no usable public key in its header")]
        KeyInvalid,
        #[error("the DPoP proof is malformed")]
        Malformed,
        #[error("the htm of the DPoP proof is not the method of the request")]
        MethodMismatch,
        #[error("the iat of the DPoP proof is in the future: compare clocks")]
        NotYetValid,
        #[error("the signature of the DPoP proof is invalid")]
        SignatureInvalid,
        #[error("the ath of the DPoP proof is not the hash of the access token")]
        TokenMismatch,
        #[error("the DPoP proof is over 4 KiB")]
        TooLarge,
        #[error("the typ of the DPoP proof is not dpop+jwt")]
        TypeNotAllowed,
        #[error("the htu of the DPoP proof is not the URL of the request")]
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
            Self::TokenMismatch => "proof.token_mismatch",
            Self::TooLarge => "proof.too_large",
            Self::TypeNotAllowed => "proof.type_not_allowed",
            Self::UrlMismatch => "proof.url_mismatch",
        }
    }
}
