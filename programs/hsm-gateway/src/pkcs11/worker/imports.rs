//! Import of keys and certificates that were created outside the token.

use super::error::CallError;
use super::objects::{ED25519, Objects, P256, private_template, root_template};
use crate::pkcs11::protocol::{PrivateKey, Reply};
use cryptoki::object::{Attribute, CertificateType, KeyType, ObjectClass, ObjectHandle};
use vouchsafe_gateway::ROOT_LABEL;
use zeroize::Zeroize as _;

const OCTET_STRING: u8 = 0x04;

impl Objects<'_> {
    pub(super) fn import_root(self, generation: u64, root: &[u8]) -> Result<Reply, CallError> {
        self.require_free(ROOT_LABEL)?;
        let mut template = root_template(generation);
        template.push(Attribute::Value(root.to_vec()));
        let root = self.create_and_wipe(template)?;
        self.require_alone(ROOT_LABEL, &[root])
    }

    /// Imports a key pair with the attributes of one generated on the token: sensitive, not extractable, for signing
    /// only.
    pub(super) fn import_key(self, label: &str, id: &[u8], key: &PrivateKey) -> Result<Reply, CallError> {
        self.require_free(label)?;
        let public = self.session.create_object(&public_key_template(label, key))?;
        let mut template = private_template(label);
        template.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
        template.push(Attribute::Id(id.to_vec()));
        template.extend(secret_attributes(key));
        let private = self.create_and_wipe(template)?;
        self.require_alone(label, &[private, public])
    }

    /// Creates an object, then wipes the copies of secrets in its template, whatever the outcome.
    fn create_and_wipe(&self, mut template: Vec<Attribute>) -> Result<ObjectHandle, CallError> {
        let outcome = self.session.create_object(&template);
        for attribute in &mut template {
            match attribute {
                Attribute::Value(secret)
                | Attribute::PrivateExponent(secret)
                | Attribute::Prime1(secret)
                | Attribute::Prime2(secret)
                | Attribute::Exponent1(secret)
                | Attribute::Exponent2(secret)
                | Attribute::Coefficient(secret) => secret.zeroize(),
                _ => {}
            }
        }
        Ok(outcome?)
    }

    /// Imports a certificate as a public object. Anyone who is logged in can replace it; the gateway then notices that
    /// it is for another key.
    pub(super) fn import_certificate(self, label: &str, subject: &[u8], der: &[u8]) -> Result<Reply, CallError> {
        self.require_free(label)?;
        let certificate = self.session.create_object(&[
            Attribute::Class(ObjectClass::CERTIFICATE),
            Attribute::CertificateType(CertificateType::X_509),
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Subject(subject.to_vec()),
            Attribute::Value(der.to_vec()),
        ])?;
        self.require_alone(label, &[certificate])
    }
}

fn public_key_template(label: &str, key: &PrivateKey) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
    ];
    template.extend(match key {
        PrivateKey::Ec { point, .. } => vec![
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(P256.to_vec()),
            Attribute::EcPoint(octet_string(point)),
        ],
        PrivateKey::Edwards { point, .. } => vec![
            Attribute::KeyType(KeyType::EC_EDWARDS),
            Attribute::EcParams(ED25519.to_vec()),
            Attribute::EcPoint(octet_string(point)),
        ],
        PrivateKey::Rsa { modulus, exponent, .. } => vec![
            Attribute::KeyType(KeyType::RSA),
            Attribute::Modulus(modulus.clone()),
            Attribute::PublicExponent(exponent.clone()),
        ],
    });
    template
}

fn secret_attributes(key: &PrivateKey) -> Vec<Attribute> {
    match key {
        PrivateKey::Ec { scalar, .. } => vec![
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(P256.to_vec()),
            Attribute::Value(scalar.0.to_vec()),
        ],
        PrivateKey::Edwards { seed, .. } => vec![
            Attribute::KeyType(KeyType::EC_EDWARDS),
            Attribute::EcParams(ED25519.to_vec()),
            Attribute::Value(seed.0.to_vec()),
        ],
        PrivateKey::Rsa {
            modulus,
            exponent,
            private_exponent,
            prime_1,
            prime_2,
            exponent_1,
            exponent_2,
            coefficient,
        } => vec![
            Attribute::KeyType(KeyType::RSA),
            Attribute::Modulus(modulus.clone()),
            Attribute::PublicExponent(exponent.clone()),
            Attribute::PrivateExponent(private_exponent.0.to_vec()),
            Attribute::Prime1(prime_1.0.to_vec()),
            Attribute::Prime2(prime_2.0.to_vec()),
            Attribute::Exponent1(exponent_1.0.to_vec()),
            Attribute::Exponent2(exponent_2.0.to_vec()),
            Attribute::Coefficient(coefficient.0.to_vec()),
        ],
    }
}

/// Wraps a point of fewer than 128 bytes in an OCTET STRING (PKCS#11 v2.40 §2.3.3).
fn octet_string(point: &[u8]) -> Vec<u8> {
    let length = u8::try_from(point.len()).unwrap_or(u8::MAX);
    [&[OCTET_STRING, length], point].concat()
}
