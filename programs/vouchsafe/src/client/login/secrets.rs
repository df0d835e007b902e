//! What ties the answers of browser and issuer to one login.

use crate::client::base64url;
use ring::digest::{SHA256, digest};
use vouchsafe_cli::Failure;

/// Random bytes of the code verifier (RFC 7636 §7.1), and of `state` and `nonce`.
const RANDOM_BYTES: usize = 32;

/// One login.
pub struct Login {
    pub client_id: String,
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

impl Login {
    pub fn new(client_id: &str) -> Result<Self, Failure> {
        let random = || {
            let mut bytes = [0; RANDOM_BYTES];
            let filled = getrandom::fill(&mut bytes);
            filled.map_err(|error| Failure::refused(format!("no random numbers: {error}")))?;
            Ok::<_, Failure>(base64url::encode(&bytes))
        };
        Ok(Self { client_id: client_id.to_owned(), state: random()?, nonce: random()?, verifier: random()? })
    }

    /// RFC 7636 §4.2, method `S256`.
    pub fn challenge(&self) -> String {
        base64url::encode(digest(&SHA256, self.verifier.as_bytes()).as_ref())
    }
}
