//! The identity component: `vouchsafe:identity/verification` over `vouchsafe-identity`.
//!
//! Its only capability is outbound HTTP. It keeps parsed key sets and proven signatures, both
//! bounded, and nothing else of any request.

mod convert;
mod ports;

use std::cell::RefCell;

use vouchsafe_identity::{
    Bearer, FetchError, KeySetCache, ProofCache, TokenError, TrustedIssuer, TrustedKeys,
    UnixSeconds,
};

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit/identity",
        world: "identity",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
    #[cfg(target_arch = "wasm32")]
    export!(Component);
    use super::Component;
}

use bindings::exports::vouchsafe::identity::verification as wit;

thread_local! {
    /// Public keys of issuers, parsed, by the digest of their document: at most `KEY_SETS_MAX`
    /// sets. Needs no age, since every use brings its own `trusted_until`.
    static KEY_SETS: RefCell<KeySetCache> = const { RefCell::new(KeySetCache::new()) };
    /// Signatures that verified, by a hash: at most `PROOFS_MAX`, each dying with its token or its
    /// keys. Says nothing of replay or policy.
    static PROOFS: RefCell<ProofCache> = const { RefCell::new(ProofCache::new()) };
}

struct Component;

impl wit::Guest for Component {
    async fn peek(token: String) -> Result<wit::Unverified, wit::TokenError> {
        Ok(vouchsafe_identity::peek(&token)?.into())
    }

    async fn fetch_keys(
        issuer: wit::TrustedIssuer,
        known: Option<wit::KeySet>,
        credential: Option<String>,
        now: u64,
    ) -> Result<wit::KeySet, wit::FetchError> {
        let bearer = credential
            .map(|text| Bearer::parse(text).ok_or(FetchError::CredentialInvalid))
            .transpose()?;
        let issuer = TrustedIssuer::try_from(vouchsafe_identity::IssuerRecord::from(issuer))?;
        let source = ports::Network::with_deadline();
        let keys = vouchsafe_identity::fetch_keys(
            &source,
            &issuer,
            known.map(Into::into),
            bearer.as_ref(),
            UnixSeconds(now),
        )
        .await?;
        Ok(keys.into())
    }

    async fn verify(
        token: String,
        issuer: wit::TrustedIssuer,
        keys: wit::KeySet,
        now: u64,
    ) -> Result<wit::Subject, wit::TokenError> {
        let issuer = TrustedIssuer::try_from(vouchsafe_identity::IssuerRecord::from(issuer))?;
        let set = KEY_SETS.with_borrow_mut(|sets| {
            sets.get_or_parse(&keys.digest, &keys.document, issuer.key_use())
        });
        let set = set.map_err(|_| TokenError::KeyUnusable)?;
        let keys = TrustedKeys::new(set, keys.digest, UnixSeconds(keys.trusted_until));
        let verified = PROOFS.with_borrow_mut(|proofs| {
            vouchsafe_identity::verify_remembering(&token, &issuer, &keys, UnixSeconds(now), proofs)
        });
        Ok(verified?.into_subject().into())
    }
}
