//! Both adapters, against each other and against known values.

use super::*;

/// The adapters under test. `Native` needs its feature, which `cargo test` enables through the host.
fn adapters() -> Vec<&'static dyn Crypto> {
    vec![
        &Software,
        #[cfg(feature = "native")]
        &Native,
    ]
}

const SECRET: [u8; 32] = [7; 32];

fn entropy(byte: u8) -> Entropy {
    Entropy::from_bytes([byte; ENTROPY_BYTES])
}

fn check_key(numbers: PublicNumbers<'_>, expected: bool) {
    for crypto in adapters() {
        assert_eq!(crypto.verifying_key(numbers).is_some(), expected, "{numbers:?}");
    }
}

fn p256_point() -> Vec<u8> {
    Software.signing_key(PrivateNumbers::P256(&SECRET)).unwrap().public_key().to_vec()
}

/// An odd modulus of this length; whether it has two prime factors does not matter here.
fn modulus(bytes: usize) -> Vec<u8> {
    vec![0xff; bytes]
}

#[test]
fn accepts_only_points_on_their_curve() {
    let point = p256_point();
    check_key(PublicNumbers::P256(&point), true);
    check_key(PublicNumbers::P384(&point), false);
    check_key(PublicNumbers::P256(&point[..64]), false);
    check_key(PublicNumbers::P256(&[&point[..], &[0]].concat()), false);
    for index in [0, 1, 33, 64] {
        let mut other = point.clone();
        other[index] ^= 1;
        check_key(PublicNumbers::P256(&other), false);
    }
    // Compressed, and the point at infinity.
    check_key(PublicNumbers::P256(&[&[2 + (point[64] & 1)], &point[1..33]].concat()), false);
    check_key(PublicNumbers::P256(&[0]), false);
    check_key(PublicNumbers::P256(&[]), false);
}

#[test]
fn rejects_ed25519_points_of_small_order() {
    let key = Software.signing_key(PrivateNumbers::Ed25519(&SECRET)).unwrap();
    check_key(PublicNumbers::Ed25519(key.public_key()), true);
    check_key(PublicNumbers::Ed25519(&key.public_key()[..31]), false);
    let neutral = [&[1][..], &[0; 31]].concat();
    for point in [neutral, vec![0; 32], vec![0xff; 32]] {
        check_key(PublicNumbers::Ed25519(&point), false);
    }
}

#[test]
fn bounds_rsa_numbers() {
    let check = |modulus: &[u8], exponent, expected| check_key(PublicNumbers::Rsa { modulus, exponent }, expected);
    for (bytes, expected) in [(255, false), (256, true), (1024, true), (1025, false)] {
        check(&modulus(bytes), 65_537, expected);
    }
    for (exponent, expected) in
        [(0, false), (1, false), (2, false), (3, true), (65_536, false), (0xffff_ffff, true), (0x1_0000_0001, false)]
    {
        check(&modulus(256), exponent, expected);
    }
    let even = [&modulus(255)[..], &[0xfe]].concat();
    check(&even, 65_537, false);
    check(&[&[0][..], &modulus(256)].concat(), 65_537, false);
}

/// RFC 8032 §7.1, test 3: the key; the signature is hedged and so not the published one.
#[test]
fn derives_published_public_key() {
    let seed: [u8; 32] = [
        0xc5, 0xaa, 0x8d, 0xf4, 0x3f, 0x9f, 0x83, 0x7b, 0xed, 0xb7, 0x44, 0x2f, 0x31, 0xdc, 0xb7, 0xb1, 0x66, 0xd3,
        0x85, 0x35, 0x07, 0x6f, 0x09, 0x4b, 0x85, 0xce, 0x3a, 0x2e, 0x0b, 0x44, 0x58, 0xf7,
    ];
    for crypto in adapters() {
        let key = crypto.signing_key(PrivateNumbers::Ed25519(&seed)).unwrap();
        let expected = [
            0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0, 0x58, 0x08, 0x16,
            0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90, 0x80, 0x25,
        ];
        assert_eq!(key.public_key(), expected);
    }
}

#[test]
fn each_adapter_verifies_signatures_of_the_other() {
    for signer in adapters() {
        for numbers in [PrivateNumbers::Ed25519(&SECRET), PrivateNumbers::P256(&SECRET)] {
            let key = signer.signing_key(numbers).unwrap();
            let public = match numbers {
                PrivateNumbers::Ed25519(_) => PublicNumbers::Ed25519(key.public_key()),
                PrivateNumbers::P256(_) => PublicNumbers::P256(key.public_key()),
            };
            let signature = key.sign(b"message", &entropy(1)).unwrap();
            for verifier in adapters() {
                let public = verifier.verifying_key(public).unwrap();
                assert!(public.verifies(b"message", &signature));
                assert!(!public.verifies(b"massage", &signature));
                assert!(!public.verifies(b"message", &signature[..63]));
                for bit in 0..512_usize {
                    let mut other = signature;
                    other[bit / 8] ^= 1 << (bit % 8);
                    assert!(!public.verifies(b"message", &other), "bit {bit}");
                }
            }
        }
    }
}

/// CVE-2022-21449: zeros, and numbers at and over the order.
#[test]
fn rejects_ecdsa_numbers_out_of_range() {
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let one = [&[0; 31][..], &[1]].concat();
    for crypto in adapters() {
        let key = crypto.verifying_key(PublicNumbers::P256(&p256_point())).unwrap();
        for number in [&[0; 32][..], &order, &[0xff; 32]] {
            assert!(!key.verifies(b"message", &[number, &one].concat()));
            assert!(!key.verifies(b"message", &[&one, number].concat()));
        }
    }
}

#[test]
fn each_signature_has_its_own_nonce() {
    for crypto in adapters() {
        for numbers in [PrivateNumbers::Ed25519(&SECRET), PrivateNumbers::P256(&SECRET)] {
            let key = crypto.signing_key(numbers).unwrap();
            let commitment = |byte| key.sign(b"message", &entropy(byte)).unwrap()[..32].to_vec();
            assert_ne!(commitment(1), commitment(2));
        }
    }
}

#[test]
fn accepts_only_scalars_in_range() {
    for crypto in adapters() {
        assert!(crypto.signing_key(PrivateNumbers::P256(&[0; 32])).is_none());
        assert!(crypto.signing_key(PrivateNumbers::P256(&[0xff; 32])).is_none());
    }
}
