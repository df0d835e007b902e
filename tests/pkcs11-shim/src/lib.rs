//! A PKCS#11 module that wraps a real one and fails on demand.
//!
//! Passes every call to the module that `PKCS11_SHIM_MODULE` names. Before a call that starts a signature or reads
//! attributes, the shim looks for a file in the folder `PKCS11_SHIM_FOLDER`, removes it, does what its name says, and
//! goes on:
//!
//! - `close-all`: closes all sessions of the process, like a network HSM that lost its client;
//! - `log-out`: logs the process out;
//! - `device-error`: returns `CKR_DEVICE_ERROR` instead of calling the module;
//! - `data-length`: returns `CKR_DATA_LEN_RANGE` for the start of a signature that is not an HMAC;
//! - `spoil`: flips one bit of the module's signature, unless it is an HMAC.
//!
//! A file `hold-PLACE` that contains a number holds the call that reaches that place as that number, counted from 1.
//! The file is then renamed to `held-PLACE`, and the call continues when it is removed. The places are `before-` and
//! `after-` the functions `C_GenerateKeyPair` and `C_SetAttributeValue`, and `before-find`: the search for a private
//! key by its label that precedes its use or change.
//!
//! Each login adds a line to the file `logins`. While there is a file `login-fails`, logins return
//! `CKR_FUNCTION_FAILED` and don't reach the module.

#![allow(non_snake_case, unsafe_code, reason = "a module is C by its interface, and unsafe")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a module for tests may panic"
)]

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_FUNCTION_LIST, CK_MECHANISM, CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE,
    CK_SESSION_INFO, CK_ULONG, CK_USER_TYPE, CK_UTF8CHAR, CKA_CLASS, CKA_LABEL, CKM_SHA256_HMAC, CKO_PRIVATE_KEY,
    CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR, CKR_OK, Pkcs11,
};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Length of a `CKM_SHA256_HMAC`; every signature is longer.
const HMAC_BYTES: CK_ULONG = 32;

/// How often a held call checks whether it may continue.
const LOOK: Duration = Duration::from_millis(5);

struct Shim {
    /// Keeps the real module loaded.
    _module: Pkcs11,
    real: CK_FUNCTION_LIST,
    ours: CK_FUNCTION_LIST,
    folder: PathBuf,
    /// Lets one call at a time check whether it is held.
    counting: Mutex<()>,
}

// SAFETY: it points into the loaded module, which any thread may call.
unsafe impl Send for Shim {}
// SAFETY: as above; it never changes.
unsafe impl Sync for Shim {}

static SHIM: OnceLock<Option<Shim>> = OnceLock::new();

fn load() -> Option<Shim> {
    let module = std::env::var_os("PKCS11_SHIM_MODULE")?;
    let folder = PathBuf::from(std::env::var_os("PKCS11_SHIM_FOLDER")?);
    // SAFETY: the caller states that the path is a PKCS#11 module.
    let module = unsafe { Pkcs11::new(module) }.ok()?;
    let get = *module.C_GetFunctionList.as_ref().ok()?;
    let mut list = std::ptr::null_mut();
    // SAFETY: `list` receives the result (PKCS#11 v2.40 §5.4).
    if unsafe { get(&mut list) } != CKR_OK || list.is_null() {
        return None;
    }
    // SAFETY: a list of functions that lives as long as the module.
    let real = unsafe { *list };
    let ours = CK_FUNCTION_LIST {
        C_FindObjectsInit: Some(find_objects_init),
        C_GenerateKeyPair: Some(generate_key_pair),
        C_GetFunctionList: Some(C_GetFunctionList),
        C_GetAttributeValue: Some(get_attribute_value),
        C_Login: Some(login),
        C_SetAttributeValue: Some(set_attribute_value),
        C_SignInit: Some(sign_init),
        C_Sign: Some(sign),
        ..real
    };
    Some(Shim { _module: module, real, ours, folder, counting: Mutex::new(()) })
}

fn shim() -> Option<&'static Shim> {
    SHIM.get_or_init(load).as_ref()
}

impl Shim {
    /// Whether `name` was requested; consumes the request.
    fn take_request(&self, name: &str) -> bool {
        std::fs::remove_file(self.folder.join(name)).is_ok()
    }

    /// Waits if this call is to be held.
    fn hold(&self, place: &str) {
        let (hold, held) = (self.folder.join(format!("hold-{place}")), self.folder.join(format!("held-{place}")));
        {
            let _turn = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(number) = std::fs::read_to_string(&hold) else {
                return;
            };
            if let Ok(more @ 2..) = number.trim().parse::<u32>() {
                // Without the file the call is held too early, which the test notices.
                drop(std::fs::write(&hold, (more - 1).to_string()));
                return;
            }
            if std::fs::rename(&hold, &held).is_err() {
                return;
            }
        }
        while held.exists() {
            std::thread::sleep(LOOK);
        }
    }

    /// Records a login; returns whether it must fail.
    fn fails_login(&self) -> bool {
        let mut logins = std::fs::OpenOptions::new();
        let logins = logins.create(true).append(true);
        if let Ok(mut file) = logins.open(self.folder.join("logins")) {
            // A test that counts lines notices if one is missing.
            drop(file.write_all(b"login\n"));
        }
        self.folder.join("login-fails").exists()
    }

