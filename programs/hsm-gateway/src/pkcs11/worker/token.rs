//! One PKCS#11 token, its login, and sessions that are reopened when they are lost.
//!
//! A login belongs to the process, not to a session (PKCS#11 v2.40 §5.6).

use super::error::{CallError, concerns_pin, name_of, precedes_pin_check};
use super::objects::Objects;
use crate::pkcs11::protocol::{Bytes, Call, Pkcs11Error, Reply};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An open PKCS#11 token.
pub struct Pkcs11Token {
    pub(super) pkcs11: Pkcs11,
    pub(super) slot: Slot,
    pin: AuthPin,
    /// Why a login failed. INVARIANT: after one login in which the token may have counted a wrong PIN, this process
    /// tries no other.
    refused: Mutex<Option<Pkcs11Error>>,
    /// Private and public keys that this process created, by label.
    pub(super) created: Mutex<BTreeMap<String, [ObjectHandle; 2]>>,
}

impl Pkcs11Token {
    pub fn open(module: &str, label: &str, pin: &str) -> Result<Self, Pkcs11Error> {
        let pkcs11 = Pkcs11::new(module)?;
        pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let slot = find_slot(&pkcs11, label)?;
        Ok(Self { pkcs11, slot, pin: AuthPin::from(pin), refused: Mutex::new(None), created: Mutex::default() })
    }

    /// Opens a session that is logged in.
    fn open_session(&self) -> Result<Session, Pkcs11Error> {
        // Held during the login, so that of two sessions lost at once only one tries the PIN.
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &*refused {
            return Err(error.clone());
        }
        let session = self.pkcs11.open_rw_session(self.slot)?;
        let state = session.get_session_info()?.session_state();
        if matches!(state, SessionState::RwUser | SessionState::RoUser) {
            return Ok(session);
        }
        match self.login(&session) {
            Err(error @ (Pkcs11Error::LoginFailed(_) | Pkcs11Error::PinRefused(_))) => {
                *refused = Some(error.clone());
                Err(error)
            }
            outcome => outcome.map(|()| session),
        }
    }

    fn login(&self, session: &Session) -> Result<(), Pkcs11Error> {
        let info = self.pkcs11.get_token_info(self.slot)?;
        if info.user_pin_locked() {
            return Err(Pkcs11Error::PinRefused("PIN is locked".to_owned()));
        }
        if info.user_pin_final_try() {
            let text = "a wrong PIN was used before; the last try is left unused";
            return Err(Pkcs11Error::PinRefused(text.to_owned()));
        }
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(error, _)) if concerns_pin(error) => Err(Pkcs11Error::PinRefused(name_of(error))),
            Err(Error::Pkcs11(error, _)) if !precedes_pin_check(error) => {
                // The token's own counter says more than such an error.
                let counts = self.pkcs11.get_token_info(self.slot);
                if counts.is_ok_and(|it| it.user_pin_count_low() || it.user_pin_locked()) {
                    return Err(Pkcs11Error::PinRefused(name_of(error)));
                }
                Err(Pkcs11Error::LoginFailed(name_of(error)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn find_slot(pkcs11: &Pkcs11, label: &str) -> Result<Slot, Pkcs11Error> {
    let mut found = Vec::new();
    for slot in pkcs11.get_slots_with_token()? {
        let info = pkcs11.get_token_info(slot)?;
        if info.token_initialized() && info.label() == label {
            found.push((slot, info.serial_number().trim().to_owned()));
        }
    }
    match found.as_slice() {
        [(slot, _)] => Ok(*slot),
        [] => Err(Pkcs11Error::TokenMissing(label.to_owned())),
        _ => Err(Pkcs11Error::DuplicateToken {
            label: label.to_owned(),
            serials: found.into_iter().map(|(_, serial)| serial).collect(),
        }),
    }
}

/// One session, reopened and logged in again when it is lost.
pub struct SessionKeeper {
    token: Arc<Pkcs11Token>,
    session: Option<Session>,
    /// Handles of objects found so far; valid as long as the session.
    handles: BTreeMap<String, ObjectHandle>,
}

impl SessionKeeper {
    pub fn open(token: Arc<Pkcs11Token>) -> Result<Self, Pkcs11Error> {
        let session = Some(token.open_session()?);
        Ok(Self { token, session, handles: BTreeMap::new() })
    }

    /// Performs `call`, and repeats it once on a new session if the session is lost.
    ///
    /// Does nothing unless the session's token derives `root`.
    pub fn call(&mut self, call: &Call, root: Option<&Bytes>) -> Result<Reply, Pkcs11Error> {
        match self.attempt(call, root) {
            Ok(reply) => Ok(reply),
            Err(CallError::Failed(error)) => Err(error),
            // Not repeated: the object may have been written before the session was lost.
            Err(CallError::SessionLost(error)) if call.writes() => Err(error),
            Err(CallError::SessionLost(_)) => {
                self.close_session();
                self.attempt(call, root).map_err(CallError::into_inner)
            }
        }
    }

    fn close_session(&mut self) {
        self.session = None;
        self.handles.clear();
    }

    fn attempt(&mut self, call: &Call, root: Option<&Bytes>) -> Result<Reply, CallError> {
        let outcome = self.call_on_session(call, root);
        if matches!(outcome, Err(CallError::SessionLost(_))) {
            self.close_session();
        }
        outcome
    }

    fn call_on_session(&mut self, call: &Call, root: Option<&Bytes>) -> Result<Reply, CallError> {
        let session = match &mut self.session {
            Some(session) => session,
            empty => empty.insert(self.token.open_session()?),
        };
        let mut objects = Objects { session, handles: &mut self.handles, created: &self.token.created };
        // ORDER: checked on the session that the call then uses.
        if let Some(root) = root {
            objects.require_root(&root.0)?;
        }
        match call {
            Call::CreateKey { label, algorithm, id } => objects.create_key(label, *algorithm, &id.0),
            Call::CreateRoot { generation } => objects.create_root(*generation),
            Call::Derive { message } => objects.derive(&message.0),
            Call::DestroyDuplicates { label } => objects.destroy_duplicates(label),
            Call::DestroyCreated { label } => objects.destroy_created(label),
            Call::DestroyKey { label, from } => objects.destroy_key(label, &from.0),
            Call::Generation => objects.generation(),
            Call::ImportCertificate { label, subject, der } => objects.import_certificate(label, &subject.0, &der.0),
            Call::ImportKey { label, id, key } => objects.import_key(label, &id.0, key),
            Call::ImportRoot { generation, root } => objects.import_root(*generation, &root.0),
            Call::Inspect => objects.inspect(&self.token),
            Call::SetGeneration { from, to } => objects.set_generation(&from.0, &to.0),
            Call::SetId { label, from, to } => objects.set_id(label, &from.0, &to.0),
            Call::Sign { label, algorithm, message } => objects.sign(label, *algorithm, &message.0),
            Call::States => objects.states(),
        }
    }
}

#[cfg(test)]
mod tests;
