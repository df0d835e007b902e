//! Powers modulo an odd number, against an implementation that shares no line with ours.
//!
//! The first byte chooses the exponent; the rest is modulus and base, half each.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by a panic"
)]
#![no_main]

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use libfuzzer_sys::fuzz_target;
use vouchsafe_jose::Modulus;

const EXPONENTS: [u64; 8] = [65_537, 3, 1, 2, 17, 5, 65_536, 0xffff_ffff];

fuzz_target!(|data: &[u8]| {
    let Some((choice, numbers)) = data.split_first() else {
        return;
    };
    let (modulus, base) = numbers.split_at(numbers.len() / 2);
    let base = &base[base.len() - modulus.len()..];
    if modulus.first().is_none_or(|first| *first == 0) || modulus.len() > 1024 {
        return;
    }
    let exponent = EXPONENTS[usize::from(*choice) % EXPONENTS.len()];
    let ours = Modulus::from_be_bytes(modulus);
    let number = BoxedUint::from_be_slice_vartime(modulus);
    let Some(odd) = Option::<Odd<BoxedUint>>::from(Odd::new(number)) else {
        assert!(ours.is_none());
        return;
    };
    let Some(ours) = ours else {
        assert_eq!(modulus, [1]);
        return;
    };
    let params = BoxedMontyParams::new_vartime(odd);
    let wide = BoxedUint::from_be_slice(base, params.bits_precision()).expect("it fits");
    let found = ours.power(base, exponent);
    if wide >= *params.modulus().as_ref() {
        assert_eq!(found, None);
        return;
    }
    let power = BoxedMontyForm::new(wide, &params).pow(&BoxedUint::from(exponent)).retrieve();
    let bytes = power.to_be_bytes();
    assert_eq!(found.as_deref(), bytes.get(bytes.len() - modulus.len()..));
});
