//! JWKs of public keys on the token.
//!
//! `CKA_EC_POINT` is an OCTET STRING around the point in PKCS#11 2.40 (§2.3.3). Some modules for 3.x return the bare
//! point, so both are accepted.

use super::protocol::PublicKey;
use vouchsafe_signer::PublicJwk;

const OCTET_STRING: u8 = 0x04;
/// First byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 0x04;
const COORDINATE_BYTES: usize = 32;

/// The JWK of a key for one of the three algorithms; `None` for other keys.
pub fn jwk(key: &PublicKey) -> Option<PublicJwk> {
    match key {
        PublicKey::Ec { point } => {
            let point = bare(point, 2 * COORDINATE_BYTES + 1)?;
            let (form, coordinates) = point.split_first()?;
            if *form != UNCOMPRESSED {
                return None;
            }
            let (x, y) = coordinates.split_at_checked(COORDINATE_BYTES)?;
            Some(PublicJwk::p256(x, y))
        }
        PublicKey::Edwards { point } => Some(PublicJwk::ed25519(bare(point, COORDINATE_BYTES)?)),
        PublicKey::Rsa { modulus, exponent } => Some(PublicJwk::rsa(modulus, exponent)),
    }
}

/// Unwraps a point of `bytes` bytes that may be in an OCTET STRING.
fn bare(point: &[u8], bytes: usize) -> Option<&[u8]> {
    if point.len() == bytes {
        return Some(point);
    }
    match point {
        [OCTET_STRING, length, rest @ ..] if usize::from(*length) == bytes && rest.len() == bytes => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_bare_and_wrapped_points() {
        let wrapped = |point: &[u8]| [&[4, u8::try_from(point.len()).unwrap()], point].concat();
        let edwards = |point: Vec<u8>| jwk(&PublicKey::Edwards { point });
        let expected = Some(PublicJwk::ed25519(&[7; 32]));
        assert_eq!(edwards(vec![7; 32]), expected);
        assert_eq!(edwards(wrapped(&[7; 32])), expected);
        for wrong in [vec![], vec![7; 31], vec![7; 34], wrapped(&[7; 31]), wrapped(&[7; 33])] {
            assert_eq!(edwards(wrong), None);
        }
        let ec = |point: Vec<u8>| jwk(&PublicKey::Ec { point });
        let point = [&[4][..], &[1; 32], &[2; 32]].concat();
        let expected = Some(PublicJwk::p256(&[1; 32], &[2; 32]));
        assert_eq!(ec(point.clone()), expected);
        assert_eq!(ec(wrapped(&point)), expected);
        let compressed = [&[2][..], &[1; 32]].concat();
        assert_eq!(ec(compressed.clone()), None);
        assert_eq!(ec(wrapped(&compressed)), None);
        assert_eq!(ec([&[5][..], &[1; 32], &[2; 32]].concat()), None);
    }
}
