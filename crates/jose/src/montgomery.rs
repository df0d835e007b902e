//! Multiplication modulo an odd number (Montgomery, 1985), for verifying RSA signatures.
//!
//! **For public data only.** Time depends on the numbers: nothing secret may come in here, and nothing
//! here signs or decrypts. It is written for WebAssembly, which has no wide multiplication: numbers are
//! limbs of 28 bits, whose products are summed up in 64 bits, so that carries wait until a row of
//! products is done. `crypto-bigint`, whose limbs have 32 bits there, takes 1.3 times as long
//! (docs/performance.md).
//!
//! Tests compare it with `crypto-bigint` on random and on extreme numbers.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "nothing here overflows: limbs stay under 2^28, sums under 2^64 (`ROWS_MAX`), lengths under 2^11"
)]

/// Bits of a limb.
const LIMB_BITS: u32 = 28;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// Rows of products that a sum takes before its carry must be given on: each adds two products under
/// 2^56, and 64 bits hold 256 of those.
const ROWS_MAX: usize = 120;

/// A number in limbs, lowest first, as many as the modulus has.
type Limbs = Vec<u32>;

/// An odd modulus with what multiplying by it needs.
#[derive(Clone, Debug)]
pub struct Modulus {
    limbs: Limbs,
    /// −modulus⁻¹ modulo 2^28.
    negated_inverse: u64,
    /// R² modulo the modulus, where R is 2^28 to the number of limbs.
    r_squared: Limbs,
    bytes: usize,
}

impl Modulus {
    /// The modulus of big-endian bytes without leading zeros; none if it is even or under 3.
    #[must_use]
    pub fn from_be_bytes(bytes: &[u8]) -> Option<Self> {
        let limbs = from_be_bytes(bytes, limbs_of(bytes.len()));
        let lowest = u64::from(*limbs.first()?);
        if lowest.is_multiple_of(2) || (lowest == 1 && limbs.iter().skip(1).all(|limb| *limb == 0)) {
            return None;
        }
        let mut modulus =
            Self { negated_inverse: negated_inverse(lowest), r_squared: Vec::new(), bytes: bytes.len(), limbs };
        modulus.r_squared = modulus.two_to_r_squared();
        Some(modulus)
    }

    /// `base` to the `exponent` modulo this, as big-endian bytes of the modulus' length. None if `base`
    /// has another length, or is not less than the modulus, or the exponent is 0.
    #[must_use]
    pub fn power(&self, base: &[u8], exponent: u64) -> Option<Vec<u8>> {
        if base.len() != self.bytes {
            return None;
        }
        let base = from_be_bytes(base, self.limbs.len());
        if !is_less(&base, &self.limbs) {
            return None;
        }
        let squarings = exponent.checked_ilog2()?;
        // The Montgomery form of x is xR; a product of two forms is one again, and a product of a form
        // and a plain number is plain.
        let form = self.multiply(&base, &self.r_squared);
        let mut power = form.clone();
        for bit in (0..squarings).rev() {
            power = self.multiply(&power, &power);
            if exponent >> bit & 1 == 1 {
                // The last factor leaves the form.
                let factor = if bit == 0 { &base } else { &form };
                power = self.multiply(&power, factor);
            }
        }
        if exponent.is_multiple_of(2) || squarings == 0 {
            let mut one = vec![0; self.limbs.len()];
            if let Some(lowest) = one.first_mut() {
                *lowest = 1;
            }
            power = self.multiply(&power, &one);
        }
        Some(to_be_bytes(&power, self.bytes))
    }

    /// `a`·`b`/R modulo this; both must be less than it.
    fn multiply(&self, a: &[u32], b: &[u32]) -> Limbs {
        let limbs = self.limbs.len();
        // A row of products for each limb of `a`, one place further up each time, and with it so many
        // times the modulus that the lowest place becomes 0.
        let mut sums = vec![0_u64; limbs * 2 + 1];
        let (lowest_b, lowest_modulus) = match (b.first(), self.limbs.first()) {
            (Some(b), Some(modulus)) => (u64::from(*b), u64::from(*modulus)),
            _ => return Vec::new(),
        };
        for (row, digit) in a.iter().enumerate() {
            let Some(window) = sums.get_mut(row..) else {
                break;
            };
            let digit = u64::from(*digit);
            let lowest = window.first().map_or(0, |sum| *sum) + digit * lowest_b;
            let times = ((lowest & LIMB_MASK) * self.negated_inverse) & LIMB_MASK;
            let carry = (lowest + times * lowest_modulus) >> LIMB_BITS;
            let factors = b.iter().zip(&self.limbs);
            for (sum, (b, modulus)) in window.iter_mut().zip(factors) {
                *sum += digit * u64::from(*b) + times * u64::from(*modulus);
            }
            if let Some(next) = window.get_mut(1) {
                *next += carry;
            }
            if row % ROWS_MAX == ROWS_MAX - 1
                && let Some(upper) = window.get_mut(1..)
            {
                give_on(upper);
            }
        }
        let Some(upper) = sums.get_mut(limbs..) else {
            return Vec::new();
        };
        give_on(upper);
        self.reduced(upper)
    }

