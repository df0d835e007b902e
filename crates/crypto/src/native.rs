//! The adapter on `ring`, for RSA and ECDSA. Ed25519 is the same code as in [`crate::Software`], which natively is as
//! fast, and which hedges signatures.

use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use crate::entropy::Entropy;
use crate::port::{Crypto, PrivateNumbers, PublicNumbers, SIGNATURE_BYTES, SigningKey, VerifyingKey};
use crate::software::{p256_point, p384_point};
use crate::{ed25519, rsa};

/// Signature arithmetic in assembly.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Crypto for Native {
    fn verifying_key(&self, numbers: PublicNumbers<'_>) -> Option<Arc<dyn VerifyingKey>> {
        Some(match numbers {
            PublicNumbers::Ed25519(point) => Arc::new(ed25519::Public::load(point)?),
            PublicNumbers::P256(point) => {
                p256_point(point)?;
                Arc::new(Ecdsa(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.to_vec())))
            }
            PublicNumbers::P384(point) => {
                p384_point(point)?;
                Arc::new(Ecdsa(UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point.to_vec())))
            }
            PublicNumbers::Rsa { modulus, exponent } => {
                if !rsa::is_usable(modulus, exponent) {
                    return None;
                }
                let e: Vec<u8> = exponent.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
                Arc::new(Rsa(RsaPublicKeyComponents { n: modulus.to_vec(), e }))
            }
        })
    }

    fn signing_key(&self, numbers: PrivateNumbers<'_>) -> Option<Box<dyn SigningKey>> {
        Some(match numbers {
            PrivateNumbers::Ed25519(seed) => Box::new(ed25519::Private::load(seed)),
            PrivateNumbers::P256(scalar) => Box::new(PrivateP256::load(scalar)?),
        })
    }
}

struct Ecdsa(UnparsedPublicKey<Vec<u8>>);

impl VerifyingKey for Ecdsa {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature).is_ok()
    }
}

struct Rsa(RsaPublicKeyComponents<Vec<u8>>);

impl VerifyingKey for Rsa {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }
}

struct PrivateP256 {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl PrivateP256 {
    fn load(scalar: &[u8; 32]) -> Option<Self> {
        // `ring` takes a private key only together with its public key.
        let key = p256::ecdsa::SigningKey::from_slice(scalar).ok()?;
        let point = key.verifying_key().to_sec1_point(false);
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            scalar,
            point.as_bytes(),
            &random,
        );
        Some(Self { pair: pair.ok()?, random })
    }
}

impl SigningKey for PrivateP256 {
    fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Hedged: `ring` hashes the key, the message and its own randomness into the nonce.
    fn sign(&self, message: &[u8], _: &Entropy) -> Option<[u8; SIGNATURE_BYTES]> {
        let signature = self.pair.sign(&self.random, message).ok()?;
        signature.as_ref().try_into().ok()
    }
}
