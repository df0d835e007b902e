//! Inspection: lists the token's objects.

use super::error::CallError;
use super::objects::Objects;
use super::token::Pkcs11Token;
use crate::pkcs11::protocol::{Bytes, CertificateInfo, Flags, Inventory, KeyInfo, PublicKey, Reply};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_gateway::TOKEN_KEY_PREFIX;

/// Prefix of the labels of the gateway's objects.
const PREFIX: &str = "vouchsafe:";

const MECHANISMS: [(&str, MechanismType); 8] = [
    ("CKM_ECDSA", MechanismType::ECDSA),
    ("CKM_EC_EDWARDS_KEY_PAIR_GEN", MechanismType::ECC_EDWARDS_KEY_PAIR_GEN),
    ("CKM_EC_KEY_PAIR_GEN", MechanismType::ECC_KEY_PAIR_GEN),
    ("CKM_EDDSA", MechanismType::EDDSA),
    ("CKM_GENERIC_SECRET_KEY_GEN", MechanismType::GENERIC_SECRET_KEY_GEN),
    ("CKM_RSA_PKCS_KEY_PAIR_GEN", MechanismType::RSA_PKCS_KEY_PAIR_GEN),
    ("CKM_SHA256_HMAC", MechanismType::SHA256_HMAC),
    ("CKM_SHA256_RSA_PKCS", MechanismType::SHA256_RSA_PKCS),
];

impl Objects<'_> {
    /// Label and `CKA_ID` of every private key that signs JWTs, sorted.
    pub(super) fn states(self) -> Result<Reply, CallError> {
        let mut states = Vec::new();
        for object in self.find_class(ObjectClass::PRIVATE_KEY)? {
            let (label, id) = self.label_and_id(object)?;
            if label.starts_with(TOKEN_KEY_PREFIX) {
                states.push((label, id));
            }
        }
        states.sort();
        let states = states.into_iter();
        let states = states.map(|(label, id)| (label, Bytes::from(id)));
        Ok(Reply::States(states.collect()))
    }

    pub(super) fn inspect(self, token: &Pkcs11Token) -> Result<Reply, CallError> {
        let info = token.pkcs11.get_token_info(token.slot)?;
        let offered = token.pkcs11.get_mechanism_list(token.slot)?;
        let (there, missing): (Vec<_>, Vec<_>) =
            MECHANISMS.iter().partition(|(_, mechanism)| offered.contains(mechanism));
        let names = |them: Vec<&(&str, _)>| them.iter().map(|it| it.0.to_owned()).collect();
        let mut keys = Vec::new();
        for (class, secret) in [(ObjectClass::SECRET_KEY, true), (ObjectClass::PRIVATE_KEY, false)] {
            for object in self.find_class(class)? {
                keys.extend(self.key_info(object, secret)?);
            }
        }
        keys.sort_by(|a, b| a.label.cmp(&b.label));
        let public_keys = self.public_keys_by_label()?;
        for key in keys.iter_mut().filter(|key| !key.secret) {
            // If there are several, none is known to be the right one.
            if let Some([public_key]) = public_keys.get(&key.label).map(Vec::as_slice) {
                key.public = self.public_key(*public_key)?;
            }
        }
        let has_key = |label: &str| keys.iter().any(|key| key.label == label);
        let destroyed = public_keys.keys().filter(|label| !has_key(label));
        let destroyed = destroyed.filter(|label| label.starts_with(TOKEN_KEY_PREFIX));
        Ok(Reply::Inventory(Inventory {
            model: info.model().trim().to_owned(),
            serial: info.serial_number().trim().to_owned(),
            mechanisms: names(there),
            mechanisms_missing: names(missing),
            destroyed: destroyed.cloned().collect(),
            duplicates: duplicates(&keys, &public_keys),
            keys,
            certificates: self.certificates()?,
        }))
    }

    fn find_class(&self, class: ObjectClass) -> Result<Vec<ObjectHandle>, CallError> {
        let template = [Attribute::Class(class), Attribute::Token(true)];
        Ok(self.session.find_objects(&template)?)
    }

    fn label_and_id(&self, object: ObjectHandle) -> Result<(String, Vec<u8>), CallError> {
        let wanted = [AttributeType::Label, AttributeType::Id];
        let (mut label, mut id) = (String::new(), Vec::new());
        for attribute in self.session.get_attributes(object, &wanted)? {
            match attribute {
                Attribute::Label(bytes) => label = String::from_utf8_lossy(&bytes).into_owned(),
                Attribute::Id(bytes) => id = bytes,
                _ => {}
            }
        }
        Ok((label, id))
    }

    /// Finds the gateway's public keys.
    fn public_keys_by_label(&self) -> Result<BTreeMap<String, Vec<ObjectHandle>>, CallError> {
        let mut public_keys: BTreeMap<String, Vec<ObjectHandle>> = BTreeMap::new();
        for object in self.find_class(ObjectClass::PUBLIC_KEY)? {
            let (label, _) = self.label_and_id(object)?;
            if label.starts_with(PREFIX) {
                public_keys.entry(label).or_default().push(object);
            }
        }
        Ok(public_keys)
    }

    fn certificates(&self) -> Result<Vec<CertificateInfo>, CallError> {
        let mut certificates = Vec::new();
        let wanted = [AttributeType::Label, AttributeType::Value];
        for object in self.find_class(ObjectClass::CERTIFICATE)? {
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

    /// Reads a key without its public key; `None` if it is not the gateway's.
    fn key_info(&self, object: ObjectHandle, secret: bool) -> Result<Option<KeyInfo>, CallError> {
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
        // Attributes that the token does not report count as unsafe.
        let mut flags = Flags { extractable: true, ..Flags::default() };
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
        Ok(Some(KeyInfo { label, id: Bytes::from(id), secret, flags, public: None }))
    }

    fn public_key(&self, object: ObjectHandle) -> Result<Option<PublicKey>, CallError> {
        use AttributeType as A;
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
            (Some(KeyType::RSA), _, Some(modulus), Some(exponent)) => Some(PublicKey::Rsa { modulus, exponent }),
            _ => None,
        })
    }
}

/// Labels with several keys, or with several public keys.
fn duplicates(keys: &[KeyInfo], public_keys: &BTreeMap<String, Vec<ObjectHandle>>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for key in keys {
        let is_first = seen.insert(&key.label);
        let public_keys = public_keys.get(&key.label).map_or(0, Vec::len);
        if !is_first || !key.secret && public_keys > 1 {
            duplicates.insert(key.label.clone());
        }
    }
    duplicates.into_iter().collect()
}
