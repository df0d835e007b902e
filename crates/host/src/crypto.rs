//! The host side of `vouchsafe:crypto`: signature arithmetic by a native library.

use crate::bindings::signatures::{
    Host, HostSigningKey, HostVerifyingKey, PrivateNumbers, PublicNumbers, add_to_linker as add_signatures,
};
use crate::bindings::{SigningKey, VerifyingKey};
use crate::spin::Spin;
use crate::state::GuestState;
use vouchsafe_crypto::{Crypto as _, ENTROPY_BYTES, Entropy, Native};
use wasmtime::component::{Linker, Resource};

/// Adds `vouchsafe:crypto`.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    add_signatures::<_, Spin>(linker, |state| state)
}

impl Host for GuestState {}

impl HostVerifyingKey for GuestState {
    fn load(&mut self, numbers: PublicNumbers) -> wasmtime::Result<Option<Resource<VerifyingKey>>> {
        let key = Native.verifying_key(match &numbers {
            PublicNumbers::Ed25519(point) => vouchsafe_crypto::PublicNumbers::Ed25519(point),
            PublicNumbers::P256(point) => vouchsafe_crypto::PublicNumbers::P256(point),
            PublicNumbers::P384(point) => vouchsafe_crypto::PublicNumbers::P384(point),
            PublicNumbers::Rsa(numbers) => {
                vouchsafe_crypto::PublicNumbers::Rsa { modulus: &numbers.modulus, exponent: numbers.exponent }
            }
        });
        key.map(|key| Ok(self.table.push(VerifyingKey(key))?)).transpose()
    }

    fn verifies(
        &mut self,
        key: Resource<VerifyingKey>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.get(&key)?.0.verifies(&message, &signature))
    }

    fn drop(&mut self, key: Resource<VerifyingKey>) -> wasmtime::Result<()> {
        self.table.delete(key)?;
        Ok(())
    }
}

impl HostSigningKey for GuestState {
    fn load(&mut self, numbers: PrivateNumbers) -> wasmtime::Result<Option<Resource<SigningKey>>> {
        let (PrivateNumbers::Ed25519(secret) | PrivateNumbers::P256(secret)) = &numbers;
        let Ok(secret) = secret.as_slice().try_into() else {
            return Ok(None);
        };
        let key = Native.signing_key(match &numbers {
            PrivateNumbers::Ed25519(_) => vouchsafe_crypto::PrivateNumbers::Ed25519(secret),
            PrivateNumbers::P256(_) => vouchsafe_crypto::PrivateNumbers::P256(secret),
        });
        key.map(|key| Ok(self.table.push(SigningKey(key))?)).transpose()
    }

    fn public_key(&mut self, key: Resource<SigningKey>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&key)?.0.public_key().to_vec())
    }

    fn sign(&mut self, key: Resource<SigningKey>, message: Vec<u8>) -> wasmtime::Result<Option<Vec<u8>>> {
        let mut entropy = [0; ENTROPY_BYTES];
        if getrandom::fill(&mut entropy).is_err() {
            return Ok(None);
        }
        let signature = self.table.get(&key)?.0.sign(&message, &Entropy::from_bytes(entropy));
        Ok(signature.map(|signature| signature.to_vec()))
    }

    fn drop(&mut self, key: Resource<SigningKey>) -> wasmtime::Result<()> {
        self.table.delete(key)?;
        Ok(())
    }
}
