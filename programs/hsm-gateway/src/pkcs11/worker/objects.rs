//! Keys on the token: find, create, change and use them.
//!
//! SoftHSM 2.6 has neither HKDF nor SP 800-108, so seeds are derived with `CKM_SHA256_HMAC` through `C_Sign`. Every
//! module has raw `CKM_ECDSA`, so the worker hashes.

use super::error::CallError;
use crate::pkcs11::protocol::{Algorithm, Pkcs11Error, ROOT_CHECK, Reply};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vouchsafe_gateway::{Generation, ROOT_LABEL};

const ROOT_BYTES: u64 = 32;
const RSA_BITS: u64 = 3072;
/// 65537, big-endian.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// The named curve P-256, 1.2.840.10045.3.1.7, in DER (RFC 5480 §2.1.1.1).
pub(super) const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// PrintableString `edwards25519` in DER (PKCS#11 v3.0 current mechanisms §2.3.10).
pub(super) const ED25519: [u8; 14] = *b"\x13\x0cedwards25519";

/// The token's objects, as one session sees them.
pub(super) struct Objects<'s> {
    pub(super) session: &'s Session,
    pub(super) handles: &'s mut BTreeMap<String, ObjectHandle>,
    pub(super) created: &'s Mutex<BTreeMap<String, [ObjectHandle; 2]>>,
}

