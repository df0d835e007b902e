//! What other processes do with a session of their own on the token: the module reads its file's place from
//! the environment of the process.

use super::{PIN, TOKEN, module};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

/// What [`super::Token::in_a_process`] says to it.
fn variable(name: &str) -> String {
    std::env::var(format!("VOUCHSAFE_{name}")).expect(name)
}

/// A session on the token, logged in.
fn session() -> Session {
    let pkcs11 = Pkcs11::new(module()).expect("loads");
    pkcs11
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .expect("starts");
    let slots = pkcs11.get_slots_with_token().expect("slots");
    let is_ours = |slot: &Slot| {
        let info = pkcs11.get_token_info(*slot);
        info.is_ok_and(|info| info.label() == TOKEN)
    };
    let slot = slots.into_iter().find(is_ours).expect("the token");
    let session = pkcs11.open_rw_session(slot).expect("a session");
    session
        .login(UserType::User, Some(&AuthPin::from(PIN)))
        .expect("logs in");
    session
}

/// What [`super::Token::try_to_take_keys_out`] has another process do: reading, loosening, copying, wrapping.
pub fn try_to_take_keys_out() {
    let session = session();
    let wrapping = session
        .generate_key(
            &Mechanism::AesKeyGen,
            &[Attribute::ValueLen(32.into()), Attribute::Wrap(true)],
        )
        .expect("a key to wrap with");
    let loose = [Attribute::Extractable(true), Attribute::Sensitive(false)];
    let mut tried = 0;
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY] {
        let template = [Attribute::Class(class), Attribute::Token(true)];
        for key in session.find_objects(&template).expect("keys") {
            for secret in [
                AttributeType::Value,
                AttributeType::PrivateExponent,
                AttributeType::Prime1,
            ] {
                let found = session.get_attributes(key, &[secret]).unwrap_or_default();
                assert!(found.is_empty(), "{secret:?} was read");
            }
            for attribute in &loose {
                let one = std::slice::from_ref(attribute);
                assert!(
                    session.update_attributes(key, one).is_err(),
                    "{attribute:?}"
                );
                assert!(
                    session.copy_object(key, one).is_err(),
                    "a copy with {attribute:?}"
                );
            }
            for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
                assert!(
                    session.wrap_key(&mechanism, wrapping, key).is_err(),
                    "it was wrapped"
                );
            }
            tried += 1;
        }
    }
    let keys: usize = variable("KEYS").parse().expect("a number");
    assert_eq!(tried, keys, "each of them");
}

/// What [`super::Token::import_root`] has another process do.
pub fn import_root() {
    let hex = variable("ROOT");
    let root: Vec<u8> = (0..hex.len() / 2)
        .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).expect("hex"))
        .collect();
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

/// What [`super::Token::look_at_every_key`] has another process do.
pub fn look_at_every_key() {
    use AttributeType as A;
    let from_outside = variable("FROM_OUTSIDE") == "true";
    let wanted = [
        // What a key may be used for, and what may be done with it.
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
        // What it always was: the token notes it by itself.
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
                let found = session
                    .get_attributes(key, &[attribute])
                    .expect("attributes");
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
                // A private key has no `CKA_ENCRYPT`, `CKA_VERIFY` and `CKA_WRAP` at all.
                let said = found.first().is_some_and(truth);
                assert_eq!(said, expected, "{attribute:?} of {label:?}");
            }
            seen += 1;
        }
    }
    let keys: usize = variable("KEYS").parse().expect("a number");
    assert_eq!(seen, keys, "each of them");
}
