//! Why there is no certificate.

/// What was to be certified can't be written as a certificate, or was not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the issuer's URL is not ASCII")]
    Issuer,
    #[error("the key group's name is not `[a-z0-9-]{{1,64}}`")]
    Group,
    #[error("it is not a certificate of a root signing key")]
    Root,
    #[error("it can't be encoded as X.509")]
    Encoding,
    #[error("the signature has not the 64 bytes of ES256")]
    Signature,
}
