//! Errors of making certificates.

/// Why a certificate can't be made or is not the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the issuer URL is not ASCII")]
    Issuer,
    #[error("the name of the key group is not `[a-z0-9-]{{1,64}}`")]
    Group,
    #[error("not a certificate of this root signing key")]
    Root,
    #[error("cannot be encoded in X.509")]
    Encoding,
    #[error("the signature does not have the 64 bytes of ES256")]
    Signature,
}
