//! Compares with `crypto-bigint`, which shares no code with this module.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use super::*;

/// xorshift64*, so that failures are reproducible. Not for secrets.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Random bytes, or runs of ones and zeros, where carries go wrong.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let kind = self.next() % 4;
        let mut run = 0_u8;
        (0..count)
            .map(|_| {
                let random = self.next();
                if random.is_multiple_of(8) {
                    run = [0x00, 0xff, 0x80, 0x01][(random >> 8) as usize % 4];
                }
                if kind == 0 { run } else { (random >> 32) as u8 }
            })
            .collect()
    }
}

fn expected(modulus: &[u8], base: &[u8], exponent: u64) -> Option<Vec<u8>> {
    let odd = Option::<Odd<BoxedUint>>::from(Odd::new(BoxedUint::from_be_slice_vartime(modulus)))?;
    let params = BoxedMontyParams::new_vartime(odd);
    let bits = params.bits_precision();
    let base = BoxedUint::from_be_slice(base, bits).ok()?;
    if base >= *params.modulus().as_ref() {
        return None;
    }
    let form = BoxedMontyForm::new(base, &params);
    let power = form.pow(&BoxedUint::from(exponent)).retrieve();
    let bytes = power.to_be_bytes();
    Some(bytes[bytes.len() - modulus.len()..].to_vec())
}

fn check(modulus: &[u8], base: &[u8], exponent: u64) {
    let found = Modulus::from_be_bytes(modulus).unwrap().power(base, exponent);
    assert_eq!(found, expected(modulus, base, exponent), "{modulus:02x?} {base:02x?} {exponent}");
}

/// Number of random cases; `scripts/soak` runs more.
fn rounds() -> usize {
    std::env::var("VOUCHSAFE_ARITHMETIC_ROUNDS").map_or(300, |text| text.parse().unwrap())
}

#[test]
fn agrees_with_another_implementation() {
    let seed = std::env::var("VOUCHSAFE_SEED").map_or(0x9e37_79b9_7f4a_7c15, |text| text.parse().unwrap());
    let mut random = Random(seed);
    for round in 0..rounds() {
        // All lengths up to 260 bytes, and sometimes those of RSA up to 8192 bits.
        let bytes = match random.next() % 16 {
            0 => [256, 384, 512, 1024][random.next() as usize % 4],
            _ => 1 + random.next() as usize % 260,
        };
        let mut modulus = random.bytes(bytes);
        modulus[0] |= 1;
        *modulus.last_mut().unwrap() |= 1;
        if modulus == [1] {
            modulus = vec![3];
        }
        let mut base = random.bytes(bytes);
        if round % 8 == 0 {
            // Just below the modulus, where the last subtraction matters.
            base.clone_from(&modulus);
            *base.last_mut().unwrap() -= 1;
        }
        let exponent = [65_537, 3, 1, 2, 17, 65_536, 0xffff_ffff][random.next() as usize % 7];
        check(&modulus, &base, exponent);
    }
}

#[test]
fn agrees_at_the_ends_of_the_range() {
    for bytes in [1, 2, 3, 4, 7, 8, 28, 256, 257, 420, 421, 512, 1024] {
        let ones = vec![0xff; bytes];
        let mut lowest = vec![0; bytes];
        lowest[0] = 0x80;
        lowest[bytes - 1] |= 1;
        if bytes == 1 {
            lowest = vec![0x81];
        }
        for modulus in [&ones, &lowest] {
            let mut largest = modulus.clone();
            largest[bytes - 1] -= 1;
            let mut one = vec![0; bytes];
            one[bytes - 1] = 1;
            for base in [&vec![0; bytes], &one, &largest] {
                for exponent in [1, 2, 3, 65_537, u64::from(u32::MAX)] {
                    check(modulus, base, exponent);
                }
            }
        }
    }
}

#[test]
fn rejects_even_moduli_and_large_residues() {
    for bytes in [&[][..], &[0], &[1], &[2], &[0x80, 0], &[0, 1]] {
        assert!(Modulus::from_be_bytes(bytes).is_none(), "{bytes:?}");
    }
    let modulus = Modulus::from_be_bytes(&[0x81, 0x03]).unwrap();
    assert!(modulus.power(&[0x81, 0x02], 3).is_some());
    assert_eq!(modulus.power(&[0x81, 0x03], 3), None, "the modulus itself");
    assert_eq!(modulus.power(&[0xff, 0xff], 3), None, "more than it");
    assert_eq!(modulus.power(&[0x02], 3), None, "too short");
    assert_eq!(modulus.power(&[0, 0, 2], 3), None, "too long");
    assert_eq!(modulus.power(&[0, 2], 0), None, "no exponent");
}
