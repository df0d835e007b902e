//! Powers modulo an odd number, in variable time: for public data only, never for signing.
//!
//! One RSA verification is most of an exchange's computing in Wasm, where 64-bit products are cheap
//! and 128-bit ones are not. With limbs of 28 bits a whole column of products is summed in 64 bits
//! without a carry, which makes this several times faster there than a general big integer. Proven
//! by Wycheproof's vectors and against another implementation.

/// Bits of a limb: a product of two has 56 bits, so 64 bits hold 255 of them and a carry.
const LIMB_BITS: usize = 28;
const LIMB_MASK: u32 = (1 << LIMB_BITS) - 1;
/// Rows of products that are summed before carries move; each row adds two products to a column.
const ROWS_BETWEEN_CARRIES: usize = 100;
/// R is at least four times the modulus, so that a product needs no subtraction.
const SPARE_BITS: usize = 2;

/// An odd modulus n with what Montgomery multiplication needs, where R is 2^28 to the number of
/// limbs.
// INVARIANT: `limbs` and `r_squared` have equal length, and R >= 4n.
#[derive(Clone)]
pub(crate) struct Modulus {
    limbs: Vec<u32>,
    /// −1/n mod 2^28.
    negated_inverse: u32,
    /// R² mod n.
    r_squared: Vec<u32>,
}

impl Modulus {
    /// The modulus of these big-endian bytes; none where it is even or has a leading zero.
    pub(crate) fn from_be_bytes(bytes: &[u8]) -> Option<Self> {
        if *bytes.first()? == 0 || bytes.last()? % 2 == 0 {
            return None;
        }
        let bits = bit_length(bytes);
        let limbs = to_limbs(bytes, (bits + SPARE_BITS).div_ceil(LIMB_BITS));
        let negated_inverse = negated_inverse(*limbs.first()?);
        let mut modulus = Self {
            limbs,
            negated_inverse,
            r_squared: Vec::new(),
        };
        modulus.r_squared = modulus.square_of_r(bits);
        Some(modulus)
    }

    /// `base` to the power `exponent`, as big-endian bytes as many as `base` has. None where `base`
    /// is not below the modulus, or `exponent` is not odd and at least 3.
    pub(crate) fn power(&self, base: &[u8], exponent: u64) -> Option<Vec<u8>> {
        let plain = to_limbs(base, self.limbs.len());
        if bit_length(base) > self.limbs.len() * LIMB_BITS || !is_less(&plain, &self.limbs) {
            return None;
        }
        if exponent < 3 || exponent % 2 == 0 {
            return None;
        }
        let montgomery = self.product(&plain, &self.r_squared);
        let mut power = montgomery.clone();
        for bit in (1..exponent.ilog2()).rev() {
            power = self.product(&power, &power);
            if exponent >> bit & 1 == 1 {
                power = self.product(&power, &montgomery);
            }
        }
        power = self.product(&power, &power);
        // The lowest bit is 1, and the plain base as the factor takes the result out of Montgomery form.
        let mut result = self.product(&power, &plain);
        self.reduce(&mut result);
        Some(to_be_bytes(&result, base.len()))
    }

    /// Montgomery's `a · b / R` modulo n: below 2n where both factors are.
    fn product(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let width = self.limbs.len();
        let mut columns = vec![0; 2 * width + 1];
        for (row, a) in a.iter().enumerate() {
            let Some(window) = columns.get_mut(row..) else {
                break;
            };
            self.add_row(window, *a, b);
            if row % ROWS_BETWEEN_CARRIES == ROWS_BETWEEN_CARRIES - 1 {
                move_carries(window.iter_mut().skip(1).take(width));
            }
        }
        let upper = columns.iter_mut().skip(width);
        move_carries(upper);
        columns
            .iter()
            .skip(width)
            .take(width)
            .map(|column| low_limb(*column))
            .collect()
    }

    /// Adds `a · b` and the multiple of n that makes the first column a multiple of 2^28, which then
    /// moves into the second.
    fn add_row(&self, columns: &mut [u64], a: u32, b: &[u32]) {
        let first_product = b.first().map_or(0, |b| widening(a, *b));
        let first = columns.first().map_or(0, |column| column + first_product);
        let quotient = low_limb(first).wrapping_mul(self.negated_inverse) & LIMB_MASK;
        for ((column, b), n) in columns.iter_mut().zip(b).zip(&self.limbs) {
            *column += widening(a, *b) + widening(quotient, *n);
        }
        if let [first, second, ..] = columns {
            *second += *first >> LIMB_BITS;
        }
    }