impl Objects<'_> {
    /// Requires that the token's root derives `expected` from [`ROOT_CHECK`].
    pub(super) fn require_root(&mut self, expected: &[u8]) -> Result<(), CallError> {
        let root = match self.find_one(ObjectClass::SECRET_KEY, ROOT_LABEL) {
            Err(CallError::Failed(Pkcs11Error::KeyMissing(_))) => {
                return Err(Pkcs11Error::WrongRoot.into());
            }
            found => found?,
        };
        let found = self.session.sign(&Mechanism::Sha256Hmac, root, ROOT_CHECK)?;
        if found == expected { Ok(()) } else { Err(Pkcs11Error::WrongRoot.into()) }
    }

    pub(super) fn derive(mut self, message: &[u8]) -> Result<Reply, CallError> {
        let root = self.find_one(ObjectClass::SECRET_KEY, ROOT_LABEL)?;
        let seed = self.session.sign(&Mechanism::Sha256Hmac, root, message)?;
        Ok(Reply::Bytes(seed.into()))
    }

    pub(super) fn sign(mut self, label: &str, algorithm: Algorithm, message: &[u8]) -> Result<Reply, CallError> {
        let key = self.find_one(ObjectClass::PRIVATE_KEY, label)?;
        let signature = match algorithm {
            Algorithm::EdDsa => {
                let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
                self.session.sign(&mechanism, key, message)?
            }
            Algorithm::Es256 => {
                let digest = Sha256::digest(message);
                self.session.sign(&Mechanism::Ecdsa, key, &digest)?
            }
            Algorithm::Rs256 => self.session.sign(&Mechanism::Sha256RsaPkcs, key, message)?,
        };
        Ok(Reply::Bytes(signature.into()))
    }

    pub(super) fn create_root(self, generation: u64) -> Result<Reply, CallError> {
        self.require_free(ROOT_LABEL)?;
        let mut template = root_template(generation);
        template.push(Attribute::ValueLen(ROOT_BYTES.into()));
        let root = self.session.generate_key(&Mechanism::GenericSecretKeyGen, &template)?;
        self.require_alone(ROOT_LABEL, &[root])
    }

    pub(super) fn create_key(self, label: &str, algorithm: Algorithm, id: &[u8]) -> Result<Reply, CallError> {
        self.require_free(label)?;
        let mut public = vec![
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Verify(true),
            Attribute::Encrypt(false),
            Attribute::Wrap(false),
        ];
        let mechanism = match algorithm {
            Algorithm::EdDsa => {
                public.push(Attribute::EcParams(ED25519.to_vec()));
                Mechanism::EccEdwardsKeyPairGen
            }
            Algorithm::Es256 => {
                public.push(Attribute::EcParams(P256.to_vec()));
                Mechanism::EccKeyPairGen
            }
            Algorithm::Rs256 => {
                public.push(Attribute::ModulusBits(RSA_BITS.into()));
                public.push(Attribute::PublicExponent(RSA_EXPONENT.to_vec()));
                Mechanism::RsaPkcsKeyPairGen
            }
        };
        let mut private = private_template(label);
        private.push(Attribute::Id(id.to_vec()));
        let (public, private) = self.session.generate_key_pair(&mechanism, &public, &private)?;
        let created = [private, public];
        self.require_alone(label, &created)?;
        self.created().insert(label.to_owned(), created);
        Ok(Reply::Done)
    }

    fn created(&self) -> MutexGuard<'_, BTreeMap<String, [ObjectHandle; 2]>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn destroy_created(self, label: &str) -> Result<Reply, CallError> {
        let created = self.created().remove(label);
        for object in created.into_iter().flatten() {
            self.session.destroy_object(object)?;
        }
        self.handles.remove(label);
        Ok(Reply::Done)
    }

    /// Returns the root's `CKA_ID`.
    pub(super) fn generation(mut self) -> Result<Reply, CallError> {
        let root = self.find_one(ObjectClass::SECRET_KEY, ROOT_LABEL)?;
        Ok(Reply::Bytes(self.id(root)?.into()))
    }

    pub(super) fn set_generation(self, from: &[u8], to: &[u8]) -> Result<Reply, CallError> {
        self.change_id(ObjectClass::SECRET_KEY, ROOT_LABEL, from, to)
    }

    pub(super) fn set_id(self, label: &str, from: &[u8], to: &[u8]) -> Result<Reply, CallError> {
        self.change_id(ObjectClass::PRIVATE_KEY, label, from, to)
    }

    /// ORDER: compared directly before the write, because PKCS#11 has no compare-and-set. A write between the two calls
    /// is lost.
    fn change_id(mut self, class: ObjectClass, label: &str, from: &[u8], to: &[u8]) -> Result<Reply, CallError> {
        let key = self.find_one(class, label)?;
        self.require_id(key, label, from)?;
        self.session.update_attributes(key, &[Attribute::Id(to.to_vec())])?;
        Ok(Reply::Done)
    }

    /// Destroys a private key whose `CKA_ID` is `from`.
    pub(super) fn destroy_key(mut self, label: &str, from: &[u8]) -> Result<Reply, CallError> {
        let key = self.find_one(ObjectClass::PRIVATE_KEY, label)?;
        self.require_id(key, label, from)?;
        self.session.destroy_object(key)?;
        self.handles.remove(label);
        Ok(Reply::Done)
    }

    /// Destroys every private key with this label.
    pub(super) fn destroy_duplicates(self, label: &str) -> Result<Reply, CallError> {
        for key in self.find_all(ObjectClass::PRIVATE_KEY, label)? {
            self.session.destroy_object(key)?;
        }
        self.handles.remove(label);
        Ok(Reply::Done)
    }

    fn id(&self, key: ObjectHandle) -> Result<Vec<u8>, CallError> {
        let attributes = self.session.get_attributes(key, &[AttributeType::Id])?;
        let id = attributes.into_iter().find_map(|it| match it {
            Attribute::Id(id) => Some(id),
            _ => None,
        });
        Ok(id.unwrap_or_default())
    }

    fn require_id(&self, key: ObjectHandle, label: &str, id: &[u8]) -> Result<(), CallError> {
        if self.id(key)? == id { Ok(()) } else { Err(Pkcs11Error::Changed(label.to_owned()).into()) }
    }

    fn find_one(&mut self, class: ObjectClass, label: &str) -> Result<ObjectHandle, CallError> {
        if let Some(find_one) = self.handles.get(label) {
            return Ok(*find_one);
        }
        let Some(find_one) = self.find_unique(class, label)? else {
            let missing = Pkcs11Error::KeyMissing(label.to_owned());
            // A session that is logged out sees no private object, without an error.
            return Err(if self.is_logged_in()? { missing.into() } else { CallError::SessionLost(missing) });
        };
        self.handles.insert(label.to_owned(), find_one);
        Ok(find_one)
    }

    fn is_logged_in(&self) -> Result<bool, CallError> {
        let state = self.session.get_session_info()?.session_state();
        Ok(matches!(state, SessionState::RwUser | SessionState::RoUser))
    }

    fn find_unique(&self, class: ObjectClass, label: &str) -> Result<Option<ObjectHandle>, CallError> {
        match self.find_all(class, label)?.as_slice() {
            [] => Ok(None),
            [object] => Ok(Some(*object)),
            _ => Err(Pkcs11Error::DuplicateKey(label.to_owned()).into()),
        }
    }

    fn find_all(&self, class: ObjectClass, label: &str) -> Result<Vec<ObjectHandle>, CallError> {
        let template = [Attribute::Class(class), Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec())];
        Ok(self.session.find_objects(&template)?)
    }

    pub(super) fn require_free(&self, label: &str) -> Result<(), CallError> {
        let template = [Attribute::Label(label.as_bytes().to_vec())];
        if self.session.find_objects(&template)?.is_empty() {
            Ok(())
        } else {
            Err(Pkcs11Error::KeyExists(label.to_owned()).into())
        }
    }

    /// Requires that nobody else created an object with this label since it was free. Otherwise destroys what this
    /// process created, by handle, since a search finds the other's too. If both notice, both destroy, and the label is
    /// free again.
    pub(super) fn require_alone(&self, label: &str, created: &[ObjectHandle]) -> Result<Reply, CallError> {
        let template = [Attribute::Label(label.as_bytes().to_vec())];
        let found = self.session.find_objects(&template)?;
        if found.iter().all(|it| created.contains(it)) {
            return Ok(Reply::Done);
        }
        for object in created {
            self.session.destroy_object(*object)?;
        }
        Err(Pkcs11Error::CreatedConcurrently(label.to_owned()).into())
    }
}

pub(super) fn root_template(generation: u64) -> Vec<Attribute> {
    let mut template = private_template(ROOT_LABEL);
    template.extend([
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Id(Generation::first(generation).to_bytes()),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
    ]);
    template
}

/// Attributes of a key that stays in the token and only signs.
pub(super) fn private_template(label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Derive(false),
        Attribute::Unwrap(false),
    ]
}
