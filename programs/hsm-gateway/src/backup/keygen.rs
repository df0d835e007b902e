//! Key generation in memory, for keys that are split into backup shares.
//!
//! Uses the crates that use such keys everywhere else here, with the operating system's randomness.

use crate::pkcs11::protocol::{Bytes, PrivateKey};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use vouchsafe_cli::Failure;
use vouchsafe_gateway::KeyAlgorithm;
use vouchsafe_signer::SEED_BYTES;
use zeroize::Zeroizing;

const RSA_BITS: usize = 3072;
/// Attempts to draw a P-256 key; each is out of range with probability 2^-32.
const DRAWS_MAX: u32 = 8;

pub fn generate(algorithm: KeyAlgorithm) -> Result<PrivateKey, Failure> {
    match algorithm {
        KeyAlgorithm::EdDsa => ed25519_key(),
        KeyAlgorithm::Es256 => Ok(p256_key()?.1),
        KeyAlgorithm::Rs256 => rsa_key(),
    }
}

pub fn random_seed() -> Result<Zeroizing<[u8; SEED_BYTES]>, Failure> {
    let mut bytes = Zeroizing::new([0; SEED_BYTES]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Failure::refused(format!("random number generator failed: {error}")))?;
    Ok(bytes)
}

pub fn p256_key() -> Result<(p256::ecdsa::SigningKey, PrivateKey), Failure> {
    for _ in 0..DRAWS_MAX {
        let scalar = random_seed()?;
        if let Ok(key) = p256::ecdsa::SigningKey::from_slice(scalar.as_slice()) {
            let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
            let scalar = scalar.to_vec().into();
            return Ok((key, PrivateKey::Ec { scalar, point }));
        }
    }
    Err(Failure::refused("key generation failed: random numbers out of range"))
}

fn ed25519_key() -> Result<PrivateKey, Failure> {
    let seed = random_seed()?;
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let point = key.verifying_key().as_bytes().to_vec();
    Ok(PrivateKey::Edwards { seed: seed.to_vec().into(), point })
}

fn rsa_key() -> Result<PrivateKey, Failure> {
    let failed = || Failure::refused("RSA key generation failed");
    let key = rsa::RsaPrivateKey::new(&mut UnwrapErr(SysRng), RSA_BITS).map_err(|_| failed())?;
    let secret = |number: Option<&rsa::BoxedUint>| {
        let bytes = number.ok_or_else(failed)?.to_be_bytes_trimmed_vartime();
        Ok::<_, Failure>(Bytes::from(bytes.into_vec()))
    };
    let coefficient = key.qinv().map(|it| it.retrieve());
    Ok(PrivateKey::Rsa {
        modulus: key.n_bytes().into_vec(),
        exponent: key.e_bytes().into_vec(),
        private_exponent: secret(Some(key.d()))?,
        prime_1: secret(key.primes().first().map(AsRef::as_ref))?,
        prime_2: secret(key.primes().get(1).map(AsRef::as_ref))?,
        exponent_1: secret(key.dp())?,
        exponent_2: secret(key.dq())?,
        coefficient: secret(coefficient.as_ref())?,
    })
}