    /// R² mod n, from 2^(bits − 1), which is below n, by doubling and squaring.
    fn square_of_r(&self, bits: usize) -> Vec<u32> {
        let exponent_of_r = self.limbs.len() * LIMB_BITS;
        let highest_bit = bits - 1;
        let mut value = vec![0; self.limbs.len()];
        if let Some(limb) = value.get_mut(highest_bit / LIMB_BITS) {
            *limb = 1 << (highest_bit % LIMB_BITS);
        }
        // After this, 2R: the Montgomery form of 2.
        for _ in highest_bit..=exponent_of_r {
            self.double(&mut value);
        }
        // The Montgomery form of 2 to the power that makes it R.
        for bit in (0..exponent_of_r.ilog2()).rev() {
            value = self.product(&value, &value);
            self.reduce(&mut value);
            if exponent_of_r >> bit & 1 == 1 {
                self.double(&mut value);
            }
        }
        value
    }

    fn double(&self, value: &mut [u32]) {
        let mut carry = 0;
        for limb in value.iter_mut() {
            let doubled = *limb << 1 | carry;
            carry = doubled >> LIMB_BITS;
            *limb = doubled & LIMB_MASK;
        }
        self.reduce(value);
    }

    /// Brings a value below 2n below n.
    fn reduce(&self, value: &mut [u32]) {
        if is_less(value, &self.limbs) {
            return;
        }
        let mut borrow = 0;
        for (limb, n) in value.iter_mut().zip(&self.limbs) {
            let difference = limb.wrapping_sub(*n).wrapping_sub(borrow);
            borrow = difference >> (u32::BITS - 1);
            *limb = difference & LIMB_MASK;
        }
    }
}

fn widening(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}

/// The lowest 28 bits: cutting off is what this is for.
fn low_limb(column: u64) -> u32 {
    column as u32 & LIMB_MASK
}

/// Leaves 28 bits in each column but the last, which takes all that is left.
fn move_carries<'c>(columns: impl Iterator<Item = &'c mut u64>) {
    let mut carry = 0;
    let mut columns = columns.peekable();
    while let Some(column) = columns.next() {
        *column += carry;
        if columns.peek().is_some() {
            carry = *column >> LIMB_BITS;
            *column &= u64::from(LIMB_MASK);
        }
    }
}

/// −1/n mod 2^28 by Newton's iteration, each step of which doubles the right bits from 3 on.
fn negated_inverse(n: u32) -> u32 {
    let step = |inverse: u32| inverse.wrapping_mul(2_u32.wrapping_sub(n.wrapping_mul(inverse)));
    let inverse = (0..4).fold(n, |inverse, _| step(inverse));
    inverse.wrapping_neg() & LIMB_MASK
}

/// Of two values with as many limbs.
fn is_less(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

pub(crate) fn bit_length(bytes: &[u8]) -> usize {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let leading = bytes
        .get(zeros)
        .map_or(0, |byte| byte.leading_zeros() as usize);
    (bytes.len() - zeros) * 8 - leading
}

/// The lowest `count` limbs of big-endian bytes, lowest first.
fn to_limbs(bytes: &[u8], count: usize) -> Vec<u32> {
    let mut limbs = Vec::with_capacity(count + 1);
    let (mut pending, mut pending_bits) = (0_u64, 0);
    for byte in bytes.iter().rev() {
        pending |= u64::from(*byte) << pending_bits;
        pending_bits += 8;
        if pending_bits >= LIMB_BITS {
            limbs.push(low_limb(pending));
            pending >>= LIMB_BITS;
            pending_bits -= LIMB_BITS;
        }
    }
    limbs.push(low_limb(pending));
    limbs.resize(count, 0);
    limbs
}

/// The lowest `count` bytes of a value, highest first.
fn to_be_bytes(limbs: &[u32], count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 4);
    let (mut pending, mut pending_bits) = (0_u64, 0);
    for limb in limbs {
        pending |= u64::from(*limb) << pending_bits;
        pending_bits += LIMB_BITS;
        while pending_bits >= 8 {
            bytes.push(pending.to_le_bytes()[0]);
            pending >>= 8;
            pending_bits -= 8;
        }
    }
    bytes.push(pending.to_le_bytes()[0]);
    bytes.resize(count, 0);
    bytes.reverse();
    bytes
}

#[cfg(test)]
#[path = "modulus_tests.rs"]
mod tests;