    /// A number under twice the modulus, of one limb more, as one under the modulus.
    fn reduced(&self, sums: &[u64]) -> Limbs {
        let mut limbs: Limbs = sums.iter().map(|sum| *sum as u32).collect();
        let overflow = limbs.pop().unwrap_or_default();
        if overflow != 0 || !is_less(&limbs, &self.limbs) {
            subtract(&mut limbs, &self.limbs);
        }
        limbs
    }

    /// Twice `number`, modulo this.
    fn doubled(&self, number: &[u32]) -> Limbs {
        let mut sums: Vec<u64> = number.iter().map(|limb| u64::from(*limb) * 2).collect();
        sums.push(0);
        give_on(&mut sums);
        self.reduced(&sums)
    }

    /// R² modulo this: from the highest power of two under it by doubling to R, the form of 1, and to
    /// 2R, the form of 2, whose power is the form of R.
    fn two_to_r_squared(&self) -> Limbs {
        let limbs = self.limbs.len();
        let r_bits = limbs * LIMB_BITS as usize;
        let (highest, top) =
            self.limbs.iter().enumerate().rfind(|(_, limb)| **limb != 0).map_or((0, 1), |(at, limb)| (at, *limb));
        let top_bit = top.ilog2();
        let mut number: Limbs = vec![0; limbs];
        if let Some(limb) = number.get_mut(highest) {
            *limb = 1 << top_bit;
        }
        let doublings = r_bits - (highest * LIMB_BITS as usize + top_bit as usize);
        for _ in 0..doublings {
            number = self.doubled(&number);
        }
        let mut power = self.doubled(&number);
        // 2 to the number of bits of R, from the second highest bit down.
        for bit in (0..r_bits.ilog2()).rev() {
            power = self.multiply(&power, &power);
            if r_bits >> bit & 1 == 1 {
                power = self.doubled(&power);
            }
        }
        power
    }
}

/// Limbs that `bytes` need.
fn limbs_of(bytes: usize) -> usize {
    (bytes * 8).div_ceil(LIMB_BITS as usize).max(1)
}

/// −`odd`⁻¹ modulo 2^28: each step doubles the number of bits that are right (Newton).
fn negated_inverse(odd: u64) -> u64 {
    let mut inverse: u64 = 1;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg() & LIMB_MASK
}

/// Gives each place's carry on to the next.
fn give_on(sums: &mut [u64]) {
    let mut carry = 0;
    for sum in sums {
        *sum += carry;
        carry = *sum >> LIMB_BITS;
        *sum &= LIMB_MASK;
    }
}

fn is_less(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// `a` − `b`, modulo R.
fn subtract(a: &mut [u32], b: &[u32]) {
    let mut borrow = 0_i64;
    for (a, b) in a.iter_mut().zip(b) {
        let difference = i64::from(*a) - i64::from(*b) + borrow;
        borrow = difference >> LIMB_BITS;
        *a = (difference as u64 & LIMB_MASK) as u32;
    }
}

fn from_be_bytes(bytes: &[u8], limbs: usize) -> Limbs {
    let mut number = vec![0_u32; limbs];
    for (at, byte) in bytes.iter().rev().enumerate() {
        let bit = at * 8;
        let (limb, shift) = (bit / LIMB_BITS as usize, bit % LIMB_BITS as usize);
        let wide = u64::from(*byte) << shift;
        if let Some(limb) = number.get_mut(limb) {
            *limb |= (wide & LIMB_MASK) as u32;
        }
        if let Some(next) = number.get_mut(limb + 1) {
            *next |= (wide >> LIMB_BITS) as u32;
        }
    }
    number
}

fn to_be_bytes(number: &[u32], bytes: usize) -> Vec<u8> {
    let mut encoded: Vec<u8> = (0..bytes)
        .map(|at| {
            let bit = at * 8;
            let (limb, shift) = (bit / LIMB_BITS as usize, bit % LIMB_BITS as usize);
            let low = number.get(limb).copied().unwrap_or_default();
            let high = number.get(limb + 1).copied().unwrap_or_default();
            ((u64::from(low) | u64::from(high) << LIMB_BITS) >> shift) as u8
        })
        .collect();
    encoded.reverse();
    encoded
}

#[cfg(test)]
#[path = "montgomery_tests.rs"]
mod tests;
