//! Signature arithmetic: in this component, or with the feature `host-crypto` in the host.

/// The component's own arithmetic.
#[cfg(not(feature = "host-crypto"))]
#[must_use]
pub fn crypto() -> &'static dyn vouchsafe_crypto::Crypto {
    &vouchsafe_crypto::Software
}

#[cfg(feature = "host-crypto")]
pub use host::crypto;

#[cfg(feature = "host-crypto")]
mod host {
    use std::sync::Arc;

    use vouchsafe_crypto::{Crypto, Entropy, PrivateNumbers, PublicNumbers, SIGNATURE_BYTES, SigningKey, VerifyingKey};

    /// Bindings generated from `wit/crypto`.
    mod bindings {
        spin_sdk::wit_bindgen::generate!({
            path: "../../wit/crypto",
            world: "vouchsafe:crypto/imports",
            runtime_path: "::spin_sdk::wit_bindgen::rt",
            generate_all,
        });
    }

    use bindings::vouchsafe::crypto::signatures as wit;

    /// The host's arithmetic.
    #[must_use]
    pub fn crypto() -> &'static dyn Crypto {
        &Host
    }

    struct Host;

    impl Crypto for Host {
        fn verifying_key(&self, numbers: PublicNumbers<'_>) -> Option<Arc<dyn VerifyingKey>> {
            let numbers = match numbers {
                PublicNumbers::Ed25519(point) => wit::PublicNumbers::Ed25519(point.to_vec()),
                PublicNumbers::P256(point) => wit::PublicNumbers::P256(point.to_vec()),
                PublicNumbers::P384(point) => wit::PublicNumbers::P384(point.to_vec()),
                PublicNumbers::Rsa { modulus, exponent } => {
                    wit::PublicNumbers::Rsa(wit::RsaNumbers { modulus: modulus.to_vec(), exponent })
                }
            };
            Some(Arc::new(Public(wit::VerifyingKey::load(&numbers)?)))
        }

        fn signing_key(&self, numbers: PrivateNumbers<'_>) -> Option<Box<dyn SigningKey>> {
            let numbers = match numbers {
                PrivateNumbers::Ed25519(seed) => wit::PrivateNumbers::Ed25519(seed.to_vec()),
                PrivateNumbers::P256(scalar) => wit::PrivateNumbers::P256(scalar.to_vec()),
            };
            let key = wit::SigningKey::load(&numbers)?;
            let public = key.public_key();
            Some(Box::new(Private { key, public }))
        }
    }

    struct Public(wit::VerifyingKey);

    impl VerifyingKey for Public {
        fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
            self.0.verifies(message, signature)
        }
    }

    struct Private {
        key: wit::SigningKey,
        public: Vec<u8>,
    }

    impl SigningKey for Private {
        fn public_key(&self) -> &[u8] {
            &self.public
        }

        /// The host draws its own randomness.
        fn sign(&self, message: &[u8], _: &Entropy) -> Option<[u8; SIGNATURE_BYTES]> {
            self.key.sign(message)?.try_into().ok()
        }
    }
}
