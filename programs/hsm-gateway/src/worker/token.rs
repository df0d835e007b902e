//! PKCS#11: one token, its login, and sessions that come back when they are lost.
//!
//! A login belongs to the process, not to a session (PKCS#11 v2.40 §5.6): one session's is all sessions'.

use super::objects::On;
use super::protocol::{Bytes, Call, Fault, Reply};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An opened token.
pub struct Token {
    pub(super) pkcs11: Pkcs11,
    pub(super) slot: Slot,
    pin: AuthPin,
    /// Why a login failed. INVARIANT: once one did with which the token may have counted a wrong PIN, this
    /// process tries no other.
    refused: Mutex<Option<Fault>>,
    /// Both halves of the pairs that were made here, by their labels.
    pub(super) made: Mutex<BTreeMap<String, [ObjectHandle; 2]>>,
}

impl Token {
    pub fn open(module: &str, label: &str, pin: &str) -> Result<Self, Fault> {
        let pkcs11 = Pkcs11::new(module).map_err(said)?;
        pkcs11
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(said)?;
        let slot = slot_of(&pkcs11, label)?;
        Ok(Self {
            pkcs11,
            slot,
            pin: AuthPin::from(pin),
            refused: Mutex::new(None),
            made: Mutex::default(),
        })
    }

    /// A session that is logged in.
    fn session(&self) -> Result<Session, Fault> {
        // Held through the login: of two sessions that were lost at once, one tries the PIN.
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = &*refused {
            return Err(fault.clone());
        }
        let session = self.pkcs11.open_rw_session(self.slot).map_err(said)?;
        let state = session.get_session_info().map_err(said)?.session_state();
        if matches!(state, SessionState::RwUser | SessionState::RoUser) {
            return Ok(session);
        }
        match self.login(&session) {
            Err(fault @ (Fault::LoginFailed(_) | Fault::PinRefused(_))) => {
                *refused = Some(fault.clone());
                Err(fault)
            }
            outcome => outcome.map(|()| session),
        }
    }

    fn login(&self, session: &Session) -> Result<(), Fault> {
        let info = self.pkcs11.get_token_info(self.slot).map_err(said)?;
        if info.user_pin_locked() {
            return Err(Fault::PinRefused("it is locked".to_owned()));
        }
        if info.user_pin_final_try() {
            let text = "it was wrong before, and one try is left, which is not used";
            return Err(Fault::PinRefused(text.to_owned()));
        }
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(error, _)) if is_of_pin(error) => {
                Err(Fault::PinRefused(name_of(error)))
            }
            Err(Error::Pkcs11(error, _)) if !is_before_the_pin(error) => {
                // What the token counts says more than such an error.
                let counts = self.pkcs11.get_token_info(self.slot);
                if counts.is_ok_and(|it| it.user_pin_count_low() || it.user_pin_locked()) {
                    return Err(Fault::PinRefused(name_of(error)));
                }
                Err(Fault::LoginFailed(name_of(error)))
            }
            Err(error) => Err(said(error)),
        }
    }
}

fn slot_of(pkcs11: &Pkcs11, label: &str) -> Result<Slot, Fault> {
    let mut found = Vec::new();
    for slot in pkcs11.get_slots_with_token().map_err(said)? {
        let info = pkcs11.get_token_info(slot).map_err(said)?;
        if info.token_initialized() && info.label() == label {
            found.push((slot, info.serial_number().trim().to_owned()));
        }
    }
    match found.as_slice() {
        [(slot, _)] => Ok(*slot),
        [] => Err(Fault::TokenMissing(label.to_owned())),
        _ => Err(Fault::TokenTwice {
            label: label.to_owned(),
            serials: found.into_iter().map(|(_, serial)| serial).collect(),
        }),
    }
}

