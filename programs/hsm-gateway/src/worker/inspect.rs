//! What the token holds, object by object.

use super::objects::On;
use super::protocol::{Bytes, CertificateInfo, Flags, Inventory, KeyInfo, PublicKey, Reply};
use super::token::{Token, Trouble};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_gateway::TOKEN_KEY_PREFIX;

/// What the labels of all of the gateway's objects begin with.
const PREFIX: &str = "vouchsafe:";

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

impl On<'_> {
    /// Label and `CKA_ID` of every private key that signs tokens, in the same order whenever nothing changed.
    pub(super) fn states(self) -> Result<Reply, Trouble> {
        let mut states = Vec::new();
        for object in self.all(ObjectClass::PRIVATE_KEY)? {
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
            for object in self.all(class)? {
                keys.extend(self.key_info(object, secret)?);
            }
        }
        keys.sort_by(|a, b| a.label.cmp(&b.label));
        let halves = self.public_halves()?;
        for key in keys.iter_mut().filter(|key| !key.secret) {
            // Of several which one belongs can't be known.
            if let Some([half]) = halves.get(&key.label).map(Vec::as_slice) {
                key.public = self.public_key(*half)?;
            }
        }
        let has_key = |label: &str| keys.iter().any(|key| key.label == label);
        let destroyed = halves.keys().filter(|label| !has_key(label));
        let destroyed = destroyed.filter(|label| label.starts_with(TOKEN_KEY_PREFIX));
        Ok(Reply::Inventory(Inventory {
            model: info.model().trim().to_owned(),
            serial: info.serial_number().trim().to_owned(),
            mechanisms: names(there),
            mechanisms_missing: names(missing),
            destroyed: destroyed.cloned().collect(),
            doubled: doubled(&keys, &halves),
            keys,
            certificates: self.certificates()?,
        }))
    }

    fn all(&self, class: ObjectClass) -> Result<Vec<ObjectHandle>, Trouble> {
        let template = [Attribute::Class(class), Attribute::Token(true)];
        Ok(self.session.find_objects(&template)?)
    }

    fn label_and_id(&self, object: ObjectHandle) -> Result<(String, Vec<u8>), Trouble> {
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

    /// The gateway's public keys, by their labels.
    fn public_halves(&self) -> Result<BTreeMap<String, Vec<ObjectHandle>>, Trouble> {
        let mut halves: BTreeMap<String, Vec<ObjectHandle>> = BTreeMap::new();
        for object in self.all(ObjectClass::PUBLIC_KEY)? {
            let (label, _) = self.label_and_id(object)?;
            if label.starts_with(PREFIX) {
                halves.entry(label).or_default().push(object);
            }
        }
        Ok(halves)
    }

    fn certificates(&self) -> Result<Vec<CertificateInfo>, Trouble> {
        let mut certificates = Vec::new();
        let wanted = [AttributeType::Label, AttributeType::Value];
        for object in self.all(ObjectClass::CERTIFICATE)? {
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

    /// A key without its public half; none for what is not the gateway's.
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
        Ok(Some(KeyInfo {
            label,
            id: Bytes::from(id),
            secret,
            flags,
            public: None,
        }))
    }

    fn public_key(&self, object: ObjectHandle) -> Result<Option<PublicKey>, Trouble> {
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
            (Some(KeyType::RSA), _, Some(modulus), Some(exponent)) => {
                Some(PublicKey::Rsa { modulus, exponent })
            }
            _ => None,
        })
    }
}

/// Labels of keys that are there twice, or whose public half is.
fn doubled(keys: &[KeyInfo], halves: &BTreeMap<String, Vec<ObjectHandle>>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut doubled = BTreeSet::new();
    for key in keys {
        let is_first = seen.insert(&key.label);
        let halves = halves.get(&key.label).map_or(0, Vec::len);
        if !is_first || !key.secret && halves > 1 {
            doubled.insert(key.label.clone());
        }
    }
    doubled.into_iter().collect()
}
