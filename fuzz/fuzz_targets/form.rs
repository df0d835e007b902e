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
use vouchsafe_exchange::refusal::Refusal;
use vouchsafe_exchange::request::UnverifiedExchange;

fuzz_target!(|body: &[u8]| {
    if let Err(refusal) = UnverifiedExchange::parse(body) {
        let by_the_caller = matches!(refusal, Refusal::Request(_) | Refusal::Token(_) | Refusal::Denied(_));
        assert!(by_the_caller, "{refusal:?}");
    }
});