fn is_of_pin(error: RvError) -> bool {
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

/// Errors of a login in which no PIN came to be compared: the token was not there, or had no room.
/// Modules answer a wrong PIN with all kinds of others.
fn is_before_the_pin(error: RvError) -> bool {
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

/// What a module's error says about the session: whether another one may do better.
fn is_lost(error: &Error) -> bool {
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

/// Whether an error is of the call's data, its mechanism or its key: another worker would say the same.
fn is_of_the_call(error: RvError) -> bool {
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

fn name_of(error: RvError) -> String {
    format!("{error:?}")
}

/// The error's name; its long description is the standard's, and helps nobody.
fn said(error: Error) -> Fault {
    match error {
        Error::Pkcs11(error, function) => {
            let text = format!("the module says: {} in {function:?}", name_of(error));
            if is_of_the_call(error) {
                Fault::NotPossible(text)
            } else {
                Fault::Module(text)
            }
        }
        other => Fault::Module(other.to_string()),
    }
}

/// What an operation met.
pub(super) enum Trouble {
    Fault(Fault),
    Lost(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        if is_lost(&error) {
            Self::Lost(said(error))
        } else {
            Self::Fault(said(error))
        }
    }
}

/// One session, which is opened and logged in again when it was lost.
pub struct SessionKeeper {
    token: Arc<Token>,
    session: Option<Session>,
    /// Keys that were found; good for as long as the session.
    handles: BTreeMap<String, ObjectHandle>,
}

impl SessionKeeper {
    pub fn open(token: Arc<Token>) -> Result<Self, Fault> {
        let session = Some(token.session()?);
        Ok(Self {
            token,
            session,
            handles: BTreeMap::new(),
        })
    }

    /// Does what is asked; on a lost session, once more on a new one.
    ///
    /// Nothing is done on a session whose token does not have the root that gives `root`.
    pub fn perform(&mut self, call: &Call, root: Option<&Bytes>) -> Result<Reply, Fault> {
        match self.attempt(call, root) {
            Ok(reply) => Ok(reply),
            Err(Trouble::Fault(fault)) => Err(fault),
            // A key may have been made before its session was lost: not twice.
            Err(Trouble::Lost(fault)) if call.writes() => Err(fault),
            Err(Trouble::Lost(_)) => {
                self.forget();
                self.attempt(call, root).map_err(|trouble| match trouble {
                    Trouble::Fault(fault) | Trouble::Lost(fault) => fault,
                })
            }
        }
    }

    fn forget(&mut self) {
        self.session = None;
        self.handles.clear();
    }

    fn attempt(&mut self, call: &Call, root: Option<&Bytes>) -> Result<Reply, Trouble> {
        let outcome = self.attempt_on_session(call, root);
        if matches!(outcome, Err(Trouble::Lost(_))) {
            self.forget();
        }
        outcome
    }

    fn attempt_on_session(&mut self, call: &Call, root: Option<&Bytes>) -> Result<Reply, Trouble> {
        let session = match &mut self.session {
            Some(session) => session,
            empty => empty.insert(self.token.session()?),
        };
        let mut on = On {
            session,
            handles: &mut self.handles,
            made: &self.token.made,
        };
        // ORDER: on the very session that is used next.
        if let Some(root) = root {
            on.require_root(&root.0)?;
        }
        match call {
            Call::CreateKey {
                label,
                algorithm,
                id,
            } => on.create_key(label, *algorithm, &id.0),
            Call::CreateRoot { generation } => on.create_root(*generation),
            Call::Derive { message } => on.derive(&message.0),
            Call::DestroyDoubled { label } => on.destroy_doubled(label),
            Call::DestroyMade { label } => on.destroy_made(label),
            Call::DestroyKey { label, from } => on.destroy_key(label, &from.0),
            Call::Generation => on.generation(),
            Call::ImportCertificate {
                label,
                subject,
                der,
            } => on.import_certificate(label, &subject.0, &der.0),
            Call::ImportKey { label, id, key } => on.import_key(label, &id.0, key),
            Call::ImportRoot { generation, root } => on.import_root(*generation, &root.0),
            Call::Inspect => on.inspect(&self.token),
            Call::SetGeneration { from, to } => on.set_generation(&from.0, &to.0),
            Call::SetId { label, from, to } => on.set_id(label, &from.0, &to.0),
            Call::Sign {
                label,
                algorithm,
                message,
            } => on.sign(label, *algorithm, &message.0),
            Call::States => on.states(),
        }
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
