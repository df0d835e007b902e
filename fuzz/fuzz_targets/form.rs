//! The body of a token request: parsed, or refused as the caller's fault.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by a panic"
)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_exchange::form::Form;
use vouchsafe_exchange::refusal::Refusal;
use vouchsafe_exchange::request::{Grant, UnverifiedExchange};

fuzz_target!(|body: &[u8]| {
    let parsed = Form::parse(body).and_then(|mut form| {
        let grant = Grant::of(&mut form)?;
        UnverifiedExchange::parse(grant, form)
    });
    if let Err(refusal) = parsed {
        let by_the_caller = matches!(refusal, Refusal::Request(_) | Refusal::Token(_) | Refusal::Denied(_));
        assert!(by_the_caller, "{refusal:?}");
    }
});
