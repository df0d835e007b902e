use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use super::*;

/// Numbers without a pattern, the same in every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    /// An odd number of exactly `bits` bits.
    fn odd(&mut self, bits: usize) -> Vec<u8> {
        let mut bytes = self.bytes(bits.div_ceil(8));
        let spare = bytes.len() * 8 - bits;
        bytes[0] = (bytes[0] | 0x80) >> spare;
        *bytes.last_mut().unwrap() |= 1;
        bytes
    }
}

/// The same power by the `crypto-bigint` crate.
fn power_of_reference(base: &[u8], exponent: u64, modulus: &[u8]) -> Option<Vec<u8>> {
    let n = BoxedUint::from_be_slice_vartime(modulus);
    let params = BoxedMontyParams::new_vartime(Option::<Odd<_>>::from(Odd::new(n)).unwrap());
    let bits = params.bits_precision();
    let base_number = BoxedUint::from_be_slice(base, bits).ok()?;
    if &base_number >= params.modulus().as_ref() {
        return None;
    }
    let exponent = BoxedUint::from_be_slice(&exponent.to_be_bytes(), 64).unwrap();
    let power = BoxedMontyForm::new(base_number, &params)
        .pow(&exponent)
        .retrieve()
        .to_be_bytes();
    Some(power[power.len() - base.len()..].to_vec())
}

fn check(base: &[u8], exponent: u64, modulus: &[u8]) {
    let power = Modulus::from_be_bytes(modulus)
        .unwrap()
        .power(base, exponent);
    assert_eq!(
        power,
        power_of_reference(base, exponent, modulus),
        "{base:?} ^ {exponent} mod {modulus:?}"
    );
}

/// Of every length of the highest limb, and of every number of rows beside a move of carries.
#[test]
fn agrees_with_another_implementation_on_moduli_of_every_length() {
    let mut numbers = Numbers(1);
    let around_limbs = 2048..2048 + 2 * LIMB_BITS;
    let carry_bits = ROWS_BETWEEN_CARRIES * LIMB_BITS;
    let around_carries = carry_bits - 40..carry_bits + 40;
    for bits in around_limbs
        .chain(around_carries)
        .chain([3072, 4096, 5600, 5601, 8191, 8192])
    {
        let modulus = numbers.odd(bits);
        let base = numbers.bytes(modulus.len());
        check(&base, 65_537, &modulus);
    }
}

#[test]
fn agrees_with_another_implementation_on_many_numbers() {
    let mut numbers = Numbers(2);
    for _ in 0..300 {
        let modulus = numbers.odd(2048);
        let base = numbers.bytes(256);
        check(&base, 65_537, &modulus);
    }
}

/// Limbs, products and carries as large and as small as they get.
#[test]
fn agrees_with_another_implementation_on_extreme_numbers() {
    for bits in [2048, 2049, 2800, 2801, 4096, 8192] {
        let bytes = bits / 8 + usize::from(bits % 8 != 0);
        let mut largest = vec![0xff; bytes];
        largest[0] = 0xff >> (bytes * 8 - bits);
        let mut smallest = vec![0; bytes];
        smallest[0] = largest[0] / 2 + 1;
        smallest[bytes - 1] = 1;
        let mut sparse = largest.clone();
        sparse[bytes / 2] = 0;
        for modulus in [&largest, &smallest, &sparse] {
            let mut below = modulus.clone();
            below[bytes - 1] -= 1;
            let mut one = vec![0; bytes];
            one[bytes - 1] = 1;
            for base in [
                &below,
                &one,
                &vec![0; bytes],
                &vec![0x0f; bytes],
                modulus,
                &vec![0xff; bytes],
            ] {
                check(base, 65_537, modulus);
                check(base, 3, modulus);
            }
        }
    }
}

#[test]
fn agrees_with_another_implementation_on_every_kind_of_exponent() {
    let mut numbers = Numbers(3);
    let modulus = numbers.odd(2048);
    let base = numbers.bytes(256);
    for exponent in [
        3,
        5,
        7,
        9,
        17,
        255,
        257,
        65_535,
        65_537,
        65_539,
        (1 << 31) + 1,
        u64::from(u32::MAX),
    ] {
        check(&base, exponent, &modulus);
    }
}

#[test]
fn refuses_numbers_that_it_is_not_made_for() {
    for modulus in [&[][..], &[0], &[0, 3], &[2], &[1, 0]] {
        assert!(Modulus::from_be_bytes(modulus).is_none(), "{modulus:?}");
    }
    let modulus = Modulus::from_be_bytes(&[1, 1]).unwrap();
    assert_eq!(modulus.power(&[1, 0], 3), Some(vec![1, 0]));
    for (base, exponent) in [
        (&[1, 1][..], 3),
        (&[1, 2], 3),
        (&[0xff; 100], 3),
        (&[2], 2),
        (&[2], 1),
        (&[2], 0),
    ] {
        assert_eq!(modulus.power(base, exponent), None, "{base:?} {exponent}");
    }
}
