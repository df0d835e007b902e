//! Keys on the token: finding, describing, making and using them.
//!
//! SoftHSM 2.6 has neither HKDF nor SP 800-108, so seeds are `CKM_SHA256_HMAC` by `C_Sign`; raw `CKM_ECDSA`
//! is what every module has, so the hash is made here.

use super::protocol::{
    Algorithm, Bytes, CertificateInfo, Fault, Flags, Inventory, KeyInfo, PublicKey, Reply,
};
use super::token::{Token, Trouble};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use vouchsafe_gateway::{ROOT_LABEL, TOKEN_KEY_PREFIX};

/// What the labels of all of the gateway's objects begin with.
const PREFIX: &str = "vouchsafe:";
const ROOT_BYTES: u64 = 32;
const RSA_BITS: u64 = 3072;
/// 65537, big-endian.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// The named curve P-256, 1.2.840.10045.3.1.7, in DER (RFC 5480 §2.1.1.1).
pub(super) const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// PrintableString `edwards25519` in DER (PKCS#11 v3.0 current mechanisms §2.3.10).
pub(super) const ED25519: [u8; 14] = *b"\x13\x0cedwards25519";

const MECHANISMS: [(&str, MechanismType); 8] = [
    ("CKM_ECDSA", MechanismType::ECDSA),
    (
        "CKM_EC_EDWARDS_KEY_PAIR_GEN",
        MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
    ),
    ("CKM_EC_KEY_PAIR_GEN", MechanismType::ECC_KEY_PAIR_GEN),
    ("CKM_EDDSA", MechanismType::EDDSA),
    (
        "CKM_GENERIC_SECRET_KEY_GEN",
        MechanismType::GENERIC_SECRET_KEY_GEN,
    ),
    (
        "CKM_RSA_PKCS_KEY_PAIR_GEN",
        MechanismType::RSA_PKCS_KEY_PAIR_GEN,
    ),
    ("CKM_SHA256_HMAC", MechanismType::SHA256_HMAC),
    ("CKM_SHA256_RSA_PKCS", MechanismType::SHA256_RSA_PKCS),
];

/// What is done on one session.
pub(super) struct On<'s> {
    pub(super) session: &'s Session,
    pub(super) handles: &'s mut BTreeMap<String, ObjectHandle>,
}