    /// Does what was requested; an error replaces the module's result.
    fn misbehave(&self, session: CK_SESSION_HANDLE) -> CK_RV {
        if self.take_request("close-all") {
            let mut info = CK_SESSION_INFO::default();
            if let (Some(look), Some(close)) = (self.real.C_GetSessionInfo, self.real.C_CloseAllSessions) {
                // SAFETY: the caller's session, and a place for the answer.
                unsafe {
                    look(session, &mut info);
                    close(info.slotID);
                }
            }
        }
        if self.take_request("log-out")
            && let Some(log_out) = self.real.C_Logout
        {
            // SAFETY: the caller's session.
            unsafe { log_out(session) };
        }
        if self.take_request("device-error") {
            return CKR_DEVICE_ERROR;
        }
        CKR_OK
    }
}

/// # Safety
/// As PKCS#11 v2.40 §5.4 requires.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    match shim() {
        Some(shim) if !list.is_null() => {
            // SAFETY: not null, and the caller's. The list is not written through it.
            unsafe { *list = std::ptr::from_ref(&shim.ours).cast_mut() };
            CKR_OK
        }
        _ => CKR_GENERAL_ERROR,
    }
}

unsafe extern "C" fn get_attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let Some((shim, get)) = shim().and_then(|it| Some((it, it.real.C_GetAttributeValue?))) else {
        return CKR_GENERAL_ERROR;
    };
    match shim.misbehave(session) {
        // SAFETY: the caller's own arguments.
        CKR_OK => unsafe { get(session, object, template, count) },
        error => error,
    }
}

unsafe extern "C" fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_length: CK_ULONG,
) -> CK_RV {
    let Some((shim, real)) = shim().and_then(|it| Some((it, it.real.C_Login?))) else {
        return CKR_GENERAL_ERROR;
    };
    if shim.fails_login() {
        return CKR_FUNCTION_FAILED;
    }
    // SAFETY: the caller's own arguments.
    unsafe { real(session, user, pin, pin_length) }
}

unsafe extern "C" fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    let Some((shim, init)) = shim().and_then(|it| Some((it, it.real.C_SignInit?))) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's own argument.
    let is_hmac = !mechanism.is_null() && unsafe { (*mechanism).mechanism } == CKM_SHA256_HMAC;
    if !is_hmac && shim.take_request("data-length") {
        return CKR_DATA_LEN_RANGE;
    }
    match shim.misbehave(session) {
        // SAFETY: the caller's own arguments.
        CKR_OK => unsafe { init(session, mechanism, key) },
        error => error,
    }
}

unsafe extern "C" fn sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_length: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_length: *mut CK_ULONG,
) -> CK_RV {
    let Some((shim, real)) = shim().and_then(|it| Some((it, it.real.C_Sign?))) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's own arguments.
    let answer = unsafe { real(session, data, data_length, signature, signature_length) };
    // Without a buffer, only the length was requested.
    if answer == CKR_OK && !signature.is_null() {
        // SAFETY: the length was written there.
        let is_hmac = unsafe { *signature_length } == HMAC_BYTES;
        if !is_hmac && shim.take_request("spoil") {
            // SAFETY: a signature was written there, of at least one byte.
            unsafe { *signature ^= 1 };
        }
    }
    answer
}

unsafe extern "C" fn find_objects_init(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let Some((shim, real)) = shim().and_then(|it| Some((it, it.real.C_FindObjectsInit?))) else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's own arguments.
    if unsafe { is_for_private_key_by_label(template, count) } {
        shim.hold("before-find");
    }
    // SAFETY: as above.
    unsafe { real(session, template, count) }
}

/// # Safety
/// `template` has `count` attributes.
unsafe fn is_for_private_key_by_label(template: *const CK_ATTRIBUTE, count: CK_ULONG) -> bool {
    let Ok(count) = usize::try_from(count) else {
        return false;
    };
    if template.is_null() {
        return false;
    }
    // SAFETY: not null, and as long as the caller says.
    let attributes = unsafe { std::slice::from_raw_parts(template, count) };
    let is_private = |it: &CK_ATTRIBUTE| {
        it.type_ == CKA_CLASS
            && !it.pValue.is_null()
            // SAFETY: the value of a class (PKCS#11 v2.40 §4.2), wherever it lies.
            && unsafe { it.pValue.cast::<CK_OBJECT_CLASS>().read_unaligned() } == CKO_PRIVATE_KEY
    };
    attributes.iter().any(is_private) && attributes.iter().any(|it| it.type_ == CKA_LABEL)
}

unsafe extern "C" fn generate_key_pair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public_template: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private_template: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public: *mut CK_OBJECT_HANDLE,
    private: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    let Some((shim, real)) = shim().and_then(|it| Some((it, it.real.C_GenerateKeyPair?))) else {
        return CKR_GENERAL_ERROR;
    };
    shim.hold("before-C_GenerateKeyPair");
    // SAFETY: the caller's own arguments.
    let answer = unsafe {
        real(session, mechanism, public_template, public_count, private_template, private_count, public, private)
    };
    shim.hold("after-C_GenerateKeyPair");
    answer
}

unsafe extern "C" fn set_attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let Some((shim, real)) = shim().and_then(|it| Some((it, it.real.C_SetAttributeValue?))) else {
        return CKR_GENERAL_ERROR;
    };
    shim.hold("before-C_SetAttributeValue");
    // SAFETY: the caller's own arguments.
    let answer = unsafe { real(session, object, template, count) };
    shim.hold("after-C_SetAttributeValue");
    answer
}
