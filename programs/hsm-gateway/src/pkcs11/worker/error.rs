//! Errors of PKCS#11 calls, and what they say about the session and the PIN.

use crate::pkcs11::protocol::Pkcs11Error;
use cryptoki::error::{Error, RvError};

/// Why a call failed, and whether its session can still be used.
pub(super) enum CallError {
    Failed(Pkcs11Error),
    SessionLost(Pkcs11Error),
}

impl CallError {
    pub(super) fn into_inner(self) -> Pkcs11Error {
        match self {
            Self::Failed(error) | Self::SessionLost(error) => error,
        }
    }
}

impl From<Pkcs11Error> for CallError {
    fn from(error: Pkcs11Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        if loses_session(&error) { Self::SessionLost(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl From<Error> for Pkcs11Error {
    /// Keeps the error's name; its long description comes from the standard and doesn't help.
    fn from(error: Error) -> Self {
        match error {
            Error::Pkcs11(error, function) => {
                let text = format!("PKCS#11 error {} in {function:?}", name_of(error));
                if concerns_call(error) { Self::Unsupported(text) } else { Self::Module(text) }
            }
            other => Self::Module(other.to_string()),
        }
    }
}

pub(super) fn name_of(error: RvError) -> String {
    format!("{error:?}")
}

/// Whether the error is about the PIN itself.
pub(super) fn concerns_pin(error: RvError) -> bool {
    matches!(
        error,
        RvError::PinExpired
            | RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
    )
}

/// Whether a login failed before the token compared the PIN: the token was absent or had no room. Modules report a
/// wrong PIN with all other kinds of errors.
pub(super) fn precedes_pin_check(error: RvError) -> bool {
    matches!(
        error,
        RvError::CryptokiNotInitialized
            | RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::DeviceRemoved
            | RvError::HostMemory
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
    )
}

/// Whether a new session may succeed.
pub(super) fn loses_session(error: &Error) -> bool {
    use RvError as E;
    match error {
        Error::Pkcs11(error, _) => matches!(
            error,
            E::CryptokiNotInitialized
                | E::DeviceError
                | E::DeviceRemoved
                | E::KeyHandleInvalid
                | E::ObjectHandleInvalid
                | E::OperationActive
                | E::SessionClosed
                | E::SessionHandleInvalid
                | E::TokenNotPresent
                | E::UserNotLoggedIn
        ),
        _ => false,
    }
}

/// Whether the error is about the call's data, mechanism or key, so that another worker would report the same.
pub(super) fn concerns_call(error: RvError) -> bool {
    use RvError as E;
    matches!(
        error,
        E::ArgumentsBad
            | E::AttributeTypeInvalid
            | E::AttributeValueInvalid
            | E::CurveNotSupported
            | E::DataInvalid
            | E::DataLenRange
            | E::DomainParamsInvalid
            | E::FunctionNotSupported
            | E::KeyFunctionNotPermitted
            | E::KeySizeRange
            | E::KeyTypeInconsistent
            | E::MechanismInvalid
            | E::MechanismParamInvalid
            | E::TemplateIncomplete
            | E::TemplateInconsistent
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn distinguishes_refused_pins_from_lost_sessions() {
        let lost = |error| loses_session(&Error::Pkcs11(error, Function::Sign));
        for error in [
            RvError::SessionHandleInvalid,
            RvError::SessionClosed,
            RvError::UserNotLoggedIn,
            RvError::DeviceError,
            RvError::KeyHandleInvalid,
        ] {
            assert!(lost(error) && !concerns_pin(error), "{error:?}");
        }
        for error in [RvError::PinIncorrect, RvError::PinLocked, RvError::PinExpired] {
            assert!(concerns_pin(error) && !lost(error), "{error:?}");
        }
        for error in [RvError::FunctionFailed, RvError::MechanismInvalid, RvError::DataLenRange] {
            assert!(!lost(error) && !concerns_pin(error), "{error:?}");
            let concerns_module = error == RvError::FunctionFailed;
            assert_eq!(concerns_call(error), !concerns_module, "{error:?}");
        }
        // A login that fails in one of these ways may have had a wrong PIN.
        for error in
            [RvError::ArgumentsBad, RvError::FunctionFailed, RvError::GeneralError, RvError::VendorDefined(0x8000_0001)]
        {
            assert!(!precedes_pin_check(error), "{error:?}");
        }
    }
}