impl On<'_> {
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
        self.session
            .generate_key(&Mechanism::GenericSecretKeyGen, &template)?;
        Ok(Reply::Done)
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
        self.session
            .generate_key_pair(&mechanism, &public, &private)?;
        Ok(Reply::Done)
    }

    pub(super) fn generation(mut self) -> Result<Reply, Trouble> {
        let root = self.handle(ObjectClass::SECRET_KEY, ROOT_LABEL)?;
        let attributes = self.session.get_attributes(root, &[AttributeType::Id])?;
        let generation = attributes.iter().find_map(|attribute| match attribute {
            Attribute::Id(id) => id.as_slice().try_into().ok().map(u64::from_be_bytes),
            _ => None,
        });
        let missing = || Fault::Module("the root's CKA_ID is no generation".to_owned());
        Ok(Reply::Generation(generation.ok_or_else(missing)?))
    }

    pub(super) fn set_generation(mut self, generation: u64) -> Result<Reply, Trouble> {
        let root = self.handle(ObjectClass::SECRET_KEY, ROOT_LABEL)?;
        let id = Attribute::Id(generation.to_be_bytes().to_vec());
        self.session.update_attributes(root, &[id])?;
        Ok(Reply::Done)
    }

    pub(super) fn set_id(mut self, label: &str, id: &[u8]) -> Result<Reply, Trouble> {
        let key = self.handle(ObjectClass::PRIVATE_KEY, label)?;
        self.session
            .update_attributes(key, &[Attribute::Id(id.to_vec())])?;
        Ok(Reply::Done)
    }

    pub(super) fn destroy_key(mut self, label: &str) -> Result<Reply, Trouble> {
        let key = self.handle(ObjectClass::PRIVATE_KEY, label)?;
        self.session.destroy_object(key)?;
        self.handles.remove(label);
        Ok(Reply::Done)
    }

    pub(super) fn states(self) -> Result<Reply, Trouble> {
        let wanted = [AttributeType::Label, AttributeType::Id];
        let mut states = Vec::new();
        for object in self
            .session
            .find_objects(&of_class(ObjectClass::PRIVATE_KEY))?
        {
            let (mut label, mut id) = (String::new(), Vec::new());
            for attribute in self.session.get_attributes(object, &wanted)? {
                match attribute {
                    Attribute::Label(bytes) => label = String::from_utf8_lossy(&bytes).into_owned(),
                    Attribute::Id(bytes) => id = bytes,
                    _ => {}
                }
            }
            if label.starts_with(TOKEN_KEY_PREFIX) {
                states.push((label, Bytes::from(id)));
            }
        }
        states.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Reply::States(states))
    }

    /// Labels of public keys that have no private half among `keys`.
    fn destroyed(&self, keys: &[KeyInfo]) -> Result<Vec<String>, Trouble> {
        let mut labels = Vec::new();
        for object in self
            .session
            .find_objects(&of_class(ObjectClass::PUBLIC_KEY))?
        {
            let attributes = self
                .session
                .get_attributes(object, &[AttributeType::Label])?;
            labels.extend(
                attributes
                    .into_iter()
                    .filter_map(|attribute| match attribute {
                        Attribute::Label(bytes) => String::from_utf8(bytes).ok(),
                        _ => None,
                    }),
            );
        }
        labels.retain(|label| {
            let halves = || keys.iter().any(|key| key.label == *label);
            label.starts_with(TOKEN_KEY_PREFIX) && !halves()
        });
        Ok(labels)
    }

    pub(super) fn inspect(self, token: &Token) -> Result<Reply, Trouble> {
        let info = token.pkcs11.get_token_info(token.slot)?;
        let offered = token.pkcs11.get_mechanism_list(token.slot)?;
        let (there, missing): (Vec<_>, Vec<_>) = MECHANISMS
            .iter()
            .partition(|(_, mechanism)| offered.contains(mechanism));
        let names = |them: Vec<&(&str, _)>| them.iter().map(|it| it.0.to_owned()).collect();
        let mut keys = Vec::new();
        for (class, secret) in [
            (ObjectClass::SECRET_KEY, true),
            (ObjectClass::PRIVATE_KEY, false),
        ] {
            for object in self.session.find_objects(&of_class(class))? {
                keys.extend(self.key_info(object, secret)?);
            }
        }
        keys.sort_by(|a, b| a.label.cmp(&b.label));
        let destroyed = self.destroyed(&keys)?;
        Ok(Reply::Inventory(Inventory {
            model: info.model().trim().to_owned(),
            serial: info.serial_number().trim().to_owned(),
            mechanisms: names(there),
            mechanisms_missing: names(missing),
            keys,
            certificates: self.certificates()?,
            destroyed,
        }))
    }

    fn certificates(&self) -> Result<Vec<CertificateInfo>, Trouble> {
        let mut certificates = Vec::new();
        let template = [
            Attribute::Class(ObjectClass::CERTIFICATE),
            Attribute::Token(true),
        ];
        let wanted = [AttributeType::Label, AttributeType::Value];
        for object in self.session.find_objects(&template)? {
            let (mut label, mut der) = (String::new(), Vec::new());
            for attribute in self.session.get_attributes(object, &wanted)? {
                match attribute {
                    Attribute::Label(bytes) => label = String::from_utf8_lossy(&bytes).into_owned(),
                    Attribute::Value(bytes) => der = bytes,
                    _ => {}
                }
            }
            if label.starts_with(PREFIX) {
                let der = Bytes::from(der);
                certificates.push(CertificateInfo { label, der });
            }
        }
        Ok(certificates)
    }

    /// None for what is not the gateway's.
    fn key_info(&self, object: ObjectHandle, secret: bool) -> Result<Option<KeyInfo>, Trouble> {
        use AttributeType as A;
        let wanted = [
            A::Label,
            A::Id,
            A::Sensitive,
            A::Extractable,
            A::NeverExtractable,
            A::Sign,
            A::Decrypt,
            A::Derive,
            A::Encrypt,
            A::Unwrap,
            A::Wrap,
        ];
        let (mut label, mut id) = (String::new(), Vec::new());
        // What a token does not say is taken for the worst.
        let mut flags = Flags {
            extractable: true,
            ..Flags::default()
        };
        for attribute in self.session.get_attributes(object, &wanted)? {
            match attribute {
                Attribute::Label(bytes) => label = String::from_utf8_lossy(&bytes).into_owned(),
                Attribute::Id(bytes) => id = bytes,
                Attribute::Sensitive(truth) => flags.sensitive = truth,
                Attribute::Extractable(truth) => flags.extractable = truth,
                Attribute::NeverExtractable(truth) => flags.never_extractable = truth,
                Attribute::Sign(truth) => flags.sign = truth,
                Attribute::Decrypt(truth)
                | Attribute::Derive(truth)
                | Attribute::Encrypt(truth)
                | Attribute::Unwrap(truth)
                | Attribute::Wrap(truth) => flags.more |= truth,
                _ => {}
            }
        }
        if !label.starts_with(PREFIX) {
            return Ok(None);
        }
        let public = if secret {
            None
        } else {
            self.public_key(&label)?
        };
        Ok(Some(KeyInfo {
            label,
            id: Bytes::from(id),
            secret,
            flags,
            public,
        }))
    }

    fn public_key(&self, label: &str) -> Result<Option<PublicKey>, Trouble> {
        use AttributeType as A;
        let Some(object) = self.find(ObjectClass::PUBLIC_KEY, label)? else {
            return Ok(None);
        };
        let wanted = [A::KeyType, A::EcPoint, A::Modulus, A::PublicExponent];
        let (mut kind, mut point, mut modulus, mut exponent) = (None, None, None, None);
        for attribute in self.session.get_attributes(object, &wanted)? {
            match attribute {
                Attribute::KeyType(found) => kind = Some(found),
                Attribute::EcPoint(bytes) => point = Some(bytes),
                Attribute::Modulus(bytes) => modulus = Some(bytes),
                Attribute::PublicExponent(bytes) => exponent = Some(bytes),
                _ => {}
            }
        }
        Ok(match (kind, point, modulus, exponent) {
            (Some(KeyType::EC), Some(point), ..) => Some(PublicKey::Ec { point }),
            (Some(KeyType::EC_EDWARDS), Some(point), ..) => Some(PublicKey::Edwards { point }),
            (Some(KeyType::RSA), _, Some(modulus), Some(exponent)) => {
                Some(PublicKey::Rsa { modulus, exponent })
            }
            _ => None,
        })
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
        let template = [
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        match self.session.find_objects(&template)?.as_slice() {
            [] => Ok(None),
            [object] => Ok(Some(*object)),
            _ => Err(Fault::KeyTwice(label.to_owned()).into()),
        }
    }

    pub(super) fn require_free(&self, label: &str) -> Result<(), Trouble> {
        let template = [Attribute::Label(label.as_bytes().to_vec())];
        match self.session.find_objects(&template)?.is_empty() {
            true => Ok(()),
            false => Err(Fault::KeyExists(label.to_owned()).into()),
        }
    }
}

fn of_class(class: ObjectClass) -> [Attribute; 2] {
    [Attribute::Class(class), Attribute::Token(true)]
}

pub(super) fn root_template(generation: u64) -> Vec<Attribute> {
    let mut template = private_template(ROOT_LABEL);
    template.extend([
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Id(generation.to_be_bytes().to_vec()),
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
