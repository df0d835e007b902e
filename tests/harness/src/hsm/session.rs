//! What separate processes do in their own session on the PKCS#11 token: the module reads the path of its
//! configuration from the environment of the process.

use super::{PIN, TOKEN, module};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

/// A variable that [`super::Pkcs11Token::in_a_process`] set.
fn variable(name: &str) -> String {
    std::env::var(format!("VOUCHSAFE_{name}")).expect(name)
}

/// A logged-in session on the PKCS#11 token.
fn session() -> Session {
    let pkcs11 = Pkcs11::new(module()).expect("loads");
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("starts");
    let slots = pkcs11.get_slots_with_token().expect("slots");
    let is_ours = |slot: &Slot| {
        let info = pkcs11.get_token_info(*slot);
        info.is_ok_and(|info| info.label() == TOKEN)
    };
    let slot = slots.into_iter().find(is_ours).expect("the token");
    let session = pkcs11.open_rw_session(slot).expect("a session");
    session.login(UserType::User, Some(&AuthPin::from(PIN))).expect("logs in");
    session
}

/// Tries to read, weaken, copy and wrap keys; see [`super::Pkcs11Token::try_to_extract_keys`].
pub fn try_to_extract_keys() {
    let session = session();
    let wrapping = session
        .generate_key(&Mechanism::AesKeyGen, &[Attribute::ValueLen(32.into()), Attribute::Wrap(true)])
        .expect("a key to wrap with");
    let loose = [Attribute::Extractable(true), Attribute::Sensitive(false)];
    let mut tried = 0;
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY] {
        let template = [Attribute::Class(class), Attribute::Token(true)];
        for key in session.find_objects(&template).expect("keys") {
            for secret in [AttributeType::Value, AttributeType::PrivateExponent, AttributeType::Prime1] {
                let found = session.get_attributes(key, &[secret]).unwrap_or_default();
                assert!(found.is_empty(), "{secret:?} could be read");
            }
            for attribute in &loose {
                let one = std::slice::from_ref(attribute);
                assert!(session.update_attributes(key, one).is_err(), "{attribute:?}");
                assert!(session.copy_object(key, one).is_err(), "copied with {attribute:?}");
            }
            for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
                assert!(session.wrap_key(&mechanism, wrapping, key).is_err(), "wrapped");
            }
            tried += 1;
        }
    }
    let keys: usize = variable("KEYS").parse().expect("a number");
    assert_eq!(tried, keys, "number of keys");
}

/// Imports a root; see [`super::Pkcs11Token::import_root`].
pub fn import_root() {
    let hex = variable("ROOT");
    let root: Vec<u8> =
        (0..hex.len() / 2).map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).expect("hex")).collect();
    let generation: u64 = variable("GENERATION").parse().expect("a number");
    let session = session();
    session
        .create_object(&[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Verify(false),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
            Attribute::Label(b"vouchsafe:root".to_vec()),
            Attribute::Id(generation.to_be_bytes().to_vec()),
            Attribute::Value(root),
        ])
        .expect("an object");
}

/// Checks attributes of keys; see [`super::Pkcs11Token::check_key_attributes`].
pub fn check_key_attributes() {
    use AttributeType as A;
    let from_outside = variable("FROM_OUTSIDE") == "true";
    let wanted = [
        // What a key may be used for, and how it is protected.
        A::Sign,
        A::Verify,
        A::Encrypt,
        A::Decrypt,
        A::Wrap,
        A::Unwrap,
        A::Derive,
        A::Sensitive,
        A::Extractable,
        A::Private,
        // Its history, which the token itself records.
        A::AlwaysSensitive,
        A::NeverExtractable,
        A::Local,
    ];
    let session = session();
    let mut seen = 0;
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY] {
        let template = [Attribute::Class(class), Attribute::Token(true)];
        for key in session.find_objects(&template).expect("keys") {
            let label = session.get_attributes(key, &[A::Label]).expect("a label");
            for attribute in wanted {
                let found = session.get_attributes(key, &[attribute]).expect("attributes");
                let expected = match attribute {
                    A::Sign | A::Sensitive | A::Private => true,
                    A::AlwaysSensitive | A::NeverExtractable | A::Local => !from_outside,
                    _ => false,
                };
                let truth = |it: &Attribute| {
                    matches!(
                        it,
                        Attribute::Sign(true)
                            | Attribute::Verify(true)
                            | Attribute::Encrypt(true)
                            | Attribute::Decrypt(true)
                            | Attribute::Wrap(true)
                            | Attribute::Unwrap(true)
                            | Attribute::Derive(true)
                            | Attribute::Sensitive(true)
                            | Attribute::Extractable(true)
                            | Attribute::Private(true)
                            | Attribute::AlwaysSensitive(true)
                            | Attribute::NeverExtractable(true)
                            | Attribute::Local(true)
                    )
                };
                // Private keys have no `CKA_ENCRYPT`, `CKA_VERIFY` and `CKA_WRAP` at all.
                let said = found.first().is_some_and(truth);
                assert_eq!(said, expected, "{attribute:?} of {label:?}");
            }
            seen += 1;
        }
    }
    let keys: usize = variable("KEYS").parse().expect("a number");
    assert_eq!(seen, keys, "number of keys");
}
