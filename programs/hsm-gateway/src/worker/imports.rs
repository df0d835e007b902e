//! Keys and certificates that were made outside of the token, on their way into it.

use super::objects::{ED25519, On, P256, private_template, root_template};
use super::protocol::{PrivateKey, Reply};
use super::token::Trouble;
use cryptoki::object::{Attribute, CertificateType, KeyType, ObjectClass, ObjectHandle};
use vouchsafe_gateway::ROOT_LABEL;
use zeroize::Zeroize as _;

const OCTET_STRING: u8 = 0x04;

impl On<'_> {
    pub(super) fn import_root(self, generation: u64, root: &[u8]) -> Result<Reply, Trouble> {
        self.require_free(ROOT_LABEL)?;
        let mut template = root_template(generation);
        template.push(Attribute::Value(root.to_vec()));
        let root = self.create_and_wipe(template)?;
        self.require_alone(ROOT_LABEL, &[root])
    }

    /// The private half like one that was made in the token, but that it was elsewhere before: sensitive,
    /// not extractable, for signing only.
    pub(super) fn import_key(
        self,
        label: &str,
        id: &[u8],
        key: &PrivateKey,
    ) -> Result<Reply, Trouble> {
        self.require_free(label)?;
        let public = self.session.create_object(&public_half(label, key))?;
        let mut template = private_template(label);
        template.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
        template.push(Attribute::Id(id.to_vec()));
        template.extend(secrets(key));
        let private = self.create_and_wipe(template)?;
        self.require_alone(label, &[private, public])
    }

    /// What a module is given of a secret is copied into its template: the copies are wiped, whatever the
    /// module says.
    fn create_and_wipe(&self, mut template: Vec<Attribute>) -> Result<ObjectHandle, Trouble> {
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

    /// A public object: whoever sees the token may read it, and whoever is logged in may replace it, which
    /// the gateway notices by its key.
    pub(super) fn import_certificate(
        self,
        label: &str,
        subject: &[u8],
        der: &[u8],
    ) -> Result<Reply, Trouble> {
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

fn public_half(label: &str, key: &PrivateKey) -> Vec<Attribute> {
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
            Attribute::EcPoint(wrapped(point)),
        ],
        PrivateKey::Edwards { point, .. } => vec![
            Attribute::KeyType(KeyType::EC_EDWARDS),
            Attribute::EcParams(ED25519.to_vec()),
            Attribute::EcPoint(wrapped(point)),
        ],
        PrivateKey::Rsa {
            modulus, exponent, ..
        } => vec![
            Attribute::KeyType(KeyType::RSA),
            Attribute::Modulus(modulus.clone()),
            Attribute::PublicExponent(exponent.clone()),
        ],
    });
    template
}

fn secrets(key: &PrivateKey) -> Vec<Attribute> {
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

/// The OCTET STRING around a point, of fewer than 128 bytes (PKCS#11 v2.40 §2.3.3).
fn wrapped(point: &[u8]) -> Vec<u8> {
    let length = u8::try_from(point.len()).unwrap_or(u8::MAX);
    [&[OCTET_STRING, length], point].concat()
}
