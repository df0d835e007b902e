//! Keys on the token: finding, making, changing and using them.
//!
//! SoftHSM 2.6 has neither HKDF nor SP 800-108, so seeds are `CKM_SHA256_HMAC` by `C_Sign`; raw `CKM_ECDSA`
//! is what every module has, so the hash is made here.

use super::protocol::{Algorithm, Fault, ROOT_CHECK, Reply};
use super::token::Trouble;
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

/// What is done on one session.
pub(super) struct On<'s> {
    pub(super) session: &'s Session,
    pub(super) handles: &'s mut BTreeMap<String, ObjectHandle>,
    pub(super) made: &'s Mutex<BTreeMap<String, [ObjectHandle; 2]>>,
}

impl On<'_> {
    /// Holds what the token's root derives against `expected`.
    pub(super) fn require_root(&mut self, expected: &[u8]) -> Result<(), Trouble> {
        let root = match self.handle(ObjectClass::SECRET_KEY, ROOT_LABEL) {
            Err(Trouble::Fault(Fault::KeyMissing(_))) => return Err(Fault::OtherRoot.into()),
            found => found?,
        };
        let found = self
            .session
            .sign(&Mechanism::Sha256Hmac, root, ROOT_CHECK)?;
        match found == expected {
            true => Ok(()),
            false => Err(Fault::OtherRoot.into()),
        }
    }

    pub(super) fn derive(mut self, message: &[u8]) -> Result<Reply, Trouble> {
        let root = self.handle(ObjectClass::SECRET_KEY, ROOT_LABEL)?;
        let seed = self.session.sign(&Mechanism::Sha256Hmac, root, message)?;
        Ok(Reply::Bytes(seed.into()))
    }

    pub(super) fn sign(
        mut self,
        label: &str,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Reply, Trouble> {
        let key = self.handle(ObjectClass::PRIVATE_KEY, label)?;
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

    pub(super) fn create_root(self, generation: u64) -> Result<Reply, Trouble> {
        self.require_free(ROOT_LABEL)?;
        let mut template = root_template(generation);
        template.push(Attribute::ValueLen(ROOT_BYTES.into()));
        let root = self
            .session
            .generate_key(&Mechanism::GenericSecretKeyGen, &template)?;
        self.require_alone(ROOT_LABEL, &[root])
    }

    pub(super) fn create_key(
        self,
        label: &str,
        algorithm: Algorithm,
        id: &[u8],
    ) -> Result<Reply, Trouble> {
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
        let (public, private) = self
            .session
            .generate_key_pair(&mechanism, &public, &private)?;
        let made = [private, public];
        self.require_alone(label, &made)?;
        self.made().insert(label.to_owned(), made);
        Ok(Reply::Done)
    }

    fn made(&self) -> MutexGuard<'_, BTreeMap<String, [ObjectHandle; 2]>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn destroy_made(self, label: &str) -> Result<Reply, Trouble> {
        let made = self.made().remove(label);
        for object in made.into_iter().flatten() {
            self.session.destroy_object(object)?;
        }
        self.handles.remove(label);
        Ok(Reply::Done)
    }

    /// The root's `CKA_ID`.
    pub(super) fn generation(mut self) -> Result<Reply, Trouble> {
        let root = self.handle(ObjectClass::SECRET_KEY, ROOT_LABEL)?;
        Ok(Reply::Bytes(self.id(root)?.into()))
    }

    pub(super) fn set_generation(self, from: &[u8], to: &[u8]) -> Result<Reply, Trouble> {
        self.change_id(ObjectClass::SECRET_KEY, ROOT_LABEL, from, to)
    }

    pub(super) fn set_id(self, label: &str, from: &[u8], to: &[u8]) -> Result<Reply, Trouble> {
        self.change_id(ObjectClass::PRIVATE_KEY, label, from, to)
    }

    /// ORDER: compared directly before it is written, since PKCS#11 can't do both at once. Whoever writes
    /// between the two calls is overwritten.
    fn change_id(
        mut self,
        class: ObjectClass,
        label: &str,
        from: &[u8],
        to: &[u8],
    ) -> Result<Reply, Trouble> {
        let key = self.handle(class, label)?;
        self.require_id(key, label, from)?;
        self.session
            .update_attributes(key, &[Attribute::Id(to.to_vec())])?;
        Ok(Reply::Done)
    }

    /// Destroys the private half, if it is as `from` says.
    pub(super) fn destroy_key(mut self, label: &str, from: &[u8]) -> Result<Reply, Trouble> {
        let key = self.handle(ObjectClass::PRIVATE_KEY, label)?;
        self.require_id(key, label, from)?;
        self.session.destroy_object(key)?;
        self.handles.remove(label);
        Ok(Reply::Done)
    }

    /// Destroys every private half of a label that is there twice.
    pub(super) fn destroy_doubled(self, label: &str) -> Result<Reply, Trouble> {
        for key in self.labelled(ObjectClass::PRIVATE_KEY, label)? {
            self.session.destroy_object(key)?;
        }
        self.handles.remove(label);
        Ok(Reply::Done)
    }

    fn id(&self, key: ObjectHandle) -> Result<Vec<u8>, Trouble> {
        let attributes = self.session.get_attributes(key, &[AttributeType::Id])?;
        let id = attributes.into_iter().find_map(|it| match it {
            Attribute::Id(id) => Some(id),
            _ => None,
        });
        Ok(id.unwrap_or_default())
    }

    fn require_id(&self, key: ObjectHandle, label: &str, id: &[u8]) -> Result<(), Trouble> {
        match self.id(key)? == id {
            true => Ok(()),
            false => Err(Fault::Changed(label.to_owned()).into()),
        }
    }

    fn handle(&mut self, class: ObjectClass, label: &str) -> Result<ObjectHandle, Trouble> {
        if let Some(handle) = self.handles.get(label) {
            return Ok(*handle);
        }
        let Some(handle) = self.find(class, label)? else {
            let missing = Fault::KeyMissing(label.to_owned());
            // Who is logged out sees no private object, and no error either.
            return Err(match self.is_logged_in()? {
                true => missing.into(),
                false => Trouble::Lost(missing),
            });
        };
        self.handles.insert(label.to_owned(), handle);
        Ok(handle)
    }

    fn is_logged_in(&self) -> Result<bool, Trouble> {
        let state = self.session.get_session_info()?.session_state();
        Ok(matches!(state, SessionState::RwUser | SessionState::RoUser))
    }

    fn find(&self, class: ObjectClass, label: &str) -> Result<Option<ObjectHandle>, Trouble> {
        match self.labelled(class, label)?.as_slice() {
            [] => Ok(None),
            [object] => Ok(Some(*object)),
            _ => Err(Fault::KeyTwice(label.to_owned()).into()),
        }
    }

    fn labelled(&self, class: ObjectClass, label: &str) -> Result<Vec<ObjectHandle>, Trouble> {
        let template = [
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        Ok(self.session.find_objects(&template)?)
    }

    pub(super) fn require_free(&self, label: &str) -> Result<(), Trouble> {
        let template = [Attribute::Label(label.as_bytes().to_vec())];
        match self.session.find_objects(&template)?.is_empty() {
            true => Ok(()),
            false => Err(Fault::KeyExists(label.to_owned()).into()),
        }
    }

    /// Whether nobody else made something of this label since it was free. If somebody did, what was made
    /// here is destroyed: by its handles, since a search finds the other's too. Where both find out, both
    /// destroy, and the label is free again.
    pub(super) fn require_alone(
        &self,
        label: &str,
        made: &[ObjectHandle],
    ) -> Result<Reply, Trouble> {
        let template = [Attribute::Label(label.as_bytes().to_vec())];
        let found = self.session.find_objects(&template)?;
        if found.iter().all(|it| made.contains(it)) {
            return Ok(Reply::Done);
        }
        for object in made {
            self.session.destroy_object(*object)?;
        }
        Err(Fault::MadeTwice(label.to_owned()).into())
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

/// A key that stays in the token and signs only.
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
