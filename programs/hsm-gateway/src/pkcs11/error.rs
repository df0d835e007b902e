//! Why an HSM call failed, as a failure of a command and as a refusal of a request.

use super::protocol::Pkcs11Error;
use std::fmt;
use vouchsafe_cli::Failure;
use vouchsafe_gateway::{ROOT_LABEL, Refusal};

/// Why a call to the HSM failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HsmError {
    /// The worker answered with an error.
    Pkcs11(Pkcs11Error),
    /// The worker hangs, or is being started.
    NotRunning,
    /// The queue is full, or no session became free in time.
    Overloaded,
}

impl HsmError {
    /// A failure of the module, or an answer that can't be used.
    pub fn module(why: impl ToString) -> Self {
        Self::Pkcs11(Pkcs11Error::Module(why.to_string()))
    }

    /// The worker sent a reply of another kind than the call has.
    pub fn unexpected_reply() -> Self {
        Self::module("unexpected reply from the worker")
    }
}

impl fmt::Display for HsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs11(error) => error.fmt(f),
            Self::NotRunning => f.write_str("the PKCS#11 module does not respond"),
            Self::Overloaded => f.write_str("the PKCS#11 module's queue is full"),
        }
    }
}

impl From<HsmError> for Refusal {
    fn from(error: HsmError) -> Self {
        match error {
            HsmError::Overloaded => Self::Overloaded,
            HsmError::Pkcs11(_) | HsmError::NotRunning => Self::HsmUnavailable,
        }
    }
}

impl From<HsmError> for Failure {
    fn from(error: HsmError) -> Self {
        let failure = Self::refused(error.to_string());
        let HsmError::Pkcs11(error) = error else {
            return failure;
        };
        match error {
            Pkcs11Error::PinRefused(_) => Self {
                code: 2,
                ..failure.hint(
                    "correct the PIN, then remove `pin-refused` from `state_dir`; each PIN is tried only once, so that the token does not lock",
                )
            },
            Pkcs11Error::LoginFailed(_) => failure.hint(
                "check the HSM and the PIN before you retry; some modules report a wrong PIN with this error, so after one more such login no further one is tried",
            ),
            Pkcs11Error::KeyMissing(label) if label == ROOT_LABEL => failure.hint(INIT_HINT),
            Pkcs11Error::TokenMissing(_) => failure.hint(token_missing_hint()),
            Pkcs11Error::DuplicateToken { .. } => failure.hint(
                "give each token its own label; `softhsm2-util --init-token` creates another token on each call, `--delete-token --serial` removes one",
            ),
            Pkcs11Error::Changed(_) | Pkcs11Error::CreatedConcurrently(_) => {
                failure.hint("check with `hsm-gateway status`, then retry while nothing else changes keys")
            }
            Pkcs11Error::DuplicateKey(label) => duplicate_object(&label),
            Pkcs11Error::KeyExists(_)
            | Pkcs11Error::KeyMissing(_)
            | Pkcs11Error::Module(_)
            | Pkcs11Error::Unsupported(_)
            | Pkcs11Error::WrongRoot => failure,
        }
    }
}

/// What to do about missing keys.
pub(super) const INIT_HINT: &str = "`hsm-gateway init` creates the keys of an empty PKCS#11 token";

fn token_missing_hint() -> &'static str {
    if std::env::var_os("SOFTHSM2_CONF").is_some() {
        "`token` is the label that the token was initialized with; `pkcs11-tool --list-slots` shows it"
    } else {
        "`token` is the label that the token was initialized with; SoftHSM finds its tokens through the file that SOFTHSM2_CONF names, and that variable is not set"
    }
}

/// Two objects with the same label, which can't be distinguished.
pub fn duplicate_object(label: &str) -> Failure {
    Failure::refused(format!("duplicate PKCS#11 objects `{label}`"))
        .hint("remove the one that does not belong there, with the HSM's own tools or `pkcs11-tool`")
}

/// A root key whose `CKA_ID` does not hold a generation.
pub fn invalid_generation() -> Failure {
    Failure::refused(format!("the CKA_ID of `{ROOT_LABEL}` is not a generation"))
        .hint("it must be a number of at least 1, in 8 bytes, big-endian")
}
