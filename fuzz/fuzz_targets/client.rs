//! The credentials of a client: the `authorization` header in the first line, the form in the rest.
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
use vouchsafe_exchange::client::{Credential, Presented};
use vouchsafe_exchange::form::Form;
use vouchsafe_exchange::refusal::ClientFault;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let header = String::from_utf8_lossy(&data[..at]).into_owned();
    let Ok(mut form) = Form::parse(data.get(at + 1..).unwrap_or_default()) else {
        return;
    };
    let authorization: Vec<String> = Some(header).into_iter().filter(|header| !header.is_empty()).collect();
    let secret = form.clone().take("client_secret");
    let assertion = form.clone().take("client_assertion");
    match Presented::take(&authorization, &mut form) {
        Ok(None) => assert!(secret.is_none() && assertion.is_none(), "a credential is not ignored"),
        Ok(Some(presented)) => {
            // Exactly one, and never shown.
            let shown = format!("{:?}", presented.credential);
            match presented.credential {
                Credential::Secret { .. } => {
                    assert!(assertion.is_none() && (secret.is_none() || authorization.is_empty()));
                    assert_eq!(shown, "Secret");
                }
                Credential::Assertion { assertion: used, .. } => {
                    assert!(secret.is_none() && authorization.is_empty());
                    assert_eq!(Some(used), assertion);
                }
            }
        }
        Err(ClientFault::Several) => assert!(secret.is_some() || assertion.is_some() || !authorization.is_empty()),
        Err(_) => {}
    }
    for name in ["client_id", "client_secret", "client_assertion", "client_assertion_type"] {
        assert_eq!(form.take(name), None, "nothing of it is left for the exchange");
    }
});
